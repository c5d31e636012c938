package group

import (
	"bytes"
	"fmt"

	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// authorize applies MIP-03: an admin may commit anything that the profile
// knows, everybody a renewal of their own keys, or the SelfRemoves of others.
func (v1) authorize(parent *node, c *mls.VerifiedCommit, props []mls.ProposalFrom) (*commitInfo, error) {
	if c.Sender().Type != mls.SenderMember {
		return nil, unauthorized("external commit")
	}
	committer, err := parent.account(c.Sender().Leaf)
	if err != nil {
		return nil, err
	}
	info := &commitInfo{Committer: committer}
	departures, renewals := 0, 0
	for _, p := range props {
		sender, err := parent.account(p.Sender.Leaf)
		if err != nil {
			return nil, err
		}
		switch body := p.Proposal.(type) {
		case mls.SelfRemove:
			if err := parent.maySelfRemove(p, c.Sender().Leaf, sender); err != nil {
				return nil, err
			}
			departures++
			info.Left = append(info.Left, sender)
		case mls.Remove:
			if p.ByReference && body.Removed == p.Sender.Leaf {
				info.Left = append(info.Left, sender)
			}
		case mls.Update:
			if err := sameIdentity(body.Leaf, sender); err != nil {
				return nil, err
			}
			if p.Sender.Leaf == c.Sender().Leaf {
				renewals++
			}
		case mls.Add:
			if _, err := wire.LeafAccount(body.KeyPackage.Leaf); err != nil {
				return nil, err
			}
		case mls.GroupContextExtensions:
		default:
			return nil, fmt.Errorf("%w: type %d", mls.ErrUnsupportedProposal, p.Proposal.Type())
		}
	}
	_, path := c.Path()
	info.Privileged = !(path && renewals == len(props) || departures > 0 && departures == len(props))
	if info.Privileged && !parent.isAdmin(committer) {
		return nil, unauthorized("commit of a member who is no admin")
	}
	return info, nil
}

// maySelfRemove holds a committed SelfRemove to MIP-03: negotiated, by
// reference, of another member, who is no admin.
func (n *node) maySelfRemove(p mls.ProposalFrom, committer mls.LeafIndex, sender nostr.PubKey) error {
	switch {
	case !p.ByReference || p.Sender.Leaf == committer || n.isAdmin(sender):
		return unauthorized("SelfRemove inline, of the committer or of an admin")
	case !n.negotiated(mls.ProposalSelfRemove):
		return unauthorized("SelfRemove in a group that does not require it")
	}
	return nil
}

// negotiated reports whether every member has to know a proposal type.
func (n *node) negotiated(t mls.ProposalType) bool {
	_, ok := wire.Covers(n.settings.Capabilities.Proposals, []mls.ProposalType{t})
	return ok
}

func sameIdentity(leaf *mls.LeafNode, account nostr.PubKey) error {
	got, err := wire.LeafAccount(leaf)
	if err != nil {
		return err
	}
	if got != account {
		return invalidResult("a leaf changes its account")
	}
	return nil
}

// result demands settings that can be read, an admin who is there, and leaves
// that keep their accounts.
func (g v1) result(parent, n *node) error {
	if err := g.settle(n); err != nil {
		return err
	}
	for i, leaf := range n.state.Leaves() {
		old, existed := parent.state.Leaf(i)
		if existed && old == leaf {
			continue
		}
		if _, err := wire.LeafAccount(leaf); err != nil {
			return fmt.Errorf("leaf %d: %w", i, err)
		}
		if existed && leaf.Source != mls.LeafSourceKeyPackage && !bytes.Equal(old.Credential.Identity, leaf.Credential.Identity) {
			return invalidResult("leaf %d changes its account", i)
		}
	}
	return nil
}

func (g v1) joined(n *node, parallel mls.Parallel) error {
	if err := g.settle(n); err != nil {
		return err
	}
	return n.checkAllLeaves(parallel, func(leaf *mls.LeafNode) error {
		_, err := wire.LeafAccount(leaf)
		return err
	})
}

// settle sets and checks the settings of n.
func (g v1) settle(n *node) (err error) {
	if n.settings, err = g.decode(n.state.Context().Extensions); err != nil {
		return err
	}
	return someAdmin(n.settings.Admins, n.members())
}

// someAdmin demands that one of the listed admins is a member: others on the
// list count for nothing.
func someAdmin(admins, members wire.Admins) error {
	for _, a := range admins {
		if members.Contains(a) {
			return nil
		}
	}
	return invalidResult("no admin has a leaf")
}

// removal checks what the others would refuse in a commit that removes this
// member.
func (g v1) removal(parent *node, props []mls.ProposalFrom) error {
	settings, gone := parent.settings, map[mls.LeafIndex]bool{}
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
				return err
			}
			members = append(members, a)
		case mls.GroupContextExtensions:
			var err error
			if settings, err = g.decode(body.Extensions); err != nil {
				return err
			}
		}
	}
	for i, leaf := range parent.state.Leaves() {
		if a, err := wire.LeafAccount(leaf); err == nil && !gone[i] {
			members = append(members, a)
		}
	}
	return someAdmin(settings.Admins, wire.NewAdmins(members...))
}

// mayPropose judges a standalone proposal. Anybody may propose; an admin's
// commit decides (MIP-03).
func (v1) mayPropose(n *node, p *mls.VerifiedProposal) error {
	account, err := n.account(p.Sender().Leaf)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnauthorized, err)
	}
	switch body := p.Proposal().(type) {
	case mls.SelfRemove:
		return n.maySelfRemove(mls.ProposalFrom{Sender: p.Sender(), ByReference: true}, n.state.Self()+1, account)
	case mls.Update:
		return sameIdentity(body.Leaf, account)
	case mls.Add, mls.Remove, mls.GroupContextExtensions:
		return nil
	}
	return fmt.Errorf("%w: standalone proposal of type %d", mls.ErrUnsupportedProposal, p.Proposal().Type())
}

// departs: a SelfRemove is everybody's to commit, a Remove of the sender's own
// leaf an admin's; whoever sent one may have dropped the group already.
func (v1) departs(n *node, p *mls.VerifiedProposal, self nostr.PubKey) bool {
	switch body := p.Proposal().(type) {
	case mls.SelfRemove:
		return true
	case mls.Remove:
		return body.Removed == p.Sender().Leaf && n.isAdmin(self)
	}
	return false
}

// leave is a SelfRemove where all have to know it, else a Remove of the own
// leaf, which an admin has to commit.
func (v1) leave(n *node) (mls.Proposal, mls.FrameConfig) {
	if n.negotiated(mls.ProposalSelfRemove) {
		return mls.SelfRemove{}, mls.FrameConfig{}
	}
	return mls.Remove{Removed: n.state.Self()}, mls.FrameConfig{Private: true}
}

// pathOptional: marmot-ts renames groups and removes members so. Our own commits
// that remove somebody have a path.
func (v1) pathOptional() bool { return true }

func (v1) ends() bool { return false }
