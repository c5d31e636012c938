package wire

import (
	"bytes"
	"fmt"

	"github.com/marmotgo/marmot/internal/compact"
	"github.com/marmotgo/marmot/nostr"
)

// packedPayload is the part of a payload that neither its author nor its own id tell.
type packedPayload struct {
	_         struct{} `cbor:",toarray"`
	CreatedAt nostr.Timestamp
	Kind      nostr.Kind
	Tags      nostr.Tags
	Content   string
}

// packedMark begins every packed payload, an array of four in CBOR, and no JSON text.
const packedMark = 0x84

// PackPayload returns a short form of an author's payload to store, and the payload's
// id. One that is not written as [EncodePayload] writes it stays as it is, so no byte
// is lost, and the id is zero.
func PackPayload(b []byte, author nostr.PubKey) (packed []byte, id nostr.ID) {
	e, err := nostr.ParseRumor(b)
	if err != nil || e.PubKey != author || !bytes.Equal(EncodePayload(e), b) {
		return b, id
	}
	return compact.Encode(packedPayload{CreatedAt: e.CreatedAt, Kind: e.Kind, Tags: e.Tags, Content: e.Content}), e.ID
}

// UnpackPayload returns the payload that [PackPayload] was given with the same
// author, and the same id. The error wraps [ErrEncoding].
func UnpackPayload(b []byte, author nostr.PubKey) (payload []byte, id nostr.ID, err error) {
	if len(b) == 0 || b[0] != packedMark {
		return b, id, nil
	}
	var p packedPayload
	if err := compact.Decode(b, &p); err != nil {
		return nil, id, fmt.Errorf("%w: %w", ErrEncoding, err)
	}
	e := NewPayload(author, p.Kind, p.Content, p.Tags, p.CreatedAt)
	return EncodePayload(e), e.ID, nil
}
