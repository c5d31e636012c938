package mls

import (
	"bytes"
	"crypto"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/marmotgo/marmot/mls/internal/wire"
)

// LeafIndex is the position of a member in the ratchet tree.
type LeafIndex uint32

// LeafSource says what a leaf node was made for (RFC 9420, Section 7.2).
type LeafSource uint8

// The sources of a leaf node.
const (
	LeafSourceKeyPackage LeafSource = 1
	LeafSourceUpdate     LeafSource = 2
	LeafSourceCommit     LeafSource = 3
)

// Lifetime bounds the use of a leaf node in time, in seconds since 1970.
type Lifetime struct{ NotBefore, NotAfter uint64 }

// contains reports whether now lies within the lifetime. A time before 1970
// lies in none.
func (l Lifetime) contains(now time.Time) bool {
	t := now.Unix()
	return t >= 0 && uint64(t) >= l.NotBefore && uint64(t) <= l.NotAfter
}

// LeafNode is one member's place in the group (Section 7.2). Treat it as
// read-only: it is shared by every group state that contains it.
type LeafNode struct {
	EncryptionKey, SignatureKey []byte
	Credential                  Credential
	Capabilities                Capabilities
	Source                      LeafSource
	Lifetime                    Lifetime // with LeafSourceKeyPackage
	ParentHash                  []byte   // with LeafSourceCommit
	Extensions                  Extensions
	Signature                   []byte

	raw    []byte // the exact encoding
	signed int    // length of the signed part of raw
}

// Bytes returns a copy of the exact encoding.
func (l *LeafNode) Bytes() []byte { return bytes.Clone(l.raw) }

// encoded returns the exact encoding, not to be changed.
func (l *LeafNode) encoded() []byte { return l.raw }

// decodeLeafNode reads a leaf node and copies what it keeps.
func decodeLeafNode(r *wire.Reader) (*LeafNode, error) {
	start := r.Offset()
	scanLeafNode(r)
	if r.Err() != nil {
		return nil, r.Err()
	}
	// The second pass reads our own copy, so that fields alias that and not
	// the message.
	l, err := leafNodeIn(bytes.Clone(r.Since(start)))
	if err != nil {
		r.Fail(err)
	}
	return l, err
}

// leafNodeIn reads a leaf node that is all of raw and keeps that.
func leafNodeIn(raw []byte) (*LeafNode, error) {
	own := wire.NewReader(raw)
	l := readLeafNode(own)
	l.raw = raw
	if err := own.Finish(); err != nil {
		return nil, err
	}
	return l, nil
}

// checkKeySize refuses what is no public key of any suite.
func checkKeySize(r *wire.Reader, key []byte) {
	if r.Err() == nil && (len(key) < minKeyBytes || len(key) > maxKeyBytes) {
		r.Fail(fmt.Errorf("%w: key of %d bytes", ErrMalformed, len(key)))
	}
}

// scanLeafNode finds the end of a leaf node.
func scanLeafNode(r *wire.Reader) {
	r.Opaque()
	r.Opaque()
	r.Uint16()
	r.Opaque()
	for range 5 {
		r.Opaque()
	}
	switch LeafSource(r.Uint8()) {
	case LeafSourceKeyPackage:
		r.Bytes(16)
	case LeafSourceCommit:
		r.Opaque()
	}
	r.Opaque()
	r.Opaque()
}

func readLeafNode(r *wire.Reader) *LeafNode {
	l := &LeafNode{
		EncryptionKey: r.Opaque(),
		SignatureKey:  r.Opaque(),
		Credential:    decodeCredential(r),
		Capabilities:  decodeCapabilities(r),
		Source:        LeafSource(r.Uint8()),
	}
	switch l.Source {
	case LeafSourceKeyPackage:
		l.Lifetime = Lifetime{NotBefore: r.Uint64(), NotAfter: r.Uint64()}
	case LeafSourceUpdate:
	case LeafSourceCommit:
		l.ParentHash = r.Opaque()
	default:
		r.Fail(fmt.Errorf("%w: leaf node source %d", ErrMalformed, l.Source))
	}
	checkKeySize(r, l.EncryptionKey)
	checkKeySize(r, l.SignatureKey)
	if len(l.ParentHash) > maxNh {
		r.Fail(fmt.Errorf("%w: parent hash of %d bytes", ErrMalformed, len(l.ParentHash)))
	}
	l.Extensions = decodeExtensions(r)
	l.signed = r.Offset()
	l.Signature = r.Opaque()
	if r.Err() == nil && len(l.Signature) < minSignature {
		r.Fail(fmt.Errorf("%w: signature of %d bytes", ErrMalformed, len(l.Signature)))
	}
	return l
}

// appendUnsigned appends everything but the signature.
func (l *LeafNode) appendUnsigned(b []byte) []byte {
	b = wire.AppendOpaque(b, l.EncryptionKey)
	b = wire.AppendOpaque(b, l.SignatureKey)
	b = l.Credential.append(b)
	b = l.Capabilities.append(b)
	b = append(b, byte(l.Source))
	switch l.Source {
	case LeafSourceKeyPackage:
		b = binary.BigEndian.AppendUint64(b, l.Lifetime.NotBefore)
		b = binary.BigEndian.AppendUint64(b, l.Lifetime.NotAfter)
	case LeafSourceCommit:
		b = wire.AppendOpaque(b, l.ParentHash)
	}
	return l.Extensions.append(b)
}

// toBeSigned returns LeafNodeTBS: leaves of updates and commits are bound to
// their group and place.
func (l *LeafNode) toBeSigned(unsigned, groupID []byte, index LeafIndex) []byte {
	if l.Source == LeafSourceKeyPackage {
		return unsigned
	}
	b := make([]byte, 0, len(unsigned)+len(groupID)+8)
	b = append(b, unsigned...)
	b = wire.AppendOpaque(b, groupID)
	return binary.BigEndian.AppendUint32(b, uint32(index))
}

// verifySignature checks the leaf's own signature. The group and index count
// for the sources update and commit.
func (l *LeafNode) verifySignature(s *cipherSuite, groupID []byte, index LeafIndex) error {
	tbs := l.toBeSigned(l.raw[:l.signed], groupID, index)
	if !s.verifyWithLabel(l.SignatureKey, "LeafNodeTBS", tbs, l.Signature) {
		return fmt.Errorf("%w: %w", ErrInvalidLeaf, ErrSignature)
	}
	return nil
}

// newLeafNode returns a signed leaf with the fields of l, the signer's key and
// deep copies of everything else.
func newLeafNode(s *cipherSuite, signer crypto.Signer, l LeafNode, groupID []byte, index LeafIndex) (*LeafNode, error) {
	var err error
	if l.SignatureKey, err = s.signaturePublicKey(signer); err != nil {
		return nil, err
	}
	raw := l.appendUnsigned(make([]byte, 0, 512))
	sig, err := s.signWithLabel(signer, "LeafNodeTBS", l.toBeSigned(raw, groupID, index))
	if err != nil {
		return nil, err
	}
	// Reading back what was written gives the fields their final home and
	// refuses a configuration that peers could not decode.
	leaf, err := decodeLeafNode(wire.NewReader(wire.AppendOpaque(raw, sig)))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidConfig, err)
	}
	return leaf, nil
}

// supportsOwn checks that the leaf lists its credential type and extensions
// among its own capabilities (Section 7.3).
func (l *LeafNode) supportsOwn() error {
	if !l.Capabilities.supportsCredential(l.Credential.Type) {
		return fmt.Errorf("%w: own credential type not listed", ErrInvalidLeaf)
	}
	for i := range l.Extensions {
		if t := l.Extensions[i].Type; !l.Capabilities.supportsExtension(t) {
			return fmt.Errorf("%w: own extension 0x%04x not listed", ErrInvalidLeaf, uint16(t))
		}
	}
	return nil
}

// checkKeys checks that both public keys can be keys of the suite.
func (l *LeafNode) checkKeys(s *cipherSuite) error {
	if err := s.publicKeyOK(l.EncryptionKey); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidLeaf, err)
	}
	if err := s.signatureKeyOK(l.SignatureKey); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidLeaf, err)
	}
	return nil
}
