package group

import (
	"slices"

	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// What one member can make others keep is bounded by account, so that nobody's
// junk takes the room of others' commits. Which commits stay does not depend
// on their order: of those that nothing builds on, the ones with the lowest
// digests, which is how branch choice ranks an account's commits on one state.

// room reports whether a commit of this account may become a state.
func (g *Group) room(id stateID, parent *node, by nostr.PubKey) bool {
	mine, worst := g.rivalsOf(by, parent)
	return mine < maxRivals || (worst != nil && slices.Compare(id[:], worst.id[:]) < 0)
}

// crowdOut makes the place that room has found.
func (s *step) crowdOut(parent *node, by nostr.PubKey) {
	mine, worst := s.g.rivalsOf(by, parent)
	if mine < maxRivals || worst == nil {
		return
	}
	in := s.g.inputs[wire.MessageID(worst.id)]
	in.State, in.Judged, in.Offered, in.Category = stateID{}, false, false, ResourceRefused
	s.putInput(in)
	s.forget(worst)
}

// rivalsOf counts an account's states outside of the canonical branch, and
// finds the one that would have to go: of no use to anybody, highest digest.
func (g *Group) rivalsOf(by nostr.PubKey, parent *node) (count int, worst *node) {
	used := map[stateID]bool{}
	for _, in := range g.inputs {
		if in.Kind != kindCommit {
			used[in.State] = true
		}
	}
	for _, n := range g.nodes {
		if !n.usable() || n.leadsTo(g.tip) || n.commit.Committer != by {
			continue
		}
		count++
		in := g.inputs[wire.MessageID(n.id)]
		idle := n != parent && len(n.children) == 0 && !used[n.id] && in != nil && len(in.Bytes) > 0
		if idle && (worst == nil || slices.Compare(n.id[:], worst.id[:]) > 0) {
			worst = n
		}
	}
	return count, worst
}

// held counts the messages that wait, and the standalone proposals.
func (g *Group) held() int {
	count := 0
	for _, in := range g.index.open {
		if in.waiting() || (in.Kind == kindProposal && in.Disposition == deferred) {
			count++
		}
	}
	return count
}

// makeRoom forgets the oldest of what is only kept to know repeats or to
// withdraw it: MLS opens no message twice, and an account counts once for a
// branch epoch. A group that talks for years in one epoch must not fill up.
func (s *step) makeRoom() {
	g := s.g
	if len(g.inputs) <= maxInputs {
		return
	}
	type seat struct {
		state  stateID
		sender nostr.PubKey
	}
	witness := map[seat]bool{}
	for _, in := range g.retainedSorted(func(in *retained) bool { return in.forgettable() }) {
		at := seat{in.State, in.Sender}
		if in.Disposition != rejected && !witness[at] {
			witness[at] = true
			continue
		}
		s.dropInput(in)
		if len(g.inputs) <= maxInputs-maxInputs/16 {
			return
		}
	}
}

// forgettable reports that nothing waits for this message any more.
func (in *retained) forgettable() bool {
	return in.Disposition == rejected || (in.Kind == kindApp && (in.Disposition == accepted || in.Disposition == invalidated))
}
