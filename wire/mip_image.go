package wire

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"
)

// ErrImage means that a group picture is not the one that the group data names,
// or does not open.
var ErrImage = errors.New("wire: group image")

// Labels of MIP-01.
const (
	imageKeyLabel    = "mip01-image-encryption-v2"
	imageUploadLabel = "mip01-blossom-upload-v2"
)

// Open checks an encrypted picture against its hash and decrypts it. The key is
// derived since version 2 of the group data; before that it was used as it is.
func (i GroupImage) Open(blob []byte) ([]byte, error) {
	if hash := sha256.Sum256(blob); !bytes.Equal(hash[:], i.Hash) {
		return nil, fmt.Errorf("%w: another picture than the group names", ErrImage)
	}
	derived, err := expand(i.Key, imageKeyLabel)
	if err != nil {
		return nil, err
	}
	for _, key := range [][]byte{derived, i.Key} {
		aead, err := chacha20poly1305.New(key)
		if err != nil || len(i.Nonce) != aead.NonceSize() {
			return nil, fmt.Errorf("%w: its key or nonce is not whole", ErrImage)
		}
		if picture, err := aead.Open(nil, i.Nonce, blob, nil); err == nil {
			return picture, nil
		}
	}
	return nil, fmt.Errorf("%w: its key does not fit", ErrImage)
}

// UploadSecret returns the secp256k1 secret, 32 bytes, that the picture was
// uploaded with and may be deleted with.
func (i GroupImage) UploadSecret() ([]byte, error) { return expand(i.UploadKey, imageUploadLabel) }

// expand derives 32 bytes with HKDF-SHA256 and no salt.
func expand(secret []byte, label string) ([]byte, error) {
	if len(secret) != 32 {
		return nil, fmt.Errorf("%w: no key of 32 bytes", ErrImage)
	}
	return hkdf.Key(sha256.New, secret, nil, label, 32)
}
