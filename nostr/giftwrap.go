package nostr

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// ErrWrongRecipient is returned for a gift wrap that is for someone else.
var ErrWrongRecipient = errors.New("nostr: gift wrap for another recipient")

// maxPast is how far back NIP-59 dates a seal or gift wrap, in seconds.
const maxPast = 2 * 24 * 60 * 60

// RandomPast returns a time up to two days before now, to hide when a gift wrap
// was made (NIP-59). A nil random is crypto/rand.
func RandomPast(now Timestamp, random io.Reader) Timestamp {
	var b [8]byte
	if random == nil {
		random = rand.Reader
	}
	if _, err := io.ReadFull(random, b[:]); err != nil {
		rand.Read(b[:])
	}
	// 2^64 is so far above 172801 that the remainder's bias cannot be seen.
	return max(now-Timestamp(binary.BigEndian.Uint64(b[:])%(maxPast+1)), 0)
}

// SealEvent returns the unsigned seal (kind 13) of a rumor: its author is to
// sign it. encryptedContent is the rumor's JSON, see [AppendRumorJSON], in
// NIP-44 from the author to the recipient. A seal has no tags.
func SealEvent(rumor *Event, encryptedContent string, createdAt Timestamp) *Event {
	e := &Event{
		PubKey:    rumor.PubKey,
		CreatedAt: createdAt,
		Kind:      KindSeal,
		Tags:      Tags{},
		Content:   encryptedContent,
	}
	e.ID = e.ComputeID()
	return e
}

// WrapSeal returns the signed gift wrap (kind 1059) of a signed seal, under a key
// made for it alone. Its p tag has one value, as Marmot demands. The first
// expiration, if any, is added as a NIP-40 tag. A seal that is too long for
// NIP-44 is [ErrPlaintextLength].
func WrapSeal(seal *Event, recipient PubKey, createdAt Timestamp, expiration ...Timestamp) (*Event, error) {
	k := GenerateSecretKey()
	defer clear(k[:])
	c, err := ConversationKey(k, recipient)
	if err != nil {
		return nil, err
	}
	content, err := c.Encrypt(seal.AppendJSON(nil))
	if err != nil {
		return nil, err
	}
	e := &Event{
		CreatedAt: createdAt,
		Kind:      KindGiftWrap,
		Tags:      Tags{{"p", recipient.String()}},
		Content:   content,
	}
	if len(expiration) > 0 {
		e.Tags = append(e.Tags, Tag{"expiration", strconv.FormatInt(int64(expiration[0]), 10)})
	}
	return e, k.SignEvent(e)
}

// CheckWrap checks a received gift wrap before it is decrypted: kind, id,
// signature, and exactly one p tag, whose value is the recipient.
func CheckWrap(wrap *Event, recipient PubKey) error {
	if wrap.Kind != KindGiftWrap {
		return fmt.Errorf("%w gift wrap: kind %d", ErrMalformed, wrap.Kind)
	}
	if err := wrap.Verify(); err != nil {
		return err
	}
	n, to := 0, ""
	for t := range wrap.Tags.All("p") {
		n, to = n+1, t.Value()
		if len(t) != 2 {
			return fmt.Errorf("%w gift wrap: p tag", ErrMalformed)
		}
	}
	if n != 1 {
		return fmt.Errorf("%w gift wrap: %d p tags", ErrMalformed, n)
	}
	if to != recipient.String() {
		return ErrWrongRecipient
	}
	return nil
}

// ParseSeal reads and checks the seal decrypted from a gift wrap: kind, id,
// signature, no tags.
func ParseSeal(plaintext []byte) (*Event, error) {
	seal, err := ParseEvent(plaintext)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	if seal.Kind != KindSeal || len(seal.Tags) != 0 {
		return nil, fmt.Errorf("%w seal: kind or tags", ErrMalformed)
	}
	if err := seal.Verify(); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return seal, nil
}

// ParseSealed reads the rumor decrypted from a seal and checks that the seal's
// author wrote it, without which anyone could speak for anyone: [ErrBadSignature].
func ParseSealed(seal *Event, plaintext []byte) (*Event, error) {
	rumor, err := ParseRumor(plaintext)
	if err != nil {
		return nil, fmt.Errorf("rumor: %w", err)
	}
	if rumor.PubKey != seal.PubKey {
		return nil, fmt.Errorf("rumor by another author than its seal: %w", ErrBadSignature)
	}
	return rumor, nil
}

// Unwrap opens a gift wrap with a key at hand: [CheckWrap], [ParseSeal] and
// [ParseSealed] in turn.
func Unwrap(k SecretKey, wrap *Event) (seal, rumor *Event, err error) {
	if err := CheckWrap(wrap, k.PubKey()); err != nil {
		return nil, nil, err
	}
	plaintext, err := decryptFrom(k, wrap)
	if err != nil {
		return nil, nil, err
	}
	if seal, err = ParseSeal(plaintext); err != nil {
		return nil, nil, err
	}
	if plaintext, err = decryptFrom(k, seal); err != nil {
		return nil, nil, err
	}
	if rumor, err = ParseSealed(seal, plaintext); err != nil {
		return nil, nil, err
	}
	return seal, rumor, nil
}

func decryptFrom(k SecretKey, e *Event) ([]byte, error) {
	c, err := ConversationKey(k, e.PubKey)
	if err != nil {
		return nil, err
	}
	return c.Decrypt(e.Content)
}
