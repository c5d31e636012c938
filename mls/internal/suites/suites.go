// Package suites describes a cipher suite (RFC 9420, Section 5.1) by what it
// does, so that package mls can work with one that it does not contain.
package suites

import (
	"crypto"
	"crypto/cipher"
)

// Suite is one cipher suite. A value never changes and may be shared.
type Suite struct {
	ID        uint16
	Hash      crypto.Hash // also of HMAC and HKDF; its size is Nh
	NewAEAD   func(key []byte) (cipher.AEAD, error)
	KeySize   int // bytes of an AEAD key; a nonce has 12
	HPKE      HPKE
	Signature Signature
}

// HPKE is the base mode of RFC 9180 with one KEM, KDF and AEAD. Keys are bytes
// as the KEM serializes them. Errors say nothing about secrets.
type HPKE interface {
	// PublicKeySize is in bytes.
	PublicKeySize() int
	// CheckPublicKey refuses what nobody can encrypt to: another length, a
	// point that is not on the curve or of low order.
	CheckPublicKey(pub []byte) error
	// DeriveKeyPair is DeriveKeyPair of the KEM; ikm has any length from Nh on.
	DeriveKeyPair(ikm []byte) (priv, pub []byte, err error)
	GenerateKeyPair() (priv, pub []byte, err error)
	// PublicKey returns the public key of a private key.
	PublicKey(priv []byte) ([]byte, error)
	// Seal and Open are the single-shot functions (Section 6.1) without aad.
	Seal(pub, info, plaintext []byte) (kemOutput, ciphertext []byte, err error)
	Open(priv, kemOutput, info, ciphertext []byte) (plaintext []byte, err error)
	// SendExport and ReceiveExport are those of Section 6.2 without info.
	SendExport(pub []byte, context string, length int) (kemOutput, secret []byte, err error)
	ReceiveExport(priv, kemOutput []byte, context string, length int) (secret []byte, err error)
}

// Signature is a signature scheme.
type Signature interface {
	// PublicKey returns the public key of a signer as MLS encodes it; false
	// for a signer of another scheme. The result is the caller's.
	PublicKey(signer crypto.Signer) ([]byte, bool)
	// CheckPublicKey reports whether pub can be a key of the scheme.
	CheckPublicKey(pub []byte) bool
	Sign(signer crypto.Signer, message []byte) ([]byte, error)
	Verify(pub, message, signature []byte) bool
}
