package nostr

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// Errors of [Event.Verify].
var (
	ErrBadID        = errors.New("nostr: event id does not match its content")
	ErrBadSignature = errors.New("nostr: bad signature")
)

// Event is a Nostr event (NIP-01). A rumor is an Event whose Sig is zero.
type Event struct {
	ID        ID
	PubKey    PubKey
	CreatedAt Timestamp
	Kind      Kind
	Tags      Tags
	Content   string
	Sig       [64]byte
}

// Serialize returns the bytes whose SHA-256 is the event's id (NIP-01).
func (e *Event) Serialize() []byte {
	b := make([]byte, 0, 128+len(e.Content)+e.Tags.size())
	b = append(b, `[0,"`...)
	b = hex.AppendEncode(b, e.PubKey[:])
	b = append(b, `",`...)
	b = strconv.AppendInt(b, int64(e.CreatedAt), 10)
	b = append(b, ',')
	b = strconv.AppendInt(b, int64(e.Kind), 10)
	b = append(b, ',')
	b = appendTags(b, e.Tags)
	b = append(b, ',')
	b = appendString(b, e.Content)
	return append(b, ']')
}

// ComputeID returns the id that belongs to the event's other fields.
func (e *Event) ComputeID() ID { return sha256.Sum256(e.Serialize()) }

// Verify recomputes the id and checks the signature. It returns [ErrBadID] or
// [ErrBadSignature]. No field of a received event is to be trusted before.
func (e *Event) Verify() error {
	if e.ComputeID() != e.ID {
		return ErrBadID
	}
	if !VerifyHash(e.PubKey, e.ID, e.Sig) {
		return ErrBadSignature
	}
	return nil
}

// check refuses values that have no single serialization among
// implementations, so that we never sign them.
func (e *Event) check() error {
	if e.Kind < 0 || e.Kind > MaxKind {
		return fmt.Errorf("%w event: kind %d", ErrMalformed, e.Kind)
	}
	if e.CreatedAt < 0 || e.CreatedAt > MaxTimestamp {
		return fmt.Errorf("%w event: created_at out of range", ErrMalformed)
	}
	if !utf8.ValidString(e.Content) {
		return fmt.Errorf("%w event: content is not UTF-8", ErrMalformed)
	}
	for _, t := range e.Tags {
		for _, s := range t {
			if !utf8.ValidString(s) {
				return fmt.Errorf("%w event: a tag is not UTF-8", ErrMalformed)
			}
		}
	}
	return nil
}

// AppendJSON appends the event as JSON without white space, its strings
// escaped as in the serialization, members in NIP-01's order.
func (e *Event) AppendJSON(b []byte) []byte {
	b = e.appendMembers(b)
	b = append(b, `,"sig":"`...)
	b = hex.AppendEncode(b, e.Sig[:])
	return append(b, `"}`...)
}

// MarshalJSON is [Event.AppendJSON]. Note that [encoding/json] escapes its
// result further for HTML; the value stays the same.
func (e Event) MarshalJSON() ([]byte, error) { return e.AppendJSON(nil), nil }

// UnmarshalJSON is [ParseEvent].
func (e *Event) UnmarshalJSON(b []byte) error {
	p, err := ParseEvent(b)
	if err == nil {
		*e = *p
	}
	return err
}

// AppendRumorJSON appends e as an unsigned event: id, pubkey, created_at,
// kind, tags and content in this order, without white space and without sig.
func AppendRumorJSON(b []byte, e *Event) []byte { return append(e.appendMembers(b), '}') }

func (e *Event) appendMembers(b []byte) []byte {
	b = append(b, `{"id":"`...)
	b = hex.AppendEncode(b, e.ID[:])
	b = append(b, `","pubkey":"`...)
	b = hex.AppendEncode(b, e.PubKey[:])
	b = append(b, `","created_at":`...)
	b = strconv.AppendInt(b, int64(e.CreatedAt), 10)
	b = append(b, `,"kind":`...)
	b = strconv.AppendInt(b, int64(e.Kind), 10)
	b = append(b, `,"tags":`...)
	b = appendTags(b, e.Tags)
	b = append(b, `,"content":`...)
	return appendString(b, e.Content)
}

func appendTags(b []byte, tags Tags) []byte {
	b = append(b, '[')
	for i, t := range tags {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendStrings(b, t)
	}
	return append(b, ']')
}

func appendStrings(b []byte, list []string) []byte {
	b = append(b, '[')
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, s)
	}
	return append(b, ']')
}

// appendString quotes s as NIP-01 does. encoding/json cannot: it escapes
// U+2028 and U+2029, which changes the id. C0 characters without a short form
// become \u00xx in lowercase, as serde_json writes them.
func appendString(b []byte, s string) []byte {
	const digits = "0123456789abcdef"
	b = append(b, '"')
	start := 0
	for i := range len(s) {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\b':
			b = append(b, `\b`...)
		case '\t':
			b = append(b, `\t`...)
		case '\n':
			b = append(b, `\n`...)
		case '\f':
			b = append(b, `\f`...)
		case '\r':
			b = append(b, `\r`...)
		default:
			b = append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		}
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}

func (ts Tags) size() int {
	n := 0
	for _, t := range ts {
		n += 3
		for _, s := range t {
			n += len(s) + 3
		}
	}
	return n
}
