package group

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// advance makes tip the canonical state. Superseded commits are withdrawn,
// newly accepted ones are told, and what the change ends is ended: all in the
// records of this step.
func (s *step) advance(tip *node) {
	g := s.g
	old := g.tip
	common := tip.fork(old)
	for n := old; n != common; n = n.parent {
		s.supersede(n)
	}
	path := pathFrom(common, tip)
	if tip.commit.Disbands {
		s.fulfilDisband(tip)
	}
	g.tip, g.index.moved = tip, true
	s.cross(Applied)
	for _, n := range path {
		s.accept(n)
	}
	s.noteRenewal(old, tip)
	if old != common {
		id := fmt.Sprintf("recovered/%s/%s#%d", old.id, tip.id, s.g.turn(tip))
		s.effect(Effect{ID: id, Kind: EffectRecovered, Epoch: tip.epoch})
	}
	s.changed = true
	s.deliver()
	s.resend()
	if tip.removed || tip.commit.Disbands {
		s.end(tip)
		return
	}
	s.prune()
	s.reconsider()
	s.renewLeave()
	s.wishAgain()
}

// reconsider opens another pass if the branches that are left compare in
// another way than all did before: the horizon has moved, and with it the epoch
// they are measured from and the witnesses that count. In how many passes the
// same input was taken in must not decide.
func (s *step) reconsider() {
	if best := s.g.gen.choose(s.g, s.g.tip.epoch); best != nil && best != s.g.tip {
		s.g.meta.Witnessed, s.changed = true, true
	}
}

func pathFrom(from, to *node) []*node {
	var path []*node
	for n := to; n != from; n = n.parent {
		path = append(path, n)
	}
	slices.Reverse(path)
	return path
}

// supersede takes a canonical commit back. Its branch may win again later.
func (s *step) supersede(n *node) {
	if in := s.g.inputs[wire.MessageID(n.id)]; in != nil {
		in.Disposition = deferred
		in.Judged = true
		s.putInput(in)
	}
	if n.wish != nil {
		s.superseded = append(s.superseded, n)
	}
	s.effect(Effect{Kind: EffectSuperseded, Epoch: n.epoch, Commit: wire.MessageID(n.id), Turn: s.g.turn(n)})
}

// accept records a commit of the selected branch and tells what it changed.
func (s *step) accept(n *node) {
	if in := s.g.inputs[wire.MessageID(n.id)]; in != nil {
		in.Disposition, in.Judged, in.Bytes = accepted, true, nil
		in.Turns++
		s.putInput(in)
	}
	for _, i := range slices.Clone(s.g.queue) {
		if i.For == n.id {
			s.done(i) // it won back what was to be done again
		}
	}
	for _, e := range describe(n.parent, n) {
		e.Epoch, e.Commit, e.Actor, e.Own = n.epoch, wire.MessageID(n.id), n.commit.Committer, n.commit.Own
		e.Turn = s.g.turn(n)
		s.effect(e)
	}
}

// turn counts how often a commit became canonical, so that a commit that lost
// and won back is told anew.
func (g *Group) turn(n *node) int {
	if in := g.inputs[wire.MessageID(n.id)]; in != nil {
		return in.Turns
	}
	return 1
}

// describe lists what differs between a state and its parent.
func describe(parent, n *node) []Effect {
	out := []Effect{{Kind: EffectEpoch}}
	if n.commit.Disbands {
		out = append(out, Effect{Kind: EffectDisbanded})
	}
	if n.removed {
		out = append(out, Effect{Kind: EffectSelfRemoved})
	}
	if n.removed || n.commit.Disbands {
		return out // no rows for what ends with the group
	}
	before, after := parent.members(), n.members()
	for _, a := range after {
		if !before.Contains(a) {
			out = append(out, Effect{Kind: EffectAdded, Subject: a})
		}
	}
	for _, a := range before {
		if !after.Contains(a) {
			kind := EffectRemoved
			if slices.Contains(n.commit.Left, a) {
				kind = EffectLeft
			}
			out = append(out, Effect{Kind: kind, Subject: a})
		}
	}
	return append(out, describeSettings(parent.settings, n.settings)...)
}

func lifecycleOf(s *wire.Settings) *wire.Lifecycle {
	if s.Lifecycle == nil {
		active := wire.Active
		return &active
	}
	return s.Lifecycle
}

func describeSettings(before, after *wire.Settings) []Effect {
	var out []Effect
	for _, a := range after.Admins {
		if !before.Admins.Contains(a) {
			out = append(out, Effect{Kind: EffectAdminAdded, Subject: a})
		}
	}
	for _, a := range before.Admins {
		if !after.Admins.Contains(a) {
			out = append(out, Effect{Kind: EffectAdminGone, Subject: a})
		}
	}
	for _, entry := range after.Dictionary {
		old, ok := before.Dictionary.Get(entry.ID)
		switch {
		case ok && bytes.Equal(old, entry.Data), entry.ID == wire.ComponentAdmins:
		case entry.ID == wire.ComponentProfile:
			out = append(out, Effect{Kind: EffectRenamed, Text: after.Profile.Name})
		default:
			out = append(out, Effect{Kind: EffectSettings, Text: componentName(entry.ID)})
		}
	}
	for _, entry := range before.Dictionary {
		if _, ok := after.Dictionary.Get(entry.ID); !ok {
			out = append(out, Effect{Kind: EffectSettings, Text: componentName(entry.ID)})
		}
	}
	return out
}

// deliver shows what is valid on the canonical branch and withdraws what no
// longer is. A payload is shown once, also when its author had to send it
// again on another branch.
func (s *step) deliver() {
	g := s.g
	if g.meta.Pass != nil || g.meta.Cause != "" || g.pending() != nil {
		return
	}
	waiting := g.waitsForMore() // what is opened ahead is not lost, only early
	from := g.index.open
	if g.index.moved {
		from, g.index.moved = g.inputs, false
	}
	for _, in := range sorted(from, func(in *retained) bool { return in.Kind == kindApp && in.opened() && g.restless(in) }) {
		switch valid := g.canonical(in); {
		case valid && (in.Disposition != accepted || !g.shown(in.Inner)):
			s.acceptMessage(in, !g.shown(in.Inner))
		case !valid && in.Disposition != invalidated && !(waiting && in.Disposition == deferred):
			s.invalidate(in)
		}
	}
}

// restless reports whether a message may have to be told of.
func (g *Group) restless(in *retained) bool {
	switch in.Disposition {
	case rejected:
		return false
	case accepted:
		return !in.Shown || !g.canonical(in)
	case invalidated:
		return g.canonical(in)
	}
	return true
}

// canonical reports whether a message was opened on the canonical branch.
func (g *Group) canonical(in *retained) bool {
	n := g.nodes[in.State]
	return n != nil && n.leadsTo(g.tip)
}

func (s *step) acceptMessage(in *retained, show bool) {
	again := in.Disposition == invalidated
	in.Disposition = accepted
	in.Turns++
	s.cross(Delivered)
	if show {
		in.Shown = true
		e := Effect{
			Kind: EffectMessage, Epoch: in.Epoch, Message: in.ID, Actor: in.Sender,
			Own: in.Own, Leaf: in.Leaf, Payload: in.Payload, Ref: in.Ref, Turn: in.Turns, order: in.Seq,
		}
		if again {
			e.Kind = EffectRestored
		}
		s.effect(e)
	}
	s.putInput(in)
}

func (s *step) invalidate(in *retained) {
	in.Disposition, in.Shown = invalidated, false
	s.cross(Delivered)
	s.effect(Effect{
		Kind: EffectInvalidated, Epoch: in.Epoch, Message: in.ID, Actor: in.Sender,
		Own: in.Own, Payload: in.Payload, Turn: in.Turns,
	})
	s.putInput(in)
}

// resend queues own messages again whose branch lost, under the same inner id.
func (s *step) resend() {
	again := map[nostr.ID]bool{}
	for _, in := range s.g.retainedSorted(func(in *retained) bool {
		return in.Kind == kindApp && in.Own && !in.Repeat && !in.Unsaid && in.Disposition == invalidated
	}) {
		if again[in.Inner] || s.g.stands(in.Inner) {
			continue
		}
		again[in.Inner], in.Repeat = true, true
		s.putInput(in)
		s.push(&intent{Kind: intentSend, Ref: in.Ref, Payload: in.Payload, NotBefore: s.now})
	}
}

// prune erases what no window needs any more (retained-history.md). Public
// parts stay while later states are stored as deltas on them.
func (s *step) prune() {
	g := s.g
	anchor := g.anchor()
	for _, n := range g.sortedNodes() {
		if n.epoch >= anchor && (n.leadsTo(g.tip) || n.pending) {
			continue
		}
		if n.leadsTo(g.tip) {
			s.erase(n)
			continue
		}
		if f := n.fork(g.tip); f == nil || f.epoch < anchor {
			s.forget(n)
		}
	}
	s.dropUnneededBases()
	for _, in := range g.inputs {
		if g.expired(in.Epoch) {
			s.concluded(in)
			if in.Kind == kindApp && in.waiting() {
				g.meta.Missed++ // its state never came
			}
			s.dropInput(in)
		}
	}
	s.pruneKeys()
}

// concluded ends the resending of a payload whose valid copy leaves the window:
// nothing can take it back any more.
func (s *step) concluded(in *retained) {
	if in.Kind != kindApp || !in.Own || in.Disposition != accepted {
		return
	}
	for _, other := range s.g.index.copies[in.Inner] {
		if other.Own && !other.Repeat {
			other.Repeat = true
			s.putInput(other)
		}
	}
}

// erase ends the use of a canonical epoch's secrets, here and on disk.
func (s *step) erase(n *node) {
	if n.erased {
		return
	}
	n.erased = true
	s.rewriteNode(n) // while its parent's public part is still at hand
	n.wipe()
	s.drop(keySecrets + n.id.String())
	s.drop(keyRatchets + n.id.String())
}

func (n *node) wipe() {
	if n.state != nil {
		n.state.Erase(mls.UseAll)
	}
	if n.key != nil {
		clear(n.key[:])
		n.key = nil
	}
	n.proposals = nil
}

// forget drops a state that can never be canonical.
func (s *step) forget(n *node) {
	n.wipe()
	n.unlink()
	delete(s.g.nodes, n.id)
	s.dropNode(n)
}

// dropUnneededBases deletes erased states older than the newest erased one
// that is stored whole: nothing builds on them.
func (s *step) dropUnneededBases() {
	g := s.g
	for n := g.tip; n != nil; n = n.parent {
		if !n.full || n.epoch > g.anchor() {
			continue
		}
		for old := n.parent; old != nil; old = old.parent {
			delete(g.nodes, old.id)
			s.dropNode(old)
		}
		n.parent = nil
		return
	}
}

// pruneKeys erases signature keys that no leaf of ours uses any more.
func (s *step) pruneKeys() {
	g := s.g
	used := map[string]bool{}
	for _, n := range g.nodes {
		if !n.usable() {
			continue
		}
		if leaf, ok := n.state.Leaf(n.state.Self()); ok {
			used[string(leaf.SignatureKey)] = true
		}
	}
	for _, i := range g.queue {
		used[i.publicKey()] = true
	}
	for pub, key := range g.keys {
		if !used[pub] {
			clear(key)
			delete(g.keys, pub)
			s.drop(keySignature + hexOf(pub))
		}
	}
}

// end makes this copy a removed or disbanded one: it keeps what a person may
// look at, and no secrets (member-departure.md, "Realizing removal").
func (s *step) end(tip *node) {
	g := s.g
	g.meta.Removed, g.meta.Disbanded = tip.removed, tip.commit.Disbands
	if g.meta.Disband != nil {
		s.abandonDisband(ErrRemoved)
	}
	g.meta.Leaving, g.meta.Pass = false, nil
	g.meta.Last = newLastSeen(tip)
	s.cross(Ended)
	for _, n := range g.sortedNodes() {
		n.wipe()
		s.dropNode(n)
	}
	for _, in := range g.inputs {
		s.dropInput(in)
	}
	for id := range g.raw {
		s.dropRaw(id)
	}
	for id, o := range g.out {
		if o.Commit != tip.id { // the end of the group is still brought to every relay
			s.dropOut(id)
		}
	}
	for id := range g.asks {
		s.dropAsk(id)
	}
	for _, i := range slices.Clone(g.queue) {
		s.refuse(i, ErrRemoved)
	}
	for pub, key := range g.keys {
		clear(key)
		s.drop(keySignature + hexOf(pub))
	}
	clear(g.keys)
	g.tip = g.meta.Last.node(tip.id)
	g.nodes = map[stateID]*node{tip.id: g.tip}
}
