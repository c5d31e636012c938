package mls

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"fmt"
)

// GroupConfig is what a new group starts with.
type GroupConfig struct {
	Suite          Suite
	GroupID        []byte // at most 256 bytes; nil: 32 random ones
	Credential     Credential
	Capabilities   Capabilities
	LeafExtensions Extensions
	Lifetime       Lifetime
	Extensions     Extensions // of the GroupContext; their order is kept
	Limits         Limits
	Config         *Config // nil: only what this package has
}

// Create returns epoch 0 of a new group with its creator as the only member
// (RFC 9420, Section 11).
func Create(signer crypto.Signer, cfg GroupConfig) (*Group, error) {
	s, err := cfg.Config.suiteOf(cfg.Suite)
	if err != nil {
		return nil, err
	}
	if len(cfg.GroupID) > maxGroupIDBytes {
		return nil, fmt.Errorf("%w: group id of %d bytes", ErrInvalidConfig, len(cfg.GroupID))
	}
	if err := cfg.Extensions.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidConfig, err)
	}
	priv, pub, err := s.generateKeyPair()
	if err != nil {
		return nil, err
	}
	leaf, err := newLeafNode(s, signer, LeafNode{
		EncryptionKey: pub, Credential: cfg.Credential, Capabilities: cfg.Capabilities,
		Source: LeafSourceKeyPackage, Lifetime: cfg.Lifetime, Extensions: cfg.LeafExtensions,
	}, nil, 0)
	if err != nil {
		return nil, err
	}
	if err := checkLeaf(s, leaf, cfg.Extensions); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidConfig, err)
	}
	id := bytes.Clone(cfg.GroupID)
	if id == nil {
		id = randomBytes(32)
	}
	g := &Group{suite: s, config: cfg.Config, limits: cfg.Limits.withDefaults(), tree: newTree(s, leaf), keys: newPathKeys(priv)}
	g.context = GroupContext{Version: version10, Suite: s.id, GroupID: id, TreeHash: g.tree.treeHash(),
		Extensions: cfg.Extensions.Clone()}
	g.contextBytes = g.context.encode()
	var roots treeRoots
	g.secrets, roots = s.deriveEpoch(randomBytes(s.nh))
	g.plant(roots)
	g.tag = s.confirmationTag(g.secrets.get(epochConfirmation), nil)
	return g, nil
}

// randomBytes returns n random bytes. crypto/rand does not fail.
func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}
