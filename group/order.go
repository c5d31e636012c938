package group

import (
	"cmp"
	"slices"
	"time"

	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/nostr"
)

// keptKeys is how many generations of a member may be missing behind a message
// before their keys are erased: [mls.Limits.Skipped].
const keptKeys = 100

// sortFrom is from how many events of one second on their order matters: fewer
// cannot erase each other's keys.
const sortFrom = keptKeys / 2

// tooEarly reports that a message has to wait for those before it: they are
// being fetched, and opening it would erase their keys.
func (g *Group) tooEarly(in *retained, n *node, m *mls.Message) bool {
	if g.hold.behind.IsZero() {
		return false
	}
	sender, generation, err := n.state.Peek(m)
	if err != nil {
		return false
	}
	in.peeked, in.sender, in.generation = n, sender, generation
	in.early = in.early || g.stillEarly(in)
	return g.stillEarly(in)
}

// stillEarly is tooEarly for a message that was looked at before.
func (g *Group) stillEarly(in *retained) bool {
	return !g.hold.behind.IsZero() && in.peeked != nil && in.peeked.usable() && g.nodes[in.peeked.id] == in.peeked &&
		int64(in.generation)-int64(in.peeked.state.Oldest(in.sender)) >= keptKeys
}

// rank is where an event belongs among those of its second.
type rank struct {
	event      *nostr.Event
	epoch      uint64
	handshake  int
	sender     mls.LeafIndex
	generation uint32
}

// Sort brings events into the order in which they should be taken in. They are
// ascending by time already. Relays know no order within a second, in which a
// bot may say a thousand things: there messages go by their sender's count, and
// before the commits that leave their epoch. What does not open stays behind.
// Nothing is verified and nothing changes.
func (g *Group) Sort(now time.Time, events []*nostr.Event) {
	for len(events) > 0 {
		n := slices.IndexFunc(events, func(e *nostr.Event) bool { return e.CreatedAt != events[0].CreatedAt })
		if n < 0 {
			n = len(events)
		}
		if n >= sortFrom {
			g.sortSecond(now, events[:n])
		}
		events = events[n:]
	}
}

func (g *Group) sortSecond(now time.Time, events []*nostr.Event) {
	ranks := make([]rank, len(events))
	for i, e := range events {
		ranks[i] = g.rankOf(now, e)
	}
	slices.SortStableFunc(ranks, func(a, b rank) int {
		return cmp.Or(cmp.Compare(a.epoch, b.epoch), cmp.Compare(a.handshake, b.handshake),
			cmp.Compare(a.sender, b.sender), cmp.Compare(a.generation, b.generation))
	})
	for i, p := range ranks {
		events[i] = p.event
	}
}

// rankOf looks into an event as far as its group can.
func (g *Group) rankOf(now time.Time, e *nostr.Event) rank {
	last := rank{event: e, epoch: 1<<64 - 1}
	if g.ended() || g.damaged {
		return last
	}
	ev, err := g.gen.parse(e, now)
	if err != nil {
		return last
	}
	m, err := mls.DecodeMessage(g.open(ev))
	if err != nil {
		return last
	}
	p := rank{event: e, epoch: m.Epoch()}
	if m.ContentType() != mls.ContentApplication {
		p.handshake = 1
		return p
	}
	for _, n := range g.statesAt(p.epoch) {
		if sender, generation, err := n.state.Peek(m); err == nil {
			p.sender, p.generation = sender, generation
			break
		}
	}
	return p
}
