package group

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// stateID names one state of the group: the digest of the commit that leads
// to it, or of the confirmation tag where this member's history begins. Two
// branches never share one, because a commit has exactly one parent.
type stateID [32]byte

func (id stateID) String() string { return hex.EncodeToString(id[:]) }

func rootID(g *mls.Group) stateID { return sha256.Sum256(g.ConfirmationTag()) }

// node is one state in the graph of epochs: canonical, rival or pending.
type node struct {
	id       stateID
	parent   *node // nil where this member's history begins
	children []*node
	epoch    uint64
	commit   *commitInfo // nil at the beginning
	wish     *intent     // of an own commit: what it was for
	settings *wire.Settings
	removed  bool // the commit removes this member: nothing follows here
	pending  bool // own commit that no relay accepted yet
	// abandoned is an own commit that every relay refused. It is kept apart in
	// case a relay lied and the others have seen it.
	abandoned bool
	full      bool       // stored as a whole state, not as a delta
	erased    bool       // secrets are gone; only the public part is kept, on disk
	state     *mls.Group // nil if this member has no keys of it
	key       *wire.EventKey
	// proposals are the standalone ones that verified against this state.
	proposals mls.ProposalSet
	bare      bool // of a replay: usable as far as branch choice goes, without keys
}

// commitInfo is what branch choice and effects need to know of the commit
// that led to a node.
type commitInfo struct {
	Committer  nostr.PubKey
	Privileged bool // its own rule requires an admin
	Own        bool
	Consumed   []wire.MessageID // standalone proposals it used
	Left       []nostr.PubKey   // accounts removed by their own SelfRemove
	Disbands   bool             // it ends the group
}

// usable reports whether messages can be checked and commits applied here.
func (n *node) usable() bool { return (n.state != nil || n.bare) && !n.erased }

// eventKey is the outer key of this epoch's events.
func (n *node) eventKey() (wire.EventKey, error) {
	if n.key == nil {
		key, err := wire.EventKeyOf(n.state)
		if err != nil {
			return key, err
		}
		n.key = &key
	}
	return *n.key, nil
}

// account returns the account of a member leaf.
func (n *node) account(leaf mls.LeafIndex) (nostr.PubKey, error) {
	l, ok := n.state.Leaf(leaf)
	if !ok {
		return nostr.PubKey{}, fmt.Errorf("%w: leaf %d", ErrNotMember, leaf)
	}
	return wire.LeafAccount(l)
}

// leavesOf returns the leaves of an account, ascending.
func (n *node) leavesOf(account nostr.PubKey) []mls.LeafIndex {
	var out []mls.LeafIndex
	for i, leaf := range n.state.Leaves() {
		if a, err := wire.LeafAccount(leaf); err == nil && a == account {
			out = append(out, i)
		}
	}
	return out
}

// members returns the accounts of a state, sorted, each once.
func (n *node) members() wire.Admins {
	if n.state == nil {
		return nil
	}
	var all []nostr.PubKey
	for _, leaf := range n.state.Leaves() {
		if a, err := wire.LeafAccount(leaf); err == nil {
			all = append(all, a)
		}
	}
	return wire.NewAdmins(all...)
}

// isAdmin reports whether account may change the group in this state.
func (n *node) isAdmin(account nostr.PubKey) bool { return n.settings.Admins.Contains(account) }

// ancestor returns the state of that epoch on the way to n, or nil.
func (n *node) ancestor(epoch uint64) *node {
	for n != nil && n.epoch > epoch {
		n = n.parent
	}
	if n == nil || n.epoch != epoch {
		return nil
	}
	return n
}

// leadsTo reports whether n lies on the way to tip.
func (n *node) leadsTo(tip *node) bool { return tip.ancestor(n.epoch) == n }

// fork returns the last state that n's branch shares with the way to tip.
func (n *node) fork(tip *node) *node {
	for m := n; m != nil; m = m.parent {
		if m.leadsTo(tip) {
			return m
		}
	}
	return nil
}

func (n *node) unlink() {
	if n.parent != nil {
		n.parent.children = slices.DeleteFunc(n.parent.children, func(c *node) bool { return c == n })
	}
}

func (n *node) link(parent *node) {
	n.parent = parent
	if parent == nil {
		return
	}
	parent.children = append(parent.children, n)
	slices.SortFunc(parent.children, func(a, b *node) int { return slices.Compare(a.id[:], b.id[:]) })
}
