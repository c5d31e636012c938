package group

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/wire"
)

// JoinConfig is an invitation and the key package it was made for.
type JoinConfig struct {
	Config
	Welcome    *wire.Welcome // out of a verified gift wrap: Author sealed it
	KeyPackage *mls.KeyPackage
	Keys       *mls.KeyPackageKeys
	Signer     ed25519.PrivateKey // signature key of the key package's leaf
}

// Join accepts an invitation. All checks come first: an error wraps
// [ErrInvitation] and means that nothing was consumed (joining.md, steps 4 to
// 9). The caller makes sure that it has no live copy of this group.
func Join(now time.Time, cfg JoinConfig) (*Group, Output, error) {
	n, gen, err := enter(cfg)
	if err != nil {
		return nil, Output{}, err
	}
	g := newGroup(cfg.Config, gen)
	g.id = n.state.ID()
	s := g.begin(now)
	s.putSignatureKey(cfg.Signer)
	s.start(n)
	name := ""
	if n.settings.Profile != nil {
		name = n.settings.Profile.Name
	}
	s.effect(Effect{ID: "joined/" + n.id.String(), Kind: EffectJoined, Epoch: n.epoch, Actor: cfg.Welcome.Author, Subject: cfg.Self, Text: name})
	s.push(&intent{Kind: intentUpdate, NotBefore: now.Add(g.joinDelay())})
	s.settle()
	out, err := s.finish()
	return g, out, err
}

// joinDelay spreads the first updates of members who joined together.
func (g *Group) joinDelay() time.Duration {
	base := g.cfg.JoinUpdateDelay
	if base == 0 {
		base = defaultJoinUpdate
	}
	sum := sha256.Sum256(append(append([]byte("marmot join jitter"), g.cfg.Self[:]...), g.id...))
	return base + time.Duration(binary.BigEndian.Uint64(sum[:])%uint64(base))
}

// enter processes the Welcome and checks the group it leads to.
func enter(cfg JoinConfig) (*node, generation, error) {
	refused := func(err error) (*node, generation, error) { return nil, nil, fmt.Errorf("%w: %w", ErrInvitation, err) }
	m, err := mls.DecodeMessage(cfg.Welcome.Message)
	if err != nil {
		return refused(err)
	}
	w, ok := m.Welcome()
	if !ok {
		return refused(wire.ErrEncoding)
	}
	joined, err := mls.Join(w, cfg.KeyPackage, cfg.Keys, mls.JoinConfig{Signer: cfg.Signer, Parallel: cfg.Parallel})
	if err != nil {
		return refused(err)
	}
	n, gen := &node{state: joined.Group}, generationOf(joined.Group)
	if err := n.checkJoined(cfg, gen, joined.Info.Signer); err != nil {
		n.wipe()
		return refused(err)
	}
	n.id = rootID(n.state)
	return n, gen, nil
}

// checkJoined holds the resulting group to the rules (joining.md, steps 5 to 8).
func (n *node) checkJoined(cfg JoinConfig, gen generation, signer mls.LeafIndex) error {
	if err := gen.joined(n, cfg.Parallel); err != nil {
		return err
	}
	self, err := n.account(n.state.Self())
	if err != nil {
		return err
	}
	inviter, err := n.account(signer)
	switch {
	case err != nil:
		return err
	case self != cfg.Self:
		return unauthorized("the invitation is for another account")
	case inviter != cfg.Welcome.Author:
		return unauthorized("the inviter is not who signed the group's state")
	case !n.isAdmin(inviter):
		return unauthorized("the inviter is no admin")
	}
	return nil
}
