package sim

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// fate decides what goes wrong, and when. It draws from a seed, and writes
// down each decision that is not the normal one; or it reads the decisions of
// a script, so that a history can be played again with some of them left out.
type fate struct {
	rng  *rand.Rand        // nil: as the script says
	said map[string]string // by key
	log  []Fault
	off  bool // nothing goes wrong any more
}

// Fault is one decision of fate: Key says about what, Value what happens.
type Fault struct{ Key, Value string }

func (f *fate) decide(key, normal string, draw func(*rand.Rand) string) string {
	switch {
	case f.off:
		return normal
	case f.rng == nil:
		if v, ok := f.said[key]; ok {
			return v
		}
		return normal
	}
	v := draw(f.rng)
	if v != normal {
		f.log = append(f.log, Fault{key, v})
	}
	return v
}

// Values of decisions. A delivery or an answer is written as its delay.
const (
	normalDelay = "20ms"
	never       = "never"
)

func chance(rng *rand.Rand, p float64) bool { return p > 0 && rng.Float64() < p }

func drawDelay(rng *rand.Rand, longest time.Duration) string {
	if longest <= 0 {
		return normalDelay
	}
	return (time.Duration(rng.Int64N(int64(longest)/1e6)+1) * time.Millisecond).String()
}

// push decides when a live delivery arrives: never, once or twice.
func (w *World) pushTimes(p *packet, r *relay, c *Client) []time.Duration {
	cfg := &w.cfg
	v := w.fate.decide(fmt.Sprintf("push %s %s %s", p.label, r.name, c.name), normalDelay, func(rng *rand.Rand) string {
		switch {
		case chance(rng, cfg.Loss), r.lies && chance(rng, 0.2):
			return never
		case chance(rng, cfg.Repeat):
			return drawDelay(rng, cfg.Delay) + " " + drawDelay(rng, 2*cfg.Delay)
		}
		return drawDelay(rng, cfg.Delay)
	})
	var out []time.Duration
	for _, word := range strings.Fields(v) {
		if d, err := time.ParseDuration(word); err == nil {
			out = append(out, d)
		}
	}
	return out
}

// withheld reports whether a relay keeps an event to itself, as long as there
// is trouble.
func (w *World) withheld(p *packet, r *relay) bool {
	if !r.lies || w.fate.off {
		return false
	}
	key := fmt.Sprintf("withhold %s %s", p.label, r.name)
	if _, ok := w.withholds[key]; !ok {
		w.withholds[key] = w.fate.decide(key, "no", func(rng *rand.Rand) string {
			if chance(rng, 0.2) {
				return "yes"
			}
			return "no"
		}) == "yes"
	}
	return w.withholds[key]
}

// reception is how a relay takes a publication.
type reception struct {
	delay  time.Duration
	stored bool
	answer string // "ok", "silent" or "refused"
}

func (w *World) receptionOf(p *packet, r *relay, attempt int) reception {
	cfg := &w.cfg
	key := fmt.Sprintf("send %s %s", p.label, r.name)
	if attempt > 1 {
		key += fmt.Sprintf(" again%d", attempt)
	}
	v := w.fate.decide(key, normalDelay, func(rng *rand.Rand) string {
		delay := drawDelay(rng, cfg.Delay/2)
		switch {
		case cfg.Liars && !r.lies: // somebody has to keep what the liars lose
		case chance(rng, cfg.Unreachable):
			return never
		case chance(rng, cfg.Refuse):
			return delay + " refused"
		}
		if chance(rng, cfg.Silent) {
			return delay + " silent"
		}
		if r.lies && chance(rng, cfg.Refuse) {
			return delay + " lie" // says no, and stores it
		}
		return delay
	})
	out := reception{stored: true, answer: "ok", delay: time.Second}
	for _, word := range strings.Fields(v) {
		switch word {
		case never:
			out.stored, out.answer = false, "silent"
		case "refused":
			out.stored, out.answer = false, "refused"
		case "silent":
			out.answer = "silent"
		case "lie":
			out.answer = "refused"
		default:
			if d, err := time.ParseDuration(word); err == nil {
				out.delay = d
			}
		}
	}
	return out
}

// crashAt decides whether a client stops at a write: before it, or after it
// and before anything of it leaves, and for how long.
func (w *World) crashAt(c *Client) (when string, down time.Duration) {
	c.writes++
	v := w.fate.decide(fmt.Sprintf("crash %s %d", c.name, c.writes), "", func(rng *rand.Rand) string {
		if !chance(rng, w.cfg.Crash) {
			return ""
		}
		when := []string{"before", "torn", "after"}[rng.IntN(3)]
		down := time.Duration(0)
		if rng.IntN(3) == 0 {
			down = time.Duration(rng.IntN(4000)) * time.Millisecond
		}
		return when + " " + down.String()
	})
	if _, err := fmt.Sscanf(v, "%s %s", &when, &v); err != nil {
		return "", 0
	}
	down, _ = time.ParseDuration(v)
	return when, down
}
