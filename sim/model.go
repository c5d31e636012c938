package sim

import (
	"bytes"
	"slices"

	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// The rules of convergence.md, written down once more from the text alone and
// in the plainest way, without regard to cost. Nothing here is taken from
// package group.

const (
	rewindLimit   = 5 // max_rewind_commits
	messageWindow = 5 // app_payload_past_epoch_limit
	quorumSenders = 2 // witness_quorum_senders_per_epoch
	quorumEpochs  = 1 // witness_quorum_epochs
	overrideDepth = 1 // max_witness_override_depth
)

// situation is what one member has to choose from.
type situation struct {
	self     nostr.PubKey
	root     *state                  // where its history begins
	tip      *state                  // canonical so far
	highest  uint64                  // epoch it ever was in: what is older than the horizon from there is erased
	commits  map[*state]bool         // commits it has
	messages []*said                 // messages it has
	dates    map[wire.MessageID]date // of commits, in a group of v1; nil in v2
	unread   bool                    // it has a commit of which the oracle does not know what it needs
}

// children returns the commits on a state that the member has, in any order.
func (v *situation) children(s *state) (out []*state) {
	for c := range v.commits {
		if c.parent == s {
			out = append(out, c)
		}
	}
	return out
}

// edges keeps the commits that are connected to the root by commits, all of
// them on states of which the member has the keys.
func (v *situation) edges() {
	reached := map[*state]bool{v.root: true}
	for again := true; again; {
		again = false
		for c := range v.commits {
			if !reached[c] && reached[c.parent] && c.parent.members[v.self] {
				reached[c], again = true, true
			}
		}
	}
	for c := range v.commits {
		if !reached[c] {
			delete(v.commits, c)
		}
	}
}

// anchor is the oldest epoch from which anything can be rebuilt.
func (v *situation) anchor() uint64 {
	if v.highest < rewindLimit {
		return 0
	}
	return v.highest - rewindLimit
}

// eligible: the branch of a commit leaves the canonical one inside the horizon.
func (v *situation) eligible(c *state) bool {
	f := fork(c, v.tip)
	return f != nil && f.epoch >= v.anchor() && f.epoch >= v.root.epoch && f.epoch+rewindLimit >= v.tip.epoch
}

// start is the epoch from which all candidates are measured: the lowest source
// epoch of an eligible commit that is not canonical ("Open points": as the
// reference).
func (v *situation) start() *state {
	start := v.tip
	for c := range v.commits {
		if !c.leadsTo(v.tip) && v.eligible(c) && c.parent.epoch < start.epoch {
			start = fork(c, v.tip)
			for start.epoch > c.parent.epoch {
				start = start.parent
			}
		}
	}
	return start
}

// candidate is a branch and what it is judged by.
type candidate struct {
	tip      *state
	depth    int // effective
	quorum   bool
	score    int
	accounts map[uint64][]nostr.PubKey
}

// choose returns the state that must be canonical, or nil if nothing competes
// and nothing follows.
func (v *situation) choose() (*state, []candidate) {
	v.edges()
	if v.dates != nil {
		return v.chooseEarliest(), nil
	}
	start := v.start()
	var all []candidate
	for c := range v.commits {
		if start.leadsTo(c) && c != start && len(v.children(c)) == 0 {
			all = append(all, v.measure(start, c))
		}
	}
	if len(all) == 0 {
		return nil, nil
	}
	best := all[0]
	for _, other := range all[1:] {
		if other.wins(&best) {
			best = other
		}
	}
	return best.tip, all
}

// measure counts the witnesses that the member can read: who is removed on a
// branch cannot see what is said there afterwards.
func (v *situation) measure(start, tip *state) candidate {
	c := candidate{tip: tip, accounts: map[uint64][]nostr.PubKey{}}
	for _, m := range v.messages {
		e := m.state.epoch
		if !m.state.members[v.self] || !m.state.leadsTo(tip) || e <= start.epoch || e > tip.epoch || tip.epoch-e > messageWindow {
			continue
		}
		if !slices.Contains(c.accounts[e], m.sender) {
			c.accounts[e] = append(c.accounts[e], m.sender)
		}
	}
	full := 0
	for _, senders := range c.accounts {
		c.score += min(len(senders), quorumSenders)
		if len(senders) >= quorumSenders {
			full++
		}
	}
	c.quorum = full >= quorumEpochs
	c.depth = int(tip.epoch - start.epoch)
	if c.quorum {
		c.depth += overrideDepth
	}
	return c
}

// wins compares by "Branch selection", rules 1 to 6.
func (c *candidate) wins(other *candidate) bool {
	if c.depth != other.depth {
		return c.depth > other.depth
	}
	if c.quorum != other.quorum {
		return c.quorum
	}
	if c.score != other.score {
		return c.score > other.score
	}
	if c.tip.privileged != other.tip.privileged {
		return c.tip.privileged
	}
	if c.tip.committer != other.tip.committer {
		return bytes.Compare(c.tip.committer[:], other.tip.committer[:]) < 0
	}
	return bytes.Compare(c.tip.commit[:], other.tip.commit[:]) < 0
}
