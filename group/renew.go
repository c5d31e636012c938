package group

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"

	"github.com/marmotgo/marmot/mls"
)

const (
	// defaultUpdateInterval is how long a member keeps the keys of its leaf:
	// whoever copied them is locked out after that.
	defaultUpdateInterval = 30 * 24 * time.Hour
	// renewAhead is how long before the end of its lifetime a leaf that still
	// is the one of a key package is renewed: MDK admits nobody to a group with
	// an expired leaf, so a client that is away for a week must not cause it.
	renewAhead = 14 * 24 * time.Hour
)

// updateDue is when this member's leaf has to be renewed; zero when nothing
// is to be done.
func (g *Group) updateDue() time.Time {
	if !g.mayUpdate() || slices.ContainsFunc(g.queue, func(i *intent) bool { return i.Kind == intentUpdate }) {
		return time.Time{}
	}
	interval := g.cfg.UpdateInterval
	if interval <= 0 {
		interval = defaultUpdateInterval
	}
	due := g.meta.Renewed.Add(interval - g.updateJitter(interval))
	if leaf, ok := g.tip.state.Leaf(g.tip.state.Self()); ok && leaf.Source == mls.LeafSourceKeyPackage {
		if end := time.Unix(int64(min(leaf.Lifetime.NotAfter, 1<<40)), 0).Add(-renewAhead); end.Before(due) {
			due = end
		}
	}
	return due
}

func (g *Group) mayUpdate() bool {
	return !g.ended() && g.meta.Cause == "" && !g.meta.Leaving && g.meta.Disband == nil && g.pending() == nil && !g.meta.Renewed.IsZero()
}

// updateJitter takes up to a tenth off the interval, so that members who
// joined together do not renew together. It is the same after a restart.
func (g *Group) updateJitter(interval time.Duration) time.Duration {
	sum := sha256.Sum256(append(append([]byte("marmot update jitter"), g.cfg.Self[:]...), g.id...))
	return time.Duration(binary.BigEndian.Uint64(sum[:]) % uint64(interval/10+1))
}

// scheduleUpdate queues the renewal of the leaf when it is due.
func (s *step) scheduleUpdate() {
	if due := s.g.updateDue(); !due.IsZero() && !s.now.Before(due) {
		s.push(&intent{Kind: intentUpdate, NotBefore: s.now})
	}
}

// noteRenewal notes when the canonical leaf of this member got other keys. A
// branch that lost takes its renewals with it; what they were for is done
// again (see wishAgain), so the time stays good enough.
func (s *step) noteRenewal(old, tip *node) {
	if tip.state == nil || old.state == nil {
		return
	}
	was, _ := old.state.Leaf(old.state.Self())
	if now, _ := tip.state.Leaf(tip.state.Self()); now != was {
		s.g.meta.Renewed = s.now
	}
}
