package timeline

import (
	"encoding/hex"
	"iter"
	"strings"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/internal/compact"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// packed is an update as it is stored: what another field tells is left out.
type packed struct {
	Group   []byte           `cbor:"1,keyasint,omitempty"`
	Name    string           `cbor:"2,keyasint,omitempty"` // of a group that is not named in hex
	ID      string           `cbor:"3,keyasint"`           // with marks in place of other fields; see [marks]
	Kind    group.EffectKind `cbor:"4,keyasint"`
	At      int64            `cbor:"5,keyasint,omitempty"` // nanoseconds
	Epoch   uint64           `cbor:"6,keyasint,omitempty"`
	Commit  wire.MessageID   `cbor:"7,keyasint,omitzero"`
	Message wire.MessageID   `cbor:"8,keyasint,omitzero"`
	Actor   nostr.PubKey     `cbor:"9,keyasint,omitzero"`
	Subject nostr.PubKey     `cbor:"10,keyasint,omitzero"`
	Text    string           `cbor:"11,keyasint,omitempty"`
	Ref     []byte           `cbor:"12,keyasint,omitempty"` // of a reference in hex
	RefText string           `cbor:"13,keyasint,omitempty"` // of any other
	RefSame bool             `cbor:"14,keyasint,omitempty"` // it is the payload's id
	Own     bool             `cbor:"15,keyasint,omitempty"`
	Leaf    uint32           `cbor:"16,keyasint,omitempty"`
	Payload []byte           `cbor:"17,keyasint,omitempty"`
	Turn    int              `cbor:"18,keyasint,omitempty"`
	Plain   bool             `cbor:"19,keyasint,omitempty"` // ID is as it is
}

// marks stand for fields in an effect's id.
const marks = "\x00\x01\x02\x03\x04"

func packID(e group.Effect) string {
	id := e.ID
	for mark, field := range idFields(e) {
		id = strings.ReplaceAll(id, field, mark)
	}
	return id
}

func unpackID(id string, e group.Effect) string {
	for mark, field := range idFields(e) {
		id = strings.ReplaceAll(id, mark, field)
	}
	return id
}

// idFields are the fields that marks can stand for.
func idFields(e group.Effect) iter.Seq2[string, string] {
	return func(yield func(mark, field string) bool) {
		for i, f := range []string{string(e.Kind), e.Commit.String(), e.Message.String(), e.Subject.String(), e.Ref} {
			if f != "" && !strings.ContainsAny(f, marks) && !yield(marks[i:i+1], f) {
				return
			}
		}
	}
}

// Encode returns a log entry, which [Decode] reads.
func Encode(u Update) []byte {
	e := u.Effect
	p := packed{
		ID: e.ID, Kind: e.Kind, At: compact.Nanos(e.At), Epoch: e.Epoch, Commit: e.Commit, Message: e.Message, Actor: e.Actor, Subject: e.Subject,
		Text: e.Text, Own: e.Own, Leaf: e.Leaf, Turn: e.Turn,
	}
	var id nostr.ID
	p.Payload, id = wire.PackPayload(e.Payload, e.Actor)
	p.Group, p.Name = packHex(u.Group)
	if p.RefSame = e.Ref == id.String(); !p.RefSame {
		p.Ref, p.RefText = packHex(e.Ref)
	}
	if p.Plain = strings.ContainsAny(e.ID, marks); !p.Plain {
		p.ID = packID(e)
	}
	return compact.Encode(p)
}

func (p packed) update() (u Update, err error) {
	u.Group = unpackHex(p.Group, p.Name)
	u.Effect = group.Effect{
		ID: p.ID, Kind: p.Kind, At: compact.Time(p.At), Epoch: p.Epoch, Commit: p.Commit, Message: p.Message, Actor: p.Actor, Subject: p.Subject,
		Text: p.Text, Ref: unpackHex(p.Ref, p.RefText), Own: p.Own, Leaf: p.Leaf, Turn: p.Turn,
	}
	payload, id, err := wire.UnpackPayload(p.Payload, p.Actor)
	if err != nil {
		return u, err
	}
	if u.Effect.Payload = payload; p.RefSame {
		u.Effect.Ref = id.String()
	}
	if !p.Plain {
		u.Effect.ID = unpackID(p.ID, u.Effect)
	}
	return u, nil
}

// packHex halves a text that is hex, as ids are; any other comes back as it is.
func packHex(text string) (packed []byte, other string) {
	b, err := hex.DecodeString(text)
	if err != nil || hex.EncodeToString(b) != text {
		return nil, text
	}
	return b, ""
}

func unpackHex(packed []byte, other string) string {
	if len(packed) > 0 {
		return hex.EncodeToString(packed)
	}
	return other
}
