package group

import (
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
			if !p.ByReference || p.Sender.Leaf == c.Sender().Leaf {
				return nil, unauthorized("SelfRemove inline or of the committer")
			}
			if err := parent.mayDepart(sender); err != nil {
				return nil, err
			}
			departures++
			info.Left = append(info.Left, sender)
		case mls.Remove:
			if p.ByReference && body.Removed == p.Sender.Leaf {
				info.Left = append(info.Left, sender)
			}
		case mls.Update:
			if err := sameAccount(body.Leaf, sender); err != nil {
				return nil, err
			}
			if p.Sender.Leaf == c.Sender().Leaf {
				renewals++
			}
		case mls.Add:
			if err := hasAccount(body.KeyPackage.Leaf); err != nil {
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

// mayDepart holds a SelfRemove to MIP-03: negotiated, and of nobody who is an
// admin.
func (n *node) mayDepart(sender nostr.PubKey) error {
	switch {
	case n.isAdmin(sender):
		return unauthorized("SelfRemove of an admin")
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

// result demands settings that can be read, an admin who is there, and leaves
// that keep their accounts.
func (g v1) result(parent, n *node) error {
	if err := g.settle(n); err != nil {
		return err
	}
	return checkLeaves(parent, n, false, hasAccount)
}

// hasAccount is all that v1 demands of a leaf beyond MLS: nothing vouches for it.
func hasAccount(leaf *mls.LeafNode) error {
	_, err := wire.LeafAccount(leaf)
	return err
}

func (g v1) joined(n *node, parallel mls.Parallel) error {
	if err := g.settle(n); err != nil {
		return err
	}
	return n.checkAllLeaves(parallel, hasAccount)
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
	members, err := membersAfter(parent, props)
	if err != nil {
		return err
	}
	settings := parent.settings
	for _, p := range props {
		if body, ok := p.Proposal.(mls.GroupContextExtensions); ok {
			if settings, err = g.decode(body.Extensions); err != nil {
				return err
			}
		}
	}
	return someAdmin(settings.Admins, members)
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
		return n.mayDepart(account)
	case mls.Update:
		return sameAccount(body.Leaf, account)
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
