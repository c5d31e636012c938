package sim

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// seat names a client's place in one group, from joining it on.
type seat struct {
	client string
	group  string // MLS group id in hex
}

// member is who has the seat.
type member struct {
	*seat
	c         *Client
	g         *group.Group
	addresses []string
	effects   []group.Effect
	told      map[string]bool
	wake      time.Time
	old       bool // it was removed and came in again: another member goes on

	// What the oracle goes by.
	root     *state
	received map[wire.MessageID]receipt
	dates    map[nostr.ID]dated      // of events taken in, for v1
	unsaid   map[wire.MessageID]bool // own messages given up, because no relay took them
	highest  uint64                  // epoch it ever was in
	watch    watch
	holds    map[string]bool // states on its disk, by commit
	private  map[string]bool // of those, own commits that no relay accepted
	asked    map[string]bool // requests it took up
	kinds    map[string]string
	backup   []group.Record // a copy of its data that somebody kept
	kit      *kit           // what a rogue works with
}

// receipt is when a message was taken in: the member's epoch then.
type receipt struct{ highest uint64 }

func newMember(c *Client, id string, g *group.Group) *member {
	m := &member{
		seat: &seat{c.name, id}, c: c, g: g, told: map[string]bool{}, received: map[wire.MessageID]receipt{}, dates: map[nostr.ID]dated{},
		unsaid: map[wire.MessageID]bool{}, holds: map[string]bool{}, private: map[string]bool{}, asked: map[string]bool{}, kinds: map[string]string{},
	}
	m.root = c.w.ledger.named(g.Tip()) // a founder's is not known yet
	return m
}

func (m *member) prefix() string { return "group/" + m.group + "/" }

func (m *member) String() string { return m.c.name + " in " + m.c.w.groupName(m.group) }

// step gives the group one input, as a transaction of its own.
func (m *member) step(in group.Input, p *packet) error {
	if m.c.down || m.old {
		return nil
	}
	var packets []*packet
	if p != nil {
		packets = []*packet{p}
	}
	out, err := m.apply(in, p)
	if err != nil {
		return err
	}
	return m.commit([]group.Output{out}, packets, true)
}

// apply is one Step, watched.
func (m *member) apply(in group.Input, p *packet) (group.Output, error) {
	before := m.look()
	out, err := m.g.Step(m.c.now(), in)
	if err != nil {
		return out, fmt.Errorf("%s: %T: %w", m, in, err)
	}
	return out, m.saw(before, in, p, &out)
}

// receive takes events in as one transaction.
func (m *member) receive(packets []*packet) error {
	var outs []group.Output
	for _, p := range packets {
		out, err := m.apply(group.Received{Event: p.event}, p)
		if err != nil {
			return err
		}
		outs = append(outs, out)
	}
	return m.commit(outs, packets, true)
}

// commit stores outputs in one transaction and then carries them out. The
// client may stop before or after it is stored.
func (m *member) commit(outs []group.Output, packets []*packet, mayCrash bool) error {
	c := m.c
	t := &transaction{prefix: m.prefix()}
	for i := range outs {
		t.records = append(t.records, outs[i].Records...)
		for _, e := range outs[i].Effects {
			if !m.told[e.ID] {
				t.effects = append(t.effects, e)
			}
		}
	}
	when, down := "", time.Duration(0)
	if mayCrash {
		when, down = c.w.crashAt(c)
	}
	c.w.cover.crash(when, outs)
	switch when {
	case "before":
		return c.crash(nil, down)
	case "torn":
		return c.crash(t, down)
	}
	if err := c.disk.write(t.prefix, t.records, t.effects); err != nil {
		return err
	}
	if err := m.stored(t, outs, packets); err != nil {
		return err
	}
	if when == "after" {
		return c.crash(nil, down)
	}
	for i := range outs {
		if err := m.carryOut(&outs[i]); err != nil {
			return err
		}
	}
	return nil
}

// stored notes what has become durable.
func (m *member) stored(t *transaction, outs []group.Output, packets []*packet) error {
	w := m.c.w
	for _, e := range t.effects {
		if m.told[e.ID] {
			continue
		}
		m.told[e.ID] = true
		m.effects = append(m.effects, e)
		w.count(m, e)
	}
	states := false
	for _, r := range t.records {
		w.cover.record(m, r)
		w.transcript.record(r)
		states = states || strings.HasPrefix(r.Key, "node/")
		if id, ok := strings.CutPrefix(r.Key, "out/"); ok && r.Value == nil {
			m.gaveUp(id)
		}
	}
	for i, p := range packets {
		if outs[i].Outcome.Refetch {
			continue
		}
		m.c.seen[p.event.ID] = true
	}
	m.saved()
	if states {
		if err := w.ledger.learn(m, t.records); err != nil {
			return err
		}
		m.listen()
	}
	for s := w.ledger.named(m.g.Tip()); m.root == nil && s != nil; s = s.parent {
		if s.parent == nil {
			m.root = s
		}
	}
	return nil
}

// listen follows the group's addresses, and asks what a new one has.
func (m *member) listen() {
	var now []string
	fresh := false
	for _, a := range m.g.Addresses() {
		h := hex.EncodeToString(a.GroupID[:])
		now = append(now, h)
		fresh = fresh || !slices.Contains(m.addresses, h)
	}
	fresh = fresh && len(m.addresses) > 0
	m.addresses = now
	if life := m.c.life; fresh {
		m.c.w.after(0, func() error {
			if m.c.life != life {
				return nil
			}
			return m.c.fetchSoon()
		})
	}
}

func (m *member) carryOut(out *group.Output) error {
	c := m.c
	m.plan(out.Wake)
	for _, p := range out.Publish {
		packet, err := c.packet(m, p.Event)
		if err != nil {
			return err
		}
		for _, url := range p.Relays {
			c.w.publish(c, m, packet, url)
		}
	}
	life := c.life
	for _, r := range out.Requests {
		c.w.after(10*time.Millisecond, func() error {
			if c.life != life || m.old {
				return nil
			}
			return m.step(c.account.answer(r), nil)
		})
	}
	return nil
}

// packet returns the packet of an event; one that is published again is the
// same.
func (c *Client) packet(m *member, e *nostr.Event) (*packet, error) {
	w := c.w
	if p := w.packets[e.ID]; p != nil {
		return p, nil
	}
	c.made++
	p := &packet{label: fmt.Sprintf("%s/%d", c.name, c.made), event: e}
	w.packets[e.ID] = p
	w.transcript.event(e)
	if e.Kind != wire.KindGroupEvent {
		return p, nil
	}
	return p, w.ledger.published(m, p)
}

// plan schedules the next tick, by the client's own clock.
func (m *member) plan(at time.Time) {
	if at.IsZero() {
		m.wake = at
		return
	}
	if at.Equal(m.wake) {
		return
	}
	m.wake = at
	c := m.c
	life, g := c.life, m.g
	c.w.after(max(at.Sub(c.now()), time.Millisecond), func() error {
		if c.life != life || m.old || m.g != g || !m.wake.Equal(at) {
			return nil
		}
		m.wake = time.Time{}
		return m.step(group.Tick{}, nil)
	})
}

// reload starts the group again from the disk.
func (m *member) reload() error {
	records, err := m.c.disk.records(m.prefix())
	if err != nil {
		return err
	}
	g, out, err := group.Load(m.c.now(), m.c.config(), records)
	if err != nil {
		return fmt.Errorf("%s does not load: %w", m, err)
	}
	m.forgetUnsaved(records)
	m.g, m.wake = g, time.Time{}
	before := m.watch.durable
	if err := m.sawLoad(before, &out); err != nil {
		return err
	}
	return m.commit([]group.Output{out}, nil, true)
}

// active reports whether the member is in the group, as far as it knows.
func (m *member) active() bool { return !m.old && m.g.Tip() != "" }
