package group

import (
	"testing"

	"github.com/marmotgo/marmot/nostr"
)

// twoDevices adds a second device of bob's to a group of three.
func twoDevices(t *testing.T) (w *world, alice, bob, phone, carol *client) {
	w = newWorld(t, "alice", "bob", "carol", "phone")
	alice, bob, carol, phone = w.client("alice"), w.client("bob"), w.client("carol"), w.client("phone")
	phone.secret, phone.cfg = bob.secret, bob.cfg
	alice.create("g", bob, carol)
	w.flood()
	b := phone.keyPackage()
	alice.step(Invite{Invitees: []Invitee{{KeyPackage: b.event, Inbox: []string{"wss://inbox.example"}, AnotherDevice: true}}})
	phone.join(alice, b)
	w.flood()
	w.sameTip("alice", "bob", "carol", "phone")
	return w, alice, bob, phone, carol
}

func TestTwoDevices(t *testing.T) {
	w, alice, bob, phone, carol := twoDevices(t)
	if n := len(alice.g.Status().Members); n != 3 {
		t.Errorf("%d members", n)
	}
	bob.say("from the desk")
	phone.say("from the road")
	carol.say("hi")
	w.flood()
	for _, c := range w.clients {
		equalTexts(t, c.name, c.shown(), "from the desk", "from the road", "hi")
	}
	phone.step(Leave{})
	w.flood()
	w.sameTip("alice", "bob", "carol")
	if !phone.g.Status().Removed || bob.g.Status().Removed || bob.g.Status().Leaving {
		t.Errorf("phone %+v, bob %+v", phone.g.Status(), bob.g.Status())
	}
	if n := alice.count(EffectLeft) + alice.count(EffectRemoved); n != 0 || len(alice.g.Status().Members) != 3 {
		t.Error("one device left; the account is still a member")
	}
	bob.say("still here")
	w.flood()
	equalTexts(t, "alice", alice.shown(), "from the desk", "from the road", "hi", "still here")
}

func TestRemoveBothDevices(t *testing.T) {
	w, alice, bob, phone, _ := twoDevices(t)
	alice.step(Remove{Accounts: []nostr.PubKey{bob.pub()}})
	w.flood()
	w.sameTip("alice", "carol")
	for _, c := range []*client{bob, phone} {
		if !c.g.Status().Removed {
			t.Errorf("%s is still in", c.name)
		}
	}
	if alice.count(EffectRemoved) != 1 {
		t.Errorf("%d removals told", alice.count(EffectRemoved))
	}
}
