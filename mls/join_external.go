package mls

import (
	"bytes"
	"crypto"
	"fmt"
	"time"

	"github.com/marmotgo/marmot/mls/internal/wire"
)

// ExternalConfig says how to join a group from its GroupInfo.
type ExternalConfig struct {
	Credential     Credential
	Capabilities   Capabilities
	LeafExtensions Extensions
	Tree           []byte     // the content of a ratchet_tree extension, if the GroupInfo lacks it
	Remove         *LeafIndex // an earlier leaf of the same client
	SelfRemoves    []*Message // pending [SelfRemove] proposals, which are committed by reference
	Proposals      []Proposal // PreSharedKey, AppDataUpdate, AppEphemeral, and what [ProposalKind] allows
	PSKs           map[string][]byte
	AppData        map[ComponentID][]byte // as in [ApplyInput]
	AAD            []byte
	Now            time.Time
	Parallel       Parallel
	Limits         Limits
	Config         *Config // nil: that which info was decoded with
}

// JoinExternal prepares an external commit (RFC 9420, Section 12.4.3.2), which
// makes signer's owner a member if the group accepts it. The GroupInfo must
// have the external_pub extension; where it comes from is the caller's trust.
// Errors: [ErrInvalidGroupInfo], [ErrMissingTree], [ErrMissingPSK],
// [ErrInvalidTree], [ErrInvalidLeaf], [ErrInvalidProposals],
// [ErrInvalidConfig].
func JoinExternal(info *GroupInfo, signer crypto.Signer, cfg ExternalConfig) (_ *Staged, err error) {
	if cfg.Config == nil {
		cfg.Config = info.config
	}
	g, externalPub, err := openInfo(info, cfg)
	if err != nil {
		return nil, err
	}
	kemOutput, initSecret, err := g.suite.newExternalInit(externalPub)
	if err != nil {
		return nil, err
	}
	defer initSecret.erase()
	sender := Sender{Type: SenderNewMemberCommit}
	list, encoded, err := g.externalList(kemOutput, cfg)
	if err != nil {
		return nil, err
	}
	plan, err := g.planCommit(list, sender, cfg.AppData, cfg.Now)
	if err != nil {
		return nil, err
	}
	psks, err := lookupPSKs(plan.psks, cfg.PSKs)
	if err != nil {
		return nil, err
	}
	step, err := g.applyPlan(plan)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			step.erase()
		}
	}()
	if step.base, step.sender, err = step.base.joinerSlot(g.limits); err != nil {
		return nil, err
	}
	leaf := LeafNode{Credential: cfg.Credential, Capabilities: cfg.Capabilities, Extensions: cfg.LeafExtensions}
	path, err := g.createPath(step, plan, leaf, signer, cfg.Parallel)
	if err != nil {
		return nil, err
	}
	path.erase()
	step.initSecret, step.psk = bytes.Clone(initSecret), g.suite.pskSecret(plan.psks, psks)
	content, err := g.newContentFrom(sender, signer, WirePublicMessage, ContentCommit, cfg.AAD, appendCommit(nil, encoded, path.encoded))
	if err != nil {
		return nil, err
	}
	if err := content.fits(); err != nil {
		return nil, err
	}
	e := g.start(step, content)
	e.joiner.erase()
	e.member.erase()
	content.confirm(e.tag)
	g.self = step.sender
	return &Staged{Message: content.raw, Next: g.child(step, e)}, nil
}

// openInfo checks a GroupInfo and its tree and returns the group as one sees
// it from outside, without secrets, and the key for an external init.
func openInfo(info *GroupInfo, cfg ExternalConfig) (*Group, []byte, error) {
	s, err := cfg.Config.suiteOf(info.Context.Suite)
	if err != nil {
		return nil, nil, err
	}
	data, ok := info.Extensions.Find(ExtExternalPub)
	if !ok {
		return nil, nil, fmt.Errorf("%w: no external_pub", ErrInvalidGroupInfo)
	}
	j := &joiner{s: s, info: info, cfg: JoinConfig{Tree: cfg.Tree, Limits: cfg.Limits, Config: cfg.Config}}
	if err := j.readTree(); err != nil {
		return nil, nil, err
	}
	if err := j.checkTree(); err != nil {
		return nil, nil, err
	}
	if err := j.tree.verifyLeaves(s, info.Context.GroupID, cfg.Parallel); err != nil {
		return nil, nil, err
	}
	g := &Group{suite: s, config: cfg.Config, limits: cfg.Limits.withDefaults(), tree: j.tree, context: *info.Context.clone(),
		tag: bytes.Clone(info.ConfirmationTag), secrets: &epochSecrets{}}
	g.contextBytes = g.context.encode()
	return g, wire.NewReader(data).Opaque(), nil
}

func (g *Group) externalList(kemOutput []byte, cfg ExternalConfig) ([]ProposalFrom, []proposalOrRef, error) {
	proposals := []Proposal{ExternalInit{KEMOutput: kemOutput}}
	if cfg.Remove != nil {
		proposals = append(proposals, Remove{Removed: *cfg.Remove})
	}
	proposals = append(proposals, cfg.Proposals...)
	var list []ProposalFrom
	var encoded []proposalOrRef
	for i, m := range cfg.SelfRemoves {
		c, err := g.verifyFromOutside(m)
		if err != nil {
			return nil, nil, fmt.Errorf("SelfRemove %d: %w", i, err)
		}
		list = append(list, ProposalFrom{Proposal: c.proposal, Sender: c.sender, ByReference: true})
		encoded = append(encoded, proposalOrRef{ref: c.proposalRef(g.suite)})
	}
	for _, p := range proposals {
		p = g.suite.completed(p)
		if err := cfg.Config.encodable(p); err != nil {
			return nil, nil, err
		}
		list = append(list, ProposalFrom{Proposal: p, Sender: Sender{Type: SenderNewMemberCommit}})
		encoded = append(encoded, proposalOrRef{proposal: p})
	}
	return list, encoded, nil
}

// verifyFromOutside checks a member's SelfRemove as far as somebody can who
// lacks the membership key.
func (g *Group) verifyFromOutside(m *Message) (*authenticatedContent, error) {
	if m == nil || m.public == nil || m.public.content.contentType != ContentProposal ||
		m.public.content.proposal.Type() != ProposalSelfRemove || m.public.content.sender.Type != SenderMember {
		return nil, fmt.Errorf("%w: not a member's SelfRemove", ErrInvalidConfig)
	}
	c := m.public.content
	if err := g.checkEpoch(c.groupID, c.epoch); err != nil {
		return nil, err
	}
	key, err := g.senderKey(c)
	if err != nil {
		return nil, err
	}
	return c, c.verifySignature(g.suite, key, g.contextBytes, nil)
}
