package mls

import (
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/marmotgo/marmot/mls/internal/forget"
	"github.com/marmotgo/marmot/mls/internal/kdf"
	"github.com/marmotgo/marmot/mls/internal/wire"
)

// stdHPKE is RFC 9180 by crypto/hpke. Keys are raw bytes, which can be
// overwritten, unlike the objects of that package.
type stdHPKE struct {
	pubLen int
	kem    hpke.KEM
	kdf    hpke.KDF
	aead   hpke.AEAD
	dh     ecdh.Curve // nil for a hybrid KEM
}

func (h *stdHPKE) PublicKeySize() int { return h.pubLen }

func (h *stdHPKE) CheckPublicKey(pub []byte) error {
	if len(pub) != h.pubLen {
		return fmt.Errorf("%w: public key of %d bytes", ErrMalformed, len(pub))
	}
	// A hybrid key ends with its X25519 part.
	if h.dh == nil || h.dh == ecdh.X25519() {
		if lowOrder(pub[len(pub)-32:]) {
			return fmt.Errorf("%w: public key of low order", ErrMalformed)
		}
		if h.dh != nil {
			return nil
		}
		if _, err := h.kem.NewPublicKey(pub); err != nil {
			return fmt.Errorf("%w: public key", ErrMalformed)
		}
		return nil
	}
	if _, err := h.dh.NewPublicKey(pub); err != nil {
		return fmt.Errorf("%w: public key", ErrMalformed)
	}
	return nil
}

func (h *stdHPKE) DeriveKeyPair(ikm []byte) (priv, pub []byte, err error) {
	if h.dh == ecdh.X25519() && len(ikm) <= sha256.Size {
		return deriveX25519(ikm)
	}
	k, err := h.kem.DeriveKeyPair(ikm)
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

func (h *stdHPKE) GenerateKeyPair() (priv, pub []byte, err error) {
	k, err := h.kem.GenerateKey()
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

func (h *stdHPKE) PublicKey(priv []byte) ([]byte, error) {
	k, err := h.kem.NewPrivateKey(priv)
	if err != nil {
		return nil, errors.New("mls: unusable private key")
	}
	return k.PublicKey().Bytes(), nil
}

func (h *stdHPKE) Seal(pub, info, plaintext []byte) (kemOutput, ciphertext []byte, err error) {
	k, err := h.kem.NewPublicKey(pub)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: public key", ErrMalformed)
	}
	kemOutput, sender, err := hpke.NewSender(k, h.kdf, h.aead, info)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: public key", ErrMalformed)
	}
	ciphertext, err = sender.Seal(nil, plaintext)
	if err != nil {
		return nil, nil, errors.New("mls: cannot encrypt")
	}
	return kemOutput, ciphertext, nil
}

func (h *stdHPKE) receive(priv, kemOutput, info []byte) (*hpke.Recipient, error) {
	k, err := h.kem.NewPrivateKey(priv)
	if err != nil {
		return nil, errOpen
	}
	return hpke.NewRecipient(kemOutput, k, h.kdf, h.aead, info)
}

func (h *stdHPKE) Open(priv, kemOutput, info, ciphertext []byte) ([]byte, error) {
	recipient, err := h.receive(priv, kemOutput, info)
	if err != nil {
		return nil, errOpen
	}
	return recipient.Open(nil, ciphertext)
}

func (h *stdHPKE) SendExport(pub []byte, context string, length int) (kemOutput, secret []byte, err error) {
	k, err := h.kem.NewPublicKey(pub)
	if err != nil {
		return nil, nil, err
	}
	kemOutput, sender, err := hpke.NewSender(k, h.kdf, h.aead, nil)
	if err != nil {
		return nil, nil, err
	}
	secret, err = sender.Export(context, length)
	return kemOutput, secret, err
}

func (h *stdHPKE) ReceiveExport(priv, kemOutput []byte, context string, length int) ([]byte, error) {
	recipient, err := h.receive(priv, kemOutput, nil)
	if err != nil {
		return nil, err
	}
	return recipient.Export(context, length)
}

// deriveKeyPair is DeriveKeyPair of the suite's KEM.
func (s *cipherSuite) deriveKeyPair(ikm []byte) (priv, pub []byte, err error) {
	forget.Do(func() { priv, pub, err = s.hpke.DeriveKeyPair(ikm) })
	return priv, pub, err
}

func (s *cipherSuite) generateKeyPair() (priv, pub []byte, err error) {
	forget.Do(func() { priv, pub, err = s.hpke.GenerateKeyPair() })
	return priv, pub, err
}

// publicOf returns the public key of a private key.
func (s *cipherSuite) publicOf(priv []byte) (pub []byte, err error) {
	forget.Do(func() { pub, err = s.hpke.PublicKey(priv) })
	return pub, err
}

// publicKeyOK reports whether pub can be an HPKE public key of the suite.
func (s *cipherSuite) publicKeyOK(pub []byte) error {
	if err := s.hpke.CheckPublicKey(pub); err != nil {
		return wrapMalformed(err)
	}
	return nil
}

// wrapMalformed makes an error of a suite from outside one of ours.
func wrapMalformed(err error) error {
	if errors.Is(err, ErrMalformed) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrMalformed, err)
}

func encryptInfo(label string, context []byte) []byte {
	b := make([]byte, 0, len(label)+len(context)+16)
	return wire.AppendOpaque(appendLabel(b, label), context)
}

// encryptWithLabel is EncryptWithLabel (Section 5.1.3).
func (s *cipherSuite) encryptWithLabel(pub []byte, label string, context, plaintext []byte) (kemOutput, ciphertext []byte, err error) {
	forget.Do(func() { kemOutput, ciphertext, err = s.hpke.Seal(pub, encryptInfo(label, context), plaintext) })
	return kemOutput, ciphertext, err
}

// errOpen is the one answer to a ciphertext that does not open, whichever
// step refused it.
var errOpen = fmt.Errorf("%w: ciphertext does not open", ErrAuthentication)

// decryptWithLabel is DecryptWithLabel (Section 5.1.3).
func (s *cipherSuite) decryptWithLabel(priv []byte, label string, context, kemOutput, ciphertext []byte) (plaintext []byte, err error) {
	forget.Do(func() { plaintext, err = s.hpke.Open(priv, kemOutput, encryptInfo(label, context), ciphertext) })
	if err != nil {
		return nil, errOpen
	}
	return plaintext, nil
}
