package sim

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// Config says what history to play.
type Config struct {
	Seed    uint64
	Clients int           // 2 and more; the first founds the group
	Actions int           // things that people do
	Pace    time.Duration // mean time between two actions
	Delay   time.Duration // longest time a relay takes to deliver
	Loss    float64       // chance that a live delivery is lost
	Repeat  float64       // chance that it comes twice
	Silent  float64       // chance that a relay does not answer a publication
	Crash   float64       // chance that a step is lost before or after it is stored
}

// World is one history being played.
type World struct {
	cfg     Config
	rng     *rand.Rand
	now     time.Time
	clients []*Client
	stored  []*nostr.Event // what the relays have, in order of arrival
	has     map[nostr.ID]bool
	queue   schedule
	seq     int
	start   time.Time
	settled time.Time // when the founding members had joined
	Stats   Stats
}

// Stats counts what a history contained.
type Stats struct {
	Actions, Refused, Commits, Forks, Crashes, Messages, Withdrawn, Expired, Stranded int
}

// New prepares a world; nothing has happened in it.
func New(cfg Config) *World {
	w := &World{cfg: cfg, rng: rand.New(rand.NewPCG(cfg.Seed, 0)), now: time.Unix(1_790_000_000, 0), has: map[nostr.ID]bool{}}
	w.start = w.now
	for i := range cfg.Clients {
		w.clients = append(w.clients, newClient(w, i))
	}
	return w
}

// task is something that happens at a time.
type task struct {
	at  time.Time
	seq int
	do  func() error
}

type schedule []task

func (s schedule) Len() int { return len(s) }
func (s schedule) Less(i, j int) bool {
	if !s[i].at.Equal(s[j].at) {
		return s[i].at.Before(s[j].at)
	}
	return s[i].seq < s[j].seq
}
func (s schedule) Swap(i, j int) { s[i], s[j] = s[j], s[i] }
func (s *schedule) Push(x any)   { *s = append(*s, x.(task)) }
func (s *schedule) Pop() any {
	old := *s
	t := old[len(old)-1]
	*s = old[:len(old)-1]
	return t
}

func (w *World) after(d time.Duration, do func() error) {
	w.seq++
	heap.Push(&w.queue, task{w.now.Add(d), w.seq, do})
}

func (w *World) chance(p float64) bool { return p > 0 && w.rng.Float64() < p }

func (w *World) delay() time.Duration {
	if w.cfg.Delay <= 0 {
		return 0
	}
	return time.Duration(w.rng.Int64N(int64(w.cfg.Delay)))
}

// runUntil plays what is scheduled up to a time.
func (w *World) runUntil(end time.Time) error {
	for len(w.queue) > 0 && !w.queue[0].at.After(end) {
		t := heap.Pop(&w.queue).(task)
		w.now = t.at
		if err := t.do(); err != nil {
			return err
		}
	}
	w.now = end
	return nil
}

// Run plays the whole history, lets everything arrive, and checks the result.
func (w *World) Run() error {
	if err := w.clients[0].found(w.clients[1 : len(w.clients)-len(w.clients)/4]); err != nil {
		return err
	}
	if err := w.runUntil(w.now.Add(w.cfg.Delay*3 + time.Second)); err != nil {
		return err
	}
	w.settled = w.now
	for range w.cfg.Actions {
		pause := time.Duration(w.rng.ExpFloat64() * float64(w.cfg.Pace))
		if err := w.runUntil(w.now.Add(min(pause, 4*w.cfg.Pace))); err != nil {
			return err
		}
		if err := w.act(); err != nil {
			return err
		}
		if err := w.refetch(w.clients[w.rng.IntN(len(w.clients))]); err != nil {
			return err
		}
	}
	if err := w.quiesce(); err != nil {
		return err
	}
	return w.check()
}

// quiesce lets every delivery happen, then gives every client everything that
// the relays have, until nothing changes any more.
func (w *World) quiesce() error {
	w.cfg.Silent, w.cfg.Crash, w.cfg.Loss = 0, 0, 0
	for round := range 40 {
		before := w.fingerprint()
		for _, c := range w.clients {
			if err := w.refetch(c); err != nil {
				return err
			}
		}
		if err := w.runUntil(w.now.Add(20 * time.Second)); err != nil {
			return err
		}
		if round > 0 && w.fingerprint() == before {
			return nil
		}
	}
	return fmt.Errorf("the group does not come to rest")
}

// refetch gives a client everything that the relays have, as after a new
// connection. Without it two halves that lose each other's commits for longer
// than the protocol looks back could not come together again.
func (w *World) refetch(c *Client) error {
	for _, e := range w.stored {
		if err := c.take(e); err != nil {
			return err
		}
	}
	return nil
}

func (w *World) fingerprint() string {
	out := fmt.Sprint(len(w.stored))
	for _, c := range w.clients {
		out += fmt.Sprintf("/%v", c.tip())
	}
	return out
}

// publish brings an event to the relays and from there to everyone, as far as
// the relays do their work. It reports whether the publisher got an OK.
func (w *World) publish(from *Client, e *nostr.Event) bool {
	if !w.has[e.ID] {
		w.has[e.ID] = true
		if e.Kind == wire.KindGroupEvent {
			w.stored = append(w.stored, e)
		}
		w.spread(from, e)
	}
	return !w.chance(w.cfg.Silent)
}

func (w *World) spread(from *Client, e *nostr.Event) {
	for _, c := range w.clients {
		if c == from || e.Kind != wire.KindGroupEvent && !c.isFor(e) {
			continue
		}
		copies := 1
		if e.Kind == wire.KindGroupEvent && w.chance(w.cfg.Loss) {
			copies = 0
		} else if w.chance(w.cfg.Repeat) {
			copies = 2
		}
		for range copies {
			w.after(w.delay(), func() error { return c.take(e) })
		}
	}
}
