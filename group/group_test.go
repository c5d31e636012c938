package group

import (
	"errors"
	"testing"
	"time"

	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

func TestConversation(t *testing.T) {
	w := newWorld(t, "alice", "bob", "carol")
	alice, bob, carol := w.client("alice"), w.client("bob"), w.client("carol")
	alice.create("Friends", bob, carol)
	w.flood() // the two joiners renew their leaves; their commits may collide
	w.sameTip("alice", "bob", "carol")
	if e := alice.g.Epoch(); e < 2 {
		t.Fatalf("epoch %d: no self-update was accepted", e)
	}
	alice.say("hello")
	bob.say("hi")
	carol.say("hey")
	w.flood()
	for _, c := range w.clients {
		equalTexts(t, c.name, c.shown(), "hello", "hi", "hey")
	}
	alice.step(SetProfile{Ref: "rename", Profile: wire.Profile{Name: "Close friends"}})
	w.flood()
	alice.step(SetAdmins{Grant: []nostr.PubKey{bob.pub()}})
	w.flood()
	w.sameTip("alice", "bob", "carol")
	if got := carol.g.Status(); got.Name != "Close friends" || len(got.Admins) != 2 {
		t.Fatalf("carol sees %+v", got)
	}
	bob.step(Remove{Accounts: []nostr.PubKey{carol.pub()}})
	w.flood()
	alice.say("after carol")
	w.flood()
	w.sameTip("alice", "bob")
	if !carol.g.Status().Removed || carol.count(EffectSelfRemoved) != 1 {
		t.Errorf("carol does not know that she was removed: %+v", carol.g.Status())
	}
	equalTexts(t, "carol", carol.shown(), "hello", "hi", "hey")
	equalTexts(t, "bob", bob.shown(), "hello", "hi", "hey", "after carol")
	for key := range carol.disk {
		if key != keyMeta {
			t.Errorf("removed member still stores %s", key)
		}
	}
}

func TestLinearCommitWaitsForItsPass(t *testing.T) {
	w := newWorld(t, "alice", "bob")
	alice, bob := w.client("alice"), w.client("bob")
	alice.create("g", bob)
	w.flood()
	epoch := bob.g.Epoch()
	alice.step(SetProfile{Profile: wire.Profile{Name: "new"}})
	bob.receive(alice.sent...)
	if bob.g.Epoch() != epoch || bob.g.convergence() != Syncing || bob.g.lifecycle() != Stable {
		t.Fatalf("epoch %d, %s %s: applied before the cutoff", bob.g.Epoch(), bob.g.lifecycle(), bob.g.convergence())
	}
	bob.say("waits")
	if n := len(bob.g.queue); n != 1 {
		t.Fatalf("%d requests wait, want the message", n)
	}
	w.advance(999 * time.Millisecond)
	if bob.g.Epoch() != epoch {
		t.Fatal("applied before a quiet second had passed")
	}
	w.advance(time.Millisecond)
	if bob.g.Epoch() != epoch+1 || bob.g.Status().Name != "new" || len(bob.g.queue) != 0 {
		t.Fatalf("epoch %d, %d waiting: not applied at the cutoff", bob.g.Epoch(), len(bob.g.queue))
	}
	w.flood()
	equalTexts(t, "alice", alice.shown(), "waits")
}

func TestRefusals(t *testing.T) {
	w := newWorld(t, "alice", "bob", "carol")
	alice, bob, carol := w.client("alice"), w.client("bob"), w.client("carol")
	alice.create("g", bob)
	w.flood()
	for _, c := range []struct {
		who  *client
		in   Input
		want error
	}{
		{bob, SetProfile{}, ErrNotAdmin},
		{bob, Remove{Accounts: []nostr.PubKey{alice.pub()}}, ErrNotAdmin},
		{alice, Remove{Accounts: []nostr.PubKey{carol.pub()}}, ErrNotMember},
		{alice, SetAdmins{Revoke: []nostr.PubKey{alice.pub()}}, ErrLastAdmin},
		{alice, SetAdmins{Grant: []nostr.PubKey{carol.pub()}}, ErrNotMember},
		{alice, Invite{Invitees: []Invitee{{KeyPackage: bob.keyPackage().event}}}, ErrAlreadyMember},
		{alice, Leave{}, ErrAdminLeave},
	} {
		before := string(marshal(c.who.g.meta))
		if err := c.who.try(c.in); !errors.Is(err, c.want) {
			t.Errorf("%s %T: %v, want %v", c.who.name, c.in, err, c.want)
		}
		if string(marshal(c.who.g.meta)) != before {
			t.Errorf("%T changed the group", c.in)
		}
	}
}

func TestLeave(t *testing.T) {
	w := newWorld(t, "alice", "bob", "carol")
	alice, bob, carol := w.client("alice"), w.client("bob"), w.client("carol")
	alice.create("g", bob, carol)
	w.flood()
	carol.step(Leave{Ref: "leave"})
	if err := carol.try(Send{Payload: wire.NewPayload(carol.pub(), 9, "x", nil, 1)}); !errors.Is(err, ErrLeaving) {
		t.Errorf("send while leaving: %v", err)
	}
	w.flood()
	w.sameTip("alice", "bob")
	if !carol.g.Status().Removed {
		t.Errorf("carol is still in: %+v", carol.g.Status())
	}
	if n := len(alice.g.Status().Members); n != 2 {
		t.Errorf("%d members left", n)
	}
	if alice.count(EffectLeft) != 1 || alice.count(EffectRemoved) != 0 {
		t.Error("alice is not told that carol left by herself")
	}
}

func TestInvite(t *testing.T) {
	w := newWorld(t, "alice", "bob", "carol")
	alice, bob, carol := w.client("alice"), w.client("bob"), w.client("carol")
	alice.create("g", bob)
	w.flood()
	alice.mute = true
	b := carol.keyPackage()
	alice.step(Invite{Ref: "r", Invitees: []Invitee{{KeyPackage: b.event, Inbox: []string{"wss://inbox.example"}}}})
	if _, err := carol.welcome(alice, b); err == nil {
		t.Fatal("the welcome left before a relay accepted the commit")
	}
	if alice.g.lifecycle() != PendingPublish {
		t.Fatalf("lifecycle %s", alice.g.lifecycle())
	}
	alice.mute = false
	alice.restart()
	carol.join(alice, b)
	w.flood()
	w.sameTip("alice", "bob", "carol")
	carol.say("thanks")
	w.flood()
	equalTexts(t, "bob", bob.shown(), "thanks")
}
