package timeline_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/timeline"
	"github.com/marmotgo/marmot/wire"
)

// someUpdates are updates of many shapes, odd ones too.
func someUpdates() []timeline.Update {
	actor, id := nostr.PubKey{1}, wire.MessageID{2}
	chat := wire.NewPayload(actor, wire.KindChat, "hello", nil, 1_790_000_000)
	at := time.Unix(1_790_000_000, 123_456_789).UTC()
	hex := strings.Repeat("ab", 16)
	var out []timeline.Update
	for _, e := range []group.Effect{
		{ID: "joined", Kind: group.EffectJoined, At: at, Actor: actor, Subject: actor, Text: "Friends", Own: true},
		{ID: "message/000000000003/" + id.String(), Kind: group.EffectMessage, At: at, Epoch: 7, Message: id, Actor: actor, Ref: chat.ID.String(), Own: true, Leaf: 3, Payload: wire.EncodePayload(chat), Turn: 1},
		{ID: "message_invalidated/000000000003/" + id.String() + "#0", Kind: group.EffectInvalidated, Message: id, Actor: nostr.PubKey{9}, Payload: wire.EncodePayload(chat)},
		{ID: "published/" + chat.ID.String(), Kind: group.EffectPublished, Ref: chat.ID.String()},
		{ID: "published/abc/def", Kind: group.EffectPublished, Ref: "abc/def"},
		{ID: "x\x01\x00y", Kind: "x", Ref: "\x00"},
		{ID: "settings/\x04", Kind: group.EffectSettings, Text: "\xff not UTF-8", Ref: "\x04"},
		{ID: "ABCD", Kind: "", Ref: "ABCD"},
		{},
	} {
		for _, name := range []string{hex, "a group", "", strings.ToUpper(hex)} {
			out = append(out, timeline.Update{Cursor: 7, Group: name, Effect: e})
		}
	}
	return out
}

// TestEncode writes updates and reads them: they are the same, and an ordinary
// message takes a quarter of what it takes in JSON.
func TestEncode(t *testing.T) {
	for _, u := range someUpdates() {
		b := timeline.Encode(u)
		got, err := timeline.Decode(7, b)
		if err != nil || !reflect.DeepEqual(got, u) {
			t.Errorf("%+v\nis read as %+v, %v", u, got, err)
		}
	}
	u := someUpdates()[4]
	plain, err := json.Marshal(u)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := timeline.Decode(7, plain); err != nil || !reflect.DeepEqual(got, u) {
		t.Errorf("of an older home: %+v, %v", got, err)
	}
	if b := timeline.Encode(u); len(b)*4 > len(plain) {
		t.Errorf("%d bytes, %d in JSON", len(b), len(plain))
	}
}
