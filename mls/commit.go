package mls

import (
	"bytes"
	"crypto"
	"fmt"
	"time"
)

// PathMode says when a commit gets an update path.
type PathMode uint8

// The path modes.
const (
	PathIfRequired PathMode = 0 // also if a LeafChange is given
	PathAlways     PathMode = 1
)

// CommitConfig says what a commit contains.
type CommitConfig struct {
	References []*VerifiedProposal // come first, in this order
	Proposals  []Proposal          // by value
	Path       PathMode
	Leaf       *LeafChange // nil keeps the leaf's content; else there is a path
	PSKs       map[string][]byte
	AppData    map[ComponentID][]byte // as in [ApplyInput]
	Info       InfoConfig             // of the Welcome
	Private    bool                   // as a PrivateMessage
	AAD        []byte
	Padding    int       // zeros that hide the length of a private one
	Now        time.Time // zero: lifetimes of added KeyPackages are not checked
	Parallel   Parallel
}

// Staged is a commit of our own that nobody has accepted yet. To discard it,
// drop it.
type Staged struct {
	Message []byte // MLSMessage with the commit
	Welcome []byte // MLSMessage with the Welcome; nil without new members
	Next    *Group // the epoch if it is accepted

	content *authenticatedContent // see [Staged.Verified]
	state   []byte                // confirmation tag of the epoch it was made in
}

// Commit prepares the next epoch (RFC 9420, Section 12.4.1); g is as it was,
// except that a private commit uses up a generation of the handshake ratchet.
// The signer is that of the current leaf also when the commit replaces it.
// After a ReInit there is only [Group.Reinitialize].
func (g *Group) Commit(signer crypto.Signer, cfg CommitConfig) (_ *Staged, err error) {
	if err := g.checkSigner(signer); err != nil {
		return nil, err
	}
	if g.secrets.get(epochInit) == nil || g.keys == nil {
		return nil, ErrErased
	}
	list, encoded, err := g.commitList(cfg)
	if err != nil {
		return nil, err
	}
	sender := Sender{Type: SenderMember, Leaf: g.self}
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
	step.sender, step.initSecret = g.self, bytes.Clone(g.secrets.get(epochInit))
	step.commitSecret = make(secret, g.suite.nh)
	infoSigner := signer
	var path *pathResult
	var pathBytes []byte
	if plan.pathRequired || cfg.Path == PathAlways || cfg.Leaf != nil {
		var leaf LeafNode
		leaf, infoSigner = cfg.Leaf.apply(g.selfLeaf(), signer)
		if path, err = g.createPath(step, plan, leaf, infoSigner, cfg.Parallel); err != nil {
			return nil, err
		}
		defer path.erase()
		pathBytes = path.encoded
	} else {
		step.keys = step.base.keepKeys(g.self, g.keys)
	}
	step.psk = g.suite.pskSecret(plan.psks, psks)
	content, err := g.newContent(signer, wireFormat(cfg.Private), ContentCommit, cfg.AAD,
		appendCommit(nil, encoded, pathBytes))
	if err != nil {
		return nil, err
	}
	e := g.start(step, content)
	defer func() {
		e.joiner.erase()
		e.member.erase()
		if err != nil {
			e.secrets.eraseAll()
			e.roots.erase()
		}
	}()
	content.confirm(e.tag)
	content.padding = cfg.Padding
	staged := &Staged{Next: g.child(step, e), content: content, state: g.tag}
	if len(plan.adds) > 0 {
		if staged.Welcome, err = staged.Next.welcome(infoSigner, plan, step, e, path, cfg); err != nil {
			return nil, err
		}
	}
	if len(staged.Welcome) > maxMessageBytes {
		err = fmt.Errorf("%w: Welcome larger than %d bytes", ErrInvalidConfig, maxMessageBytes)
		return nil, err
	}
	// Last, since a private message uses up a key.
	if staged.Message, err = g.frame(content, cfg.Private); err != nil {
		return nil, err
	}
	return staged, nil
}

// commitList returns the proposals with their senders and as they are encoded.
func (g *Group) commitList(cfg CommitConfig) ([]ProposalFrom, []proposalOrRef, error) {
	n := len(cfg.References) + len(cfg.Proposals)
	if n > maxProposals {
		return nil, nil, fmt.Errorf("%w: %d proposals", ErrInvalidConfig, n)
	}
	list, encoded := make([]ProposalFrom, 0, n), make([]proposalOrRef, 0, n)
	for i, v := range cfg.References {
		if !bytes.Equal(v.state, g.tag) {
			return nil, nil, fmt.Errorf("%w: reference %d is of another epoch", ErrUnknownProposal, i)
		}
		list = append(list, ProposalFrom{Proposal: v.content.proposal, Sender: v.content.sender, ByReference: true})
		encoded = append(encoded, proposalOrRef{ref: v.ref})
	}
	for _, p := range cfg.Proposals {
		p = g.suite.completed(p)
		if err := g.config.encodable(p); err != nil {
			return nil, nil, err
		}
		list = append(list, ProposalFrom{Proposal: p, Sender: Sender{Type: SenderMember, Leaf: g.self}})
		encoded = append(encoded, proposalOrRef{proposal: p})
	}
	return list, encoded, nil
}

// createPath adds an update path of step.sender to the step, with the content
// of leaf.
func (g *Group) createPath(step *transition, plan *commitPlan, leaf LeafNode, signer crypto.Signer, par Parallel) (*pathResult, error) {
	leaf.Source = LeafSourceCommit
	newLeaf := func(encryptionKey, parentHash []byte) (*LeafNode, error) {
		leaf.EncryptionKey, leaf.ParentHash = encryptionKey, parentHash
		signed, err := newLeafNode(g.suite, signer, leaf, g.context.GroupID, step.sender)
		if err != nil {
			return nil, err
		}
		return signed, g.checkPathLeaf(plan, signed)
	}
	context := func(treeHash []byte) []byte {
		step.context.TreeHash = treeHash
		return step.context.encode()
	}
	path, err := step.base.createPath(step.sender, newLeaf, step.added, context, par)
	if err != nil {
		return nil, err
	}
	if err := path.tree.credentialTypesSupported(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidConfig, err)
	}
	step.tree, step.keys, step.commitSecret = path.tree, path.keys, path.commitSecret
	step.context.TreeHash = path.tree.treeHash()
	return path, nil
}
