package sim

import (
	"fmt"
	"time"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// packet is an event on its way. Its label is the same in every run of a
// script: who made it, and the how manieth of that person it is.
type packet struct {
	label string
	event *nostr.Event
}

// relay keeps events and hands them out, as far as it does its work.
type relay struct {
	name, url string
	lies      bool
	stored    []*packet
	has       map[nostr.ID]bool
	keeps     int // a rewind never goes back behind this
}

func newRelay(i int, lies bool) *relay {
	name := fmt.Sprintf("r%d", i)
	return &relay{name: name, url: "wss://" + name + ".example", lies: lies && i > 0, has: map[nostr.ID]bool{}}
}

// publish brings an event to one relay and the relay's answer back.
func (w *World) publish(c *Client, m *member, p *packet, url string) {
	r := w.relayAt(url)
	if r == nil {
		return
	}
	w.tries[p.label+" "+r.name]++
	how := w.receptionOf(p, r, w.tries[p.label+" "+r.name])
	if w.cut[c.name+" "+r.name] {
		how = reception{delay: time.Second, answer: "silent"}
	}
	if how.stored {
		w.after(how.delay, func() error { return r.take(w, p) })
	}
	life := c.life
	w.after(2*how.delay, func() error {
		if c.life != life || m.old {
			return nil // the answer found nobody
		}
		return m.step(group.RelayResult{Event: p.event.ID, Relay: url, Accepted: how.answer == "ok", Rejected: how.answer == "refused"}, nil)
	})
}

func (w *World) relayAt(url string) *relay {
	for _, r := range w.relays {
		if r.url == url {
			return r
		}
	}
	return nil
}

// take stores an event and hands it to everybody who listens.
func (r *relay) take(w *World, p *packet) error {
	if r.has[p.event.ID] {
		return nil
	}
	r.has[p.event.ID] = true
	r.stored = append(r.stored, p)
	for _, c := range w.clients {
		if !w.hold && c.wants(p.event) && !w.withheld(p, r) {
			r.push(w, p, c)
		}
	}
	return nil
}

func (r *relay) push(w *World, p *packet, c *Client) {
	for i, d := range w.pushTimes(p, r, c) {
		w.after(d, func() error {
			if w.cut[c.name+" "+r.name] {
				return nil
			}
			return c.deliver(p, i > 0)
		})
	}
}

// rewind forgets what a relay took last, as after a restored backup.
func (r *relay) rewind(n int) {
	for n > 0 && len(r.stored) > r.keeps {
		last := len(r.stored) - 1
		delete(r.has, r.stored[last].event.ID)
		r.stored = r.stored[:last]
		n--
	}
}

// fetch gives a client what a relay has and the client has not dealt with, as
// after a new connection.
func (w *World) fetch(c *Client, r *relay) error {
	if w.cut[c.name+" "+r.name] || c.down {
		return nil
	}
	var batch []*packet
	for _, p := range r.stored {
		if c.wants(p.event) && !c.seen[p.event.ID] && !w.withheld(p, r) {
			batch = append(batch, p)
		}
	}
	return c.takeAll(batch)
}

// wants is the client's subscription: its inbox and the groups it is in.
func (c *Client) wants(e *nostr.Event) bool {
	if e.Kind == nostr.KindGiftWrap {
		p, ok := e.Tags.Find("p")
		return ok && len(p) == 2 && p[1] == c.account.hex
	}
	if e.Kind != wire.KindGroupEvent {
		return false
	}
	h, ok := e.Tags.Find("h")
	return ok && len(h) == 2 && c.memberAt(h[1]) != nil
}
