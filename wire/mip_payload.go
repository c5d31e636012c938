package wire

import (
	"encoding/json"
	"fmt"

	"github.com/marmotgo/marmot/nostr"
)

// DecodeMIPPayload reads the plaintext of a v1 application message that MLS
// authenticated as sender's. Peers leave the id out or add a signature: the
// first is computed, the second dropped, so that [EncodePayload] of the result
// is a rumor as v2 knows it. A payload that tells its group (tag h) is refused.
func DecodeMIPPayload(b []byte, sender nostr.PubKey) (*nostr.Event, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(b, &members); err != nil {
		return nil, malformed("payload is no JSON object")
	}
	delete(members, "sig")
	if _, ok := members["id"]; !ok {
		members["id"] = json.RawMessage(`"` + nostr.ID{}.String() + `"`)
		e, err := parseLooseRumor(members)
		if err != nil {
			return nil, err
		}
		members["id"], _ = json.Marshal(e.ComputeID().String())
	}
	clean, err := json.Marshal(members)
	if err != nil {
		return nil, malformed("payload")
	}
	e, err := DecodePayload(clean, sender)
	if err != nil {
		return nil, err
	}
	if _, ok := e.Tags.Find("h"); ok {
		return nil, malformed("payload names its group")
	}
	return e, nil
}

// parseLooseRumor reads the members that an id is computed from.
func parseLooseRumor(members map[string]json.RawMessage) (*nostr.Event, error) {
	var e nostr.Event
	for name, into := range map[string]any{
		"pubkey": &e.PubKey, "created_at": &e.CreatedAt, "kind": &e.Kind, "tags": &e.Tags, "content": &e.Content,
	} {
		if err := json.Unmarshal(members[name], into); err != nil {
			return nil, fmt.Errorf("%w: payload: member %s", ErrEncoding, name)
		}
	}
	return &e, nil
}
