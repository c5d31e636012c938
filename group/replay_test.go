package group

import (
	"bytes"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// replay runs a client's trace again.
func (c *client) replay(t testing.TB) (decisions []Decision) {
	t.Helper()
	steps, err := Replay(bytes.NewReader(c.trace), func(d Decision) { decisions = append(decisions, d) })
	if err != nil {
		t.Errorf("%s, after %d steps: %v", c.name, steps, err)
	}
	return decisions
}

// TestReplay replays what every client of the tales traced: the same code
// comes to the same passes, lifecycle states and branches, without any key.
func TestReplay(t *testing.T) {
	forks := 0
	for _, tale := range tales {
		w := newWorld(t, tale.names...)
		tale.play(w)
		for _, name := range slices.Sorted(maps.Keys(w.clients)) {
			c := w.clients[name]
			for _, d := range c.replay(t) {
				if len(d.Rivals) > 1 {
					forks++
				}
			}
			checkTraceTellsNothing(t, c)
		}
	}
	if forks == 0 {
		t.Error("no trace has a fork")
	}
}

// checkTraceTellsNothing demands that no id, name, text or key stands in a trace.
func checkTraceTellsNothing(t *testing.T, c *client) {
	t.Helper()
	long := regexp.MustCompile(`[0-9a-f]{16}|npub|wss?:|[A-Za-z0-9+/]{24}`)
	if m := long.Find(c.trace); m != nil {
		t.Errorf("%s: %q stands in the trace", c.name, m)
	}
	for _, text := range []string{"one", "two", "renamed", "by alice", c.pub().String()[:8]} {
		if bytes.Contains(c.trace, []byte(`"`+text)) {
			t.Errorf("%s: %q stands in the trace", c.name, text)
		}
	}
}

// TestReplayAfterRestart keeps one trace over a restart in the middle of a pass.
func TestReplayAfterRestart(t *testing.T) {
	w := newWorld(t, "alice", "bob")
	alice, bob := w.client("alice"), w.client("bob")
	alice.create("g", bob)
	w.flood()
	alice.step(SelfUpdate{})
	bob.receive(alice.sent...)
	bob.restart()
	w.flood()
	if got := len(bob.replay(t)); got == 0 {
		t.Error("no pass was replayed")
	}
}

// TestReplayV1 replays a race of v1: the earlier event wins there, whatever the
// ids of the states are.
func TestReplayV1(t *testing.T) {
	w := newWorld(t, "alice", "bob", "carol")
	w.proto = V1
	alice, bob, carol := w.client("alice"), w.client("bob"), w.client("carol")
	alice.create("g", bob, carol)
	w.flood()
	w.advance(3 * time.Second)
	w.flood()
	for range 4 {
		for _, c := range []*client{carol, bob} { // the later one first reaches alice
			c.step(SelfUpdate{})
			w.advance(1100 * time.Millisecond)
		}
		alice.receive(bob.sent...)
		w.advance(2 * time.Second)
		w.flood()
		w.advance(3 * time.Second)
		w.flood()
	}
	forks := 0
	for _, c := range w.clients {
		for _, d := range c.replay(t) {
			if len(d.Rivals) > 1 {
				forks++
				if rule := d.Rivals[0].Rule(d.Rivals[1]); rule != "earliest_commit" {
					t.Errorf("decided by %s", rule)
				}
			}
		}
		checkTraceTellsNothing(t, c)
		trace := string(c.trace)
		if !strings.Contains(trace, `"protocol":"v1"`) {
			t.Error("the trace does not tell the protocol")
		}
		if _, err := Replay(strings.NewReader(strings.ReplaceAll(trace, `"protocol":"v1"`, `"protocol":"v3"`)), nil); !errors.Is(err, ErrTrace) {
			t.Errorf("of an unknown protocol: %v", err)
		}
	}
	if forks == 0 {
		t.Error("no trace has a fork")
	}
}

// TestReplayNoticesAnotherChoice changes what branch choice saw: the replay
// comes to another branch and says at which line.
func TestReplayNoticesAnotherChoice(t *testing.T) {
	w := newWorld(t, "alice", "bob", "carol")
	forkAndEnd(w)
	trace := string(w.client("carol").trace)
	changed := 0
	for _, change := range []struct{ from, to string }{
		{`"privileged":true`, `"privileged":false`}, {`"kind":"commit"`, `"kind":"app"`}, {`"lifecycle":"Recovering"`, `"lifecycle":"Stable"`},
		{`"op":"offer"`, `"op":"step"`}, {`"base":`, `"base":1`},
	} {
		_, err := Replay(strings.NewReader(strings.ReplaceAll(trace, change.from, change.to)), nil)
		if errors.Is(err, ErrTrace) {
			changed++
		} else {
			t.Logf("%s to %s: %v", change.from, change.to, err)
		}
	}
	if changed < 4 {
		t.Errorf("only %d changes were noticed", changed)
	}
	for _, bad := range []string{"{}", "x", "", `{"op":"trace","version":1}` + "\n" + `{"op":"end","g":"g1"}`, strings.Repeat("x", maxTraceLine+1)} {
		if _, err := Replay(strings.NewReader(bad), nil); (err == nil) != (bad == "") {
			t.Errorf("%.20q: %v", bad, err)
		}
	}
}

// FuzzReplay reads whatever somebody calls a trace.
func FuzzReplay(f *testing.F) {
	w := newWorld(f, "alice", "bob") // short: a long seed is minimized for minutes
	w.client("alice").create("g", w.client("bob"))
	w.advance(2000000000)
	w.client("alice").receive(w.client("bob").sent...)
	w.advance(2000000000)
	f.Add(w.client("alice").trace)
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := Replay(bytes.NewReader(b), func(Decision) {}); err != nil && !errors.Is(err, ErrTrace) {
			t.Errorf("%v", err)
		}
	})
}
