package nostr

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"unicode/utf8"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"golang.org/x/crypto/chacha20"
)

// Errors of NIP-44.
var (
	ErrDecrypt          = errors.New("nostr: NIP-44 payload does not authenticate")
	ErrEncryptedVersion = errors.New("nostr: encryption version is not supported")
	ErrPlaintextLength  = errors.New("nostr: plaintext length is out of range")
)

const (
	// MaxPlaintext is the longest plaintext in bytes that [Conversation.Encrypt]
	// takes. NIP-44 allows more, but rust-nostr refuses more than this.
	MaxPlaintext = 65408

	// shortPrefix is the longest plaintext with a two-byte length prefix; longer
	// ones have the extended prefix, which is read but never written here.
	shortPrefix = 65535

	nip44Version = 2
	nonceSize    = 32
	minPayload   = 132 // characters: one padding chunk of 32 bytes
	minDecoded   = 1 + nonceSize + 2 + 32 + sha256.Size
)

// ConversationKey returns the NIP-44 v2 key shared by the owner of k and p. It
// returns [ErrBadKey] when one of the keys is not valid.
func ConversationKey(k SecretKey, p PubKey) (Conversation, error) {
	shared, err := SharedX(k, p)
	if err != nil {
		return Conversation{}, err
	}
	prk, err := hkdf.Extract(sha256.New, shared[:], []byte("nip44-v2"))
	if err != nil {
		return Conversation{}, err
	}
	return Conversation(prk), nil
}

// SharedX returns the x coordinate, 32 bytes, of k times the point of p with even y
// (BIP-340): the secret that k's owner and p's share. It is not hashed. The error is
// [ErrBadKey].
func SharedX(k SecretKey, p PubKey) (x [32]byte, err error) {
	d, ok := k.scalar()
	defer d.Zero()
	point, onCurve := lift(p)
	if !ok || !onCurve {
		return x, ErrBadKey
	}
	var shared secp256k1.JacobianPoint
	secp256k1.ScalarMultNonConst(&d, &point, &shared)
	shared.ToAffine()
	return *shared.X.Bytes(), nil
}

// Encrypt returns the NIP-44 v2 payload of plaintext under a random nonce. The
// plaintext has 1 to [MaxPlaintext] bytes, else [ErrPlaintextLength], and is
// UTF-8, else [ErrMalformed]: the other side would refuse it.
func (c Conversation) Encrypt(plaintext []byte) (string, error) {
	if len(plaintext) == 0 || len(plaintext) > MaxPlaintext {
		return "", ErrPlaintextLength
	}
	if !utf8.Valid(plaintext) {
		return "", fmt.Errorf("%w plaintext: not UTF-8", ErrMalformed)
	}
	var nonce [nonceSize]byte
	rand.Read(nonce[:])
	return c.encrypt(nonce, plaintext)
}

func (c Conversation) encrypt(nonce [nonceSize]byte, plaintext []byte) (string, error) {
	keys, err := c.messageKeys(nonce[:])
	if err != nil {
		return "", err
	}
	padded := pad(plaintext)
	if err := keys.xor(padded); err != nil {
		return "", err
	}
	out := make([]byte, 0, 1+nonceSize+len(padded)+sha256.Size)
	out = append(out, nip44Version)
	out = append(out, nonce[:]...)
	out = append(out, padded...)
	out = append(out, keys.mac(out[1:])...)
	return base64.StdEncoding.EncodeToString(out), nil
}

// Decrypt opens a NIP-44 v2 payload. It returns [ErrEncryptedVersion],
// [ErrMalformed] or [ErrDecrypt]. The signature of the event that carried the
// payload has to be checked first.
func (c Conversation) Decrypt(payload string) ([]byte, error) {
	switch {
	case len(payload) > 0 && payload[0] == '#':
		return nil, ErrEncryptedVersion
	case len(payload) < minPayload || len(payload) > MaxEventSize:
		return nil, fmt.Errorf("%w NIP-44 payload: %d characters", ErrMalformed, len(payload))
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(payload)
	if err != nil || len(raw) < minDecoded || containsBreak(payload) {
		return nil, fmt.Errorf("%w NIP-44 payload: base64", ErrMalformed)
	}
	if raw[0] != nip44Version {
		return nil, ErrEncryptedVersion
	}
	body, mac := raw[1:len(raw)-sha256.Size], raw[len(raw)-sha256.Size:]
	keys, err := c.messageKeys(body[:nonceSize])
	if err != nil {
		return nil, err
	}
	if !hmac.Equal(keys.mac(body), mac) {
		return nil, ErrDecrypt
	}
	padded := body[nonceSize:]
	if err := keys.xor(padded); err != nil {
		return nil, err
	}
	return unpad(padded)
}

// containsBreak finds the line ends that Go's base64 passes over.
func containsBreak(s string) bool {
	for i := range len(s) {
		if s[i] == '\n' || s[i] == '\r' {
			return true
		}
	}
	return false
}

// messageKeys are the ChaCha20 key and nonce and the HMAC key of one message.
type messageKeys [76]byte

func (c Conversation) messageKeys(nonce []byte) (keys messageKeys, err error) {
	b, err := hkdf.Expand(sha256.New, c[:], string(nonce), len(keys))
	if err != nil {
		return keys, err
	}
	return messageKeys(b), nil
}

func (k *messageKeys) xor(b []byte) error {
	cipher, err := chacha20.NewUnauthenticatedCipher(k[:32], k[32:44])
	if err == nil {
		cipher.XORKeyStream(b, b)
	}
	return err
}

func (k *messageKeys) mac(body []byte) []byte {
	h := hmac.New(sha256.New, k[44:])
	h.Write(body)
	return h.Sum(nil)
}

func pad(plaintext []byte) []byte {
	n := uint64(len(plaintext))
	b := make([]byte, 0, 6+paddedLen(n))
	if n <= shortPrefix {
		b = binary.BigEndian.AppendUint16(b, uint16(n))
	} else {
		b = binary.BigEndian.AppendUint32(append(b, 0, 0), uint32(n))
	}
	prefix := uint64(len(b))
	b = append(b, plaintext...)
	return b[:prefix+paddedLen(n)]
}

func unpad(b []byte) ([]byte, error) {
	n, prefix := uint64(binary.BigEndian.Uint16(b)), uint64(2)
	if n == 0 {
		n, prefix = uint64(binary.BigEndian.Uint32(b[2:])), 6
		if n <= shortPrefix {
			return nil, fmt.Errorf("%w NIP-44 padding: length", ErrMalformed)
		}
	}
	if uint64(len(b)) != prefix+paddedLen(n) {
		return nil, fmt.Errorf("%w NIP-44 padding", ErrMalformed)
	}
	plaintext := b[prefix : prefix+n]
	if !utf8.Valid(plaintext) {
		return nil, fmt.Errorf("%w plaintext: not UTF-8", ErrMalformed)
	}
	return plaintext, nil
}

// paddedLen is the length a plaintext of n bytes is padded to: the next multiple
// of a chunk that is an eighth of the next power of two, at least 32.
func paddedLen(n uint64) uint64 {
	if n <= 32 {
		return 32
	}
	chunk := uint64(32)
	if next := uint64(1) << bits.Len64(n-1); next > 256 {
		chunk = next / 8
	}
	return chunk * ((n-1)/chunk + 1)
}
