package relay

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/nostr/relayd"
)

var alice, bob = testKey(3), testKey(4)

func testKey(n byte) (k nostr.SecretKey) {
	k[31] = n
	return k
}

func event(t testing.TB, kind nostr.Kind, at nostr.Timestamp, content string, tags ...nostr.Tag) *nostr.Event {
	t.Helper()
	e := &nostr.Event{CreatedAt: at, Kind: kind, Content: content, Tags: tags}
	if err := alice.SignEvent(e); err != nil {
		t.Fatal(err)
	}
	return e
}

func startRelay(t *testing.T, cfg relayd.Config) *relayd.Running {
	t.Helper()
	r, err := relayd.Start(":0", cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func newPool(t *testing.T, edit func(*Config)) *Pool {
	t.Helper()
	cfg := Config{BackoffMin: 5 * time.Millisecond, BackoffMax: 50 * time.Millisecond, FetchTimeout: 2 * time.Second, PublishTimeout: 2 * time.Second}
	if edit != nil {
		edit(&cfg)
	}
	p := NewPool(cfg)
	t.Cleanup(func() { p.Close() })
	return p
}

// authAs logs in with k and notes for which purposes.
func authAs(k nostr.SecretKey, purposes *[]Purpose) func(context.Context, Purpose, *nostr.Event) error {
	var mu sync.Mutex
	return func(_ context.Context, p Purpose, e *nostr.Event) error {
		mu.Lock()
		defer mu.Unlock()
		*purposes = append(*purposes, p)
		return k.SignEvent(e)
	}
}

// log collects the deliveries of a subscription as words.
type log struct {
	t  *testing.T
	ch chan string
}

func newLog(t *testing.T) *log { return &log{t: t, ch: make(chan string, 1000)} }

func (l *log) deliver(d Delivery) {
	switch {
	case d.Event != nil:
		l.ch <- d.Event.Content
	case d.EOSE:
		l.ch <- "EOSE"
	case d.Closed != "":
		l.ch <- "CLOSED " + d.Closed
	case d.Connected:
		l.ch <- "connected"
	case d.Disconnected:
		l.ch <- "disconnected"
	}
}

// want waits for exactly these words, separated by a bar.
func (l *log) want(words string) {
	l.t.Helper()
	for word := range strings.SplitSeq(words, "|") {
		select {
		case got := <-l.ch:
			if got != word {
				l.t.Fatalf("got %q, want %q of %q", got, word, words)
			}
		case <-time.After(3 * time.Second):
			l.t.Fatalf("nothing came, want %q of %q", word, words)
		}
	}
}

func (l *log) wantNothing() {
	l.t.Helper()
	select {
	case got := <-l.ch:
		l.t.Fatalf("got %q", got)
	case <-time.After(30 * time.Millisecond):
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 600 {
		if ok() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal(what)
}

func ofKinds(kinds ...nostr.Kind) nostr.Filter { return nostr.Filter{Kinds: kinds} }
