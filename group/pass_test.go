package group

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// update makes a commit of a member's own leaf and returns its event; the
// client that made it is put aside, so that others may collide with it.
func (c *client) update() *nostr.Event {
	c.w.t.Helper()
	d := c.fork()
	d.step(SelfUpdate{})
	if len(d.sent) != 1 {
		c.w.t.Fatalf("%d events", len(d.sent))
	}
	return d.sent[0]
}

func TestQuietSecondAndCap(t *testing.T) {
	_, alice, _, carol, _ := quartet(t)
	c := carol.fork()
	opened := c.w.now
	for i := range 13 { // a rival every 450 ms
		c.receive(alice.update())
		if closed := c.g.Epoch() != carol.g.Epoch(); closed != (c.w.now.Sub(opened) >= maxPass) {
			t.Fatalf("after %v and %d commits: closed %v", c.w.now.Sub(opened), i+1, closed)
		}
		c.w.now = c.w.now.Add(450 * time.Millisecond)
	}
	if c.g.meta.Pass == nil || c.g.meta.Pass.Base != carol.g.Epoch()+1 {
		t.Error("input after the cutoff belongs to a pass of its own")
	}
}

func TestInputAtTheCutoff(t *testing.T) {
	_, alice, bob, carol, _ := quartet(t)
	a, b := alice.update(), bob.update()
	c := carol.fork()
	c.receive(a)
	first := c.g.meta.Pass.Opened
	c.w.now = c.w.now.Add(quiescence)
	if !c.wake.Equal(c.w.now) {
		t.Errorf("wake %v, want the cutoff", c.wake)
	}
	c.receive(b)
	if c.g.Epoch() != carol.g.Epoch()+1 || c.g.meta.Pass == nil || c.g.meta.Pass.Opened.Equal(first) {
		t.Error("input at the cutoff instant joined the pass that ended")
	}
	if c.g.tip.id != stateID(wire.MessageIDOf(openedBytes(t, carol, a))) {
		t.Error("the first pass did not apply what it had")
	}
}

func openedBytes(t *testing.T, c *client, e *nostr.Event) []byte {
	t.Helper()
	ev, err := c.g.gen.parse(e, c.w.now)
	if err != nil {
		t.Fatal(err)
	}
	return c.g.open(ev)
}

func TestDivergentEdgeMidPass(t *testing.T) {
	_, alice, bob, carol, _ := quartet(t)
	c := carol.fork()
	c.receive(alice.update())
	before := *c.g.meta.Pass
	if c.g.lifecycle() != Stable {
		t.Errorf("lifecycle %s of a lone commit", c.g.lifecycle())
	}
	c.w.now = c.w.now.Add(600 * time.Millisecond)
	c.receive(bob.update())
	after := *c.g.meta.Pass
	if c.g.lifecycle() != Recovering || c.g.Epoch() != before.Base {
		t.Errorf("%s at epoch %d", c.g.lifecycle(), c.g.Epoch())
	}
	if after.Base != before.Base || !after.Opened.Equal(before.Opened) || !after.Deadline.Equal(before.Deadline) {
		t.Error("a divergent edge restarted the pass")
	}
	if !after.Quiesce.Equal(c.w.now.Add(quiescence)) {
		t.Error("a new edge prolongs the quiet time")
	}
	c.receive(bob.sent...) // nothing
	alice.say("x")
	c.receive(alice.sent...)
	if got := *c.g.meta.Pass; got != after {
		t.Error("a message before the fork moved the pass")
	}
}

func TestNothingAdmittedWhilePending(t *testing.T) {
	_, alice, bob, _, _ := quartet(t)
	a := alice.fork()
	a.mute = true
	a.step(SetProfile{Ref: "mine", Profile: wire.Profile{Name: "mine"}})
	rival := bob.update()
	a.receive(rival)
	a.w.now = a.w.now.Add(10 * time.Second)
	a.step(Tick{})
	if a.g.lifecycle() != PendingPublish || a.g.meta.Pass != nil || a.g.Epoch() != alice.g.Epoch() {
		t.Fatalf("%s, pass %v", a.g.lifecycle(), a.g.meta.Pass)
	}
	a.restart()
	if a.g.meta.Pass != nil {
		t.Fatal("a restart admitted it")
	}
	a.mute = false
	a.restart()
	if a.g.Epoch() != alice.g.Epoch()+1 || a.g.meta.Pass == nil || a.g.lifecycle() != Recovering {
		t.Fatalf("after the OK: %s, pass %v", a.g.lifecycle(), a.g.meta.Pass)
	}
	a.w.advance(quiescence)
	if a.g.Status().Name != "mine" || a.count(EffectSuperseded) != 0 {
		t.Error("the privileged commit lost to a self-update")
	}
}

// TestOwnCommitLoses confirms an own commit and then shows it the stronger
// rival that came meanwhile: it is taken back, and its purpose done again.
func TestOwnCommitLoses(t *testing.T) {
	_, alice, _, carol, _ := quartet(t)
	rename := alice.fork()
	rename.step(SetProfile{Profile: wire.Profile{Name: "A"}})
	c := carol.fork()
	c.mute = true
	c.step(SelfUpdate{Ref: "u"})
	c.receive(rename.sent...)
	c.mute = false
	c.restart()
	own, before := c.g.tip.id, c.count(EffectSuperseded)
	c.w.advance(quiescence)
	if c.g.Status().Name != "A" || c.count(EffectSuperseded) != before+1 {
		t.Fatalf("%d superseded: %+v", c.count(EffectSuperseded), c.g.Status())
	}
	c.restart()
	c.w.advance(3 * time.Second)
	if len(c.sent) != 2 || c.g.tip.id == own {
		t.Errorf("%d events: the update was not made again", len(c.sent))
	}
	unique(t, c)
}

// TestWitnessWhilePending opens the messages that turn a branch while an own
// commit waits for a relay. They must be counted afterwards.
func TestWitnessWhilePending(t *testing.T) {
	w, alice, bob, carol := rivals(t)
	loser, winner := alice, bob
	if slices.Compare(keyOf(alice), keyOf(bob)) < 0 {
		loser, winner = bob, alice
	}
	// Carol is on the loser's branch and talks there: a quorum.
	carol.receive(loser.sent...)
	w.now = w.now.Add(quiescence)
	carol.step(Tick{})
	carol.say("here")
	talk := slices.Clone(carol.sent)
	// The winner sees the rival commit and settles on its own branch.
	winner.receive(loser.sent[0])
	w.now = w.now.Add(quiescence)
	winner.step(Tick{})
	winner.mute = true
	winner.step(SelfUpdate{Ref: "u"})
	if winner.g.lifecycle() != PendingPublish {
		t.Fatal(winner.g.lifecycle())
	}
	winner.receive(append(loser.sent[1:], talk...)...)
	// Every relay refuses it.
	e := winner.sent[len(winner.sent)-1]
	winner.restart()
	for _, url := range []string{"wss://a.example", "wss://b.example"} {
		winner.step(RelayResult{Event: e.ID, Relay: url, Rejected: true})
	}
	w.now = w.now.Add(quiescence)
	winner.step(Tick{})
	if got := winner.g.Status().Name; got != loser.g.Status().Name {
		t.Errorf("stays on %q: the witnesses were forgotten", got)
	}
}

// TestFairSlot has commits come in without a pause. A request that waits must
// get its turn between two passes.
func TestFairSlot(t *testing.T) {
	_, _, bob, _, dave := quartet(t)
	alice := dave.w.client("alice").fork()
	alice.receive(bob.update())
	alice.step(SetProfile{Ref: "r", Profile: wire.Profile{Name: "turn"}})
	alice.w.now = alice.w.now.Add(quiescence)
	alice.receive(dave.update()) // comes at the cutoff: the next pass could start
	if alice.count(EffectPublished) != 1 || alice.g.Status().Name != "turn" {
		t.Error("a busy group keeps its admin from acting")
	}
}

// TestPassPartition gives the same commits to one pass and to many.
func TestPassPartition(t *testing.T) {
	_, alice, bob, carol, dave := quartet(t)
	events := []*nostr.Event{alice.update(), bob.update(), dave.update()}
	var tips []string
	for _, pause := range []time.Duration{0, quiescence} {
		c := carol.fork()
		for _, e := range events {
			c.receive(e)
			c.w.now = c.w.now.Add(pause)
			c.step(Tick{})
		}
		c.w.advance(maxPass)
		tips = append(tips, fmt.Sprint(c.g.tip.id))
	}
	if tips[0] != tips[1] {
		t.Error("the passes decided")
	}
}

// TestClockGoesBack closes a pass whose start lies ahead.
func TestClockGoesBack(t *testing.T) {
	_, alice, _, carol, _ := quartet(t)
	c := carol.fork()
	c.receive(alice.update())
	c.w.now = c.w.now.Add(-time.Hour)
	c.step(Tick{})
	if c.g.meta.Pass != nil || c.g.Epoch() != carol.g.Epoch()+1 {
		t.Error("the pass waits for a clock that went back")
	}
}
