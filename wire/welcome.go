package wire

import (
	"errors"
	"fmt"
	"slices"

	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/nostr"
)

// maxWelcomeRumor is the largest rumor JSON, in bytes, that every client can
// unwrap: NIP-44 pads it, the seal is encoded in base64 and must again fit a
// NIP-44 plaintext of 65,408 bytes (transport-nostr.md, "Welcome delivery").
const maxWelcomeRumor = 40_960

// ErrWelcomeTooLarge means that a welcome does not fit a gift wrap: the group
// has too many members, or too many are invited at once.
var ErrWelcomeTooLarge = errors.New("wire: the welcome does not fit a gift wrap")

// Welcome is a kind 444 rumor: an invitation, before MLS looked at it.
type Welcome struct {
	Author     nostr.PubKey
	KeyPackage nostr.ID // claimed id of the key package event; a hint
	Relays     []string // hints where the group is found
	Message    []byte   // MLSMessage with the Welcome
	CreatedAt  nostr.Timestamp
}

// Rumor returns the unsigned kind 444 event, or [ErrWelcomeTooLarge].
func (w *Welcome) Rumor() (*nostr.Event, error) {
	return w.rumor()
}

// ParseWelcome reads a kind 444 rumor that came out of a verified gift wrap.
func ParseWelcome(rumor *nostr.Event) (*Welcome, error) {
	if rumor.Kind != KindWelcome {
		return nil, malformed("kind %d is not a welcome", rumor.Kind)
	}
	e, err := singleton(rumor.Tags, "e")
	if err != nil {
		return nil, err
	}
	id, err := nostr.ParseID(e)
	if err != nil {
		return nil, malformed("tag \"e\" is not 64 hex digits")
	}
	relays, err := welcomeRelays(rumor.Tags)
	if err != nil {
		return nil, err
	}
	b, err := decodeBase64(rumor.Content)
	if err != nil {
		return nil, err
	}
	if err := checkWelcome(b); err != nil {
		return nil, err
	}
	return &Welcome{Author: rumor.PubKey, KeyPackage: id, Relays: relays, Message: b, CreatedAt: rumor.CreatedAt}, nil
}

// checkWelcome demands an MLSMessage with a Welcome.
func checkWelcome(b []byte) error {
	m, err := mls.DecodeMessage(b)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrEncoding, err)
	}
	if _, ok := m.Welcome(); !ok {
		return malformed("content is not a welcome message")
	}
	return nil
}

func welcomeRelays(tags nostr.Tags) ([]string, error) {
	tag, err := only(tags, "relays")
	if err != nil {
		return nil, err
	}
	relays := slices.Clone(tag[1:])
	if len(relays) == 0 || len(relays) > maxRelays {
		return nil, malformed("tag \"relays\" has %d values", len(relays))
	}
	for i, u := range relays {
		if nostr.CheckRelayURL(u) != nil || slices.Contains(relays[:i], u) {
			return nil, malformed("tag \"relays\" has an invalid or repeated value")
		}
	}
	return relays, nil
}
