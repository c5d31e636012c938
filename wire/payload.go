package wire

import (
	"errors"
	"fmt"

	"github.com/marmotgo/marmot/nostr"
)

// ErrPayloadSender means that a payload names another author than the member
// who encrypted it.
var ErrPayloadSender = errors.New("wire: payload written in another account's name")

// NewPayload returns the inner event of an application message, with its id
// (application-messages.md). It is never signed.
func NewPayload(author nostr.PubKey, kind nostr.Kind, content string, tags nostr.Tags, createdAt nostr.Timestamp) *nostr.Event {
	if tags == nil {
		tags = nostr.Tags{}
	}
	e := &nostr.Event{PubKey: author, CreatedAt: createdAt, Kind: kind, Tags: tags, Content: content}
	e.ID = e.ComputeID()
	return e
}

// EncodePayload returns the plaintext of the application message.
func EncodePayload(e *nostr.Event) []byte { return nostr.AppendRumorJSON(nil, e) }

// DecodePayload reads the plaintext of an application message that MLS
// authenticated as sender's. The result may be shown.
func DecodePayload(b []byte, sender nostr.PubKey) (*nostr.Event, error) {
	e, err := nostr.ParseRumor(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEncoding, err)
	}
	if e.PubKey != sender {
		return nil, ErrPayloadSender
	}
	return e, nil
}
