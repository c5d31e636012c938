package group

import (
	"cmp"
	"slices"

	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// index finds retained messages without looking at all of them: what a step
// costs must not grow with how much was said before.
type index struct {
	open   map[wire.MessageID]*retained // commits, proposals, and messages not decided yet
	copies map[nostr.ID][]*retained     // opened messages by the id of their payload
	moved  bool                         // the branch changed: all messages have to be looked at again
}

func newIndex() index {
	return index{open: map[wire.MessageID]*retained{}, copies: map[nostr.ID][]*retained{}, moved: true}
}

// note adds a message, or takes in that it changed.
func (g *Group) note(in *retained) {
	g.inputs[in.ID] = in
	if in.Kind != kindApp || in.Disposition == deferred {
		g.index.open[in.ID] = in
	} else {
		delete(g.index.open, in.ID)
	}
	if in.Kind == kindApp && in.opened() && !slices.Contains(g.index.copies[in.Inner], in) {
		g.index.copies[in.Inner] = append(g.index.copies[in.Inner], in)
	}
}

func (g *Group) unnote(in *retained) {
	delete(g.inputs, in.ID)
	delete(g.index.open, in.ID)
	rest := slices.DeleteFunc(g.index.copies[in.Inner], func(c *retained) bool { return c == in })
	if len(rest) == 0 {
		delete(g.index.copies, in.Inner)
	} else {
		g.index.copies[in.Inner] = rest
	}
}

// shown reports whether a valid copy of a payload is shown already.
func (g *Group) shown(inner nostr.ID) bool {
	return slices.ContainsFunc(g.index.copies[inner], func(c *retained) bool { return c.Shown && g.canonical(c) })
}

// Said reports whether this member sent a payload with that id lately, or is about
// to: another with the same text in the same second would have the same id, and be
// shown once.
func (g *Group) Said(inner nostr.ID) bool {
	queued := slices.ContainsFunc(g.queue, func(i *intent) bool { return i.Kind == intentSend && i.Ref == inner.String() })
	return queued || slices.ContainsFunc(g.index.copies[inner], func(c *retained) bool { return c.Own })
}

// stands reports whether a copy of a payload is valid.
func (g *Group) stands(inner nostr.ID) bool {
	return slices.ContainsFunc(g.index.copies[inner], func(c *retained) bool { return c.Disposition == accepted })
}

// sorted returns messages in a stable order: by epoch, then by arrival.
func sorted(from map[wire.MessageID]*retained, keep func(*retained) bool) []*retained {
	var out []*retained
	for _, in := range from {
		if keep(in) {
			out = append(out, in)
		}
	}
	slices.SortFunc(out, func(a, b *retained) int {
		return cmp.Or(cmp.Compare(a.Epoch, b.Epoch), cmp.Compare(a.Seq, b.Seq))
	})
	return out
}
