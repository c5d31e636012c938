package sim

import (
	"fmt"
	"strconv"
	"time"
)

// maxWelcomes is how many members one commit of a crowd adds: a Welcome must
// fit a gift wrap.
const maxWelcomes = 40

// founders is how many clients are in the groups from the beginning.
func (w *World) founders() int { return len(w.clients) - len(w.clients)/4 }

// beginnings founds the groups, each by another client. A quarter of the
// clients is left for later invitations.
func (w *World) beginnings() (out []Step) {
	in := w.founders()
	for g := range w.cfg.Groups {
		args := []string{w.clients[g%in].name}
		for i := range in {
			if i != g%in && len(args) <= maxWelcomes {
				args = append(args, w.clients[i].name)
			}
		}
		out = append(out, Step{Verb: "found", Args: args})
	}
	return out
}

// clocks puts the clients' clocks apart. Not before the group is founded: key
// packages are only valid for clocks near their maker's.
func (w *World) clocks() (out []Step) {
	if w.cfg.Skew > 0 {
		for _, c := range w.clients {
			out = append(out, Step{Verb: "clock", Args: []string{c.name, w.drawSkew().String()}})
		}
	}
	return out
}

// promotions makes some members admins, so that several may commit at once.
func (w *World) promotions() (out []Step) {
	for g, id := range w.groups {
		for _, m := range w.everybody() {
			if m.group == id && m.c != w.clients[g] && chance(w.rng, w.cfg.Admins) {
				out = append(out, Step{Verb: "promote", Args: []string{w.clients[g].name, fmt.Sprintf("g%d", g), m.c.name}})
			}
		}
	}
	return out
}

func (w *World) drawSkew() time.Duration {
	return (time.Duration(w.rng.Int64N(2*int64(w.cfg.Skew))) - w.cfg.Skew).Round(time.Second)
}

// split parts the clients into two halves, each with relays of its own, after
// a fifth of the actions, and brings them together again before the last.
func (w *World) split(action int) (out []Step) {
	verb := map[int]string{w.cfg.Actions / 5: "cut", w.cfg.Actions - 2: "heal"}[action]
	if !w.cfg.Split || verb == "" {
		return nil
	}
	for i, c := range w.clients {
		for j, r := range w.relays {
			if i%2 != min(j, 1) {
				out = append(out, Step{Verb: verb, Args: []string{c.name, r.name}})
			}
		}
	}
	return out
}

// draw lets a random person do something, or something happen.
func (w *World) draw() (Step, bool) {
	c := w.clients[w.rng.IntN(len(w.clients))]
	switch {
	case chance(w.rng, w.cfg.Cut):
		return w.drawCut(c), true
	case chance(w.rng, w.cfg.Jump):
		return Step{Verb: "clock", Args: []string{c.name, w.drawSkew().String()}}, true
	case chance(w.rng, w.cfg.Crash):
		return Step{Verb: "crash", Args: []string{c.name, (time.Duration(w.rng.IntN(6)) * time.Second).String()}}, true
	case w.cfg.Liars && chance(w.rng, 0.1):
		r := w.relays[w.rng.IntN(len(w.relays))]
		verb := []string{"rewind", "replay"}[w.rng.IntN(2)]
		return Step{Verb: verb, Args: []string{r.name, strconv.Itoa(1 + w.rng.IntN(5))}}, true
	case chance(w.rng, w.cfg.Malice):
		if s, ok := w.drawMalice(); ok {
			return s, true
		}
	}
	if chance(w.rng, 0.2) {
		return Step{Verb: "fetch", Args: []string{c.name}}, true
	}
	return w.drawWish(c)
}

func (w *World) drawCut(c *Client) Step {
	r := w.relays[w.rng.IntN(len(w.relays))]
	if w.cfg.Liars {
		r = w.relays[len(w.relays)-1] // what only liars took may be lost, and then nothing is owed
	}
	verb := "cut"
	if w.cut[c.name+" "+r.name] {
		verb = "heal"
	}
	return Step{Verb: verb, Args: []string{c.name, r.name}}
}

// drawWish draws what somebody wants: mostly to talk.
func (w *World) drawWish(c *Client) (Step, bool) {
	g := w.rng.IntN(len(w.groups))
	m := c.member(w.groups[g])
	if m == nil || !m.active() || c.down || c.rogue {
		return Step{}, false
	}
	st := m.g.Status()
	who := []string{c.name, fmt.Sprintf("g%d", g)}
	some := func() string { return w.nameOfAccount(st.Members[w.rng.IntN(len(st.Members))]) }
	with := func(verb string, more ...string) (Step, bool) {
		return Step{Verb: verb, Args: append(who, more...)}, true
	}
	d := w.rng.IntN(100)
	if w.cfg.Busy && d < 34 {
		d = 48 + d
	}
	switch {
	case d < 46:
		return with("say")
	case d < 47 && chance(w.rng, 0.3):
		return with("disband")
	case d < 48:
		return with([]string{"route", "retain"}[w.rng.IntN(2)])
	case d < 62:
		return with("rename")
	case d < 72:
		return with("update")
	case d < 82:
		return with("promote", some())
	case d < 85:
		return with("demote", some())
	case d < 90:
		if other := some(); other != c.name {
			return with("remove", other)
		}
	case d < 93:
		return with("leave")
	default:
		for _, other := range w.clients {
			if m := other.member(w.groups[g]); m == nil || !m.active() {
				return with("invite", other.name)
			}
		}
	}
	return Step{}, false
}
