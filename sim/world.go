package sim

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
)

// World is one history being played. It is not safe for concurrent use.
type World struct {
	cfg        Config
	start      time.Time
	now        time.Duration // since the start
	rng        *rand.Rand    // of what people do; nil plays a script
	fate       fate
	script     Script // as it was played so far
	clients    []*Client
	relays     []*relay
	hold       bool            // relays store and deliver nothing by themselves
	cut        map[string]bool // "client relay" pairs that do not reach each other
	groups     []string        // MLS group ids in hex, as they were founded
	packets    map[nostr.ID]*packet
	withholds  map[string]bool
	tries      map[string]int // publications of a packet at a relay
	queue      schedule
	injected   int     // events past all obligations
	last       *packet // the last of them
	ledger     *ledger
	cover      *Coverage
	transcript transcript
	Stats      Stats
}

// New prepares a world; nothing has happened in it.
func New(cfg Config, cover *Coverage) (*World, error) {
	cfg.Groups, cfg.Relays = max(cfg.Groups, 1), max(cfg.Relays, 1)
	if cover == nil {
		cover = NewCoverage()
	}
	w := &World{
		cfg: cfg, start: time.Unix(1_790_000_000, 0), rng: rand.New(rand.NewPCG(cfg.Seed, 1)),
		fate: fate{rng: rand.New(rand.NewPCG(cfg.Seed, 2))}, cut: map[string]bool{}, packets: map[nostr.ID]*packet{}, tries: map[string]int{}, withholds: map[string]bool{},
		ledger: newLedger(), cover: cover, transcript: transcript{sha256.New()},
		script: Script{Random: cfg.Seed, Protocol: cfg.Protocol, Clients: cfg.Clients, Relays: cfg.Relays, Liars: cfg.Liars, SQLite: cfg.SQLite, Join: cfg.JoinUpdate},
	}
	for i := range cfg.Relays {
		w.relays = append(w.relays, newRelay(i, cfg.Liars))
	}
	for i := range cfg.Clients {
		c, err := newClient(w, i)
		if err != nil {
			return nil, errors.Join(err, w.Close())
		}
		w.clients = append(w.clients, c)
	}
	if cfg.Begin == nil {
		return w, nil
	}
	w.script.Begin = &cfg.Begin.beginning
	if err := w.begin(cfg.Begin); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

// NewScripted prepares a world that plays a script.
func NewScripted(s *Script, begin *Template, cover *Coverage, dir string) (*World, error) {
	w, err := New(Config{Seed: s.Random, Protocol: s.Protocol, Clients: s.Clients, Relays: s.Relays, Liars: s.Liars, SQLite: s.SQLite, JoinUpdate: s.Join, Begin: begin, Dir: dir}, cover)
	if err != nil {
		return nil, err
	}
	w.rng, w.fate = nil, fate{said: map[string]string{}}
	for _, f := range s.Faults {
		w.fate.said[f.Key] = f.Value
	}
	w.script = *s
	return w, nil
}

// Close releases the disks.
func (w *World) Close() error {
	var err error
	for _, c := range w.clients {
		err = errors.Join(err, c.disk.close())
	}
	return err
}

// Script returns the history so far as a script.
func (w *World) Script() *Script {
	s := w.script
	if w.rng != nil {
		s.Faults = w.fate.log
	}
	return &s
}

// transcript is a hash over everything that was published and stored.
type transcript struct{ hash.Hash }

func (t transcript) event(e *nostr.Event) { t.Write(e.ID[:]) }

func (t transcript) record(r group.Record) {
	t.Write([]byte(r.Key))
	t.Write(r.Value)
}

// Digest identifies the history byte for byte.
func (w *World) Digest() string { return fmt.Sprintf("%x", w.transcript.Sum(nil)) }

func (w *World) after(d time.Duration, do func() error) { w.queue.add(w.now+d, do) }

func (w *World) runUntil(end time.Duration) error {
	for {
		t, ok := w.queue.next(end)
		if !ok {
			w.now = max(w.now, end)
			return nil
		}
		w.now = max(w.now, t.at)
		if err := t.do(); err != nil {
			return err
		}
	}
}

// Run plays the whole history, lets everything arrive, and checks the result.
func (w *World) Run() error {
	err := w.play()
	if err == nil {
		err = w.quiesce()
	}
	if err == nil {
		err = w.check()
	}
	return err
}

func (w *World) play() error {
	if w.rng == nil {
		for _, s := range w.script.Steps {
			if err := w.runUntil(s.At); err != nil {
				return err
			}
			if err := w.do(s); err != nil {
				return err
			}
		}
		return nil
	}
	if err := w.prologue(); err != nil {
		return err
	}
	for i := range w.cfg.Actions {
		pause := time.Duration(w.rng.ExpFloat64() * float64(w.cfg.Pace)).Round(time.Millisecond)
		if chance(w.rng, w.cfg.Burst) {
			pause = 0
		}
		if err := w.runUntil(w.now + min(pause, 5*w.cfg.Pace)); err != nil {
			return err
		}
		steps := w.split(i)
		if s, ok := w.draw(); ok {
			steps = append(steps, s)
		}
		for _, s := range steps {
			if err := w.doNow(s); err != nil {
				return err
			}
		}
	}
	w.script.Steps = append(w.script.Steps, Step{At: w.now, Verb: "end"})
	return nil
}

// prologue founds the groups, unless the world began with one, and sets the
// clocks.
func (w *World) prologue() error {
	var steps []Step
	if w.cfg.Begin == nil {
		for _, s := range w.beginnings() {
			if err := w.doNow(s); err != nil {
				return err
			}
		}
		if err := w.runUntil(w.now + 4*w.cfg.Delay + 500*time.Millisecond); err != nil {
			return err
		}
		if err := w.crowd(); err != nil {
			return err
		}
		steps = w.promotions()
	}
	for _, s := range append(w.clocks(), steps...) {
		if err := w.doNow(s); err != nil {
			return err
		}
	}
	return nil
}

// crowd brings in those who did not fit into the founding commit.
func (w *World) crowd() error {
	in := w.founders()
	for from := maxWelcomes + 1; from < in; from += maxWelcomes {
		s := Step{Verb: "invite", Args: []string{w.clients[0].name, "g0"}}
		for _, c := range w.clients[from:min(from+maxWelcomes, in)] {
			s.Args = append(s.Args, c.name)
		}
		if err := w.doNow(s); err != nil {
			return err
		}
		if err := w.runUntil(w.now + 4*w.cfg.Delay + 3*time.Second); err != nil {
			return err
		}
	}
	return nil
}

// doNow writes a step into the script and carries it out.
func (w *World) doNow(s Step) error {
	s.At = w.now
	w.script.Steps = append(w.script.Steps, s)
	w.Stats.Actions++
	return w.do(s)
}

// quiesce ends all trouble and gives every client everything that the relays
// have, until nothing changes any more.
func (w *World) quiesce() error {
	w.fate.off = true
	clear(w.cut)
	last := ""
	for round := range 24 {
		for _, c := range w.clients {
			for _, r := range w.relays {
				if err := w.fetch(c, r); err != nil {
					return err
				}
			}
		}
		if err := w.runUntil(w.now + min(10*time.Second<<(round/3), 10*time.Minute)); err != nil {
			return err
		}
		now, busy := w.fingerprint()
		if now == last && !busy {
			return nil
		}
		last = now
	}
	return errors.New("the groups do not come to rest" + w.restless())
}

// fingerprint says where everybody is, and whether something is still to be
// published.
func (w *World) fingerprint() (out string, busy bool) {
	for _, r := range w.relays {
		out += fmt.Sprint(len(r.stored), " ")
	}
	for _, c := range w.clients {
		for _, m := range c.members {
			st := m.g.Status()
			out += fmt.Sprint(m.old, m.g.Tip(), st.Outstanding, st.Queued, st.Convergence, " ")
			wait := m.wake.Sub(c.now())
			soon := !m.wake.IsZero() && wait > 0 && wait < 10*time.Minute
			busy = busy || !m.old && (st.Outstanding > 0 || soon)
		}
	}
	return out, busy
}

func (w *World) restless() string {
	out := ""
	for _, m := range w.everybody() {
		st := m.g.Status()
		out += fmt.Sprintf("\n  %s: epoch %d, %s, %s, outstanding %d, queued %d", m, st.Epoch, st.Lifecycle, st.Convergence, st.Outstanding, st.Queued)
	}
	return out
}

// everybody returns all members who go on.
func (w *World) everybody() (out []*member) {
	for _, c := range w.clients {
		for _, m := range c.members {
			if !m.old {
				out = append(out, m)
			}
		}
	}
	return out
}

func (w *World) groupName(id string) string {
	return fmt.Sprintf("g%d", slices.Index(w.groups, id))
}

func (w *World) client(name string) *Client {
	for _, c := range w.clients {
		if c.name == name {
			return c
		}
	}
	return nil
}

func (w *World) rogue(s *seat) bool { return w.client(s.client).rogue }

func (w *World) count(m *member, e group.Effect) {
	switch e.Kind {
	case group.EffectSuperseded:
		w.Stats.Forks++
	case group.EffectEpoch:
		w.Stats.Commits++
	case group.EffectInvalidated:
		w.Stats.Withdrawn++
	}
	w.cover.effect(e)
}

func mkdir(parent, name string) (string, error) {
	dir := filepath.Join(parent, name)
	return dir, os.MkdirAll(dir, 0o700)
}
