package group

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// The five facts that meet in these tests: opening a message consumes its key,
// branches are values, secrets are erased on a schedule, a failed write
// reloads the group, and every message is delivered exactly once.

// rivals makes a group of three with two admins who both commit on one state
// and then talk on their own branches.
func rivals(t testing.TB) (w *world, alice, bob, carol *client) {
	w = newWorld(t, "alice", "bob", "carol")
	alice, bob, carol = w.client("alice"), w.client("bob"), w.client("carol")
	alice.create("g", bob, carol)
	w.flood()
	alice.step(SetAdmins{Grant: []nostr.PubKey{bob.pub()}})
	w.flood()
	w.sameTip("alice", "bob", "carol")
	alice.sent, bob.sent, carol.sent = nil, nil, nil
	alice.step(SetProfile{Profile: wire.Profile{Name: "A"}})
	bob.step(SetProfile{Profile: wire.Profile{Name: "B"}})
	alice.say("on A")
	bob.say("on B")
	return w, alice, bob, carol
}

func TestOpenOnABranchThatLoses(t *testing.T) {
	w, alice, bob, carol := rivals(t)
	winner := "A"
	if slices.Compare(keyOf(bob), keyOf(alice)) < 0 {
		winner = "B"
	}
	carol.receive(append(slices.Clone(alice.sent), bob.sent...)...)
	if carol.g.lifecycle() != Recovering {
		t.Fatalf("lifecycle %s with two rivals", carol.g.lifecycle())
	}
	w.flood()
	w.sameTip("alice", "bob", "carol")
	for _, c := range w.clients {
		if name := c.g.Status().Name; name != winner {
			t.Errorf("%s sees %q, want the commit of the lower key, %q", c.name, name, winner)
		}
		equalTexts(t, c.name, c.shown(), "on A", "on B") // the loser's was sent again, shown once
	}
}

func keyOf(c *client) []byte { k := c.pub(); return k[:] }

// TestWitnessesTurnABranch shows that two accounts talking on a branch beat a
// lower committer key, also when the messages come after the choice.
func TestWitnessesTurnABranch(t *testing.T) {
	w, alice, bob, carol := rivals(t)
	loser, other := alice, bob
	if slices.Compare(keyOf(alice), keyOf(bob)) < 0 {
		loser, other = bob, alice
	}
	carol.receive(loser.sent...)
	w.now = w.now.Add(1100 * time.Millisecond)
	carol.step(Tick{})
	carol.say("I am here")
	loser.receive(carol.sent...)
	want := loser.g.Status().Name
	other.receive(append(slices.Clone(loser.sent), carol.sent...)...)
	w.flood()
	w.sameTip("alice", "bob", "carol")
	for _, c := range w.clients {
		if c.g.Status().Name != want {
			t.Errorf("%s sees %q, want %q: two witnesses count more", c.name, c.g.Status().Name, want)
		}
		equalTexts(t, c.name, c.shown(), "on A", "on B", "I am here")
	}
}

// TestCrashAtEveryWrite fails each write of a receiver in turn, so that what
// was opened in memory is lost, and delivers the same events again.
func TestCrashAtEveryWrite(t *testing.T) {
	for at := range 6 {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			w, alice, bob, carol := rivals(t)
			events := append(slices.Clone(alice.sent), bob.sent...)
			for i, e := range events {
				if i == at {
					carol.failing = true
				}
				carol.receive(e)
				carol.restart()
			}
			w.now = w.now.Add(1100 * time.Millisecond)
			if at >= len(events) {
				carol.failing = true // between choosing a branch and storing it
			}
			carol.step(Tick{})
			carol.restart()
			w.flood()
			w.sameTip("alice", "bob", "carol")
			equalTexts(t, "carol", carol.shown(), "on A", "on B")
		})
	}
}

// TestRestartChangesNothing restarts every client after every delivery.
func TestRestartChangesNothing(t *testing.T) {
	w, alice, bob, carol := rivals(t)
	carol.say("first")
	for range 8 {
		for _, to := range []*client{alice, bob, carol} {
			for _, from := range []*client{alice, bob, carol} {
				for _, e := range from.sent {
					if from != to {
						to.receive(e)
						before := to.g.Status()
						to.restart()
						if got := to.g.Status(); fmt.Sprint(got) != fmt.Sprint(before) {
							t.Fatalf("%s after restart: %+v, before: %+v", to.name, got, before)
						}
					}
				}
			}
		}
		w.advance(1100 * time.Millisecond)
	}
	w.sameTip("alice", "bob", "carol")
	for _, c := range w.clients {
		equalTexts(t, c.name, c.shown(), "on A", "on B", "first")
	}
}

// TestErasure lets epochs pass and looks for what should be gone.
func TestErasure(t *testing.T) {
	w := newWorld(t, "alice", "bob")
	alice, bob := w.client("alice"), w.client("bob")
	alice.create("g", bob)
	w.flood()
	alice.say("early")
	late := alice.sent[len(alice.sent)-1]
	early := bob.g.tip.id
	secrets := bob.disk[keySecrets+early.String()].Value
	for i := range 7 {
		alice.step(SetProfile{Profile: wire.Profile{Name: fmt.Sprint(i)}})
		if i == 2 {
			bob.receive(late) // three epochs behind: still in the window
		}
		w.flood()
	}
	equalTexts(t, "bob", bob.shown(), "early")
	for key, r := range bob.disk {
		if strings.HasSuffix(key, early.String()) && key != keyNode+early.String() {
			t.Errorf("%s outlived its window", key)
		}
		if bytes.Contains(r.Value, secrets[:32]) {
			t.Errorf("secrets of the early epoch stand in %s", key)
		}
		if strings.HasPrefix(key, keyInput) && bytes.Contains(r.Value, []byte("early")) {
			t.Errorf("a payload outlived its window")
		}
	}
	bob.restart()
	bob.receive(late)
	w.flood()
	equalTexts(t, "bob", bob.shown(), "early")
	w.sameTip("alice", "bob")
}

// TestLongHistory crosses several whole states and restarts on deltas.
func TestLongHistory(t *testing.T) {
	w := newWorld(t, "alice", "bob")
	alice, bob := w.client("alice"), w.client("bob")
	alice.create("g", bob)
	w.flood()
	for i := range 2*fullStateStep + 3 {
		alice.step(SetProfile{Profile: wire.Profile{Name: fmt.Sprint(i)}})
		bob.receive(alice.sent[len(alice.sent)-1])
		w.advance(1100 * time.Millisecond)
	}
	bob.restart()
	alice.restart()
	w.sameTip("alice", "bob")
	nodes := 0
	for key := range bob.disk {
		if strings.HasPrefix(key, keyNode) {
			nodes++
		}
	}
	if nodes > fullStateStep+2*maxRewind+2 {
		t.Errorf("%d states stored", nodes)
	}
}

// TestResumeByteForByte stops a client between publishing a commit and the
// relay's answer.
func TestResumeByteForByte(t *testing.T) {
	w := newWorld(t, "alice", "bob")
	alice, bob := w.client("alice"), w.client("bob")
	alice.create("g", bob)
	w.flood()
	epoch := alice.g.Epoch()
	alice.mute = true
	alice.step(SetProfile{Ref: "rename", Profile: wire.Profile{Name: "once"}})
	sent := alice.sent[len(alice.sent)-1].AppendJSON(nil)
	if alice.g.Epoch() != epoch || alice.g.lifecycle() != PendingPublish {
		t.Fatal("applied before a relay accepted it")
	}
	before := len(alice.sent)
	for range 3 {
		alice.sent = alice.sent[:before-1]
		alice.restart()
		if got := alice.sent[len(alice.sent)-1].AppendJSON(nil); !bytes.Equal(got, sent) {
			t.Fatal("another event was published after the restart")
		}
	}
	alice.mute = false
	alice.restart()
	if alice.g.Epoch() != epoch+1 || alice.g.lifecycle() != Stable || alice.count(EffectPublished) != 1 {
		t.Fatalf("epoch %d, %s", alice.g.Epoch(), alice.g.lifecycle())
	}
	if len(alice.g.out) != 0 {
		t.Error("the obligation outlived the answers of all relays")
	}
	w.flood()
	w.sameTip("alice", "bob")
}

// TestEveryRelayIsTried keeps an obligation until each relay of the snapshot
// was tried, also after the first OK and a restart.
func TestEveryRelayIsTried(t *testing.T) {
	w := newWorld(t, "alice", "bob")
	alice, bob := w.client("alice"), w.client("bob")
	alice.create("g", bob)
	w.flood()
	alice.mute = true
	alice.say("to both")
	e := alice.sent[len(alice.sent)-1]
	alice.step(RelayResult{Event: e.ID, Relay: "wss://a.example", Accepted: true})
	if len(alice.g.out) != 1 {
		t.Fatal("the obligation ended before every relay was tried")
	}
	_, out, err := Load(w.now, alice.cfg, alice.records())
	if err != nil || len(out.Publish) != 1 || !slices.Equal(out.Publish[0].Relays, []string{"wss://b.example"}) {
		t.Fatalf("after a restart: %+v, %v", out.Publish, err)
	}
	alice.step(RelayResult{Event: e.ID, Relay: "wss://b.example"})
	if len(alice.g.out) != 0 {
		t.Error("a relay that does not answer keeps the obligation for ever")
	}
}

// TestRefusedByAllRelays abandons a commit that nobody can have seen.
func TestRefusedByAllRelays(t *testing.T) {
	w := newWorld(t, "alice", "bob")
	alice, bob := w.client("alice"), w.client("bob")
	alice.create("g", bob)
	w.flood()
	epoch := alice.g.Epoch()
	alice.mute = true
	alice.step(SetProfile{Ref: "r", Profile: wire.Profile{Name: "x"}})
	e := alice.sent[len(alice.sent)-1]
	for _, url := range []string{"wss://a.example", "wss://b.example"} {
		alice.step(RelayResult{Event: e.ID, Relay: url, Rejected: true})
	}
	if alice.g.lifecycle() != Stable || alice.g.Epoch() != epoch || alice.count(EffectFailed) != 1 {
		t.Fatalf("%s at epoch %d", alice.g.lifecycle(), alice.g.Epoch())
	}
	alice.restart()
	alice.mute = false
	lie := alice.sent[len(alice.sent)-1]
	alice.sent = alice.sent[:len(alice.sent)-1]
	alice.step(SetProfile{Ref: "r2", Profile: wire.Profile{Name: "y"}})
	w.flood()
	w.sameTip("alice", "bob")

	// The relays lied: bob has seen what they refused. All end on one tip.
	bob.sent = append(bob.sent, lie)
	bob.receive(lie)
	w.flood()
	w.sameTip("alice", "bob")
	if alice.g.Status().Cause != "" {
		t.Errorf("alice needs help: %s", alice.g.Status().Cause)
	}
}
