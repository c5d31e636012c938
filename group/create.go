package group

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"slices"
	"time"

	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// CreateConfig says what group to found.
type CreateConfig struct {
	Config
	Protocol  Protocol // empty: v2
	Profile   wire.Profile
	Relays    []string // of the group, 1 to 16
	Retention wire.Retention
	Invitees  []Invitee
	Admins    []nostr.PubKey     // of the invitees, those who are admins from the start; the creator always is one
	Signer    ed25519.PrivateKey // fresh MLS signature key
	Proof     wire.IdentityProof // the account's proof for it
	Ref       string             // names the invitations in effects
}

// Create founds a group with the creator as its only admin and, in one Add
// commit that nobody needs to see, all invitees. Nothing is published but the
// Welcomes, each on its own (joining.md).
func Create(now time.Time, cfg CreateConfig) (*Group, Output, error) {
	gen := generations[cfg.Protocol]
	if gen == nil {
		return nil, Output{}, fmt.Errorf("%w: protocol %q is not known", ErrRequest, cfg.Protocol)
	}
	g := newGroup(cfg.Config, gen)
	root, err := g.found(now, cfg)
	if err != nil {
		return nil, Output{}, err
	}
	s := g.begin(now)
	s.putSignatureKey(cfg.Signer)
	s.start(root)
	s.effect(Effect{Kind: EffectJoined, Actor: cfg.Self, Subject: cfg.Self, Own: true, Text: cfg.Profile.Name})
	if len(cfg.Invitees) > 0 {
		if err := s.foundingAdd(cfg); err != nil {
			return nil, Output{}, err
		}
	}
	s.settle()
	out, err := s.finish()
	return g, out, err
}

func newGroup(cfg Config, gen generation) *Group {
	g := &Group{
		cfg: cfg, gen: gen, nodes: map[stateID]*node{}, inputs: map[wire.MessageID]*retained{}, index: newIndex(),
		rows: rowSet{}, raw: map[nostr.ID]*rawEvent{}, out: map[nostr.ID]*outbound{}, asks: map[string]*ask{},
		keys: map[string]ed25519.PrivateKey{},
	}
	if cfg.Trace {
		g.tracing = newTracing()
	}
	return g
}

// found makes the state of epoch 0.
func (g *Group) found(now time.Time, cfg CreateConfig) (*node, error) {
	if len(cfg.Invitees) > 0 && slices.ContainsFunc(cfg.Invitees, func(v Invitee) bool { return v.KeyPackage.Account == cfg.Self && !v.AnotherDevice }) {
		return nil, fmt.Errorf("%w: that is this account itself", ErrAlreadyMember)
	}
	id, nostrID := make([]byte, g.gen.idSize()), [32]byte{}
	_, _ = rand.Read(id) // never fails
	_, _ = rand.Read(nostrID[:])
	if err := cfg.Profile.Check(); err != nil {
		return nil, err
	}
	routing := wire.NewRouting(nostrID, cfg.Relays)
	if err := routing.Check(); err != nil {
		return nil, err
	}
	ext, err := g.gen.found(cfg, routing)
	if err != nil {
		return nil, err
	}
	caps, leafExt := g.gen.leaf(cfg.Proof)
	state, err := mls.Create(cfg.Signer, mls.GroupConfig{
		Suite: mls.X25519_AES128GCM_SHA256_Ed25519, GroupID: id,
		Credential: mls.BasicCredential(cfg.Self[:]), Capabilities: caps,
		LeafExtensions: leafExt, Lifetime: wire.LeafLifetime(now), Extensions: ext,
	})
	if err != nil {
		return nil, err
	}
	g.id = state.ID()
	root := &node{id: rootID(state), state: state}
	return root, g.gen.joined(root, nil)
}

// start makes n the beginning of this copy's history.
func (s *step) start(n *node) {
	n.epoch, n.full = n.state.Epoch(), true
	s.g.nodes[n.id] = n
	s.g.tip = n
	s.g.meta.Renewed = s.now
	s.rewriteNode(n)
}

// foundingAdd adds the invitees and merges at once: in epoch 0 there is nobody
// who could disagree.
func (s *step) foundingAdd(cfg CreateConfig) error {
	g := s.g
	for _, v := range cfg.Invitees {
		if err := g.gen.supports(v.KeyPackage, g.tip); err != nil {
			return fmt.Errorf("group: %s cannot be invited: %w", v.KeyPackage.Account.Npub(), err)
		}
	}
	invitees := storeInvitees(cfg.Invitees)
	proposals, err := g.adds(invitees)
	if err != nil {
		return err
	}
	if len(cfg.Admins) > 0 {
		admins := wire.NewAdmins(append(slices.Clone(cfg.Admins), cfg.Self)...)
		appoint, err := g.gen.amend(g.tip, amendment{admins: admins})
		if err != nil {
			return err
		}
		proposals = append(proposals, appoint...)
	}
	n, staged, err := s.stage(g.tip, cfg.Signer, mls.CommitConfig{Proposals: proposals, Path: mls.PathAlways, Now: s.now, Parallel: cfg.Parallel})
	if err != nil {
		return err
	}
	if err := g.welcomesFit(n, staged.Welcome, invitees, s.now); err != nil {
		return err
	}
	id := wire.MessageIDOf(staged.Message)
	n.id, n.commit.Own = stateID(id), true
	s.addNode(n, g.tip)
	g.note(&retained{
		ID: id, Kind: kindCommit, Epoch: g.tip.epoch, Seq: g.nextSeq(), Own: true,
		Disposition: deferred, Judged: true, At: s.now, State: n.id,
	})
	s.advance(n)
	s.invite(n, &outbound{Welcome: staged.Welcome, Invitees: invitees, Ref: cfg.Ref})
	return nil
}
