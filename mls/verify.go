package mls

import (
	"bytes"
	"fmt"
)

// Verified is an authenticated handshake message: a [*VerifiedCommit] or a
// [*VerifiedProposal].
type Verified interface {
	Sender() Sender
	AAD() []byte
}

// ProposalRef is a ProposalRef (RFC 9420, Section 5.2): the raw hash bytes.
type ProposalRef string

// ProposalSet holds verified proposals of one epoch by reference.
type ProposalSet map[ProposalRef]*VerifiedProposal

// VerifiedProposal is a proposal that [Group.Verify] authenticated.
type VerifiedProposal struct {
	content *authenticatedContent
	ref     ProposalRef
	state   []byte // confirmation tag of the epoch it was verified in
}

// Ref returns the proposal's reference.
func (p *VerifiedProposal) Ref() ProposalRef { return p.ref }

// Proposal returns the proposal.
func (p *VerifiedProposal) Proposal() Proposal { return p.content.proposal }

// Sender returns who proposed it.
func (p *VerifiedProposal) Sender() Sender { return p.content.sender }

// AAD returns the authenticated data.
func (p *VerifiedProposal) AAD() []byte { return bytes.Clone(p.content.aad) }

// VerifiedCommit is a commit whose sender [Group.Verify] authenticated. Its
// proposals and path are not checked before [Group.Apply].
type VerifiedCommit struct {
	content *authenticatedContent
	list    []proposalOrRef
	state   []byte // confirmation tag of the epoch it was verified in
}

// Sender returns the committer.
func (c *VerifiedCommit) Sender() Sender { return c.content.sender }

// AAD returns the authenticated data.
func (c *VerifiedCommit) AAD() []byte { return bytes.Clone(c.content.aad) }

// Refs returns the references to proposals, in list order.
func (c *VerifiedCommit) Refs() []ProposalRef {
	var refs []ProposalRef
	for _, p := range c.list {
		if p.proposal == nil {
			refs = append(refs, p.ref)
		}
	}
	return refs
}

// ProposalFrom is a committed proposal and who proposed it.
type ProposalFrom struct {
	Proposal    Proposal
	Sender      Sender
	ByReference bool
}

// Proposals returns the commit's proposals in list order, with those that it
// refers to taken from known. It returns [ErrUnknownProposal] if one is not
// there.
func (c *VerifiedCommit) Proposals(known ProposalSet) ([]ProposalFrom, error) {
	list := make([]ProposalFrom, 0, len(c.list))
	for i, p := range c.list {
		if p.proposal != nil {
			list = append(list, ProposalFrom{Proposal: p.proposal, Sender: c.content.sender})
			continue
		}
		v := known[p.ref]
		if v == nil || v.ref != p.ref || !bytes.Equal(v.state, c.state) {
			return nil, fmt.Errorf("%w: number %d", ErrUnknownProposal, i)
		}
		list = append(list, ProposalFrom{Proposal: v.content.proposal, Sender: v.content.sender, ByReference: true})
	}
	return list, nil
}

// Path returns the committer's new leaf; false for a commit without a path.
func (c *VerifiedCommit) Path() (*LeafNode, bool) {
	if p := c.content.commit.path; p != nil {
		return p.leaf, true
	}
	return nil, false
}

// Verify authenticates a proposal or commit against this epoch and changes
// nothing: keys of private handshakes stay until they are erased with the
// epoch. Errors: [ErrWrongGroup], [ErrWrongEpoch], [ErrMembership],
// [ErrSignature], [ErrAuthentication] in general; [ErrErased]; [ErrMalformed]
// for what is no handshake message; [ErrOwnMessage] for an own PrivateMessage.
func (g *Group) Verify(m *Message) (Verified, error) {
	var c *authenticatedContent
	var err error
	switch {
	case m.ContentType() == ContentApplication:
		err = fmt.Errorf("%w: not a handshake message", ErrMalformed)
	case m.public != nil:
		c, err = m.public.content, g.verifyPublic(m.public)
	case m.private != nil:
		c, err = g.verifyPrivate(m.private)
	default:
		err = fmt.Errorf("%w: wire format %d has no content", ErrMalformed, m.format)
	}
	if err != nil {
		return nil, err
	}
	if c.contentType == ContentCommit {
		list, err := g.config.proposals(c.commit)
		if err != nil {
			return nil, fmt.Errorf("proposals of the commit: %w", err)
		}
		return &VerifiedCommit{content: c, list: list, state: g.tag}, nil
	}
	if err := g.config.checkProposer(m.format, c); err != nil {
		return nil, err
	}
	return &VerifiedProposal{content: c, ref: c.proposalRef(g.suite), state: g.tag}, nil
}

func (g *Group) checkEpoch(groupID []byte, epoch uint64) error {
	if !bytes.Equal(groupID, g.context.GroupID) {
		return ErrWrongGroup
	}
	if epoch != g.context.Epoch {
		return &EpochError{Epoch: epoch, Group: g.context.Epoch}
	}
	return nil
}

// verifyPublic works from cheap to dear: names, membership tag, signature.
func (g *Group) verifyPublic(p *publicMessage) error {
	c := p.content
	if err := g.checkEpoch(c.groupID, c.epoch); err != nil {
		return err
	}
	if err := g.context.checkAAD(c.aad); err != nil {
		return err
	}
	key, err := g.senderKey(c)
	if err != nil {
		return err
	}
	if c.sender.Type == SenderMember {
		if g.secrets.get(epochMembership) == nil {
			return ErrErased
		}
		if !tagsEqual(c.membershipTag(g.suite, g.secrets.get(epochMembership), g.contextBytes), p.membershipTag) {
			return ErrMembership
		}
	}
	return c.verifySignature(g.suite, key, g.contextBytes, nil)
}

// senderKey returns the signature key of the claimed sender (Section 6.1).
func (g *Group) senderKey(c *authenticatedContent) ([]byte, error) {
	switch c.sender.Type {
	case SenderMember:
		if leaf, ok := g.tree.leaf(c.sender.Leaf); ok {
			return leaf.SignatureKey, nil
		}
	case SenderExternal:
		senders := g.context.externalSenders()
		if i := c.sender.Leaf; uint64(i) < uint64(len(senders)) && c.proposal != nil {
			return senders[i].SignatureKey, nil
		}
	case SenderNewMemberProposal:
		if add, ok := c.proposal.(Add); ok {
			return add.KeyPackage.Leaf.SignatureKey, nil
		}
	case SenderNewMemberCommit:
		if c.commit != nil && c.commit.path != nil {
			return c.commit.path.leaf.SignatureKey, nil
		}
	}
	return nil, fmt.Errorf("%w: no such sender", ErrAuthentication)
}

func (g *Group) verifyPrivate(p *privateMessage) (*authenticatedContent, error) {
	opened, err := g.open(p)
	if err != nil {
		return nil, err
	}
	// Only an application key is used up. A handshake must stay readable
	// until its commit is decided, which may take several tries.
	defer g.messages.discard(opened.ratchets, opened.step)
	return opened.content, nil
}

// checkProposer holds a single proposal to who may send it and how (Section
// 12.1.8 and the extensions draft).
func (x *Config) checkProposer(format WireFormat, c *authenticatedContent) error {
	ok := true
	switch c.proposal.Type() {
	case ProposalUpdate, ProposalSelfRemove:
		ok = c.sender.Type == SenderMember
	case ProposalExternalInit:
		ok = false
	case ProposalAdd:
	default:
		ok = c.sender.Type != SenderNewMemberProposal
		if kind := x.kindOf(c.proposal.Type()); kind != nil && c.sender.Type == SenderExternal {
			ok = kind.External
		}
	}
	if c.proposal.Type() == ProposalSelfRemove && format != WirePublicMessage {
		ok = false
	}
	if !ok {
		return fmt.Errorf("%w: proposal 0x%04x from sender type %d", ErrInvalidProposals,
			uint16(c.proposal.Type()), c.sender.Type)
	}
	return nil
}
