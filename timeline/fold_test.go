package timeline_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/timeline"
	"github.com/marmotgo/marmot/wire"
)

var alice, bob = nostr.PubKey{1}, nostr.PubKey{2}

func delivered(e *nostr.Event) timeline.Update {
	return timeline.Update{Group: "aa", Effect: group.Effect{ID: "m", Kind: group.EffectMessage, Actor: e.PubKey, Payload: wire.EncodePayload(e)}}
}

// TestFoldTies: of edits of one second the lower id counts (foundation/
// registries.md orders by created_at; the id breaks the tie for everybody
// alike).
func TestFoldTies(t *testing.T) {
	u := delivered(wire.NewPayload(alice, wire.KindChat, "old", nil, 1))
	edits := []timeline.Overlay{
		{Place: 5, ID: nostr.ID{2}, Kind: wire.KindEdit, Author: alice, At: 9, Text: "higher id"},
		{Place: 6, ID: nostr.ID{1}, Kind: wire.KindEdit, Author: alice, At: 9, Text: "lower id"},
		{Place: 7, ID: nostr.ID{0}, Kind: wire.KindEdit, Author: alice, At: 8, Text: "older"},
		{Place: 8, ID: nostr.ID{0}, Kind: wire.KindEdit, Author: bob, At: 10, Text: "another's"},
	}
	for range 2 {
		if m := timeline.Fold(u, edits); m.Text != "lower id" || !m.Edited {
			t.Errorf("shown: %+v", m)
		}
		slices.Reverse(edits)
	}
}

func TestFoldReactions(t *testing.T) {
	u := delivered(wire.NewPayload(alice, wire.KindChat, "x", nil, 1))
	m := timeline.Fold(u, []timeline.Overlay{
		{Place: 4, Kind: wire.KindReaction, Author: bob, Text: "+"},
		{Place: 3, Kind: wire.KindReaction, Author: alice, Text: ""}, // a like, as + is (NIP-25)
		{Place: 5, Kind: wire.KindReaction, Author: bob, Text: "+"},
		{Place: 6, Kind: wire.KindReaction, Author: bob, Text: strings.Repeat("🎉", 100)}, // too long to be one
	})
	if len(m.Reactions) != 1 || m.Reactions[0].Text != "+" || !slices.Equal(m.Reactions[0].From, []nostr.PubKey{alice, bob}) {
		t.Errorf("reactions: %+v", m.Reactions)
	}
}

// TestTargets: an edit of two messages is an edit of none; a reaction is about
// the last one it names; a deletion is about all.
func TestTargets(t *testing.T) {
	first, second := nostr.ID{7}, nostr.ID{8}
	tags := nostr.Tags{{"e", first.String()}, {"e", second.String()}, {"e", "nonsense"}}
	for kind, want := range map[nostr.Kind][]nostr.ID{
		wire.KindEdit: nil, wire.KindReaction: {second}, wire.KindDelete: {first, second}, wire.KindChat: nil,
	} {
		r, ok := timeline.RowOf(delivered(wire.NewPayload(alice, kind, "x", tags, 1)))
		if !ok || !slices.Equal(r.Targets, want) {
			t.Errorf("kind %d refers to %v, want %v", kind, r.Targets, want)
		}
	}
}
