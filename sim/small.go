package sim

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/wire"
)

// SmallWorld is a few inputs that some members made without hearing of one
// another. One member, the observer, takes them in, in every order.
type SmallWorld struct {
	Name    string
	Admins  int      // of alice, bob, carol, dave and erin, in this order
	Clients int      // 0 stands for four
	V1      bool     // the group is of protocol v1
	Make    []string // script steps without their times; see [SmallWorld.prepare]
	See     []string // observers
	Wins    string   // who made the commit that wins, and the how manieth event of that person it is
	Acts    bool     // an observer commits too, so the end depends on the order
	Final   bool     // a commit ends it for an observer, so it depends on what one pass holds
}

// scene is a small world with its inputs made.
type scene struct {
	*SmallWorld
	world  *World
	inputs []*packet
}

// Prepare makes the inputs. Beside the verbs of scripts there are
//
//	give WHO [BY]  gives somebody what is stored, or what BY made, and lets it settle
//	base           what was made so far is known to those who were given it, and no input
//	wait           lets a pass go by
func (s *SmallWorld) prepare(begin *Template) (*scene, error) {
	b := begin.beginning
	w, err := New(Config{Protocol: b.protocol(), Clients: b.Clients, Relays: b.Relays, JoinUpdate: 24 * time.Hour, Begin: begin}, nil)
	if err != nil {
		return nil, err
	}
	w.hold, w.fate.off = true, true
	made := len(w.relays[0].stored)
	for _, line := range s.Make {
		words := strings.Fields(line)
		switch words[0] {
		case "base":
			made = len(w.relays[0].stored)
		case "wait":
			err = w.runUntil(w.now + 1300*time.Millisecond)
		case "give":
			err = w.give(words[1:])
		default:
			err = w.do(Step{Verb: words[0], Args: words[1:]})
		}
		if err == nil {
			err = w.runUntil(w.now + 200*time.Millisecond)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", s.Name, line, err)
		}
	}
	at := &scene{SmallWorld: s, world: w}
	for _, p := range w.relays[0].stored[made:] {
		if p.event.Kind == wire.KindGroupEvent {
			at.inputs = append(at.inputs, p)
		}
	}
	return at, nil
}

func (w *World) give(args []string) error {
	var batch []*packet
	c := w.client(args[0])
	for _, p := range w.relays[0].stored {
		if c.wants(p.event) && (len(args) < 2 || strings.HasPrefix(p.label, args[1]+"/")) && !c.seen[p.event.ID] {
			batch = append(batch, p)
		}
	}
	if err := c.takeAll(batch); err != nil {
		return err
	}
	return w.runUntil(w.now + 1300*time.Millisecond)
}

// forObserver returns the inputs that somebody did not make.
func (at *scene) forObserver(who string) (out []*packet) {
	c := at.world.client(who)
	for _, p := range at.inputs {
		if !strings.HasPrefix(p.label, who+"/") && !c.seen[p.event.ID] {
			out = append(out, p)
		}
	}
	return out
}

// ending is what an observer comes to.
type ending struct {
	tip    string
	shown  string
	writes int
}

// observe gives an observer inputs in an order, with a pause after each.
func (at *scene) observe(who string, order []*packet, pause time.Duration, fault Fault) (end ending, err error) {
	base := at.world
	w, err := New(Config{Protocol: base.cfg.Protocol, Clients: len(base.clients), Relays: 1}, nil)
	if err != nil {
		return end, err
	}
	w.start, w.now, w.groups, w.ledger = base.start, base.now, base.groups, base.ledger.clone()
	for i, c := range base.clients {
		w.clients[i].rogue = c.rogue
	}
	w.rng, w.fate = nil, fate{said: map[string]string{fault.Key: fault.Value}}
	w.hold, w.cfg.JoinUpdate = true, 24*time.Hour
	c := w.client(who)
	if err := c.begin(base.client(who)); err != nil {
		return end, err
	}
	for _, p := range order {
		w.packets[p.event.ID] = p
		w.relays[0].stored = append(w.relays[0].stored, p)
		if err := c.takeAll([]*packet{p}); err != nil {
			return end, err
		}
		if err := w.runUntil(w.now + pause); err != nil {
			return end, err
		}
	}
	if err := w.runUntil(w.now + 20*time.Second); err != nil {
		return end, err
	}
	m := c.members[0]
	var shown []string
	payloads, _ := m.shown()
	for id, n := range payloads {
		shown = append(shown, fmt.Sprint(w.textOf(id), n))
	}
	slices.Sort(shown)
	end = ending{m.g.Tip(), strings.Join(shown, " "), c.writes}
	if st := m.g.Status(); end.tip == "" {
		end.tip = fmt.Sprint("ended ", st.Lifecycle == group.Disbanded, st.Removed)
	}
	return end, errors.Join(w.checkTip(m), w.checkRest(m), w.checkMessages(m), w.checkSecrets(m), w.checkRequests(m))
}

// Orders calls f with every order of n inputs, and reuses the slice.
func orders(n int, f func([]int) bool) bool {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	var walk func(int) bool
	walk = func(k int) bool {
		if k == n {
			return f(order)
		}
		for i := k; i < n; i++ {
			order[k], order[i] = order[i], order[k]
			if !walk(k + 1) {
				return false
			}
			order[k], order[i] = order[i], order[k]
		}
		return true
	}
	return walk(0)
}

// repeated calls f with every order in which one input comes a second time.
func repeated(n int, f func([]int) bool) bool {
	twice := make([]int, n+1)
	return orders(n+1, func(order []int) bool {
		for d := range n { // n stands for the second d
			if slices.Index(order, n) < slices.Index(order, d) {
				continue
			}
			copy(twice, order)
			twice[slices.Index(twice, n)] = d
			if !f(twice) {
				return false
			}
		}
		return true
	})
}
