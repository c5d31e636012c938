package nostr

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

const redacted = "[redacted]"

// SecretKey is a secp256k1 secret key. It prints as [redacted] under every
// format verb, in slog and in JSON; [SecretKey.Nsec] shows it. Keep it only in
// exported struct fields: fmt looks into others, and under the wrong verb %p,
// without asking the type.
type SecretKey [32]byte

// GenerateSecretKey returns a fresh key from crypto/rand.
func GenerateSecretKey() SecretKey {
	var k SecretKey
	for {
		rand.Read(k[:])
		if _, ok := k.scalar(); ok {
			return k
		}
	}
}

// ParseSecretKey reads 64 hex digits or an nsec. The error does not repeat
// what was given.
func ParseSecretKey(s string) (SecretKey, error) {
	var k SecretKey
	if strings.HasPrefix(strings.ToLower(s), "nsec1") {
		b, err := decodeBare("nsec", s)
		if err != nil {
			return k, err
		}
		k = b
	} else if b, err := hex.DecodeString(s); err != nil || copy(k[:], b) != len(k) || len(b) != len(k) {
		return SecretKey{}, fmt.Errorf("%w secret key", ErrMalformed)
	}
	if _, ok := k.scalar(); !ok {
		return SecretKey{}, ErrBadKey
	}
	return k, nil
}

// Nsec returns the key in NIP-19 form. It is the secret itself.
func (k SecretKey) Nsec() string { return encodeBech32("nsec", k[:]) }

// SignEvent sets the event's public key, id and signature. It refuses, with
// [ErrMalformed], values of which implementations compute different ids.
func (k SecretKey) SignEvent(e *Event) error {
	signed := *e
	signed.PubKey = k.PubKey()
	if err := signed.check(); err != nil {
		return err
	}
	signed.ID = signed.ComputeID()
	sig, err := SignHash(k, signed.ID)
	if err != nil {
		return err
	}
	signed.Sig = sig
	*e = signed
	return nil
}

func (k SecretKey) String() string               { return redacted }
func (k SecretKey) Format(f fmt.State, _ rune)   { io.WriteString(f, redacted) }
func (k SecretKey) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (k SecretKey) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Conversation is the NIP-44 key of two people. It is as secret as what they
// write and prints as [redacted].
type Conversation [32]byte

func (c Conversation) String() string               { return redacted }
func (c Conversation) Format(f fmt.State, _ rune)   { io.WriteString(f, redacted) }
func (c Conversation) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (c Conversation) MarshalText() ([]byte, error) { return []byte(redacted), nil }
