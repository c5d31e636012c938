package disk_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/nostr/relayd"
	"github.com/marmotgo/marmot/nostr/relayd/disk"
)

// child, with the path of a store, makes this test binary a relay to be killed.
const child = "MARMOT_TEST_RELAY_STORE"

func TestMain(m *testing.M) {
	if path := os.Getenv(child); path != "" {
		db, err := disk.Open(path)
		if err != nil {
			panic(err)
		}
		r, err := relayd.Start(":0", relayd.Config{Store: db})
		if err != nil {
			panic(err)
		}
		fmt.Println(r.URL())
		select {}
	}
	os.Exit(m.Run())
}

func key(n byte) (k nostr.SecretKey) {
	k[31] = n
	return k
}

func event(t testing.TB, kind nostr.Kind, at nostr.Timestamp, content string, tags ...nostr.Tag) *nostr.Event {
	t.Helper()
	e := &nostr.Event{Kind: kind, CreatedAt: at, Content: content, Tags: tags}
	if err := key(3).SignEvent(e); err != nil {
		t.Fatal(err)
	}
	return e
}

func open(t *testing.T, path string) *disk.Store {
	t.Helper()
	db, err := disk.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// contents are the stored events, newest first.
func contents(r *relayd.Server) (out []string) {
	for _, e := range r.Events() {
		out = append(out, e.Content)
	}
	return out
}

func TestRestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "folder", "relay.db")
	db := open(t, path)
	r := relayd.New(relayd.Config{Store: db})
	gone := event(t, 1, 1, "deleted")
	for _, e := range []*nostr.Event{
		event(t, 1, 2, "kept"), event(t, 0, 3, "old profile"), event(t, 0, 4, "profile"), gone,
		event(t, 5, 5, "deletion", nostr.Tag{"e", gone.ID.String()}),
	} {
		if ok, why := r.Add(e); !ok {
			t.Fatal(why)
		}
	}
	r.Close()
	want := []string{"deletion", "profile", "kept"}
	if got := contents(r); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	events, bytes := db.Size()
	if _, err := disk.Open(path); !errors.Is(err, disk.ErrInUse) {
		t.Errorf("opened twice: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	again := open(t, path)
	if n, size := again.Size(); n != events || size != bytes {
		t.Errorf("%d events of %d bytes, want %d of %d", n, size, events, bytes)
	}
	r = relayd.New(relayd.Config{Store: again})
	defer r.Close()
	if got := contents(r); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if ok, why := r.Add(gone); ok || why != "blocked: deleted by its author" {
		t.Error(ok, why)
	}
}

// TestKilled kills a relay while clients publish: whatever it acknowledged is
// there afterwards.
func TestKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "relay.db")
	acknowledged := map[nostr.ID]bool{}
	for round := range 3 {
		publishUntilKilled(t, path, round, acknowledged)
	}
	if len(acknowledged) == 0 {
		t.Fatal("nothing was acknowledged")
	}
	db := open(t, path)
	for id := range acknowledged {
		if e, err := db.Event(id); err != nil || e == nil || e.Verify() != nil {
			t.Errorf("an acknowledged event is lost: %v", err)
		}
	}
}

func publishUntilKilled(t *testing.T, path string, round int, acknowledged map[nostr.ID]bool) {
	t.Helper()
	relay := exec.Command(os.Args[0])
	relay.Env = append(os.Environ(), child+"="+path)
	out, err := relay.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := relay.Start(); err != nil {
		t.Fatal(err)
	}
	defer relay.Wait()
	defer relay.Process.Kill()
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	ws, _, err := websocket.Dial(t.Context(), strings.TrimSpace(url), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	go func() {
		for i := 0; ; i++ {
			m := nostr.ClientMessage{Type: "EVENT", Event: event(t, 1, nostr.Timestamp(i), strconv.Itoa(round))}
			if ws.Write(t.Context(), websocket.MessageText, m.AppendJSON(nil)) != nil {
				return
			}
		}
	}()
	for fresh := 0; ; {
		_, frame, err := ws.Read(t.Context())
		if err != nil {
			return
		}
		m, err := nostr.ParseRelayMessage(frame)
		if err != nil {
			t.Fatal(err)
		}
		if m.Type != "OK" || !m.OK {
			continue
		}
		acknowledged[m.ID] = true
		if fresh++; fresh == 40 {
			relay.Process.Kill() // what it says until then counts too
		}
	}
}

// TestOtherFiles leaves alone what is not a relay's.
func TestOtherFiles(t *testing.T) {
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage")
	if err := os.WriteFile(garbage, []byte(strings.Repeat("no database. ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := disk.Open(garbage); !errors.Is(err, disk.ErrDamaged) {
		t.Error(err)
	}
	if b, err := os.ReadFile(garbage); err != nil || !strings.HasPrefix(string(b), "no database.") {
		t.Error("the file was changed", err)
	}
	if _, err := disk.Open(filepath.Join(garbage, "below")); err == nil {
		t.Error("a file is no folder")
	}
}

// TestBadBatch undoes a batch, counts included.
func TestBadBatch(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "relay.db"))
	failure := errors.New("no")
	err := db.Batch(func() error {
		if err := db.Insert(event(t, 1, 1, "x")); err != nil {
			t.Error(err)
		}
		return failure
	})
	if n, size := db.Size(); !errors.Is(err, failure) || n != 0 || size != 0 {
		t.Error(err, n, size)
	}
	if e, err := db.Event(event(t, 1, 1, "x").ID); e != nil || err != nil {
		t.Error(e, err)
	}
	same := event(t, 1, 1, "twice")
	err = db.Batch(func() error { return errors.Join(db.Insert(same), db.Insert(same)) })
	if n, _ := db.Size(); err == nil || n != 0 {
		t.Error(err, n)
	}
}

// FuzzQuery asks a store for whatever a client can ask for. It answers as
// [nostr.Filter.Matches] would.
func FuzzQuery(f *testing.F) {
	db, err := disk.Open(filepath.Join(f.TempDir(), "relay.db"))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { db.Close() })
	var all []*nostr.Event
	err = db.Batch(func() error {
		for i := range 20 {
			e := event(f, nostr.Kind(i%4+6), nostr.Timestamp(i/2), "", nostr.Tag{"t", strconv.Itoa(i % 3)}, nostr.Tag{"h", "x'"})
			all = append(all, e)
			if err := db.Insert(e); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{`{}`, `{"#t":["1","2"],"#h":["x'"],"limit":3}`, `{"kinds":[7],"since":2,"until":5}`, `{"#h":["') OR 1=1 --"]}`, `{"ids":[],"authors":[]}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var filter nostr.Filter
		if filter.UnmarshalJSON(b) != nil {
			return
		}
		want := 0
		for _, e := range all {
			if filter.Matches(e) {
				want++
			}
		}
		events, _, err := db.Query(&filter, relayd.Scope{}, 100, 1<<20)
		n, err2 := db.Count([]nostr.Filter{filter}, relayd.Scope{}, 100)
		if err != nil || err2 != nil || len(events) != want || n != want {
			t.Errorf("%s: %d events, counted %d, want %d: %v, %v", b, len(events), n, want, err, err2)
		}
	})
}
