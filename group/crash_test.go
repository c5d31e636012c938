package group

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// everyCrash makes the crash test take every write; it then runs for minutes.
var everyCrash = flag.Bool("every-crash", false, "crash at every write of the journey, not at some of each client")

// journey is a long scenario: invite, message, rename, remove, leave. Each
// part ends when all have settled.
func journey(w *world) {
	alice, bob, carol, dave := w.client("alice"), w.client("bob"), w.client("carol"), w.client("dave")
	alice.create("g", bob, carol)
	w.flood()
	alice.invite(dave)
	w.flood()
	alice.say("one")
	bob.say("two")
	w.flood()
	alice.step(SetProfile{Ref: "rename", Profile: wire.Profile{Name: "renamed"}})
	dave.say("three")
	w.flood()
	alice.step(Remove{Ref: "remove", Accounts: []nostr.PubKey{carol.pub()}})
	bob.say("four")
	w.flood()
	dave.step(Leave{Ref: "leave"})
	w.flood()
	bob.say("five")
	w.flood()
}

// plan says where a client crashes. Each step of it is one write.
type plan struct {
	victim string
	at     int  // the write
	before bool // lost before the store has it, or right after, so that nothing leaves
	seen   int
}

// crashes is called for each output, before it is stored; it reports what is
// lost.
func (p *plan) due(c *client) bool {
	if p == nil || p.victim != c.name {
		return false
	}
	p.seen++
	return p.seen == p.at+1
}

// TestCrashInAJourney crashes each client at its writes,
// once before and once after it is stored: requests stay unanswered and
// relays' answers are lost. In the end all is as it would have been.
func TestCrashInAJourney(t *testing.T) {
	points := 0
	for _, victim := range []string{"alice", "bob", "carol", "dave"} {
		w := newWorld(t, "alice", "bob", "carol", "dave")
		w.plan = &plan{victim: victim, at: -2}
		journey(w)
		writes := w.plan.seen
		stride := max(1, writes/3)
		if *everyCrash {
			stride = 1
		}
		t.Logf("%s: %d writes", victim, writes)
		for at := stride / 2; at < writes && !t.Failed(); at += stride {
			for _, before := range []bool{true, false} {
				points++
				w := newWorld(t, "alice", "bob", "carol", "dave")
				w.plan = &plan{victim: victim, at: at, before: before}
				journey(w)
				checkJourney(t, w, fmt.Sprintf("%s crashes at write %d, before %v", victim, at, before))
			}
		}
	}
	t.Logf("%d crash points", points)
}

func checkJourney(t *testing.T, w *world, name string) {
	t.Helper()
	for range 3 {
		w.flood()
	}
	w.sameTip("alice", "bob")
	for _, who := range []string{"alice", "bob"} {
		c := w.client(who)
		s := c.g.Status()
		if s.Name != "renamed" || len(s.Members) != 2 || s.Lifecycle != Stable || s.Outstanding != 0 || s.Queued != 0 {
			t.Errorf("%s: %s: %+v", name, who, s)
		}
		equalTexts(t, name+": "+who, c.shown(), "one", "two", "three", "four", "five")
		unique(t, c)
	}
	for _, who := range []string{"carol", "dave"} {
		if !w.client(who).g.Status().Removed {
			t.Errorf("%s: %s is still in: %+v", name, who, w.client(who).g.Status())
		}
		unique(t, w.client(who))
	}
}

// TestDeterminism runs one input on two copies of a state: records, effects
// and events that involve no randomness are the same, in the same order.
func TestDeterminism(t *testing.T) {
	_, alice, bob, carol := rivals(t)
	alice.step(SetProfile{Profile: wire.Profile{Name: "A2"}})
	alice.say("more")
	events := append(slices.Clone(alice.sent), bob.sent...)
	for range 5 {
		a, b := carol.fork(), carol.fork()
		inputs := make([]Input, len(events))
		for i, e := range events {
			inputs[i] = Received{Event: e}
		}
		inputs = append(inputs, Tick{})
		for _, in := range inputs {
			if _, ok := in.(Tick); ok {
				a.w.now, b.w.now = a.w.now.Add(quiescence), b.w.now.Add(quiescence)
			}
			x, err1 := a.g.Step(a.w.now, in)
			y, err2 := b.g.Step(b.w.now, in)
			if err1 != nil || err2 != nil || !equalOutputs(x, y) {
				t.Fatalf("%T: different outputs", in)
			}
		}
	}
}

func equalOutputs(a, b Output) bool {
	return slices.EqualFunc(a.Records, b.Records, func(r, s Record) bool {
		return r.Key == s.Key && string(r.Value) == string(s.Value) && r.Secret == s.Secret
	}) && string(marshal(a.Effects)) == string(marshal(b.Effects)) && a.Wake.Equal(b.Wake)
}

// TestLeavingSaysNothingElse has requests wait behind a SelfRemove.
func TestLeavingSaysNothingElse(t *testing.T) {
	_, alice, _, carol, _ := quartet(t)
	c := carol.fork()
	c.receive(alice.update()) // a pass is open: all waits
	c.say("before")
	c.step(SelfUpdate{Ref: "late"})
	c.step(Leave{Ref: "leave"})
	c.w.advance(quiescence)
	if n := len(c.sent); n < 2 || len(c.g.queue) != 0 {
		t.Fatalf("%d events, %d requests wait", n, len(c.g.queue))
	}
	sent := len(c.sent)
	c.receive(alice.craft(alice.commit(renameConfig("x"))))
	for range 5 {
		c.w.advance(3 * time.Second)
	}
	for _, e := range c.sent[sent:] {
		t.Logf("sent %s", e.ID)
	}
	for _, in := range c.g.inputs {
		if in.Own && in.Kind == kindCommit && in.Seq > c.g.inputs[ownLeave(c)].Seq {
			t.Error("a commit after the SelfRemove")
		}
	}
}

func ownLeave(c *client) wire.MessageID {
	for id, in := range maps.All(c.g.inputs) {
		if in.Own && in.Kind == kindProposal {
			return id
		}
	}
	return wire.MessageID{}
}

// TestRefusedForEver has every relay refuse what a client does by itself: it
// waits before it tries again.
func TestRefusedForEver(t *testing.T) {
	_, _, bob, carol, dave := quartet(t)
	dave.step(Leave{})
	c := carol.fork()
	c.mute = true
	c.receive(dave.sent...)
	for range 200 {
		c.w.advance(100 * time.Millisecond)
		for id := range maps.Clone(c.g.out) {
			for _, url := range []string{"wss://a.example", "wss://b.example"} {
				c.step(RelayResult{Event: id, Relay: url, Rejected: true})
			}
		}
	}
	if n := len(c.sent); n != 1 {
		t.Errorf("%d commits in 20 s to relays that refuse all", n)
	}
	_ = bob
}

// TestFollowedCommit has every relay refuse a commit, and yet somebody builds
// on it: it is a candidate after all.
func TestFollowedCommit(t *testing.T) {
	for _, early := range []bool{true, false} {
		_, alice, bob, _, _ := quartet(t)
		a, b := alice.fork(), bob.fork()
		a.mute = true
		a.step(SetProfile{Ref: "r", Profile: wire.Profile{Name: "known"}})
		b.receive(a.sent...)
		b.w.advance(quiescence)
		b.say("I saw it")
		if early {
			a.receive(b.sent...)
		}
		for _, url := range []string{"wss://a.example", "wss://b.example"} {
			a.step(RelayResult{Event: a.sent[0].ID, Relay: url, Rejected: true})
		}
		if !early {
			a.receive(b.sent...)
		}
		a.w.advance(quiescence)
		if a.g.Status().Name != "known" || !slices.Contains(a.shown(), "I saw it") {
			t.Errorf("early %v: %+v shows %q", early, a.g.Status(), a.shown())
		}
	}
}
