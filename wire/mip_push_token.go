package wire

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/marmotgo/marmot/nostr"
	"golang.org/x/crypto/chacha20poly1305"
)

// ErrPushToken means that a token does not open: it was made for another server, or
// changed.
var ErrPushToken = errors.New("wire: push token")

// Sizes of MIP-05, in bytes.
const (
	pushPlainSize = 1024
	// PushTokenSize is that of every encrypted token.
	PushTokenSize = 32 + chacha20poly1305.NonceSize + pushPlainSize + chacha20poly1305.Overhead
	maxPushToken  = pushPlainSize - 3
)

// Platforms of push tokens.
const (
	PushAPNs byte = 1
	PushFCM  byte = 2
)

// PushToken is a device's token for a push service (MIP-05): 1 to 1021 bytes. It
// prints nothing of itself.
type PushToken struct {
	Platform byte
	Token    []byte
}

// Format hides the token.
func (PushToken) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[redacted]")) }

// Seal encrypts the token for a push server, anew each time: nobody can tell that two
// are of one device.
func (t PushToken) Seal(server nostr.PubKey) ([]byte, error) {
	var nonce [chacha20poly1305.NonceSize]byte
	plain := make([]byte, pushPlainSize)
	_, _ = rand.Read(nonce[:]) // never fails
	_, _ = rand.Read(plain)
	return t.seal(server, nostr.GenerateSecretKey(), nonce, plain)
}

func (t PushToken) seal(server nostr.PubKey, ephemeral nostr.SecretKey, nonce [12]byte, padded []byte) ([]byte, error) {
	if len(t.Token) == 0 || len(t.Token) > maxPushToken {
		return nil, malformed("a push token has 1 to %d bytes", maxPushToken)
	}
	padded[0] = t.Platform
	binary.BigEndian.PutUint16(padded[1:], uint16(len(t.Token)))
	copy(padded[3:], t.Token)
	key, err := pushKey(ephemeral, server)
	if err != nil {
		return nil, err
	}
	aead, err := chacha20poly1305.New(key)
	if err != nil {
		return nil, err
	}
	public := ephemeral.PubKey()
	return aead.Seal(append(append([]byte(nil), public[:]...), nonce[:]...), nonce[:], padded, nil), nil
}

func pushKey(secret nostr.SecretKey, public nostr.PubKey) ([]byte, error) {
	shared, err := nostr.SharedX(secret, public)
	if err != nil {
		return nil, err
	}
	return hkdf.Key(sha256.New, shared[:], []byte("mip05-v1"), "mip05-token-encryption", chacha20poly1305.KeySize)
}

// OpenPushToken decrypts a token with the push server's key. The error wraps
// [ErrPushToken] or [ErrEncoding].
func OpenPushToken(server nostr.SecretKey, b []byte) (PushToken, error) {
	if len(b) != PushTokenSize {
		return PushToken{}, malformed("a push token of %d bytes, not %d", len(b), PushTokenSize)
	}
	key, err := pushKey(server, nostr.PubKey(b[:32]))
	if err != nil {
		return PushToken{}, fmt.Errorf("%w: %w", ErrPushToken, err)
	}
	aead, err := chacha20poly1305.New(key)
	if err != nil {
		return PushToken{}, err
	}
	plain, err := aead.Open(nil, b[32:44], b[44:], nil)
	if err != nil {
		return PushToken{}, fmt.Errorf("%w: it does not open", ErrPushToken)
	}
	n := int(binary.BigEndian.Uint16(plain[1:]))
	if n == 0 || n > maxPushToken {
		return PushToken{}, malformed("a push token says that it has %d bytes", n)
	}
	return PushToken{Platform: plain[0], Token: plain[3 : 3+n]}, nil
}
