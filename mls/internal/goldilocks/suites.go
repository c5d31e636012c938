package goldilocks

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"

	"github.com/cloudflare/circl/hpke"
	"github.com/cloudflare/circl/sign/ed448"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/marmotgo/marmot/mls/internal/suites"
)

// AES256GCM returns MLS_256_DHKEMX448_AES256GCM_SHA512_Ed448.
func AES256GCM() suites.Suite {
	return suites.Suite{ID: 0x0004, Hash: crypto.SHA512, NewAEAD: newGCM, KeySize: 32,
		HPKE: newHPKE(hpke.AEAD_AES256GCM), Signature: ed448Scheme{}}
}

// ChaCha20Poly1305 returns MLS_256_DHKEMX448_CHACHA20POLY1305_SHA512_Ed448.
func ChaCha20Poly1305() suites.Suite {
	return suites.Suite{ID: 0x0006, Hash: crypto.SHA512, NewAEAD: chacha20poly1305.New, KeySize: 32,
		HPKE: newHPKE(hpke.AEAD_ChaCha20Poly1305), Signature: ed448Scheme{}}
}

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// ed448Scheme is Ed448 without a context (RFC 8032, Section 5.2).
type ed448Scheme struct{}

func (ed448Scheme) PublicKey(signer crypto.Signer) ([]byte, bool) {
	pub, ok := signer.Public().(ed448.PublicKey)
	return bytes.Clone(pub), ok && len(pub) == ed448.PublicKeySize
}

func (ed448Scheme) CheckPublicKey(pub []byte) bool { return len(pub) == ed448.PublicKeySize }

func (ed448Scheme) Sign(signer crypto.Signer, message []byte) ([]byte, error) {
	return signer.Sign(rand.Reader, message, crypto.Hash(0))
}

func (ed448Scheme) Verify(pub, message, signature []byte) bool {
	return ed448.Verify(pub, message, signature, "")
}
