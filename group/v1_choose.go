package group

import (
	"time"

	"github.com/marmotgo/marmot/wire"
)

// How long a pass of a v1 group collects. Other v1 clients apply a commit as
// it comes and go back when a better one follows; a short wait spares its
// readers most of that.
const (
	v1Quiescence = 250 * time.Millisecond
	v1MaxPass    = time.Second
)

func (v1) collect() (quiet, most time.Duration) { return v1Quiescence, v1MaxPass }

func (v1) witnessed() bool { return false }

// choose follows, from the oldest epoch that can still be left, the best commit
// of every epoch: the earliest event, of equal ones that with the lower id
// (MIP-03). Depth and messages count for nothing.
func (v1) choose(g *Group, _ uint64) *node {
	n := g.tip.ancestor(g.oldestCanonical())
	if n == nil || !n.usable() {
		return nil
	}
	for {
		best := g.earliest(n)
		if best == nil {
			return n
		}
		n = best
	}
}

// prefers compares the commits by which the branches part.
func (v1) prefers(g *Group, a, b *branch) bool {
	fork := a.tip.fork(b.tip)
	if fork == nil {
		return false
	}
	x, y := a.tip.ancestor(fork.epoch+1), b.tip.ancestor(fork.epoch+1)
	return x != nil && y != nil && g.evidenceOf(x).before(g.evidenceOf(y))
}

// earliest returns the commit that wins among those on one state, or nil.
func (g *Group) earliest(parent *node) *node {
	var best *node
	for _, c := range parent.children {
		if !c.private() && !c.erased && (best == nil || g.evidenceOf(c).before(g.evidenceOf(best))) {
			best = c
		}
	}
	return best
}

func (g *Group) evidenceOf(n *node) *evidence {
	if in := g.inputs[wire.MessageID(n.id)]; in != nil {
		return in.Evidence
	}
	return nil
}
