package mls

import (
	"bytes"
	"fmt"
	"math"
	"time"
)

// ApplyInput is what a commit needs beside the group.
type ApplyInput struct {
	Proposals ProposalSet            // those that it refers to
	PSKs      map[string][]byte      // by [PSKID.Key]
	AppData   map[ComponentID][]byte // value of each component named by AppDataUpdates after them; nil if removed
	LeafKey   *LeafKey               // of this member's own Update, if the commit may contain it
	Now       time.Time              // zero: lifetimes are not checked
	Parallel  Parallel
	// PathOptional accepts a commit with proposals and without the path that RFC
	// 9420 demands for them (Section 12.4): ts-mls sends such. Whoever such a
	// commit removes can compute the next epoch's secrets.
	PathOptional bool
}

// Apply returns the epoch that c leads to; on error there is none, and g is
// as it was. If AppData is nil, each AppDataUpdate replaces the component's
// whole value and may occur once.
//
// The caller decides on policy by looking at the commit before, or at the
// result, and dropping it. For an external commit that removes a member it is
// up to the caller to compare that leaf's credential with the newcomer's.
//
// Errors: [*RemovedError] if c, which is then otherwise verified as far as a
// removed member can, removes this member; [ErrOwnMessage] for an own commit,
// whose next epoch is [Staged].Next; [ErrUnknownProposal], [ErrMissingPSK],
// [ErrErased], [ErrReInitialized]; the ErrInvalid errors, [ErrConfirmation] and
// [ErrUnsupportedProposal] are final.
func (g *Group) Apply(c *VerifiedCommit, in ApplyInput) (*Group, error) {
	if !bytes.Equal(c.state, g.tag) {
		return nil, fmt.Errorf("%w: commit was verified by another state", ErrWrongEpoch)
	}
	if err := g.goesOn(); err != nil {
		return nil, err
	}
	sender := c.content.sender
	if sender == (Sender{Type: SenderMember, Leaf: g.self}) {
		return nil, ErrOwnMessage
	}
	if g.secrets.get(epochInit) == nil || g.keys == nil {
		return nil, ErrErased
	}
	list, err := c.Proposals(in.Proposals)
	if err != nil {
		return nil, err
	}
	plan, err := g.planCommit(list, sender, in.AppData, in.Now)
	if err != nil {
		return nil, err
	}
	path := c.content.commit.path
	if path == nil && plan.pathRequired && (len(list) == 0 || !in.PathOptional) {
		return nil, fmt.Errorf("%w: the commit must have one", ErrInvalidPath)
	}
	step, err := g.applyPlan(plan)
	if err != nil {
		return nil, err
	}
	if path != nil {
		if err := g.mergePath(step, plan, sender, path); err != nil {
			return nil, err
		}
	}
	if _, stays := step.tree.leaf(g.self); !stays || plan.isRemoved(g.self) {
		return nil, &RemovedError{Epoch: g.context.Epoch + 1, Committer: step.sender}
	}
	if err := g.applySecrets(step, plan, c, in); err != nil {
		step.erase()
		return nil, err
	}
	return g.finish(step, c.content)
}

func (p *commitPlan) isRemoved(i LeafIndex) bool {
	for _, r := range p.removes {
		if r == i {
			return true
		}
	}
	return false
}

// transition is an epoch in the making.
type transition struct {
	redactedValue
	base         *ratchetTree // after the proposals
	tree         *ratchetTree // after the path as well
	added        []LeafIndex
	sender       LeafIndex
	context      GroupContext
	reInit       *ReInit
	keys         *pathKeys
	initSecret   secret // a copy of its own
	commitSecret secret
	psk          secret
}

// erase overwrites the secrets of an epoch that did not come about.
func (t *transition) erase() {
	t.initSecret.erase()
	t.commitSecret.erase()
	t.psk.erase()
	if t.keys != nil {
		t.keys.erase()
	}
}

// applyPlan applies the proposals to the tree and the context.
func (g *Group) applyPlan(plan *commitPlan) (*transition, error) {
	if g.context.Epoch == math.MaxUint64 {
		return nil, invalid("no epoch is left")
	}
	for _, u := range plan.updates {
		if err := checkLeaf(g.suite, u.leaf, plan.extensions); err != nil {
			return nil, fmt.Errorf("%w: Update of leaf %d: %w", ErrInvalidProposals, u.index, err)
		}
	}
	for i, leaf := range plan.adds {
		if err := checkLeaf(g.suite, leaf, plan.extensions); err != nil {
			return nil, fmt.Errorf("%w: Add %d: %w", ErrInvalidProposals, i, err)
		}
	}
	tree, added, err := g.tree.applyChanges(plan.updates, plan.removes, plan.adds, g.limits)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidProposals, err)
	}
	if plan.newContext {
		context := GroupContext{Extensions: plan.extensions}
		required := context.Required()
		required.Extensions = append(required.Extensions, plan.extensions.nonDefault()...)
		if err := tree.allSupport(required); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInvalidProposals, err)
		}
	}
	if len(plan.adds)+len(plan.updates) > 0 {
		if err := tree.credentialTypesSupported(); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInvalidProposals, err)
		}
	}
	context := g.context
	context.Epoch++
	context.Extensions = plan.extensions
	context.TreeHash = tree.treeHash()
	return &transition{base: tree, tree: tree, added: added, context: context, reInit: plan.reInit}, nil
}

// mergePath applies the public part of a path.
func (g *Group) mergePath(step *transition, plan *commitPlan, sender Sender, path *updatePath) error {
	step.sender = sender.Leaf
	if sender.Type == SenderNewMemberCommit {
		var err error
		if step.base, step.sender, err = step.base.joinerSlot(g.limits); err != nil {
			return err
		}
	}
	if err := g.checkResync(plan, sender, path.leaf); err != nil {
		return err
	}
	if err := g.checkPathLeaf(plan, path.leaf); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidPath, err)
	}
	if err := path.leaf.verifySignature(g.suite, g.context.GroupID, step.sender); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidPath, err)
	}
	merged, err := step.base.mergePath(step.sender, path, step.added)
	if err != nil {
		return err
	}
	if err := merged.credentialTypesSupported(); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidPath, err)
	}
	step.tree = merged
	step.context.TreeHash = merged.treeHash()
	return nil
}

// checkResync: who rejoins in the place of an old leaf brings a new key, as an
// Update of that leaf would (Section 12.2).
func (g *Group) checkResync(plan *commitPlan, sender Sender, leaf *LeafNode) error {
	if sender.Type != SenderNewMemberCommit {
		return nil
	}
	for _, i := range plan.removes {
		if old, ok := g.tree.leaf(i); ok && bytes.Equal(old.EncryptionKey, leaf.EncryptionKey) {
			return fmt.Errorf("%w: the key of leaf %d, which it replaces", ErrInvalidPath, i)
		}
	}
	return nil
}

// checkPathLeaf checks the committer's new leaf (Section 12.4.2), but for its
// signature and keys, which depend on its place.
func (g *Group) checkPathLeaf(plan *commitPlan, leaf *LeafNode) error {
	if leaf.Source != LeafSourceCommit {
		return fmt.Errorf("%w: leaf node source %d", ErrInvalidLeaf, leaf.Source)
	}
	return checkLeaf(g.suite, leaf, plan.extensions)
}

// applySecrets computes what the key schedule takes in. After an error the
// caller erases what step has got so far.
func (g *Group) applySecrets(step *transition, plan *commitPlan, c *VerifiedCommit, in ApplyInput) error {
	psks, err := lookupPSKs(plan.psks, in.PSKs)
	if err != nil {
		return err
	}
	if step.keys, err = g.keysAfter(step, plan, in.LeafKey); err != nil {
		return err
	}
	step.commitSecret = make(secret, g.suite.nh)
	if path := c.content.commit.path; path != nil {
		keys, commitSecret, err := step.base.openPath(step.tree, step.sender, g.self, path, step.added, step.keys,
			step.context.encode(), in.Parallel)
		if err != nil {
			return err
		}
		step.keys.erase()
		step.keys, step.commitSecret = keys, commitSecret
	}
	if plan.externalInit == nil {
		step.initSecret = bytes.Clone(g.secrets.get(epochInit))
	} else {
		if g.secrets.get(epochExternal) == nil {
			return ErrErased
		}
		if step.initSecret, err = g.suite.openExternalInit(g.secrets.get(epochExternal), plan.externalInit); err != nil {
			return fmt.Errorf("%w: %w", ErrInvalidProposals, err)
		}
	}
	step.psk = g.suite.pskSecret(plan.psks, psks)
	return nil
}

// keysAfter returns a copy of the own path keys as the proposals leave them.
func (g *Group) keysAfter(step *transition, plan *commitPlan, own *LeafKey) (*pathKeys, error) {
	for _, u := range plan.updates {
		if u.index == g.self {
			replaced, err := own.install(g, g.keys, u.leaf)
			if err != nil {
				return nil, err
			}
			defer replaced.erase()
			return step.base.keepKeys(g.self, replaced), nil
		}
	}
	return step.base.keepKeys(g.self, g.keys), nil
}

// started is a new epoch whose confirmation tag is not compared yet.
type started struct {
	redactedValue
	context      GroupContext
	contextBytes []byte
	joiner       secret
	member       secret
	secrets      *epochSecrets
	roots        treeRoots
	tag          []byte
}

// start runs the key schedule for content, which must be signed. The caller
// erases joiner and member.
func (g *Group) start(step *transition, content *authenticatedContent) *started {
	s := g.suite
	e := &started{context: step.context}
	e.context.ConfirmedTranscriptHash = s.confirmedHash(g.interimHash(), content)
	e.contextBytes = e.context.encode()
	e.joiner = s.joinerSecret(step.initSecret, step.commitSecret, e.contextBytes)
	e.member = s.memberSecret(e.joiner, step.psk)
	e.secrets, e.roots = s.deriveEpoch(s.epochSecret(e.member, e.contextBytes))
	e.tag = s.confirmationTag(e.secrets.get(epochConfirmation), e.context.ConfirmedTranscriptHash)
	step.initSecret.erase()
	step.commitSecret.erase()
	step.psk.erase()
	return e
}

// child returns the group of a started epoch.
func (g *Group) child(step *transition, e *started) *Group {
	next := &Group{
		suite: g.suite, config: g.config, limits: g.limits, self: g.self, tree: step.tree, keys: step.keys, reInit: step.reInit,
		context: e.context, contextBytes: e.contextBytes, tag: e.tag,
		secrets: e.secrets,
	}
	next.plant(e.roots)
	return next
}

// finish compares the confirmation tag, the last check of all.
func (g *Group) finish(step *transition, content *authenticatedContent) (*Group, error) {
	e := g.start(step, content)
	e.joiner.erase()
	e.member.erase()
	if !tagsEqual(e.tag, content.confirmationTag) {
		step.erase()
		e.secrets.eraseAll()
		e.roots.erase()
		return nil, ErrConfirmation
	}
	return g.child(step, e), nil
}
