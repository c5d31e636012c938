package timeline_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/timeline"
	"github.com/marmotgo/marmot/wire"
)

// FuzzUpdate reads log entries that nobody wrote, and shows them.
func FuzzUpdate(f *testing.F) {
	for _, kind := range []nostr.Kind{wire.KindChat, wire.KindEdit, wire.KindDelete, wire.KindReaction, 31337} {
		e := wire.NewPayload(nostr.PubKey{1}, kind, "text", nostr.Tags{{"e", nostr.ID{2}.String()}, {"e", "x"}, {"q"}, {}}, 3)
		for _, effect := range []group.EffectKind{group.EffectMessage, group.EffectInvalidated, group.EffectAdded} {
			b, err := json.Marshal(timeline.Update{Group: "aa", Effect: group.Effect{ID: "m#2", Kind: effect, At: time.Unix(1, 0), Payload: wire.EncodePayload(e)}})
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}
	for _, u := range someUpdates() {
		f.Add(timeline.Encode(u))
	}
	f.Add([]byte(`{"group":"aa","effect":{"kind":"message","payload":"e30="}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		u, err := timeline.Decode(7, b)
		if err != nil {
			return
		}
		short := timeline.Encode(u)
		if again, err := timeline.Decode(7, short); err != nil || !bytes.Equal(timeline.Encode(again), short) {
			t.Fatalf("%+v is stored as %x, read as %+v, %v", u, short, again, err)
		}
		r, ok := timeline.RowOf(u)
		if !ok {
			return
		}
		if r.Place != 7 || r.Group != u.Group || len(r.Targets) > 64 || r.System && (r.Overlay() || r.Kind != 0) || len(r.Targets) > 0 && !r.Overlay() {
			t.Fatalf("row %+v", r)
		}
		m := timeline.Fold(u, []timeline.Overlay{
			{Place: 9, Kind: wire.KindEdit, Author: r.Author, Text: "new"}, {Place: 8, Kind: wire.KindReaction, Author: nostr.PubKey{9}},
			{Place: 10, Kind: wire.KindDelete, Author: nostr.PubKey{9}},
		})
		if m.Cursor != 7 || r.System != (m.System != "") || !r.System && (m.Text != "new" || !m.Edited || m.ID != r.ID || len(m.Reactions) != 1) {
			if r.Author != (nostr.PubKey{9}) {
				t.Fatalf("message %+v of row %+v", m, r)
			}
		}
	})
}
