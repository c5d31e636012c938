package wire

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/nostr"
	"golang.org/x/crypto/chacha20poly1305"
)

// MessageID identifies an MLS message: SHA-256 of its MLSMessage bytes as
// received (wire-envelopes.md). It is not a Nostr event id: one message may
// come in several envelopes. For a commit it is the commit digest.
type MessageID [32]byte

// MessageIDOf returns the id of the MLSMessage in b.
func MessageIDOf(b []byte) MessageID { return sha256.Sum256(b) }

func (id MessageID) String() string { return hex.EncodeToString(id[:]) }

// MarshalText writes the id as hex.
func (id MessageID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (id *MessageID) UnmarshalText(b []byte) error {
	if len(b) != 2*len(id) {
		return malformed("message id of %d digits", len(b))
	}
	if _, err := hex.Decode(id[:], b); err != nil {
		return malformed("message id is not hex")
	}
	return nil
}

// EventKey is the key of the outer layer of one epoch's group events. It
// prints as [redacted].
type EventKey [chacha20poly1305.KeySize]byte

// Format prints [redacted] for every verb.
func (EventKey) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[redacted]")) }

// MarshalText gives [redacted].
func (EventKey) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

// EventKeyOf exports the outer key of a group's epoch.
func EventKeyOf(g *mls.Group) (EventKey, error) {
	var key EventKey
	b, err := g.Export(ExporterLabel, []byte(exporterGroupEvent), len(key))
	if err != nil {
		return key, err
	}
	copy(key[:], b)
	clear(b)
	return key, nil
}

// SealGroupEvent puts an MLSMessage into a signed kind 445 event under a key
// pair and a nonce that are used only here. expires is 0, or the NIP-40 time
// of an application message.
func SealGroupEvent(key EventKey, group [32]byte, message []byte, createdAt, expires nostr.Timestamp) (*nostr.Event, error) {
	return sealGroupEvent(key, group, message, createdAt, expires)
}

func sealGroupEvent(key EventKey, group [32]byte, message []byte, createdAt, expires nostr.Timestamp, more ...nostr.Tag) (*nostr.Event, error) {
	aead, err := chacha20poly1305.New(key[:])
	if err != nil {
		return nil, fmt.Errorf("wire: outer layer: %w", err)
	}
	sealed := make([]byte, chacha20poly1305.NonceSize, chacha20poly1305.NonceSize+len(message)+chacha20poly1305.Overhead)
	_, _ = rand.Read(sealed) // never fails
	sealed = aead.Seal(sealed, sealed, message, nil)
	e := &nostr.Event{
		CreatedAt: createdAt,
		Kind:      KindGroupEvent,
		Tags:      append(nostr.Tags{{"h", hex.EncodeToString(group[:])}}, more...),
		Content:   base64.StdEncoding.EncodeToString(sealed),
	}
	if expires > 0 {
		e.Tags = append(e.Tags, nostr.Tag{"expiration", strconv.FormatInt(int64(expires), 10)})
	}
	return e, nostr.GenerateSecretKey().SignEvent(e)
}

// GroupEvent is a kind 445 event whose shape is right.
type GroupEvent struct {
	Event     nostr.ID
	Group     [32]byte // nostr_group_id
	CreatedAt nostr.Timestamp
	sealed    []byte
}

// ParseGroupEvent checks the shape of a kind 445 event whose id and signature
// were verified already (transports/nostr.md, "Exact tag cardinality"): one h
// tag, at most one expiration tag, nothing else, at least 28 sealed bytes.
func ParseGroupEvent(e *nostr.Event) (*GroupEvent, error) {
	if e.Kind != KindGroupEvent {
		return nil, malformed("kind %d is not a group event", e.Kind)
	}
	group, err := GroupOf(e)
	if err != nil {
		return nil, err
	}
	if err := checkExpiration(e.Tags); err != nil {
		return nil, err
	}
	sealed, err := sealedBytes(e.Content)
	if err != nil {
		return nil, err
	}
	return &GroupEvent{Event: e.ID, Group: group, CreatedAt: e.CreatedAt, sealed: sealed}, nil
}

// sealedBytes reads the content of a kind 445 event.
func sealedBytes(content string) ([]byte, error) {
	sealed, err := decodeBase64(content)
	if err != nil {
		return nil, err
	}
	if len(sealed) < chacha20poly1305.NonceSize+chacha20poly1305.Overhead {
		return nil, malformed("%d sealed bytes", len(sealed))
	}
	return sealed, nil
}

// checkExpiration allows h and one expiration tag. The value itself is a hint
// that never decides validity, but it must be a number.
func checkExpiration(tags nostr.Tags) error {
	if len(tags) == 1 {
		return nil
	}
	v, err := singleton(tags, "expiration")
	if err != nil || len(tags) > 2 {
		return malformed("tags other than h and one expiration")
	}
	if n, err := strconv.ParseUint(v, 10, 64); err != nil || strconv.FormatUint(n, 10) != v {
		return malformed("expiration is not a number")
	}
	return nil
}

// Open tries one epoch's key and returns the MLSMessage bytes.
func (g *GroupEvent) Open(key EventKey) ([]byte, bool) {
	aead, err := chacha20poly1305.New(key[:])
	if err != nil {
		return nil, false
	}
	n := chacha20poly1305.NonceSize
	b, err := aead.Open(nil, g.sealed[:n], g.sealed[n:], nil)
	return b, err == nil
}

// Size is the number of sealed bytes.
func (g *GroupEvent) Size() int { return len(g.sealed) }
