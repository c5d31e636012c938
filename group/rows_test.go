package group

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// busy is a group in which every kind of record exists: rivals, a pending
// commit, messages, an event that no key opens, requests that wait.
func busy(t *testing.T) (*world, *client) {
	w := newWorld(t, "alice", "bob", "carol")
	alice, bob := w.client("alice"), w.client("bob")
	alice.create("g", bob, w.client("carol"))
	w.flood()
	alice.say("one")
	bob.say("two")
	w.flood()
	alice.mute = true
	alice.step(SetProfile{Ref: "rename", Profile: wire.Profile{Name: "x"}})
	alice.say("three")
	out, err := alice.g.Step(w.now, SelfUpdate{Ref: "update"}) // the account does not answer yet
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range out.Records {
		alice.disk[r.Key] = r
	}
	junk := *bob.sent[len(bob.sent)-1]
	junk.Content = wireJunk(t, &junk)
	if err := nostr.GenerateSecretKey().SignEvent(&junk); err != nil {
		t.Fatal(err)
	}
	alice.receive(&junk)
	return w, alice
}

// wireJunk is a content that has the shape of an envelope and opens with no key.
func wireJunk(t *testing.T, e *nostr.Event) string {
	t.Helper()
	b := []byte(e.Content)
	for i := range 20 {
		b[i] = 'A'
	}
	return string(b)
}

// TestEveryRecordCounts takes away, cuts and renames each record in turn: the
// group never loads as if nothing was missing, and what is shown instead says
// why, decides nothing and writes nothing.
func TestEveryRecordCounts(t *testing.T) {
	w, alice := busy(t)
	records := alice.records()
	kinds := map[string]bool{}
	for i, r := range records {
		kinds[kindOf(r.Key)] = true
		for name, damaged := range map[string][]Record{
			"gone": append(append([]Record{}, records[:i]...), records[i+1:]...),
			"cut":  replaced(records, i, Record{Key: r.Key, Value: r.Value[:len(r.Value)/2], Secret: r.Secret}),
			"twin": replaced(records, i, Record{Key: kindOf(r.Key) + "/" + strings.Repeat("ab", 32), Value: r.Value, Secret: r.Secret}),
		} {
			_, _, err := Load(w.now, alice.cfg, damaged)
			if !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s, %s: loads with %v", kindOf(r.Key), name, err)
				continue
			}
			g, out := Damaged(w.now, alice.cfg, damaged, err)
			st := g.Status()
			if st.Lifecycle != Unrecoverable || st.Convergence != Blocked || st.Cause == "" || len(out.Records) > 0 || len(out.Effects) != 1 {
				t.Errorf("%s, %s: %+v, %d records written", kindOf(r.Key), name, st, len(out.Records))
			}
			if kindOf(r.Key) != "node" && kindOf(r.Key) != "meta" && st.Name != "g" {
				t.Errorf("%s, %s: nobody could recognize %q", kindOf(r.Key), name, st.Name)
			}
			got, err := g.Step(w.now, Received{Event: alice.sent[0]})
			if err != nil || got.Outcome.Category != MissingHistory || !got.Outcome.Refetch || len(got.Records) > 0 {
				t.Errorf("%s, %s: takes an event: %+v, %v", kindOf(r.Key), name, got.Outcome, err)
			}
			if _, err := g.Step(w.now, SelfUpdate{}); !errors.Is(err, ErrEnded) {
				t.Errorf("%s, %s: takes a request: %v", kindOf(r.Key), name, err)
			}
		}
	}
	for _, kind := range []string{"meta", "node", "secrets", "ratchets", "input", "raw", "out", "intent", "key", "ask"} {
		if !kinds[kind] {
			t.Errorf("the test has no record of kind %s", kind)
		}
	}
	if g, _, err := Load(w.now, alice.cfg, records); err != nil || !bytes.Equal(g.ID(), alice.g.ID()) {
		t.Errorf("the records as they were: %v", err)
	}
}

func replaced(records []Record, i int, r Record) []Record {
	out := append([]Record{}, records...)
	out[i] = r
	return out
}

// TestRestoredHome brings a copy of a client up again, from before its last
// message: it notices from that message that it is a copy, and stops.
func TestRestoredHome(t *testing.T) {
	w := newWorld(t, "alice", "bob")
	alice, bob := w.client("alice"), w.client("bob")
	alice.create("g", bob)
	w.flood()
	alice.say("one")
	restored := alice.fork()
	alice.say("two")
	restored.receive(alice.sent[len(alice.sent)-2])
	if st := restored.g.Status(); st.Lifecycle != Stable {
		t.Errorf("an echo of its own stops it: %+v", st)
	}
	restored.receive(alice.sent[len(alice.sent)-1])
	if st := restored.g.Status(); st.Lifecycle != Unrecoverable || st.Cause != causeCopy {
		t.Errorf("the copy goes on: %+v", st)
	}
	if err := restored.try(Send{Payload: wire.NewPayload(alice.pub(), wire.KindChat, "x", nil, 0)}); !errors.Is(err, ErrEnded) {
		t.Errorf("the copy sends: %v", err)
	}
}
