package marmot_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/marmotgo/marmot"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/store"
	"github.com/marmotgo/marmot/timeline"
)

// storedHomes are homes as older versions left them, by the schema of their
// databases. Each is alice's after a short conversation with bob, with a message that
// no relay has taken; the keys are 32 times the same byte.
var storedHomes = []string{"testdata/home-2.home"}

// TestStoredHomes opens the homes of older versions: what was said is there, and what
// was not sent is still to be sent.
func TestStoredHomes(t *testing.T) {
	for _, home := range storedHomes {
		db, err := os.ReadFile(home)
		if err != nil {
			t.Fatal(err)
		}
		p := &person{t: t, name: "alice", path: filepath.Join(t.TempDir(), "alice.db"), relays: []string{"ws://127.0.0.1:1"}}
		for i := range p.key {
			p.key[i], p.dbKey[i] = 0x11, 0x22
		}
		if err := os.WriteFile(p.path, db, 0o600); err != nil {
			t.Fatal(err)
		}
		p.start()
		t.Cleanup(p.stop)
		st := p.statuses()["Friends"]
		if st.Epoch != 2 || len(st.Members) != 2 || st.Outstanding != 1 || st.Cause != "" {
			t.Errorf("%s: %+v", home, st)
		}
		for range 2 {
			if got, want := shown(t, p.db), "an older message (edited, 1 reactions), a deleted one, of a kind nobody knows, what bob answered, not out yet"; got != want {
				t.Errorf("%s: %s\nwanted: %s", home, got, want)
			}
			if err := p.db.Rebuild(); err != nil {
				t.Fatal(err)
			}
		}
		groups, err := p.Groups(p.context())
		if err != nil || len(groups) != 1 {
			t.Fatal(len(groups), err)
		}
		if _, err := groups[0].Send(p.context(), "and on it goes"); err != nil {
			t.Error(home, err)
		}
		p.stop()
		p.start()
		if got := shown(t, p.db); !strings.HasSuffix(got, "not out yet, and on it goes") {
			t.Errorf("%s, after a restart: %s", home, got)
		}
		if st := p.statuses()["Friends"]; st.Outstanding != 2 {
			t.Errorf("%s: %d are outstanding", home, st.Outstanding)
		}
		if err := p.forgetAll(groups); err != nil {
			t.Error(home, err)
		}
		if n, err := p.History(0, 1000); err != nil || len(n) != 0 {
			t.Errorf("%s: forgotten, %d entries are left, %v", home, len(n), err)
		}
	}
}

func (p *person) forgetAll(groups []*marmot.Group) error {
	for _, g := range groups {
		if err := p.Forget(p.context(), g.ID(), true); err != nil {
			return err
		}
	}
	return nil
}

// shown is the timeline's messages in one line.
func shown(t *testing.T, db *store.Store) string {
	t.Helper()
	for done := false; !done; {
		var err error
		if done, err = db.Project(100); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := db.Timeline(timeline.Query{})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range rows {
		switch {
		case m.System != "":
		case m.Deleted:
			out = append(out, "a deleted one")
		case m.Edited:
			out = append(out, fmt.Sprintf("%s (edited, %d reactions)", m.Text, len(m.Reactions)))
		default:
			out = append(out, m.Text)
		}
		if m.From == (nostr.PubKey{}) {
			t.Errorf("nobody said %q", m.Text)
		}
	}
	return strings.Join(out, ", ")
}
