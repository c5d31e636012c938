package mls

import (
	"bytes"
	"crypto"
	"fmt"
	"maps"
	"time"
)

// Identify returns what two leaves of the same client in different groups have
// in common, so that the members of the groups can be compared. It is the
// application's to say; nil takes the encoded credential.
type Identify func(*LeafNode) string

func (f Identify) of(l *LeafNode) string {
	if f == nil {
		return string(l.Credential.append(nil))
	}
	return f(l)
}

// ContinueConfig says how a group continues in another one.
type ContinueConfig struct {
	Members        []*KeyPackage // of the others, for the new group's suite
	Credential     Credential    // of this member's leaf, with what follows
	Capabilities   Capabilities
	LeafExtensions Extensions
	Lifetime       Lifetime
	Path           PathMode
	Info           InfoConfig // of the Welcome
	Identify       Identify
	Now            time.Time // zero: lifetimes of the KeyPackages are not checked
	Parallel       Parallel
	Limits         Limits
}

// Branch starts a group with some of this group's members and the same suite
// (RFC 9420, Section 11.3); g is as it was. groupID may be nil for 32 random
// bytes. The result is in epoch 1 and has no Message, since nobody else was in
// epoch 0. Those who join pass this group as [JoinConfig].Continues. A
// KeyPackage of somebody who is not a member of g gives
// [ErrInvalidContinuation].
func (g *Group) Branch(signer crypto.Signer, groupID []byte, extensions Extensions, cfg ContinueConfig) (*Staged, error) {
	if err := g.goesOn(); err != nil {
		return nil, err
	}
	return g.continueIn(signer, ReInit{GroupID: groupID, Version: version10, Suite: g.suite.id, Extensions: extensions},
		ResumptionBranch, cfg)
}

// Reinitialize starts the group that the ReInit of this last epoch asks for
// (Section 11.2); any member may do it. The signer fits the new suite. The
// result is in epoch 1 and has no Message. Those who join pass their last epoch
// of this group as [JoinConfig].Continues. The KeyPackages must be those of
// all other members, else the error is [ErrInvalidContinuation], as it is if
// the group goes on.
func (g *Group) Reinitialize(signer crypto.Signer, cfg ContinueConfig) (*Staged, error) {
	if g.reInit == nil {
		return nil, fmt.Errorf("%w: there was no ReInit", ErrInvalidContinuation)
	}
	if v := g.reInit.Version; v != version10 {
		return nil, fmt.Errorf("%w: %d", ErrUnsupportedVersion, v)
	}
	return g.continueIn(signer, *g.reInit, ResumptionReInit, cfg)
}

func (g *Group) continueIn(signer crypto.Signer, to ReInit, usage ResumptionUsage, cfg ContinueConfig) (*Staged, error) {
	id, psk, err := g.ResumptionPSK(usage)
	if err != nil {
		return nil, err
	}
	defer clear(psk)
	first, err := Create(signer, GroupConfig{Suite: to.Suite, GroupID: to.GroupID, Credential: cfg.Credential,
		Capabilities: cfg.Capabilities, LeafExtensions: cfg.LeafExtensions, Lifetime: cfg.Lifetime,
		Extensions: to.Extensions, Limits: cfg.Limits, Config: g.config})
	if err != nil {
		return nil, err
	}
	defer first.Erase(UseAll)
	first.founding = usage
	id.Nonce = randomBytes(first.suite.nh)
	proposals := []Proposal{PreSharedKey{ID: id}}
	for _, k := range cfg.Members {
		proposals = append(proposals, Add{KeyPackage: k})
	}
	staged, err := first.Commit(signer, CommitConfig{Proposals: proposals, Path: cfg.Path, Info: cfg.Info, Now: cfg.Now,
		PSKs: map[string][]byte{id.Key(): psk}, Parallel: cfg.Parallel})
	if err != nil {
		return nil, err
	}
	staged.Message = nil
	if err := g.continuedBy(usage, &staged.Next.context, staged.Next.tree, cfg.Identify); err != nil {
		staged.Next.Erase(UseAll)
		return nil, err
	}
	return staged, nil
}

// continuedBy checks that a new group is what the old one g may continue in
// (Sections 11.2, 11.3 and 12.4.3.1).
func (g *Group) continuedBy(usage ResumptionUsage, context *GroupContext, tree *ratchetTree, identify Identify) error {
	wrong := func(what string) error { return fmt.Errorf("%w: %s", ErrInvalidContinuation, what) }
	want := ReInit{GroupID: context.GroupID, Version: g.context.Version, Suite: g.suite.id, Extensions: context.Extensions}
	if usage == ResumptionReInit {
		if g.reInit == nil {
			return wrong("the old group goes on")
		}
		want = *g.reInit
	}
	switch {
	case context.Epoch != 1:
		return wrong(fmt.Sprintf("epoch %d", context.Epoch))
	case context.Version != want.Version:
		return wrong("version")
	case context.Suite != want.Suite:
		return wrong("suite")
	case !bytes.Equal(context.GroupID, want.GroupID):
		return wrong("group id")
	case !context.Extensions.Equal(want.Extensions):
		return wrong("extensions")
	}
	return g.sameMembers(usage, tree, identify)
}

// sameMembers checks that a branch has only clients of the old group g, and a
// reinitialized group exactly those.
func (g *Group) sameMembers(usage ResumptionUsage, tree *ratchetTree, identify Identify) error {
	left := make(map[string]int, g.tree.members())
	for _, l := range g.tree.leaves() {
		left[identify.of(l)]++
	}
	for i, l := range tree.leaves() {
		key := identify.of(l)
		if left[key] == 0 {
			return fmt.Errorf("%w: leaf %d was no member", ErrInvalidContinuation, i)
		}
		if usage == ResumptionReInit {
			left[key]--
		}
	}
	if usage == ResumptionReInit && tree.members() != g.tree.members() {
		return fmt.Errorf("%w: %d members of %d", ErrInvalidContinuation, tree.members(), g.tree.members())
	}
	return nil
}

// continuation returns the PSK that ties a Welcome to an old group; false if
// the group is a new one.
func (j *joiner) continuation() (PSKID, bool) {
	for _, id := range j.secrets.psks {
		if id.continues() {
			return id, true
		}
	}
	return PSKID{}, false
}

// lookupPSKs returns the secrets of the Welcome's PSKs in their order. What
// ties it to an old group is that group's alone to give, since joining without
// it could check nothing.
func (j *joiner) lookupPSKs() ([]secret, error) {
	id, continues := j.continuation()
	old := j.cfg.Continues
	switch {
	case !continues && old != nil:
		return nil, fmt.Errorf("%w: the Welcome is of a group by itself", ErrInvalidContinuation)
	case !continues:
		return lookupPSKs(j.secrets.psks, j.cfg.PSKs)
	case old == nil:
		return nil, fmt.Errorf("%w: the old group is not given", ErrMissingPSK)
	case !bytes.Equal(id.GroupID, old.context.GroupID) || id.Epoch != old.context.Epoch:
		return nil, fmt.Errorf("%w: it continues another group or epoch %d", ErrInvalidContinuation, id.Epoch)
	}
	if old.secrets.get(epochResumption) == nil {
		return nil, ErrErased
	}
	known := maps.Clone(j.cfg.PSKs)
	if known == nil {
		known = map[string][]byte{}
	}
	known[id.Key()] = old.secrets.get(epochResumption)
	return lookupPSKs(j.secrets.psks, known)
}

// checkContinuation compares the new group with the old one.
func (j *joiner) checkContinuation() error {
	if j.secrets == nil { // an external join
		return nil
	}
	id, continues := j.continuation()
	if !continues {
		return nil
	}
	return j.cfg.Continues.continuedBy(id.Usage, &j.info.Context, j.tree, j.cfg.Identify)
}
