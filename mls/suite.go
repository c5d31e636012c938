package mls

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	_ "crypto/sha512" // SHA-384 and SHA-512 of suites 5 and 7

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/marmotgo/marmot/mls/internal/kdf"
	"github.com/marmotgo/marmot/mls/internal/wire"
)

// Suite is a cipher suite (RFC 9420, Section 17.1).
type Suite uint16

// The suites this package implements. Marmot uses the first.
const (
	X25519_AES128GCM_SHA256_Ed25519        Suite = 0x0001
	P256_AES128GCM_SHA256_P256             Suite = 0x0002
	X25519_CHACHA20POLY1305_SHA256_Ed25519 Suite = 0x0003
	P521_AES256GCM_SHA512_P521             Suite = 0x0005
	P384_AES256GCM_SHA384_P384             Suite = 0x0007
)

// cipherSuite is one row of the table behind [Suite].
type cipherSuite struct {
	id      Suite
	nh      int // bytes of a hash and of a secret
	nk      int // bytes of an AEAD key
	nn      int // bytes of an AEAD nonce
	pubLen  int // bytes of an HPKE public key
	hashID  crypto.Hash
	dh      ecdh.Curve
	kem     hpke.KEM
	kdf     hpke.KDF
	hpke    hpke.AEAD
	newAEAD func(key []byte) (cipher.AEAD, error)
	curve   elliptic.Curve // of ECDSA; nil for Ed25519
}

var suites = []*cipherSuite{
	{id: X25519_AES128GCM_SHA256_Ed25519, nh: 32, nk: 16, nn: 12, pubLen: 32, hashID: crypto.SHA256, dh: ecdh.X25519(),
		kem: hpke.DHKEM(ecdh.X25519()), kdf: hpke.HKDFSHA256(), hpke: hpke.AES128GCM(), newAEAD: newGCM},
	{id: P256_AES128GCM_SHA256_P256, nh: 32, nk: 16, nn: 12, pubLen: 65, hashID: crypto.SHA256, dh: ecdh.P256(),
		kem: hpke.DHKEM(ecdh.P256()), kdf: hpke.HKDFSHA256(), hpke: hpke.AES128GCM(), newAEAD: newGCM, curve: elliptic.P256()},
	{id: X25519_CHACHA20POLY1305_SHA256_Ed25519, nh: 32, nk: 32, nn: 12, pubLen: 32, hashID: crypto.SHA256, dh: ecdh.X25519(),
		kem: hpke.DHKEM(ecdh.X25519()), kdf: hpke.HKDFSHA256(), hpke: hpke.ChaCha20Poly1305(), newAEAD: chacha20poly1305.New},
	{id: P521_AES256GCM_SHA512_P521, nh: 64, nk: 32, nn: 12, pubLen: 133, hashID: crypto.SHA512, dh: ecdh.P521(),
		kem: hpke.DHKEM(ecdh.P521()), kdf: hpke.HKDFSHA512(), hpke: hpke.AES256GCM(), newAEAD: newGCM, curve: elliptic.P521()},
	{id: P384_AES256GCM_SHA384_P384, nh: 48, nk: 32, nn: 12, pubLen: 97, hashID: crypto.SHA384, dh: ecdh.P384(),
		kem: hpke.DHKEM(ecdh.P384()), kdf: hpke.HKDFSHA384(), hpke: hpke.AES256GCM(), newAEAD: newGCM, curve: elliptic.P384()},
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

func suiteOf(id Suite) (*cipherSuite, error) {
	for _, s := range suites {
		if s.id == id {
			return s, nil
		}
	}
	return nil, fmt.Errorf("%w: 0x%04x", ErrUnsupportedSuite, uint16(id))
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
func (s *cipherSuite) extract(salt, ikm []byte) []byte { return s.mac(salt, ikm) }

// expandWithLabel is ExpandWithLabel (Section 8).
func (s *cipherSuite) expandWithLabel(secret []byte, label string, context []byte, length int) []byte {
	out := make([]byte, length)
	s.expandInto(out, secret, label, context)
	return out
}

// expandInto is expandWithLabel into out, which may be the secret itself.
func (s *cipherSuite) expandInto(out, secret []byte, label string, context []byte) {
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

// deriveKeyPair is DeriveKeyPair of the suite's KEM. Both keys are raw bytes,
// which can be overwritten, unlike the objects of crypto/hpke.
func (s *cipherSuite) deriveKeyPair(ikm []byte) (priv, pub []byte, err error) {
	if s.dh == ecdh.X25519() && len(ikm) <= sha256.Size {
		return deriveX25519(ikm)
	}
	k, err := s.kem.DeriveKeyPair(ikm)
	if err != nil {
		return nil, nil, errors.New("mls: key pair cannot be derived")
	}
	return exportKeyPair(k)
}

// deriveX25519 is DeriveKeyPair of DHKEM(X25519, HKDF-SHA256) (RFC 9180,
// Section 7.1.3), without the temporary secrets that crypto/hpke leaves
// behind. A path needs one for each level.
func deriveX25519(ikm []byte) (priv, pub []byte, err error) {
	const suite = "HPKE-v1KEM\x00\x20"
	var buf [64]byte
	defer clear(buf[:])
	prk := kdf.HMAC(nil, append(append(buf[:0], suite+"dkp_prk"...), ikm...))
	sk := kdf.Expand(prk[:], []byte("\x00\x20"+suite+"sk"))
	defer clear(prk[:])
	defer clear(sk[:])
	k, err := ecdh.X25519().NewPrivateKey(sk[:])
	if err != nil {
		return nil, nil, errors.New("mls: key pair cannot be derived")
	}
	priv = k.Bytes()
	// SerializePrivateKey clamps (Section 7.1.2).
	priv[0] &= 248
	priv[31] = priv[31]&127 | 64
	return priv, k.PublicKey().Bytes(), nil
}

func (s *cipherSuite) generateKeyPair() (priv, pub []byte, err error) {
	k, err := s.kem.GenerateKey()
	if err != nil {
		return nil, nil, errors.New("mls: key pair cannot be generated")
	}
	return exportKeyPair(k)
}

func exportKeyPair(k hpke.PrivateKey) (priv, pub []byte, err error) {
	if priv, err = k.Bytes(); err != nil {
		return nil, nil, errors.New("mls: private key cannot be encoded")
	}
	return priv, k.PublicKey().Bytes(), nil
}

// publicOf returns the public key of a private key.
func (s *cipherSuite) publicOf(priv []byte) ([]byte, error) {
	k, err := s.kem.NewPrivateKey(priv)
	if err != nil {
		return nil, errors.New("mls: unusable private key")
	}
	return k.PublicKey().Bytes(), nil
}

// publicKeyOK reports whether pub can be an HPKE public key of the suite.
// Points are checked to be on their curve.
func (s *cipherSuite) publicKeyOK(pub []byte) error {
	if len(pub) != s.pubLen {
		return fmt.Errorf("%w: public key of %d bytes", ErrMalformed, len(pub))
	}
	if s.curve == nil {
		if lowOrder(pub) {
			return fmt.Errorf("%w: public key of low order", ErrMalformed)
		}
		return nil
	}
	if _, err := s.dh.NewPublicKey(pub); err != nil {
		return fmt.Errorf("%w: public key", ErrMalformed)
	}
	return nil
}

func encryptInfo(label string, context []byte) []byte {
	b := make([]byte, 0, len(label)+len(context)+16)
	return wire.AppendOpaque(appendLabel(b, label), context)
}

// encryptWithLabel is EncryptWithLabel (Section 5.1.3).
func (s *cipherSuite) encryptWithLabel(pub []byte, label string, context, plaintext []byte) (kemOutput, ciphertext []byte, err error) {
	k, err := s.kem.NewPublicKey(pub)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: public key", ErrMalformed)
	}
	kemOutput, sender, err := hpke.NewSender(k, s.kdf, s.hpke, encryptInfo(label, context))
	if err != nil {
		return nil, nil, fmt.Errorf("%w: public key", ErrMalformed)
	}
	ciphertext, err = sender.Seal(nil, plaintext)
	if err != nil {
		return nil, nil, errors.New("mls: cannot encrypt")
	}
	return kemOutput, ciphertext, nil
}

// errOpen is the one answer to a ciphertext that does not open, whichever
// step refused it.
var errOpen = fmt.Errorf("%w: ciphertext does not open", ErrAuthentication)

// decryptWithLabel is DecryptWithLabel (Section 5.1.3).
func (s *cipherSuite) decryptWithLabel(priv []byte, label string, context, kemOutput, ciphertext []byte) ([]byte, error) {
	k, err := s.kem.NewPrivateKey(priv)
	if err != nil {
		return nil, errOpen
	}
	recipient, err := hpke.NewRecipient(kemOutput, k, s.kdf, s.hpke, encryptInfo(label, context))
	if err != nil {
		return nil, errOpen
	}
	plaintext, err := recipient.Open(nil, ciphertext)
	if err != nil {
		return nil, errOpen
	}
	return plaintext, nil
}

// signaturePublicKey returns the signer's public key as the suite encodes it.
func (s *cipherSuite) signaturePublicKey(signer crypto.Signer) ([]byte, error) {
	if signer == nil {
		return nil, fmt.Errorf("%w: no signer", ErrInvalidConfig)
	}
	switch pub := signer.Public().(type) {
	case ed25519.PublicKey:
		if s.curve == nil && len(pub) == ed25519.PublicKeySize {
			return append([]byte(nil), pub...), nil
		}
	case *ecdsa.PublicKey:
		if pub.Curve == s.curve {
			return pub.Bytes()
		}
	}
	return nil, fmt.Errorf("%w: signer of another suite", ErrInvalidConfig)
}

// signContent is what a signature covers (Section 5.1.2).
func signContent(label string, parts ...[]byte) []byte {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	b := make([]byte, 0, len(label)+n+16)
	b = wire.AppendVarint(appendLabel(b, label), n)
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

// signWithLabel is SignWithLabel (Section 5.1.2).
func (s *cipherSuite) signWithLabel(signer crypto.Signer, label string, content []byte) ([]byte, error) {
	return s.signParts(signer, label, content)
}

// signParts is signWithLabel over the concatenated parts.
func (s *cipherSuite) signParts(signer crypto.Signer, label string, parts ...[]byte) ([]byte, error) {
	msg, opts := signContent(label, parts...), crypto.Hash(0)
	if s.curve != nil {
		msg, opts = s.hash(msg), s.hashID
	}
	sig, err := signer.Sign(rand.Reader, msg, opts)
	if err != nil {
		return nil, fmt.Errorf("mls: signing: %w", err)
	}
	return sig, nil
}

// verifyWithLabel is VerifyWithLabel (Section 5.1.2).
func (s *cipherSuite) verifyWithLabel(pub []byte, label string, content, sig []byte) bool {
	return s.verifyParts(pub, label, sig, content)
}

// verifyParts is verifyWithLabel over the concatenated parts.
func (s *cipherSuite) verifyParts(pub []byte, label string, sig []byte, parts ...[]byte) bool {
	msg := signContent(label, parts...)
	if s.curve == nil {
		return len(pub) == ed25519.PublicKeySize && ed25519.Verify(pub, msg, sig)
	}
	k, err := ecdsa.ParseUncompressedPublicKey(s.curve, pub)
	return err == nil && ecdsa.VerifyASN1(k, s.hash(msg), sig)
}

// signatureKeyOK reports whether pub can be a signature key of the suite.
func (s *cipherSuite) signatureKeyOK(pub []byte) error {
	if s.curve == nil {
		if len(pub) == ed25519.PublicKeySize {
			return nil
		}
	} else if _, err := ecdsa.ParseUncompressedPublicKey(s.curve, pub); err == nil {
		return nil
	}
	return fmt.Errorf("%w: signature key", ErrMalformed)
}
