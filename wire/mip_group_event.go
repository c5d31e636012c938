package wire

import (
	"encoding/base64"

	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/nostr"
)

// legacyLabel names the exporter value of the layer before March 2026.
const legacyLabel = "nostr"

// SealMIPGroupEvent is [SealGroupEvent] with the tag that MDK looks for. Both
// protocols have the same outer layer.
func SealMIPGroupEvent(key EventKey, group [32]byte, message []byte, createdAt, expires nostr.Timestamp) (*nostr.Event, error) {
	return sealGroupEvent(key, group, message, createdAt, expires, nostr.Tag{"encoding", "base64"})
}

// ParseMIPGroupEvent checks the shape of a kind 445 event of protocol v1, whose
// id and signature were verified already. Other tags than h are passed over.
func ParseMIPGroupEvent(e *nostr.Event) (*GroupEvent, error) {
	if e.Kind != KindGroupEvent {
		return nil, malformed("kind %d is not a group event", e.Kind)
	}
	group, err := GroupOf(e)
	if err != nil {
		return nil, err
	}
	sealed, err := sealedBytes(e.Content)
	if err != nil {
		return nil, err
	}
	return &GroupEvent{Event: e.ID, Group: group, CreatedAt: e.CreatedAt, sealed: sealed}, nil
}

// GroupOf returns which group a kind 445 event of either protocol is for: the
// value of its one h tag.
func GroupOf(e *nostr.Event) ([32]byte, error) {
	h, err := singleton(e.Tags, "h")
	if err != nil {
		return [32]byte{}, err
	}
	group, err := nostr.ParseID(h)
	if err != nil {
		return [32]byte{}, malformed("tag \"h\" is not 64 hex digits")
	}
	return group, nil
}

// MayBeLegacy reports whether the content looks like NIP-44, whose first byte is
// its version: one event in 256 of the newer layer does too.
func (g *GroupEvent) MayBeLegacy() bool { return g.sealed[0] == 2 }

// LegacyKey is the key of the outer layer of NIP-EE, which MIP-03 had until
// March 2026: NIP-44 with oneself, under an exported secret.
type LegacyKey struct{ conversation nostr.Conversation }

// LegacyKeyOf exports the key of a group's epoch.
func LegacyKeyOf(g *mls.Group) (LegacyKey, error) {
	b, err := g.Export(legacyLabel, []byte(legacyLabel), 32)
	if err != nil {
		return LegacyKey{}, err
	}
	defer clear(b)
	return legacyKey(b)
}

func legacyKey(secret []byte) (LegacyKey, error) {
	key := nostr.SecretKey(secret)
	conversation, err := nostr.ConversationKey(key, key.PubKey())
	return LegacyKey{conversation}, err
}

// OpenLegacy tries the older layer and returns the MLSMessage bytes.
func (g *GroupEvent) OpenLegacy(key LegacyKey) ([]byte, bool) {
	b, err := key.conversation.Decrypt(base64.StdEncoding.EncodeToString(g.sealed))
	return b, err == nil
}
