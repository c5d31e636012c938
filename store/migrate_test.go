package store

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/timeline"
	"github.com/marmotgo/marmot/wire"
)

// olderHome writes a database as the version with the first n migrations did.
func olderHome(t *testing.T, path string, key Key, n int) {
	t.Helper()
	if err := makeFile(path); err != nil {
		t.Fatal(err)
	}
	s, err := openRaw(path, key)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.migrate(n); err != nil {
		t.Fatal(err)
	}
	e := wire.NewPayload(nostr.PubKey{1}, wire.KindChat, "from an older home", nil, 1)
	b, err := json.Marshal(timeline.Update{Group: "aa", Effect: group.Effect{
		ID: "m", Kind: group.EffectMessage, At: time.Unix(1, 0), Message: wire.MessageID{1}, Payload: wire.EncodePayload(e),
	}})
	if err != nil {
		t.Fatal(err)
	}
	entries := []group.Record{{Key: "aa/m", Value: b}}
	if n < 3 { // ids were texts
		p := s.statements()
		defer p.close()
		for i := range maxMigrated + 2 {
			id, value := fmt.Sprint("aa/m/", i), []byte("{}")
			if i == 0 {
				id, value = "aa/m", b
			}
			if err := p.exec("INSERT INTO log (id, value) VALUES (?, ?)", id, s.seal(logPlace+id, value)); err != nil {
				t.Fatal(err)
			}
		}
		entries = nil
	}
	if err := s.Write([]group.Record{{Key: "k", Value: []byte("v")}}, entries); err != nil {
		t.Fatal(err)
	}
}

// TestMigrations opens a home of every older schema: nothing is lost, and its
// messages can be read and found.
func TestMigrations(t *testing.T) {
	for n := 1; n <= newestSchema(t); n++ {
		path, key := filepath.Join(t.TempDir(), "a.db"), NewKey()
		olderHome(t, path, key, n)
		s, err := Open(path, key)
		if err != nil {
			t.Fatalf("from schema %d: %v", n, err)
		}
		defer s.Close()
		again := []group.Record{{Key: "aa/m", Value: []byte("{}")}}
		if err := s.Write(nil, again); err != nil {
			t.Fatal(err)
		}
		want := 1
		if n < 3 {
			want = maxMigrated + 2
		}
		if _, entries, err := s.Entries(0, 2*want); err != nil || len(entries) != want {
			t.Errorf("from schema %d: %d entries, %v: all are read, and none is told again", n, len(entries), err)
		}
		if b, err := s.Get("k"); err != nil || string(b) != "v" {
			t.Errorf("from schema %d: the value is %q, %v", n, b, err)
		}
		if done, err := s.Project(2 * maxMigrated); err != nil || !done {
			t.Fatalf("from schema %d: %v, %v", n, done, err)
		}
		found, err := s.Timeline(timeline.Query{Search: "older"})
		if err != nil || len(found) != 1 || found[0].Text != "from an older home" {
			t.Errorf("from schema %d: found %v, %v", n, found, err)
		}
	}
}

func newestSchema(t *testing.T) int {
	t.Helper()
	files, err := migrations.ReadDir("migrations")
	if err != nil || len(files) < 2 {
		t.Fatal(len(files), err)
	}
	return len(files)
}

// TestDamagedMessage shows that a message is there whose entry does not
// authenticate, and the others.
func TestDamagedMessage(t *testing.T) {
	path, key := filepath.Join(t.TempDir(), "a.db"), NewKey()
	olderHome(t, path, key, newestSchema(t))
	s, err := Open(path, key)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Project(10); err != nil {
		t.Fatal(err)
	}
	if err := s.conn.Exec("UPDATE log SET value = zeroblob(50)"); err != nil {
		t.Fatal(err)
	}
	m, err := s.Timeline(timeline.Query{Group: "aa"})
	if err != nil || len(m) != 1 || !m[0].Damaged || m[0].Text != "" || m[0].From != (nostr.PubKey{1}) {
		t.Errorf("shown: %+v, %v", m, err)
	}
	if err := s.Rebuild(); err != nil {
		t.Fatal(err)
	}
	if done, err := s.Project(10); err != nil || !done {
		t.Errorf("a damaged entry stops the timeline: %v, %v", done, err)
	}
}

// TestDeletedWords looks into the index itself: the words of a deleted message
// are not marked as gone, they are gone.
func TestDeletedWords(t *testing.T) {
	path, key := filepath.Join(t.TempDir(), "a.db"), NewKey()
	olderHome(t, path, key, newestSchema(t))
	s, err := Open(path, key)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Project(10); err != nil {
		t.Fatal(err)
	}
	if err := s.conn.Exec("CREATE VIRTUAL TABLE temp.words USING fts5vocab(main, timeline_search, row)"); err != nil {
		t.Fatal(err)
	}
	known := func() (n int) {
		t.Helper()
		p := s.statements()
		defer p.close()
		found, _, err := p.number("SELECT count(*) FROM temp.words WHERE term IN ('from', 'an', 'older', 'home')")
		if err != nil {
			t.Fatal(err)
		}
		return int(found)
	}
	if n := known(); n != 4 {
		t.Fatalf("%d words are in the index before", n)
	}
	e := wire.NewPayload(nostr.PubKey{1}, wire.KindChat, "from an older home", nil, 1)
	gone := wire.NewPayload(nostr.PubKey{1}, wire.KindDelete, "", nostr.Tags{{"e", e.ID.String()}}, 2)
	b, err := json.Marshal(timeline.Update{Group: "aa", Effect: group.Effect{ID: "d", Kind: group.EffectMessage, Payload: wire.EncodePayload(gone)}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Write(nil, []group.Record{{Key: "aa/d", Value: b}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Project(10); err != nil {
		t.Fatal(err)
	}
	if n := known(); n != 0 {
		t.Errorf("%d words of a deleted message are in the index", n)
	}
}

// FuzzSearch searches for anything: nothing of it is syntax, nothing fails.
func FuzzSearch(f *testing.F) {
	s, err := Open("", NewKey())
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = s.Close() })
	for _, query := range []string{"word", `"two words" x`, "AND OR NOT", "* ^ ( ) : -", "grp : g1", "\x00", "\xff", `a"b`, "NEAR(a b, 2)"} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		if _, err := s.Timeline(timeline.Query{Search: query}); err != nil {
			t.Fatalf("%q: %v", query, err)
		}
		if _, err := s.FindMessages("aa", query, 3); err != nil {
			t.Fatalf("%q: %v", query, err)
		}
	})
}
