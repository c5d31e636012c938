package mls

import (
	"bytes"
	"crypto"
	"encoding/binary"
	"fmt"

	"github.com/marmotgo/marmot/mls/internal/wire"
)

// GroupInfo describes an epoch to someone who wants to join it (RFC 9420,
// Section 12.4.3). Treat it as read-only.
type GroupInfo struct {
	Context         GroupContext
	Extensions      Extensions
	ConfirmationTag []byte
	Signer          LeafIndex
	Signature       []byte

	raw    []byte
	signed int // length of the signed part of raw
	config *Config
}

// Bytes returns a copy of the exact bare encoding.
func (i *GroupInfo) Bytes() []byte { return bytes.Clone(i.raw) }

// Message returns the GroupInfo as an MLSMessage.
func (i *GroupInfo) Message() []byte {
	return append(appendMessageHeader(nil, WireGroupInfo), i.raw...)
}

// readGroupInfo reads a GroupInfo and copies what it keeps.
func (x *Config) readGroupInfo(r *wire.Reader) *GroupInfo {
	start := r.Offset()
	r.Bytes(4) // the GroupContext
	r.Opaque()
	r.Bytes(8)
	r.Opaque()
	r.Opaque()
	r.Opaque()
	r.Opaque() // what follows it
	r.Opaque()
	r.Uint32()
	r.Opaque()
	raw := bytes.Clone(r.Since(start))
	if r.Err() != nil {
		return nil
	}
	own := wire.NewReader(raw)
	i := &GroupInfo{config: x, raw: raw, Context: decodeGroupContext(own), Extensions: decodeExtensions(own),
		ConfirmationTag: own.Opaque(), Signer: LeafIndex(own.Uint32())}
	i.signed = own.Offset()
	i.Signature = own.Opaque()
	if own.Err() == nil && len(i.ConfirmationTag) < minHashBytes {
		own.Fail(fmt.Errorf("%w: confirmation tag of %d bytes", ErrMalformed, len(i.ConfirmationTag)))
	}
	if err := own.Finish(); err != nil {
		r.Fail(err)
		return nil
	}
	return i
}

// InfoConfig says what a GroupInfo holds beside the group's own data.
type InfoConfig struct {
	Extensions  Extensions // come first, in this order
	NoTree      bool       // the joiner gets the ratchet tree in another way
	ExternalPub bool       // allows external commits
}

// Info returns a GroupInfo of this epoch, signed by this member's signer.
func (g *Group) Info(signer crypto.Signer, cfg InfoConfig) (*GroupInfo, error) {
	if err := g.checkSigner(signer); err != nil {
		return nil, err
	}
	b, err := g.info(signer, cfg)
	if err != nil {
		return nil, err
	}
	r := wire.NewReader(b)
	i := g.config.readGroupInfo(r)
	if err := r.Finish(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidConfig, err)
	}
	return i, nil
}

// info returns an encoded GroupInfo. It makes no copy of the tree beyond those
// that encoding and signing need, since the tree is most of it.
func (g *Group) info(signer crypto.Signer, cfg InfoConfig) ([]byte, error) {
	extensions := append(Extensions(nil), cfg.Extensions...)
	if cfg.ExternalPub {
		if g.secrets.get(epochExternal) == nil {
			return nil, ErrErased
		}
		_, pub, err := g.suite.deriveKeyPair(g.secrets.get(epochExternal))
		if err != nil {
			return nil, err
		}
		extensions = append(extensions, Extension{Type: ExtExternalPub, Data: wire.AppendOpaque(nil, pub)})
	}
	if err := extensions.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidConfig, err)
	}
	size := len(g.contextBytes) + 1024
	if !cfg.NoTree {
		if _, twice := extensions.Find(ExtRatchetTree); twice {
			return nil, fmt.Errorf("%w: ratchet_tree is given and made", ErrInvalidConfig)
		}
		tree := g.tree.appendTree(make([]byte, 0, g.tree.encodedSize()))
		extensions = append(extensions, Extension{Type: ExtRatchetTree, Data: tree})
		size += len(tree)
	}
	b := append(make([]byte, 0, size), g.contextBytes...)
	b = extensions.append(b)
	b = wire.AppendOpaque(b, g.tag)
	b = binary.BigEndian.AppendUint32(b, uint32(g.self))
	sig, err := g.suite.signWithLabel(signer, "GroupInfoTBS", b)
	if err != nil {
		return nil, err
	}
	return wire.AppendOpaque(b, sig), nil
}

// verify checks the signature with the key of the signer's leaf.
func (i *GroupInfo) verify(s *cipherSuite, tree *ratchetTree) error {
	leaf, ok := tree.leaf(i.Signer)
	if !ok {
		return fmt.Errorf("%w: signer's leaf %d is blank", ErrInvalidGroupInfo, i.Signer)
	}
	if !s.verifyWithLabel(leaf.SignatureKey, "GroupInfoTBS", i.raw[:i.signed], i.Signature) {
		return fmt.Errorf("%w: %w", ErrInvalidGroupInfo, ErrSignature)
	}
	return nil
}
