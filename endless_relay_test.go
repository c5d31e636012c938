package marmot_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/marmotgo/marmot/nostr"
)

// endlessRelay answers every request with a million events that fit it, as far as can
// be seen without checking them.
func endlessRelay(t *testing.T, sent *atomic.Int64) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer ws.CloseNow()
		for {
			_, frame, err := ws.Read(r.Context())
			if err != nil {
				return
			}
			m, err := nostr.ParseClientMessage(frame)
			if err != nil || m.Type != "REQ" {
				continue
			}
			e := &nostr.Event{Content: strings.Repeat("A", 400), Tags: nostr.Tags{}}
			if f := m.Filters[0]; len(f.Kinds) > 0 {
				e.Kind = f.Kinds[0]
				for name, values := range f.Tags {
					e.Tags = append(e.Tags, nostr.Tag{name, values[0]})
				}
				if len(f.Authors) > 0 {
					e.PubKey = f.Authors[0]
				}
			}
			e.CreatedAt = 1_790_000_000
			for i := range 1_000_000 {
				copy(e.ID[:], fmt.Sprintf("%032d", i))
				if ws.Write(r.Context(), websocket.MessageText, fmt.Appendf(nil, `["EVENT",%q,%s]`, m.SubID, e.AppendJSON(nil))) != nil {
					return
				}
				sent.Add(1)
			}
		}
	}))
	t.Cleanup(srv.Close)
	return "ws" + strings.TrimPrefix(srv.URL, "http")
}

// TestEndlessRelay lives with one good relay and one whose answers do not end: nothing
// is lost or late, and memory stays small.
func TestEndlessRelay(t *testing.T) {
	t.Parallel()
	var sent atomic.Int64
	good := newRelay(t)
	bad := endlessRelay(t, &sent)
	alice, bob := newPerson(t, "alice", good.URL(), bad), newPerson(t, "bob", good.URL())
	alice.invites(bob)
	bob.say("through the good one")
	alice.waitText("through the good one")
	alice.stop()
	bob.say("while away")
	alice.start()
	alice.waitText("while away")
	for sent.Load() < 100_000 {
		bob.say(fmt.Sprint("more ", sent.Load()))
		time.Sleep(20 * time.Millisecond)
		if t.Context().Err() != nil {
			t.Fatal("the relay stopped at ", sent.Load())
		}
	}
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	if m.HeapAlloc > 200<<20 {
		t.Errorf("%d MB after %d events of junk", m.HeapAlloc>>20, sent.Load())
	}
	if complete, _, err := alice.Synced(alice.context()); err != nil || complete == 0 {
		t.Error(complete, err)
	}
}
