package group

import (
	"errors"
	"strings"
	"testing"

	"github.com/marmotgo/marmot/wire"
)

// TestWelcomeTooLarge refuses, before anything is published, an Add whose
// Welcome would not fit a gift wrap.
func TestWelcomeTooLarge(t *testing.T) {
	w := newWorld(t, "alice", "bob")
	alice, bob := w.client("alice"), w.client("bob")
	var crowd []Invitee
	for range 90 {
		// All devices of one account: to MLS they are as many members.
		crowd = append(crowd, Invitee{KeyPackage: bob.keyPackage().event, Inbox: []string{"wss://inbox.example"}, AnotherDevice: true})
	}
	key, proof := alice.signatureKey()
	_, _, err := Create(w.now, CreateConfig{
		Config: alice.cfg, Relays: []string{"wss://a.example"}, Invitees: crowd, Signer: key, Proof: proof,
	})
	if !errors.Is(err, wire.ErrWelcomeTooLarge) {
		t.Errorf("founding with 91 members: %v", err)
	}
	alice.create("g", bob)
	w.flood()
	epoch, sent := alice.g.Epoch(), len(alice.sent)
	alice.step(Invite{Ref: "crowd", Invitees: crowd})
	if alice.g.Epoch() != epoch || len(alice.sent) != sent || alice.g.lifecycle() != Stable {
		t.Error("something was published")
	}
	why := ""
	for _, e := range alice.effects {
		if e.Kind == EffectFailed && e.Ref == "crowd" {
			why = e.Text
		}
	}
	if !strings.Contains(why, "does not fit") {
		t.Errorf("the reason given: %q", why)
	}
	alice.say("all is well")
	w.flood()
	equalTexts(t, "bob", bob.shown(), "all is well")
}
