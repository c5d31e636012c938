package mls

import (
	"bytes"
	"crypto"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/marmotgo/marmot/mls/internal/wire"
)

// version10 is the protocol version mls10, the only one.
const version10 uint16 = 1

// KeyPackage lets others add its owner to a group (RFC 9420, Section 10).
// Treat it as read-only.
type KeyPackage struct {
	Version    uint16
	Suite      Suite
	InitKey    []byte
	Leaf       *LeafNode
	Extensions Extensions
	Signature  []byte

	raw    []byte
	signed int          // length of the signed part of raw
	suite  *cipherSuite // nil for one that is not known
}

// DecodeKeyPackage reads a bare KeyPackage and nothing after it. Only the
// syntax is checked; see [KeyPackage.Validate].
func DecodeKeyPackage(b []byte) (*KeyPackage, error) { return decodeKeyPackage(b, nil) }

func decodeKeyPackage(b []byte, x *Config) (*KeyPackage, error) {
	r := wire.NewReader(b)
	k := x.readKeyPackage(r)
	if err := r.Finish(); err != nil {
		return nil, fmt.Errorf("key package: %w", err)
	}
	return k, nil
}

// readKeyPackage reads a KeyPackage and copies what it keeps.
func (x *Config) readKeyPackage(r *wire.Reader) *KeyPackage {
	start := r.Offset()
	scanKeyPackage(r)
	raw := bytes.Clone(r.Since(start))
	if r.Err() != nil {
		return nil
	}
	own := wire.NewReader(raw)
	k := &KeyPackage{Version: own.Uint16(), Suite: Suite(own.Uint16()), InitKey: own.Opaque(), raw: raw}
	k.suite, _ = x.suiteOf(k.Suite)
	from := own.Offset()
	scanLeafNode(own)
	var err error
	if k.Leaf, err = leafNodeIn(own.Since(from)); err != nil {
		own.Fail(err)
	}
	k.Extensions = decodeExtensions(own)
	k.signed = own.Offset()
	k.Signature = own.Opaque()
	checkKeySize(own, k.InitKey)
	if err := own.Finish(); err != nil {
		r.Fail(err)
		return nil
	}
	return k
}

// scanKeyPackage finds the end of a KeyPackage.
func scanKeyPackage(r *wire.Reader) {
	r.Bytes(4)
	r.Opaque()
	scanLeafNode(r)
	r.Opaque()
	r.Opaque()
}

// Bytes returns a copy of the exact bare encoding.
func (k *KeyPackage) Bytes() []byte { return bytes.Clone(k.raw) }

// Message returns the KeyPackage as an MLSMessage.
func (k *KeyPackage) Message() []byte {
	return append(appendMessageHeader(nil, WireKeyPackage), k.raw...)
}

// Ref returns the KeyPackageRef (Section 5.2), Nh bytes. It is nil for a
// suite this package lacks.
func (k *KeyPackage) Ref() []byte {
	if k.suite == nil {
		return nil
	}
	return k.refIn(k.suite)
}

// LastResort reports whether its owner marked the KeyPackage as one to be used
// when there is no other, and then more than once
// (draft-ietf-mls-extensions, "Last-Resort KeyPackages").
func (k *KeyPackage) LastResort() bool {
	_, ok := k.Extensions.appData().find(ComponentLastResort)
	return ok
}

func (k *KeyPackage) refIn(s *cipherSuite) []byte {
	return s.refHash("MLS 1.0 KeyPackage Reference", k.raw)
}

// Validate checks the KeyPackage by itself (Section 10.1): version, suite,
// keys, both signatures, that the leaf supports what it uses and that now lies
// in its lifetime. A zero now leaves the lifetime unchecked.
func (k *KeyPackage) Validate(now time.Time) error {
	if k.suite == nil {
		return fmt.Errorf("%w: 0x%04x", ErrUnsupportedSuite, uint16(k.Suite))
	}
	if err := k.check(k.suite, now); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidKeyPackage, err)
	}
	return nil
}

func (k *KeyPackage) check(s *cipherSuite, now time.Time) error {
	if k.Version != version10 {
		return fmt.Errorf("%w: %d", ErrUnsupportedVersion, k.Version)
	}
	if k.Leaf.Source != LeafSourceKeyPackage {
		return fmt.Errorf("%w: leaf node source %d", ErrInvalidLeaf, k.Leaf.Source)
	}
	if !now.IsZero() && !k.Leaf.Lifetime.contains(now) {
		return fmt.Errorf("%w: lifetime", ErrInvalidLeaf)
	}
	if err := k.Leaf.checkKeys(s); err != nil {
		return err
	}
	if err := s.publicKeyOK(k.InitKey); err != nil {
		return err
	}
	if bytes.Equal(k.InitKey, k.Leaf.EncryptionKey) {
		return fmt.Errorf("%w: init key is the encryption key", ErrMalformed)
	}
	if data, ok := k.Extensions.appData().Get(ComponentLastResort); ok && len(data) > 0 {
		return fmt.Errorf("%w: last_resort_key_package with data", ErrMalformed)
	}
	if err := k.Leaf.supportsOwn(); err != nil {
		return err
	}
	if err := k.Leaf.verifySignature(s, nil, 0); err != nil {
		return err
	}
	if !s.verifyWithLabel(k.Leaf.SignatureKey, "KeyPackageTBS", k.raw[:k.signed], k.Signature) {
		return ErrSignature
	}
	return nil
}

// KeyPackageConfig is what a new KeyPackage says.
type KeyPackageConfig struct {
	Suite          Suite
	Credential     Credential
	Capabilities   Capabilities
	Lifetime       Lifetime
	LeafExtensions Extensions
	Extensions     Extensions // of the KeyPackage
	LastResort     bool       // puts [ComponentLastResort] into the KeyPackage's dictionary
	Config         *Config    // nil: only what this package has
}

// NewKeyPackage makes a KeyPackage with fresh keys, signed by signer. The
// caller stores the keys, and erases them once no Welcome can need them.
func NewKeyPackage(signer crypto.Signer, cfg KeyPackageConfig) (*KeyPackage, *KeyPackageKeys, error) {
	s, err := cfg.Config.suiteOf(cfg.Suite)
	if err != nil {
		return nil, nil, err
	}
	initPriv, initPub, err := s.generateKeyPair()
	if err != nil {
		return nil, nil, err
	}
	leafPriv, leafPub, err := s.generateKeyPair()
	if err != nil {
		return nil, nil, err
	}
	leaf, err := newLeafNode(s, signer, LeafNode{
		EncryptionKey: leafPub, Credential: cfg.Credential, Capabilities: cfg.Capabilities,
		Source: LeafSourceKeyPackage, Lifetime: cfg.Lifetime, Extensions: cfg.LeafExtensions,
	}, nil, 0)
	if err != nil {
		return nil, nil, err
	}
	b := binary.BigEndian.AppendUint16(nil, version10)
	b = binary.BigEndian.AppendUint16(b, uint16(cfg.Suite))
	b = wire.AppendOpaque(b, initPub)
	b = append(b, leaf.raw...)
	b = cfg.extensions().append(b)
	sig, err := s.signWithLabel(signer, "KeyPackageTBS", b)
	if err != nil {
		return nil, nil, err
	}
	k, err := cfg.Config.DecodeKeyPackage(wire.AppendOpaque(b, sig))
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrInvalidConfig, err)
	}
	if err := k.Validate(time.Time{}); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrInvalidConfig, err)
	}
	// Section 10 asks the maker for this; others ignore what they do not know.
	if err := leaf.Capabilities.meets(RequiredCapabilities{Extensions: k.Extensions.nonDefault()}); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrInvalidConfig, err)
	}
	return k, &KeyPackageKeys{initKey: initPriv, leafKey: leafPriv}, nil
}

func (c *KeyPackageConfig) extensions() Extensions {
	if !c.LastResort {
		return c.Extensions
	}
	return c.Extensions.withAppData(c.Extensions.appData().With(ComponentLastResort, nil), false)
}

// KeyPackageKeys are the private keys of a [KeyPackage].
type KeyPackageKeys struct {
	redactedValue
	initKey, leafKey secret
}

const keyPackageKeysVersion = 1

// AppendSecret appends an encoding of the private keys to b.
func (k *KeyPackageKeys) AppendSecret(b []byte) []byte {
	b = append(b, keyPackageKeysVersion)
	b = wire.AppendOpaque(b, k.initKey)
	return wire.AppendOpaque(b, k.leafKey)
}

// DecodeKeyPackageKeys reads what [KeyPackageKeys.AppendSecret] wrote.
func DecodeKeyPackageKeys(b []byte) (*KeyPackageKeys, error) {
	r := wire.NewReader(b)
	if v := r.Uint8(); v != keyPackageKeysVersion {
		r.Fail(fmt.Errorf("%w: version %d of key package keys", ErrMalformed, v))
	}
	k := &KeyPackageKeys{initKey: bytes.Clone(r.Opaque()), leafKey: bytes.Clone(r.Opaque())}
	if err := r.Finish(); err != nil {
		k.Erase()
		return nil, err
	}
	return k, nil
}

// Erase overwrites the private keys.
func (k *KeyPackageKeys) Erase() {
	k.initKey.erase()
	k.leafKey.erase()
	k.initKey, k.leafKey = nil, nil
}
