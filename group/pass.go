package group

import (
	"time"
)

// pass is a bounded collection of input that may change the branch
// (convergence.md, "Convergence policy"). Its times survive a restart; they
// only decide when branches are compared, never which one wins.
type pass struct {
	Base     uint64    `json:"base"` // canonical epoch when it started
	Opened   time.Time `json:"opened"`
	Quiesce  time.Time `json:"quiesce"`
	Deadline time.Time `json:"deadline"`
}

// cutoff is when the batch is frozen: after a quiet second, or five seconds
// after the start, whichever is first.
func (p *pass) cutoff() time.Time {
	if p.Quiesce.Before(p.Deadline) {
		return p.Quiesce
	}
	return p.Deadline
}

// due also closes a pass whose start lies ahead: the clock went back.
func (p *pass) due(now time.Time) bool {
	return !now.Before(p.cutoff()) || now.Before(p.Opened)
}

// unresolved reports whether a commit has a place in the graph and no pass
// has judged it.
func (g *Group) unresolved(in *retained) bool {
	if in.Kind != kindCommit || in.Disposition != deferred || in.Judged {
		return false
	}
	n := g.nodes[in.State]
	return n != nil && !n.private()
}

// offer opens a pass for input that no pass has judged, or prolongs the quiet
// time of the open one. Never while an own commit waits for a relay.
func (s *step) offer() {
	g := s.g
	if g.ended() || g.meta.Cause != "" || g.pending() != nil || s.holds() {
		return
	}
	s.trace(traceLine{op: opOffer, pass: copyPass(g.meta.Pass), flags: g.flags()})
	relevant := false
	quiet, most := g.gen.collect()
	for _, in := range g.index.open {
		if g.unresolved(in) && !in.Offered {
			in.Offered, relevant = true, true
			s.putInput(in) // a restart does not prolong the pass
		}
	}
	if relevant = relevant || s.newWitness(); relevant {
		s.cross(Collecting)
	}
	switch {
	case !relevant:
	case g.meta.Pass == nil:
		g.meta.Pass = &pass{
			Base: g.tip.epoch, Opened: s.now,
			Quiesce: s.now.Add(quiet), Deadline: s.now.Add(most),
		}
	default:
		g.meta.Pass.Quiesce = s.now.Add(quiet)
	}
}

// newWitness reports whether a message was opened that can still change how
// competing branches compare. It is remembered while no pass may open.
func (s *step) newWitness() bool {
	seen := s.g.meta.Witnessed
	s.g.meta.Witnessed = false
	return seen && s.g.gen.witnessed() && s.g.contested()
}

// witness notes that a message may count for a branch (convergence.md,
// "App-payload witnesses"): only if its account is not counted there yet.
func (s *step) witness(in *retained, n *node) {
	if !s.g.decides(n) {
		return // a rival that comes later opens a pass by itself, which counts all
	}
	for _, other := range s.g.inputs {
		if other != in && other.Kind == kindApp && other.State == n.id && other.Sender == in.Sender {
			return
		}
	}
	s.g.meta.Witnessed = true
}

// contested reports whether an eligible branch competes with the canonical one.
func (g *Group) contested() bool { return g.anyRival(func(*node) bool { return true }) }

// decides reports whether a message in state n can change which branch wins.
// One that counts for the canonical branch alone cannot: its readers need not
// wait for a pass.
func (g *Group) decides(n *node) bool {
	return g.anyRival(func(fork *node) bool { return !n.leadsTo(g.tip) || n.epoch <= fork.epoch })
}

// anyRival reports whether an eligible branch competes with the canonical one
// and leaves it at a state that fits.
func (g *Group) anyRival(fits func(fork *node) bool) bool {
	for _, n := range g.nodes {
		if !n.ends() || n.private() || n.leadsTo(g.tip) || (!n.usable() && !n.removed) {
			continue
		}
		if f := n.fork(g.tip); f != nil && !g.expired(f.epoch) && fits(f) {
			return true
		}
	}
	return false
}

// forked reports whether the open pass has to choose: an unjudged commit
// leaves the canonical branch below its tip, or two extend it.
func (g *Group) forked() bool {
	extensions := 0
	for _, in := range g.index.open {
		if !g.unresolved(in) {
			continue
		}
		n := g.nodes[in.State]
		f := n.fork(g.tip)
		if f != nil && f.epoch < g.tip.epoch {
			return true
		}
		if n.commit.Disbands {
			return true // the end of a group is always recovered, rival or not
		}
		if n.parent == g.tip {
			extensions++
		}
	}
	return extensions > 1
}

// passDue reports whether the open pass has to be resolved.
func (g *Group) passDue(now time.Time) bool {
	return g.meta.Pass != nil && g.meta.Cause == "" && g.meta.Pass.due(now)
}

// closePass resolves the open pass if it is due: the batch is everything that
// was taken in before, and choosing and applying is one step.
func (s *step) closePass() {
	g := s.g
	if !g.passDue(s.now) {
		return
	}
	s.trace(traceLine{op: opClose, pass: copyPass(g.meta.Pass), flags: g.flags()})
	if winner := s.resolve(); winner != nil && winner != g.tip {
		s.advance(winner)
	}
	s.trace(traceLine{op: opChose, state: g.tip.id})
	s.changed = true
	s.slot()
}

// resolve ends the pass and returns the state that its batch makes canonical.
func (s *step) resolve() *node {
	g := s.g
	base := g.meta.Pass.Base
	g.meta.Pass = nil
	s.cross(Resolved)
	winner := g.gen.choose(g, base)
	for _, in := range g.inputs {
		if g.unresolved(in) {
			in.Judged = true
			s.putInput(in)
		}
	}
	return winner
}

// slot lets the requests that waited for the pass go before input that waits
// already can open the next one: else a busy group would never let its admins
// act (convergence.md, "Fair local group-state slot").
func (s *step) slot() {
	if !s.g.quiet() {
		return
	}
	s.deliver()
	s.sendQueued()
	s.prepareFirst(func(i *intent) bool {
		return i.Kind != intentUpdate && i.Kind != intentDepartures && i.Kind != intentLeave
	})
}
