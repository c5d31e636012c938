package store_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/store"
	"github.com/marmotgo/marmot/timeline"
	"github.com/marmotgo/marmot/wire"
	"pgregory.net/rapid"
)

var (
	aliceKey = nostr.PubKey{1}
	bobKey   = nostr.PubKey{2}
)

// said is an update that delivers an inner event.
func said(grp string, e *nostr.Event) timeline.Update {
	return timeline.Update{Group: grp, Effect: group.Effect{
		ID: "message/" + e.ID.String(), Kind: group.EffectMessage, At: time.Unix(1000, 0).UTC(), Epoch: 3, Leaf: 1,
		Message: wire.MessageID(e.ID), Actor: e.PubKey, Payload: wire.EncodePayload(e),
	}}
}

func inner(author nostr.PubKey, kind nostr.Kind, at int64, text string, targets ...nostr.ID) *nostr.Event {
	var tags nostr.Tags
	for _, t := range targets {
		tags = append(tags, nostr.Tag{"e", t.String()})
	}
	return wire.NewPayload(author, kind, text, tags, nostr.Timestamp(at))
}

// tell appends updates to the log, as the SDK does.
func tell(t testing.TB, s *store.Store, updates ...timeline.Update) {
	t.Helper()
	var entries []group.Record
	for _, u := range updates {
		b, err := json.Marshal(u)
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, group.Record{Key: u.Group + "/" + u.Effect.ID, Value: b})
	}
	if err := s.Write(nil, entries); err != nil {
		t.Fatal(err)
	}
}

func project(t testing.TB, s *store.Store) {
	t.Helper()
	for done, err := false, error(nil); !done; {
		if done, err = s.Project(100); err != nil {
			t.Fatal(err)
		}
	}
}

func read(t testing.TB, s *store.Store, q timeline.Query) []timeline.Message {
	t.Helper()
	m, err := s.Timeline(q)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// texts shows messages shortly.
func texts(messages []timeline.Message) (out []string) {
	for _, m := range messages {
		text := m.Text
		if m.Edited {
			text += " (edited)"
		}
		if m.Deleted {
			text = "(deleted)"
		}
		if m.System != "" {
			text = string(m.System)
		}
		for _, r := range m.Reactions {
			text += fmt.Sprintf(" %s%d", r.Text, len(r.From))
		}
		out = append(out, text)
	}
	return out
}

func expect(t *testing.T, what string, got []timeline.Message, want ...string) {
	t.Helper()
	if g := texts(got); !slices.Equal(g, want) {
		t.Errorf("%s: %q, want %q", what, g, want)
	}
}

func memory(t testing.TB) *store.Store {
	t.Helper()
	s, err := store.Open("", store.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// TestTimelineAnyOrder lets messages and all that refers to them arrive in
// every order: what is shown of each message is the same.
func TestTimelineAnyOrder(t *testing.T) {
	first := inner(aliceKey, wire.KindChat, 1, "first words")
	second := inner(bobKey, wire.KindChat, 2, "second words", first.ID)
	gone := inner(aliceKey, wire.KindChat, 3, "gone words")
	edit := inner(aliceKey, wire.KindEdit, 5, "better words", first.ID)
	like := inner(bobKey, wire.KindReaction, 9, "+", second.ID)
	events := []*nostr.Event{
		first, second, gone, edit, like,
		inner(aliceKey, wire.KindEdit, 4, "older edit", first.ID),
		inner(bobKey, wire.KindEdit, 6, "not the author", first.ID),
		inner(bobKey, wire.KindDelete, 7, "", first.ID), // not the author either
		inner(aliceKey, wire.KindDelete, 8, "", gone.ID),
		inner(aliceKey, wire.KindEdit, 9, "back?", gone.ID),
		inner(aliceKey, wire.KindReaction, 10, "🎉", second.ID), inner(aliceKey, wire.KindReaction, 11, "🎉", second.ID),
		inner(bobKey, wire.KindDelete, 12, "", like.ID), // takes the reaction back
		inner(aliceKey, wire.KindEdit, 13, "two targets", first.ID, second.ID),
		inner(aliceKey, 31337, 14, "a kind from the future"),
	}
	want := []string{"(deleted)", "a kind from the future", "better words (edited)", "second words 🎉1"}
	s := memory(t)
	groups := 0
	rapid.Check(t, func(r *rapid.T) {
		groups++
		grp := fmt.Sprintf("%08x", groups) // each try has a group of its own
		order := rapid.Permutation(events).Draw(r, "order")
		for _, e := range order {
			tell(t, s, said(grp, e))
			if rapid.Bool().Draw(r, "read meanwhile") {
				project(t, s)
			}
		}
		project(t, s)
		rows := read(t, s, timeline.Query{Group: grp})
		got := texts(rows)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			r.Fatalf("shown: %q, want %q", got, want)
		}
		if !slices.IsSortedFunc(rows, func(x, y timeline.Message) int { return int(x.Cursor) - int(y.Cursor) }) {
			r.Fatal("the rows are not in the order of their cursors")
		}
		for query, n := range map[string]int{"words": 2, "first": 0, "gone": 0, "back": 0, "older": 0, "bett": 1, "author": 0, "future": 1} {
			if found := read(t, s, timeline.Query{Group: grp, Search: query}); len(found) != n {
				r.Fatalf("a search for %q finds %q", query, texts(found))
			}
		}
	})
	all := read(t, s, timeline.Query{Limit: 10_000})
	if err := s.Rebuild(); err != nil {
		t.Fatal(err)
	}
	project(t, s)
	if again := read(t, s, timeline.Query{Limit: 10_000}); len(all) < 4*groups || !reflect.DeepEqual(again, all) {
		t.Errorf("built again it shows %d rows, %d before", len(again), len(all))
	}
}

// TestTimelineWithdrawn takes messages and commits back, and gives them back.
func TestTimelineWithdrawn(t *testing.T) {
	s := memory(t)
	m := said("aa", inner(aliceKey, wire.KindChat, 1, "on a branch"))
	edit := said("aa", inner(aliceKey, wire.KindEdit, 2, "edited there", nostr.ID(m.Effect.Message)))
	added := timeline.Update{Group: "aa", Effect: group.Effect{ID: "member_added/c/bob", Kind: group.EffectAdded, Commit: wire.MessageID{7}, Subject: bobKey}}
	change := func(u timeline.Update, kind group.EffectKind, id string) timeline.Update {
		u.Effect.Kind, u.Effect.ID = kind, id
		return u
	}
	tell(t, s, m, added, edit)
	project(t, s)
	expect(t, "all", read(t, s, timeline.Query{Group: "aa"}), "edited there (edited)", "member_added")
	tell(t, s, change(edit, group.EffectInvalidated, "1"), change(added, group.EffectSuperseded, "2"))
	project(t, s)
	expect(t, "without the edit", read(t, s, timeline.Query{Group: "aa"}), "on a branch")
	other := m
	other.Effect.Message = wire.MessageID{9} // another carrier, which never was shown
	tell(t, s, change(other, group.EffectInvalidated, "3"))
	project(t, s)
	expect(t, "the first carrier stays", read(t, s, timeline.Query{Search: "branch"}), "on a branch")
	tell(t, s, change(m, group.EffectInvalidated, "4"))
	project(t, s)
	expect(t, "nothing", read(t, s, timeline.Query{Group: "aa"}))
	expect(t, "nothing is found", read(t, s, timeline.Query{Search: "branch"}))
	tell(t, s, change(other, group.EffectRestored, "5"), change(added, group.EffectAdded, "member_added/c/bob#2"))
	project(t, s)
	expect(t, "back at its place", read(t, s, timeline.Query{Group: "aa"}), "on a branch", "member_added")
	if got, ok, err := s.Message("aa", nostr.ID(m.Effect.Message)); err != nil || !ok || got.Cursor != 1 || got.Carrier != other.Effect.Message {
		t.Errorf("the message is %+v (%v, %v)", got, ok, err)
	}
}

func TestTimelinePages(t *testing.T) {
	s := memory(t)
	for i := range 10 {
		tell(t, s, said([]string{"aa", "bb"}[i%2], inner(aliceKey, wire.KindChat, 1, fmt.Sprintf("number n%d", i))))
	}
	project(t, s)
	expect(t, "a page", read(t, s, timeline.Query{Group: "aa", Limit: 2}), "number n0", "number n2")
	expect(t, "behind a cursor", read(t, s, timeline.Query{Group: "aa", After: 3, Limit: 2}), "number n4", "number n6")
	expect(t, "the newest", read(t, s, timeline.Query{Newest: true, Limit: 3}), "number n9", "number n8", "number n7")
	expect(t, "before them", read(t, s, timeline.Query{Newest: true, Before: 8, Limit: 2}), "number n6", "number n5")
	expect(t, "found in one group", read(t, s, timeline.Query{Group: "bb", Search: "number", Newest: true, Limit: 2}), "number n9", "number n7")
	expect(t, "side by side", read(t, s, timeline.Query{Search: `"number n4"`}), "number n4")
	expect(t, "no such group", read(t, s, timeline.Query{Group: "cc"}))
	e := inner(aliceKey, wire.KindChat, 1, "number n0")
	for prefix, want := range map[string]int{e.ID.String()[:4]: 1, e.ID.String()[:5]: 1, e.ID.String(): 1, e.ID.String() + "0": 0, "zz": 0, "": 5} {
		if ids, err := s.FindMessages("aa", prefix, 10); err != nil || len(ids) != want {
			t.Errorf("%d messages begin with %q (%v), want %d", len(ids), prefix, err, want)
		}
	}
}

// TestSearchSyntax searches for what would be syntax: nothing of it is.
func TestSearchSyntax(t *testing.T) {
	s := memory(t)
	tell(t, s, said("aa", inner(aliceKey, wire.KindChat, 1, "Crème brûlée AND g1 \x00 tail")))
	project(t, s)
	for query, want := range map[string]int{
		"creme": 1, "BRULEE": 1, "AND": 1, "tail": 1, "g1": 1, "grp : g1": 0, "OR": 0, "NOT creme": 0, `cr"`: 0, `"`: 0, "* ^ ( )": 0, "- : +": 0,
		"cr* ": 1, "\x00": 0, "\xff": 0, strings.Repeat("a ", 10_000): 0, "NEAR(creme brulee)": 0,
	} {
		got, err := s.Timeline(timeline.Query{Search: query})
		if err != nil || len(got) != want {
			t.Errorf("%.40q finds %d (%v), want %d", query, len(got), err, want)
		}
	}
}

// TestForget deletes a group's history and nothing else.
func TestForget(t *testing.T) {
	s := memory(t)
	tell(t, s, said("aa", inner(aliceKey, wire.KindChat, 1, "word one")), said("ab", inner(aliceKey, wire.KindChat, 1, "word two")))
	project(t, s)
	if err := s.Forget("aa", []group.Record{put("k", "v")}); err != nil {
		t.Fatal(err)
	}
	expect(t, "after that", read(t, s, timeline.Query{Search: "word"}), "word two")
	if cursors, _, err := s.Entries(0, 10); err != nil || len(cursors) != 1 || get(t, s, "k") != "v" {
		t.Errorf("%d entries are left (%v)", len(cursors), err)
	}
	tell(t, s, said("aa", inner(aliceKey, wire.KindChat, 1, "word three")))
	project(t, s)
	expect(t, "it can come again", read(t, s, timeline.Query{Search: "word"}), "word two", "word three")
}

// BenchmarkSearch searches 100,000 messages. The floor is the reading of the
// messages that are shown, without a search.
func BenchmarkSearch(b *testing.B) {
	s := memory(b)
	words := strings.Fields("the marmot sleeps in winter and whistles when an eagle comes over the meadow near its burrow where grass grows")
	rng := rand.New(rand.NewPCG(1, 2))
	var batch []timeline.Update
	for i := range 100_000 {
		text := fmt.Sprintf("n%d", i)
		for range 12 {
			text += " " + words[rng.IntN(len(words))]
		}
		batch = append(batch, said(fmt.Sprintf("%04x", i%1000), inner(aliceKey, wire.KindChat, int64(i), text)))
		if len(batch) == 1000 {
			tell(b, s, batch...)
			batch = batch[:0]
		}
	}
	started := time.Now()
	for done, err := false, error(nil); !done; {
		if done, err = s.Project(256); err != nil {
			b.Fatal(err)
		}
	}
	b.Logf("taking in 100,000 messages: %.2f s", time.Since(started).Seconds())
	for name, q := range map[string]timeline.Query{
		"floor":     {Newest: true, Limit: 20},
		"rare":      {Search: "n77777", Newest: true, Limit: 20},
		"common":    {Search: "marmot eagle", Newest: true, Limit: 20},
		"one group": {Group: "0001", Search: "marmot eagle", Newest: true, Limit: 20},
		"prefix":    {Search: "n7", Newest: true, Limit: 20},
		"nothing":   {Search: "zebra", Newest: true, Limit: 20},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				read(b, s, q)
			}
		})
	}
}
