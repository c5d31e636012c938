package group

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/marmotgo/marmot/nostr"
)

// branch is a candidate: a path from the common start of all candidates to a
// state that nothing extends.
type branch struct {
	tip    *node
	start  uint64
	score  int // sum over its epochs of the accounts seen, two at most each
	quorum bool
}

// effective is the depth that counts (convergence.md, "Branch selection").
func (b *branch) effective() uint64 {
	depth := b.tip.epoch - b.start
	if b.quorum {
		depth += quorumBoost
	}
	return depth
}

// choose returns the state that should be canonical, or nil for no change.
// It depends on nothing but the states and messages at hand: not on order,
// time or transport.
func (g *Group) choose(base uint64) *node {
	start := g.commonStart(base)
	root := g.tip.ancestor(start)
	if root == nil || !root.usable() {
		return nil
	}
	var best *branch
	for _, tip := range leavesBelow(root, nil) {
		b := g.measure(tip, root)
		if best == nil || b.beats(best) {
			best = b
		}
	}
	if best == nil {
		return nil
	}
	return best.tip
}

// commonStart is the epoch from which all candidates of a pass are measured:
// the lowest source epoch of a commit inside the horizon that is not
// canonical. (The adopted text leaves this open; this is what the reference
// does, and other choices pick other winners.) Only commits with a place in
// the graph count, because only they are branches: else bytes that no state
// authenticates, or what a branch beyond the horizon left behind, would decide
// how the others compare.
func (g *Group) commonStart(base uint64) uint64 {
	start := g.tip.epoch
	for _, in := range g.inputs {
		n := g.nodes[in.State]
		if in.Kind != kindCommit || in.Disposition != deferred || n == nil || n.private() {
			continue
		}
		if in.Epoch < start && in.Epoch+maxRewind >= base {
			start = in.Epoch
		}
	}
	if oldest := g.oldestCanonical(); start < oldest {
		start = oldest
	}
	return start
}

// private reports whether only we know of a commit, as far as we know.
func (n *node) private() bool { return n != nil && (n.pending || n.abandoned) }

// ends reports whether no candidate extends n.
func (n *node) ends() bool {
	return !slices.ContainsFunc(n.children, func(c *node) bool { return !c.private() && !c.erased })
}

// oldestCanonical is the epoch of the first canonical state still usable.
func (g *Group) oldestCanonical() uint64 {
	n := g.tip
	for n.parent != nil && n.parent.usable() {
		n = n.parent
	}
	return n.epoch
}

// leavesBelow appends the ends of all paths below n, n itself left out. A
// pending or abandoned commit of our own is no candidate.
func leavesBelow(n *node, out []*node) []*node {
	for _, c := range n.children {
		if c.private() || c.erased {
			continue
		}
		before := len(out)
		if out = leavesBelow(c, out); len(out) == before {
			out = append(out, c)
		}
	}
	return out
}

// measure counts the witnesses of one candidate.
func (g *Group) measure(tip, root *node) *branch {
	b := &branch{tip: tip, start: root.epoch}
	accounts := map[uint64]map[nostr.PubKey]bool{}
	for _, in := range g.inputs {
		if in.Kind != kindApp || !in.opened() || in.Disposition == rejected || in.Unsaid {
			continue
		}
		n := g.nodes[in.State]
		if n == nil || n.epoch <= root.epoch || n.epoch > tip.epoch || tip.epoch-n.epoch > appWindow || !n.leadsTo(tip) {
			continue
		}
		if accounts[n.epoch] == nil {
			accounts[n.epoch] = map[nostr.PubKey]bool{}
		}
		accounts[n.epoch][in.Sender] = true
	}
	for _, seen := range accounts {
		b.score += min(len(seen), quorumSize)
		b.quorum = b.quorum || len(seen) >= quorumSize
	}
	return b
}

func (v2) prefers(_ *Group, a, b *branch) bool { return a.beats(b) }

// beats applies the six criteria in order.
func (b *branch) beats(other *branch) bool {
	p, q := b.tip.commit, other.tip.commit
	order := cmp.Or(
		cmp.Compare(b.effective(), other.effective()),
		compareBool(b.quorum, other.quorum),
		cmp.Compare(b.score, other.score),
		compareBool(p.Privileged, q.Privileged),
		bytes.Compare(q.Committer[:], p.Committer[:]),
		bytes.Compare(other.tip.id[:], b.tip.id[:]),
	)
	return order > 0
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}
