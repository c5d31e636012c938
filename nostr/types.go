package nostr

import (
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
)

// ErrMalformed is wrapped by every error about bytes or values that do not
// have the shape their NIP prescribes.
var ErrMalformed = errors.New("nostr: malformed")

// ID is an event id: the SHA-256 of the event's NIP-01 serialization.
type ID [32]byte

// ParseID reads exactly 64 lowercase hex digits.
func ParseID(s string) (ID, error) {
	var id ID
	return id, decodeHex(id[:], s, "event id")
}

// String returns 64 lowercase hex digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// MarshalText returns 64 lowercase hex digits.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText is [ParseID].
func (id *ID) UnmarshalText(b []byte) error { return decodeHex(id[:], string(b), "event id") }

// PubKey is a BIP-340 public key: the x coordinate of a point of secp256k1.
type PubKey [32]byte

// ParsePubKey reads exactly 64 lowercase hex digits. It does not test whether
// the key is on the curve; see [PubKey.Valid].
func ParsePubKey(s string) (PubKey, error) {
	var p PubKey
	return p, decodeHex(p[:], s, "public key")
}

// String returns 64 lowercase hex digits.
func (p PubKey) String() string { return hex.EncodeToString(p[:]) }

// MarshalText returns 64 lowercase hex digits.
func (p PubKey) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText is [ParsePubKey].
func (p *PubKey) UnmarshalText(b []byte) error { return decodeHex(p[:], string(b), "public key") }

// decodeHex fills dst from lowercase hex and leaves it unchanged on error.
// Uppercase is refused: ids are compared as strings all over Nostr.
func decodeHex(dst []byte, s, what string) error {
	if len(s) != 2*len(dst) {
		return fmt.Errorf("%w %s: %d characters, want %d", ErrMalformed, what, len(s), 2*len(dst))
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return fmt.Errorf("%w %s: not lowercase hex", ErrMalformed, what)
		}
	}
	_, err := hex.Decode(dst, []byte(s))
	return err
}

// Timestamp is a time in whole seconds since 1970 UTC.
type Timestamp int64

// Kind says what an event is, 0 to 65535.
type Kind int

// The kinds this project meets.
const (
	KindProfile        Kind = 0
	KindTextNote       Kind = 1
	KindContacts       Kind = 3
	KindDeletion       Kind = 5
	KindReaction       Kind = 7
	KindChat           Kind = 9
	KindSeal           Kind = 13
	KindGiftWrap       Kind = 1059
	KindRelayList      Kind = 10002
	KindInboxRelays    Kind = 10050
	KindPackageRelays  Kind = 10051 // where an account publishes its key packages (MIP-00)
	KindAuth           Kind = 22242
	KindMarmotGroup    Kind = 445
	KindMarmotWelcome  Kind = 444
	KindMarmotKeys     Kind = 30443
	KindMarmotKeysV1   Kind = 443
	KindMarmotPushNote Kind = 446
)

// Replaceable reports whether relays keep one event per author and kind.
func (k Kind) Replaceable() bool { return k == 0 || k == 3 || k >= 10000 && k < 20000 }

// Ephemeral reports whether relays pass the event on without storing it.
func (k Kind) Ephemeral() bool { return k >= 20000 && k < 30000 }

// Addressable reports whether relays keep one event per author, kind and d tag.
func (k Kind) Addressable() bool { return k >= 30000 && k < 40000 }

// Tag is one tag of an event: a name and its values.
type Tag []string

// Name returns the first element, or "" for an empty tag.
func (t Tag) Name() string { return t.at(0) }

// Value returns the second element, or "" when there is none.
func (t Tag) Value() string { return t.at(1) }

func (t Tag) at(i int) string {
	if i >= len(t) {
		return ""
	}
	return t[i]
}

// Tags are the tags of an event in their order.
type Tags []Tag

// Find returns the first tag called name.
func (ts Tags) Find(name string) (Tag, bool) {
	for t := range ts.All(name) {
		return t, true
	}
	return nil, false
}

// All returns the tags called name in their order.
func (ts Tags) All(name string) iter.Seq[Tag] {
	return func(yield func(Tag) bool) {
		for _, t := range ts {
			if len(t) > 0 && t[0] == name && !yield(t) {
				return
			}
		}
	}
}
