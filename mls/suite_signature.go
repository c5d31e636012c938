package mls

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"

	"github.com/marmotgo/marmot/mls/internal/forget"
	"github.com/marmotgo/marmot/mls/internal/wire"
)

// ed25519Scheme is the signature scheme of suites 1 and 3.
type ed25519Scheme struct{}

func (ed25519Scheme) PublicKey(signer crypto.Signer) ([]byte, bool) {
	pub, ok := signer.Public().(ed25519.PublicKey)
	if !ok || len(pub) != ed25519.PublicKeySize {
		return nil, false
	}
	return append([]byte(nil), pub...), true
}

func (ed25519Scheme) CheckPublicKey(pub []byte) bool { return len(pub) == ed25519.PublicKeySize }

func (ed25519Scheme) Sign(signer crypto.Signer, message []byte) ([]byte, error) {
	return signer.Sign(rand.Reader, message, crypto.Hash(0))
}

func (ed25519Scheme) Verify(pub, message, signature []byte) bool {
	return len(pub) == ed25519.PublicKeySize && ed25519.Verify(pub, message, signature)
}

// ecdsaScheme is the signature scheme of suites 2, 5 and 7: keys are
// uncompressed points and signatures are in ASN.1 (Section 5.1.2).
type ecdsaScheme struct {
	curve elliptic.Curve
	hash  crypto.Hash
}

func (e *ecdsaScheme) PublicKey(signer crypto.Signer) ([]byte, bool) {
	pub, ok := signer.Public().(*ecdsa.PublicKey)
	if !ok || pub.Curve != e.curve {
		return nil, false
	}
	b, err := pub.Bytes()
	return b, err == nil
}

func (e *ecdsaScheme) CheckPublicKey(pub []byte) bool {
	_, err := ecdsa.ParseUncompressedPublicKey(e.curve, pub)
	return err == nil
}

func (e *ecdsaScheme) digest(message []byte) []byte {
	h := e.hash.New()
	h.Write(message)
	return h.Sum(nil)
}

func (e *ecdsaScheme) Sign(signer crypto.Signer, message []byte) ([]byte, error) {
	return signer.Sign(rand.Reader, e.digest(message), e.hash)
}

func (e *ecdsaScheme) Verify(pub, message, signature []byte) bool {
	k, err := ecdsa.ParseUncompressedPublicKey(e.curve, pub)
	return err == nil && ecdsa.VerifyASN1(k, e.digest(message), signature)
}

// signaturePublicKey returns the signer's public key as the suite encodes it.
func (s *cipherSuite) signaturePublicKey(signer crypto.Signer) ([]byte, error) {
	if signer == nil {
		return nil, fmt.Errorf("%w: no signer", ErrInvalidConfig)
	}
	pub, ok := s.signature.PublicKey(signer)
	if !ok {
		return nil, fmt.Errorf("%w: signer of another suite", ErrInvalidConfig)
	}
	return pub, nil
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
	var sig []byte
	var err error
	forget.Do(func() { sig, err = s.signature.Sign(signer, signContent(label, parts...)) })
	if err != nil {
		return nil, fmt.Errorf("mls: signing: %w", err)
	}
	return sig, nil
}

// verifyWithLabel is VerifyWithLabel (Section 5.1.2).
func (s *cipherSuite) verifyWithLabel(pub []byte, label string, content, sig []byte) bool {
	return s.signature.Verify(pub, signContent(label, content), sig)
}

// signatureKeyOK reports whether pub can be a signature key of the suite.
func (s *cipherSuite) signatureKeyOK(pub []byte) error {
	if !s.signature.CheckPublicKey(pub) {
		return fmt.Errorf("%w: signature key", ErrMalformed)
	}
	return nil
}
