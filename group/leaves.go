package group

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// membersAfter returns the accounts that a commit with these proposals leaves
// in the group.
func membersAfter(parent *node, props []mls.ProposalFrom) (wire.Admins, error) {
	gone := map[mls.LeafIndex]bool{}
	var members []nostr.PubKey
	for _, p := range props {
		switch body := p.Proposal.(type) {
		case mls.Remove:
			gone[body.Removed] = true
		case mls.SelfRemove:
			gone[p.Sender.Leaf] = true
		case mls.Add:
			a, err := wire.LeafAccount(body.KeyPackage.Leaf)
			if err != nil {
				return nil, err
			}
			members = append(members, a)
		}
	}
	for i, leaf := range parent.state.Leaves() {
		if a, err := wire.LeafAccount(leaf); err == nil && !gone[i] {
			members = append(members, a)
		}
	}
	return wire.NewAdmins(members...), nil
}

func sameAccount(leaf *mls.LeafNode, account nostr.PubKey) error {
	got, err := wire.LeafAccount(leaf)
	if err != nil {
		return err
	}
	if got != account {
		return invalidResult("a leaf changes its account")
	}
	return nil
}

// checkLeaves checks the leaves that a commit added or changed, or all of them.
func checkLeaves(parent, n *node, all bool, check func(*mls.LeafNode) error) error {
	for i, leaf := range n.state.Leaves() {
		old, existed := parent.state.Leaf(i)
		if existed && old == leaf && !all {
			continue
		}
		if err := check(leaf); err != nil {
			return fmt.Errorf("leaf %d: %w", i, err)
		}
		if !existed || old == leaf || leaf.Source == mls.LeafSourceKeyPackage {
			continue
		}
		if !bytes.Equal(old.Credential.Identity, leaf.Credential.Identity) {
			return invalidResult("leaf %d changes its account", i)
		}
	}
	return nil
}

// checkAllLeaves checks every leaf, on the caller's pool if there is one: in v2
// each costs a Schnorr signature.
func (n *node) checkAllLeaves(parallel mls.Parallel, check func(*mls.LeafNode) error) error {
	var leaves []*mls.LeafNode
	for _, leaf := range n.state.Leaves() {
		leaves = append(leaves, leaf)
	}
	errs := make([]error, len(leaves))
	job := func(i int) { errs[i] = check(leaves[i]) }
	if parallel != nil && len(leaves) > 3 {
		parallel(len(leaves), job)
	} else {
		for i := range leaves {
			job(i)
		}
	}
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
		return errs[i]
	}
	return nil
}
