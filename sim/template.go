package sim

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/mls"
)

// Beginning names a group that a history may begin with: who is in it and how
// many of them are admins. Founding a group costs as much as half a history,
// and nothing can go wrong in it that is not also played from scratch.
type Beginning struct {
	Clients, Relays, Members, Admins int
	V1                               bool
}

func (b Beginning) String() string {
	return fmt.Sprintf("%d %d %d %d", b.Clients, b.Relays, b.Members, b.Admins)
}

func (b Beginning) protocol() group.Protocol {
	if b.V1 {
		return group.V1
	}
	return group.V2
}

// Template is a world at rest in which a group was founded. Many histories may
// begin from one.
type Template struct {
	beginning Beginning
	world     *World
}

// NewTemplate founds the group. The caller seeds the keys.
func NewTemplate(b Beginning) (*Template, error) {
	w, err := New(Config{Protocol: b.protocol(), Clients: b.Clients, Relays: b.Relays, JoinUpdate: 24 * time.Hour}, nil)
	if err != nil {
		return nil, err
	}
	w.fate.off = true
	steps := []Step{{Verb: "found"}}
	for i := range b.Members {
		steps[0].Args = append(steps[0].Args, nameOf(i))
		if i > 0 && i < b.Admins {
			steps = append(steps, Step{Verb: "promote", Args: []string{nameOf(0), "g0", nameOf(i)}})
		}
	}
	for _, s := range steps {
		if err := w.do(s); err != nil {
			return nil, err
		}
		if err := w.runUntil(w.now + 10*time.Second); err != nil {
			return nil, err
		}
	}
	if err := w.check(); err != nil {
		return nil, err
	}
	return &Template{b, w}, nil
}

// begin puts a fresh world where the template is.
func (w *World) begin(t *Template) error {
	from := t.world
	w.start, w.now, w.groups = from.start, from.now, slices.Clone(from.groups)
	w.Stats.Messages = from.Stats.Messages
	w.packets, w.ledger = maps.Clone(from.packets), from.ledger.clone()
	for i, r := range from.relays {
		if i < len(w.relays) {
			w.relays[i].stored, w.relays[i].has, w.relays[i].keeps = slices.Clone(r.stored), maps.Clone(r.has), len(r.stored)
		}
	}
	for i, c := range from.clients {
		if err := w.clients[i].begin(c); err != nil {
			return err
		}
	}
	return nil
}

func (c *Client) begin(from *Client) error {
	c.seen, c.made = maps.Clone(from.seen), from.made
	for _, old := range from.members {
		m := *old
		m.c = c
		m.effects, m.told = slices.Clone(old.effects), maps.Clone(old.told)
		m.unsaid = maps.Clone(old.unsaid)
		m.watch.taken, m.watch.nowTaken = maps.Clone(old.watch.taken), nil
		m.dates, m.watch.undated = maps.Clone(old.dates), nil
		m.received, m.holds, m.private = maps.Clone(old.received), maps.Clone(old.holds), maps.Clone(old.private)
		m.asked, m.kinds, m.addresses = maps.Clone(old.asked), maps.Clone(old.kinds), slices.Clone(old.addresses)
		m.watch.last, m.watch.unsaved = nil, nil
		records, err := from.disk.records(old.prefix())
		if err != nil {
			return err
		}
		if err := c.disk.write(m.prefix(), records, m.effects); err != nil {
			return err
		}
		g, out, err := group.Load(c.now(), c.config(), records)
		if err != nil {
			return err
		}
		m.g, m.wake = g, time.Time{}
		c.members = append(c.members, &m)
		if err := m.commit([]group.Output{out}, nil, false); err != nil {
			return err
		}
	}
	return nil
}

func (l *ledger) clone() *ledger {
	n := *l
	n.states, n.commits, n.order = maps.Clone(l.states), maps.Clone(l.commits), slices.Clone(l.order)
	n.said, n.asks, n.messages = maps.Clone(l.said), maps.Clone(l.asks), maps.Clone(l.messages)
	n.copies = map[*state]map[*seat]func() (*mls.Group, error){}
	for s, all := range l.copies {
		n.copies[s] = maps.Clone(all)
	}
	n.refs, n.asker = maps.Clone(l.refs), maps.Clone(l.asker)
	n.junk, n.labels, n.props, n.broken = maps.Clone(l.junk), maps.Clone(l.labels), maps.Clone(l.props), maps.Clone(l.broken)
	n.bySeat = map[*seat]map[string]*reading{}
	for s, all := range l.bySeat {
		n.bySeat[s] = maps.Clone(all)
	}
	return &n
}
