package mls

import (
	"bytes"
	"crypto"
	"fmt"

	"github.com/marmotgo/marmot/mls/internal/wire"
)

// LeafChange says what a new leaf of this member has other than the old one.
// A nil field keeps what is there.
type LeafChange struct {
	Signer       crypto.Signer // a new signature key
	Credential   *Credential
	Capabilities *Capabilities
	Extensions   *Extensions
}

// apply returns the unsigned leaf that follows old, and who signs it.
func (c *LeafChange) apply(old *LeafNode, signer crypto.Signer) (LeafNode, crypto.Signer) {
	next := LeafNode{Credential: old.Credential, Capabilities: old.Capabilities, Extensions: old.Extensions}
	if c == nil {
		return next, signer
	}
	if c.Signer != nil {
		signer = c.Signer
	}
	if c.Credential != nil {
		next.Credential = *c.Credential
	}
	if c.Capabilities != nil {
		next.Capabilities = *c.Capabilities
	}
	if c.Extensions != nil {
		next.Extensions = *c.Extensions
	}
	return next, signer
}

// LeafKey is the private key of a leaf that this member proposed in an Update.
// It is needed to apply a commit with that Update.
type LeafKey struct {
	redactedValue
	key    secret
	public []byte
}

// NewUpdate returns an Update of this member's leaf with a fresh encryption
// key, to be sent with [Group.Propose], and the private key.
func (g *Group) NewUpdate(signer crypto.Signer, change *LeafChange) (Update, *LeafKey, error) {
	if err := g.checkSigner(signer); err != nil {
		return Update{}, nil, err
	}
	priv, pub, err := g.suite.generateKeyPair()
	if err != nil {
		return Update{}, nil, err
	}
	next, leafSigner := change.apply(g.selfLeaf(), signer)
	next.Source, next.EncryptionKey = LeafSourceUpdate, pub
	leaf, err := newLeafNode(g.suite, leafSigner, next, g.context.GroupID, g.self)
	if err != nil {
		return Update{}, nil, err
	}
	if err := checkLeaf(g.suite, leaf, g.context.Extensions); err != nil {
		return Update{}, nil, fmt.Errorf("%w: %w", ErrInvalidConfig, err)
	}
	return Update{Leaf: leaf}, &LeafKey{key: priv, public: pub}, nil
}

// install returns keys with the leaf's own key replaced.
func (k *LeafKey) install(g *Group, keys *pathKeys, leaf *LeafNode) (*pathKeys, error) {
	if k == nil || !bytes.Equal(k.public, leaf.EncryptionKey) {
		return nil, fmt.Errorf("%w: the key of the own Update is not given", ErrInvalidConfig)
	}
	return keys.setLeafKey(k.key), nil
}

const leafKeyVersion = 1

// AppendSecret appends an encoding of the private key to b.
func (k *LeafKey) AppendSecret(b []byte) []byte {
	b = wire.AppendOpaque(append(b, leafKeyVersion), k.key)
	return wire.AppendOpaque(b, k.public)
}

// DecodeLeafKey reads what [LeafKey.AppendSecret] wrote.
func DecodeLeafKey(b []byte) (*LeafKey, error) {
	r := wire.NewReader(b)
	if v := r.Uint8(); v != leafKeyVersion {
		r.Fail(fmt.Errorf("%w: version %d of a leaf key", ErrMalformed, v))
	}
	k := &LeafKey{key: bytes.Clone(r.Opaque()), public: bytes.Clone(r.Opaque())}
	if err := r.Finish(); err != nil {
		k.Erase()
		return nil, err
	}
	return k, nil
}

// Erase overwrites the private key.
func (k *LeafKey) Erase() {
	k.key.erase()
	k.key = nil
}
