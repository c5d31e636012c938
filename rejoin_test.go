package marmot_test

import (
	"strings"
	"testing"

	"github.com/marmotgo/marmot"
	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/nostr/relayd"
	"github.com/marmotgo/marmot/wire"
)

// TestRejoin invites somebody with a commit that loses: they sit on a branch
// that nobody else follows. A second invitation brings them back.
func TestRejoin(t *testing.T) {
	r := newRelay(t)
	alice, bob, dave := newPerson(t, "alice", r.URL()), newPerson(t, "bob", r.URL()), newPerson(t, "dave", r.URL())
	g := alice.invites(bob)
	bob.waitKind(group.EffectEpoch)
	alice.waitFor("bob's update", func(u marmot.Update) bool { return u.Effect.Kind == group.EffectEpoch && u.Effect.Epoch == 2 })
	if err := g.Promote(alice.context(), bob.PubKey()); err != nil {
		t.Fatal(err)
	}
	bob.waitKind(group.EffectAdminAdded)

	// The relay loses what alice and dave commit.
	r.SetFaults(relayd.Faults{Lose: func(e *nostr.Event) bool { return e.Kind == wire.KindGroupEvent }})
	contact := dave.fresh(alice)
	if err := g.Invite(alice.context(), contact); err != nil {
		t.Fatal(err)
	}
	dave.waitKind(group.EffectEpoch) // dave has renewed his keys on the branch that will lose
	r.SetFaults(relayd.Faults{})
	theirs := bob.group()
	for _, name := range []string{"one", "two", "three", "four"} {
		if err := theirs.SetProfile(bob.context(), name, ""); err != nil {
			t.Fatal(err)
		}
	}
	alice.waitKind(group.EffectRecovered)
	if st, err := g.Status(alice.context()); err != nil || len(st.Members) != 2 {
		t.Fatalf("alice sees %d members, %v", len(st.Members), err)
	}
	dave.waitFor("something that does not open", func(marmot.Update) bool {
		return dave.Refused()[string(group.TransportDeferred)] > 0
	})
	if err := g.Invite(alice.context(), dave.fresh(alice)); err != nil {
		t.Fatal(err)
	}
	dave.waitFor("the second invitation", func(u marmot.Update) bool {
		return u.Effect.Kind == group.EffectJoined && u.Effect.Epoch > 4
	})
	alice.say("welcome back")
	dave.waitText("welcome back")
	dave.say("good to be here")
	bob.waitText("good to be here")
	if st, err := dave.group().Status(dave.context()); err != nil || st.Name != "four" || len(st.Members) != 3 {
		t.Errorf("dave sees %+v, %v", st, err)
	}
	for _, u := range dave.everything() {
		if strings.Contains(u.Effect.Text, "copy") {
			t.Errorf("dave is told %q", u.Effect.Text)
		}
	}
}

// fresh is a contact with a key package that was not used yet.
func (p *person) fresh(by *person) marmot.Contact {
	p.t.Helper()
	if err := p.Published(p.context()); err != nil {
		p.t.Fatal(err)
	}
	c, err := by.Lookup(by.context(), p.PubKey())
	if err != nil {
		p.t.Fatal(err)
	}
	return c
}

func (p *person) everything() []marmot.Update {
	p.t.Helper()
	all, err := p.History(0, 10_000)
	if err != nil {
		p.t.Fatal(err)
	}
	return all
}
