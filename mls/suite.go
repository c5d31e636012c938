package mls

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/binary"

	_ "crypto/sha512" // SHA-384 and SHA-512 of suites 5 and 7

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/marmotgo/marmot/mls/internal/forget"
	"github.com/marmotgo/marmot/mls/internal/kdf"
	"github.com/marmotgo/marmot/mls/internal/suites"
	"github.com/marmotgo/marmot/mls/internal/wire"
)

// Suite is the number of a cipher suite (RFC 9420, Section 17.1).
type Suite uint16

// The suites of RFC 9420. Marmot uses the first. This package implements 1, 2,
// 3, 5 and 7; 4 and 6 come from package suite448 through a [Config].
const (
	X25519_AES128GCM_SHA256_Ed25519        Suite = 0x0001
	P256_AES128GCM_SHA256_P256             Suite = 0x0002
	X25519_CHACHA20POLY1305_SHA256_Ed25519 Suite = 0x0003
	X448_AES256GCM_SHA512_Ed448            Suite = 0x0004
	P521_AES256GCM_SHA512_P521             Suite = 0x0005
	X448_CHACHA20POLY1305_SHA512_Ed448     Suite = 0x0006
	P384_AES256GCM_SHA384_P384             Suite = 0x0007
)

// cipherSuite is one row of the table behind [Suite]. Rows never change.
type cipherSuite struct {
	id        Suite
	nh        int // bytes of a hash and of a secret
	nk        int // bytes of an AEAD key
	nn        int // bytes of an AEAD nonce
	pubLen    int // bytes of an HPKE public key
	hashID    crypto.Hash
	newAEAD   func(key []byte) (cipher.AEAD, error)
	hpke      suites.HPKE
	signature suites.Signature
}

// newSuite completes a description.
func newSuite(d suites.Suite) *cipherSuite {
	return &cipherSuite{id: Suite(d.ID), nh: d.Hash.Size(), nk: d.KeySize, nn: 12, pubLen: d.HPKE.PublicKeySize(),
		hashID: d.Hash, newAEAD: d.NewAEAD, hpke: d.HPKE, signature: d.Signature}
}

var builtinSuites = []*cipherSuite{
	newSuite(suites.Suite{ID: uint16(X25519_AES128GCM_SHA256_Ed25519), Hash: crypto.SHA256, NewAEAD: newGCM, KeySize: 16,
		HPKE:      &stdHPKE{32, hpke.DHKEM(ecdh.X25519()), hpke.HKDFSHA256(), hpke.AES128GCM(), ecdh.X25519()},
		Signature: ed25519Scheme{}}),
	newSuite(suites.Suite{ID: uint16(P256_AES128GCM_SHA256_P256), Hash: crypto.SHA256, NewAEAD: newGCM, KeySize: 16,
		HPKE:      &stdHPKE{65, hpke.DHKEM(ecdh.P256()), hpke.HKDFSHA256(), hpke.AES128GCM(), ecdh.P256()},
		Signature: &ecdsaScheme{elliptic.P256(), crypto.SHA256}}),
	newSuite(suites.Suite{ID: uint16(X25519_CHACHA20POLY1305_SHA256_Ed25519), Hash: crypto.SHA256, NewAEAD: chacha20poly1305.New, KeySize: 32,
		HPKE:      &stdHPKE{32, hpke.DHKEM(ecdh.X25519()), hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), ecdh.X25519()},
		Signature: ed25519Scheme{}}),
	newSuite(suites.Suite{ID: uint16(P521_AES256GCM_SHA512_P521), Hash: crypto.SHA512, NewAEAD: newGCM, KeySize: 32,
		HPKE:      &stdHPKE{133, hpke.DHKEM(ecdh.P521()), hpke.HKDFSHA512(), hpke.AES256GCM(), ecdh.P521()},
		Signature: &ecdsaScheme{elliptic.P521(), crypto.SHA512}}),
	newSuite(suites.Suite{ID: uint16(P384_AES256GCM_SHA384_P384), Hash: crypto.SHA384, NewAEAD: newGCM, KeySize: 32,
		HPKE:      &stdHPKE{97, hpke.DHKEM(ecdh.P384()), hpke.HKDFSHA384(), hpke.AES256GCM(), ecdh.P384()},
		Signature: &ecdsaScheme{elliptic.P384(), crypto.SHA384}}),
}

// maxNh is the largest Nh of the table.
const maxNh = 64

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// hash returns the digest of the concatenated parts.
func (s *cipherSuite) hash(parts ...[]byte) []byte {
	if len(parts) == 1 && s.hashID == crypto.SHA256 {
		sum := sha256.Sum256(parts[0])
		return sum[:]
	}
	h := s.hashID.New()
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(make([]byte, 0, s.nh))
}

// refHash is RefHash (Section 5.2).
func (s *cipherSuite) refHash(label string, value []byte) []byte {
	b := make([]byte, 0, len(label)+len(value)+10)
	b = wire.AppendOpaque(b, []byte(label))
	return s.hash(wire.AppendOpaque(b, value))
}

// mac is the HMAC that confirmation and membership tags use.
func (s *cipherSuite) mac(key []byte, parts ...[]byte) []byte {
	if s.hashID == crypto.SHA256 && len(key) <= sha256.Size {
		tag := kdf.Tag(key, parts...)
		return tag[:]
	}
	h := hmac.New(s.hashID.New, key)
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(make([]byte, 0, s.nh))
}

// extract is HKDF-Extract (Section 8: KDF.Extract(salt, ikm)).
func (s *cipherSuite) extract(salt, ikm []byte) (prk []byte) {
	forget.Do(func() { prk = s.mac(salt, ikm) })
	return prk
}

// expandWithLabel is ExpandWithLabel (Section 8).
func (s *cipherSuite) expandWithLabel(secret []byte, label string, context []byte, length int) []byte {
	out := make([]byte, length)
	s.expandInto(out, secret, label, context)
	return out
}

// expandInto is expandWithLabel into out, which may be the secret itself.
func (s *cipherSuite) expandInto(out, secret []byte, label string, context []byte) {
	forget.Do(func() { s.expand(out, secret, label, context) })
}

func (s *cipherSuite) expand(out, secret []byte, label string, context []byte) {
	var stack [kdf.MaxMessage]byte
	info := binary.BigEndian.AppendUint16(stack[:0], uint16(len(out)))
	info = appendLabel(info, label)
	info = wire.AppendOpaque(info, context)
	if s.hashID == crypto.SHA256 && len(out) <= sha256.Size && len(secret) <= sha256.Size && len(info) < kdf.MaxMessage {
		sum := kdf.Expand(secret, info)
		copy(out, sum[:])
		clear(sum[:])
		return
	}
	expanded, err := hkdf.Expand(s.hashID.New, secret, string(info), len(out))
	if err != nil {
		// Only a length above 255*Nh fails, and callers check that.
		panic("mls: " + err.Error())
	}
	copy(out, expanded)
	clear(expanded)
}

// deriveSecret is DeriveSecret (Section 8).
func (s *cipherSuite) deriveSecret(secret []byte, label string) []byte {
	return s.expandWithLabel(secret, label, nil, s.nh)
}

func appendLabel(b []byte, label string) []byte {
	b = wire.AppendVarint(b, len("MLS 1.0 ")+len(label))
	b = append(b, "MLS 1.0 "...)
	return append(b, label...)
}
