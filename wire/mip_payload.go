package wire

import (
	"encoding/json"
	"fmt"

	"github.com/marmotgo/marmot/nostr"
)

// DecodeMIPPayload reads the plaintext of a v1 application message that MLS
// authenticated as sender's. It returns the inner event, also as a rumor that
// [DecodePayload] reads: peers leave the id out or add a signature, of which the
// first is computed and the second dropped. A payload that tells its group (tag
// h) is refused.
func DecodeMIPPayload(b []byte, sender nostr.PubKey) (e *nostr.Event, rumor []byte, err error) {
	rumor = b
	if e, err = DecodePayload(b, sender); err != nil {
		if rumor, err = asRumor(b); err != nil {
			return nil, nil, err
		}
		if e, err = DecodePayload(rumor, sender); err != nil {
			return nil, nil, err
		}
	}
	if _, ok := e.Tags.Find("h"); ok {
		return nil, nil, malformed("payload names its group")
	}
	return e, rumor, nil
}

// asRumor drops a signature and adds an id that is missing.
func asRumor(b []byte) ([]byte, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(b, &members); err != nil {
		return nil, malformed("payload is no JSON object")
	}
	delete(members, "sig")
	if _, ok := members["id"]; !ok {
		e, err := parseLooseRumor(members)
		if err != nil {
			return nil, err
		}
		members["id"] = json.RawMessage(`"` + e.ComputeID().String() + `"`)
	}
	return json.Marshal(members)
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
