package group

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// TestOneMemberCannotFillAGroup has a member make more rival commits than are
// kept. Which are kept does not depend on their order, and others go on.
func TestOneMemberCannotFillAGroup(t *testing.T) {
	_, alice, _, carol, dave := quartet(t)
	var events []*nostr.Event
	for range maxRivals + 6 {
		events = append(events, dave.craft(dave.commit(mls.CommitConfig{})))
	}
	c, d := carol.fork(), carol.fork()
	c.receive(events...)
	slices.Reverse(events)
	d.receive(events...)
	if n, _ := c.g.rivalsOf(dave.pub(), nil); c.g.meta.Pass == nil || n != maxRivals {
		t.Fatalf("%d states kept", n)
	}
	for id := range c.g.nodes {
		if d.g.nodes[id] == nil {
			t.Fatal("which commits are kept depends on their order")
		}
	}
	a := alice.fork()
	a.step(SetProfile{Profile: wire.Profile{Name: "honest"}})
	for _, o := range []*client{c, d} {
		o.receive(a.sent...)
		o.restart()
		o.w.advance(maxPass)
		if o.g.Status().Name != "honest" {
			t.Error("an honest commit found no room")
		}
	}
	for range maxRewind + 1 {
		a.step(SetProfile{Profile: wire.Profile{Name: "on"}})
		c.receive(a.sent...)
		c.w.advance(quiescence)
	}
	if len(c.g.nodes) > len(carol.g.nodes)+maxRewind+2 || c.g.Epoch() != a.g.Epoch() {
		t.Errorf("%d states outlived their window", len(c.g.nodes))
	}
}

// TestTalkDoesNotFillUp has a group talk in one epoch for longer than what is
// remembered.
func TestTalkDoesNotFillUp(t *testing.T) {
	_, alice, _, carol, _ := quartet(t)
	a, c := alice.fork(), carol.fork()
	for i := range maxInputs - 30 { // long ago
		in := &retained{
			ID: wire.MessageID{0xee, byte(i), byte(i >> 8)}, Kind: kindApp, Epoch: c.g.tip.epoch, Disposition: accepted,
			State: c.g.tip.id, Sender: alice.pub(), Inner: nostr.ID{byte(i), byte(i >> 8)}, Shown: true,
		}
		c.g.inputs[in.ID] = in
	}
	for i := range 60 {
		c.w.now = c.w.now.Add(quiescence)
		a.say(fmt.Sprint(i))
		c.receive(a.sent[len(a.sent)-1])
		if c.last.Category != Accepted {
			t.Fatalf("message %d: %q", i, c.last.Category)
		}
	}
	c.w.advance(quiescence)
	if len(c.g.inputs) > maxInputs {
		t.Errorf("%d messages remembered", len(c.g.inputs))
	}
	if n := c.count(EffectMessage) - carol.count(EffectMessage); n != 60 {
		t.Errorf("%d messages shown", n)
	}
	if b := c.g.measure(c.g.tip, c.g.tip.parent); b.score == 0 {
		t.Error("the last witness of an account was forgotten")
	}
	c.receive(a.sent[len(a.sent)-1])
	if c.last.Category != Duplicate {
		t.Errorf("a repeat is %q", c.last.Category)
	}
	a.step(SetProfile{Profile: wire.Profile{Name: "later"}})
	c.receive(a.sent[len(a.sent)-1])
	c.w.advance(quiescence)
	if c.g.Status().Name != "later" {
		t.Error("commits found no room")
	}
}

// TestJunkWaitsInItsOwnPlace sends messages that fit nowhere. What cannot be
// kept is refused and stays obtainable; what fits is taken.
func TestJunkWaitsInItsOwnPlace(t *testing.T) {
	_, alice, _, carol, dave := quartet(t)
	signer, _ := dave.g.signer(dave.g.tip)
	sealed, err := dave.fork().g.tip.state.Protect(signer, []byte("x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	c := carol.fork()
	for i := range maxHeld + 20 {
		junk := slices.Clone(sealed.Message)
		junk[len(junk)-1], junk[len(junk)-2] = byte(i), byte(i>>8)
		junk[len(junk)-3] ^= 1 // never the honest message, which would use up its key
		c.receive(dave.craft(junk))
	}
	if c.last.Category != ResourceRefused || !c.last.Refetch || c.g.held() != maxHeld {
		t.Errorf("%q, %d held", c.last.Category, c.g.held())
	}
	alice.say("real")
	c.receive(alice.sent...)
	c.w.advance(quiescence)
	if c.count(EffectMessage) != carol.count(EffectMessage)+1 {
		t.Error("junk starves what fits")
	}
}

// TestNewestFirst gives a member who was away the whole backlog in the order
// in which relays send it, and one live message before all.
func TestNewestFirst(t *testing.T) {
	for _, reverse := range []bool{true, false} {
		_, alice, _, carol, _ := quartet(t)
		a, c := alice.fork(), carol.fork()
		for i := range 2*maxRawTries + 3 {
			a.step(SetProfile{Profile: wire.Profile{Name: fmt.Sprint(i)}})
		}
		a.say("live")
		last := len(a.sent) - 1
		c.receive(a.sent[last])
		backlog := a.sent[:last]
		if reverse {
			slices.Reverse(backlog)
		}
		for _, e := range backlog {
			c.receive(e)
			c.w.now = c.w.now.Add(time.Millisecond)
		}
		for range 5 {
			c.w.advance(quiescence)
		}
		if c.g.Epoch() != a.g.Epoch() || !slices.Contains(c.shown(), "live") {
			t.Errorf("epoch %d of %d, shows %q", c.g.Epoch(), a.g.Epoch(), c.shown())
		}
	}
}

// TestRawIsBounded fills the place of events that do not open with an
// outsider's junk.
func TestRawIsBounded(t *testing.T) {
	_, alice, _, carol, _ := quartet(t)
	c := carol.fork()
	var wrong wire.EventKey
	for i := range maxRaw + 3 {
		e, err := wire.SealGroupEvent(wrong, c.g.tip.settings.Routing.GroupID, []byte(fmt.Sprint(i)), nostr.Timestamp(c.w.now.Unix()), 0)
		if err != nil {
			t.Fatal(err)
		}
		c.receive(e)
	}
	if c.last.Category != ResourceRefused || !c.last.Refetch || len(c.g.raw) != maxRaw {
		t.Fatalf("%q, %d kept", c.last.Category, len(c.g.raw))
	}
	alice.step(SetProfile{Profile: wire.Profile{Name: "n"}})
	alice.say("x")
	c.receive(alice.sent...)
	c.w.advance(quiescence)
	if c.g.Status().Name != "n" || c.count(EffectMessage) == carol.count(EffectMessage) {
		t.Error("junk starves what opens")
	}
}
