// Package goldilocks implements cipher suites 4 and 6 of RFC 9420: X448 for
// key exchange and Ed448 for signatures, by github.com/cloudflare/circl.
package goldilocks

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha512"
	"errors"

	"github.com/cloudflare/circl/dh/x448"
	"github.com/cloudflare/circl/hpke"
)

// x448HPKE is RFC 9180 with DHKEM(X448, HKDF-SHA512).
type x448HPKE struct{ suite hpke.Suite }

func newHPKE(aead hpke.AEAD) *x448HPKE {
	return &x448HPKE{hpke.NewSuite(hpke.KEM_X448_HKDF_SHA512, hpke.KDF_HKDF_SHA512, aead)}
}

var (
	errKey  = errors.New("suite448: not an X448 key")
	errOpen = errors.New("suite448: ciphertext does not open")
)

func (*x448HPKE) PublicKeySize() int { return x448.Size }

// CheckPublicKey refuses the points with which every result is zero: 0, 1 and
// p-1, and the two that reduce to the first ones (RFC 7748, Section 6.2).
func (*x448HPKE) CheckPublicKey(pub []byte) error {
	if len(pub) != x448.Size {
		return errKey
	}
	for _, bad := range lowOrder {
		if bytes.Equal(pub, bad[:]) {
			return errKey
		}
	}
	return nil
}

// lowOrder are 0, 1, p-1, p and p+1 for p = 2^448 - 2^224 - 1, little-endian.
var lowOrder = func() (list [5]x448.Key) {
	var p x448.Key
	for i := range p {
		p[i] = 0xff
	}
	p[28] = 0xfe
	list[1][0] = 1
	list[2], list[3], list[4] = p, p, p
	list[2][0] = 0xfe
	clear(list[4][:28]) // p+1 carries through the low half
	list[4][28] = 0xff
	return list
}()

// DeriveKeyPair is that of RFC 9180, Section 7.1.3. circl's takes seeds of 56
// bytes only, and MLS derives from secrets of 64.
func (*x448HPKE) DeriveKeyPair(ikm []byte) (priv, pub []byte, err error) {
	const suite = "HPKE-v1KEM\x00\x21"
	labeled := append([]byte(suite+"dkp_prk"), ikm...)
	defer clear(labeled)
	prk, err := hkdf.Extract(sha512.New, labeled, nil)
	if err != nil {
		return nil, nil, err
	}
	defer clear(prk)
	priv, err = hkdf.Expand(sha512.New, prk, "\x00\x38"+suite+"sk", x448.Size)
	if err != nil {
		return nil, nil, err
	}
	return priv, publicKey(priv), nil
}

func (*x448HPKE) GenerateKeyPair() (priv, pub []byte, err error) {
	priv = make([]byte, x448.Size)
	_, _ = rand.Read(priv) // does not fail
	return priv, publicKey(priv), nil
}

func publicKey(priv []byte) []byte {
	var secret, public x448.Key
	copy(secret[:], priv)
	x448.KeyGen(&public, &secret)
	clear(secret[:])
	return public[:]
}

func (*x448HPKE) PublicKey(priv []byte) ([]byte, error) {
	if len(priv) != x448.Size {
		return nil, errKey
	}
	return publicKey(priv), nil
}

func (h *x448HPKE) send(pub, info []byte) ([]byte, hpke.Sealer, error) {
	k, err := hpke.KEM_X448_HKDF_SHA512.Scheme().UnmarshalBinaryPublicKey(pub)
	if err != nil {
		return nil, nil, errKey
	}
	sender, err := h.suite.NewSender(k, info)
	if err != nil {
		return nil, nil, err
	}
	return sender.Setup(rand.Reader)
}

func (h *x448HPKE) receive(priv, kemOutput, info []byte) (hpke.Opener, error) {
	if len(kemOutput) != x448.Size {
		return nil, errOpen
	}
	k, err := hpke.KEM_X448_HKDF_SHA512.Scheme().UnmarshalBinaryPrivateKey(priv)
	if err != nil {
		return nil, errOpen
	}
	receiver, err := h.suite.NewReceiver(k, info)
	if err != nil {
		return nil, errOpen
	}
	return receiver.Setup(kemOutput)
}

func (h *x448HPKE) Seal(pub, info, plaintext []byte) (kemOutput, ciphertext []byte, err error) {
	kemOutput, sealer, err := h.send(pub, info)
	if err != nil {
		return nil, nil, err
	}
	ciphertext, err = sealer.Seal(plaintext, nil)
	return kemOutput, ciphertext, err
}

func (h *x448HPKE) Open(priv, kemOutput, info, ciphertext []byte) ([]byte, error) {
	opener, err := h.receive(priv, kemOutput, info)
	if err != nil {
		return nil, err
	}
	return opener.Open(ciphertext, nil)
}

func (h *x448HPKE) SendExport(pub []byte, context string, length int) (kemOutput, secret []byte, err error) {
	kemOutput, sealer, err := h.send(pub, nil)
	if err != nil {
		return nil, nil, err
	}
	return kemOutput, sealer.Export([]byte(context), uint(length)), nil
}

func (h *x448HPKE) ReceiveExport(priv, kemOutput []byte, context string, length int) ([]byte, error) {
	opener, err := h.receive(priv, kemOutput, nil)
	if err != nil {
		return nil, err
	}
	return opener.Export([]byte(context), uint(length)), nil
}
