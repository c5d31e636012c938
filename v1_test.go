package marmot_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/marmotgo/marmot"
	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/nostr/relayd"
	"github.com/marmotgo/marmot/wire"
)

// packageKinds counts the key package events of p at a relay, by kind and
// generation.
func packageKinds(r *relayd.Running, p *person) map[string]int {
	out := map[string]int{}
	for _, e := range r.Events() {
		if e.PubKey == p.PubKey() && (e.Kind == wire.KindKeyPackage || e.Kind == wire.KindMIPKeyPackage) {
			name := "v2"
			if wire.LooksMIP(e) {
				name = "v1"
			}
			out[name+" "+map[nostr.Kind]string{wire.KindKeyPackage: "30443", wire.KindMIPKeyPackage: "443"}[e.Kind]]++
		}
	}
	return out
}

// TestV1Packages changes how an account publishes key packages of v1. What was
// published before leaves the relay; the current one of v2 stays.
func TestV1Packages(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	bob, alice := newPerson(t, "bob", r.URL()), newPerson(t, "alice", r.URL())
	speaks := func(want ...group.Protocol) {
		t.Helper()
		c, err := alice.Lookup(alice.context(), bob.PubKey())
		if err != nil || !slices.Equal(c.Speaks(), want) {
			t.Errorf("speaks %v, %v", c.Speaks(), err)
		}
	}
	for _, c := range []struct {
		how  marmot.V1Packages
		want string
	}{{marmot.V1Legacy, "v1 443"}, {marmot.V1Addressable, "v1 30443"}, {marmot.V1Off, ""}, {marmot.V1Addressable, "v1 30443"}, {marmot.V1Legacy, "v1 443"}} {
		if err := bob.SetV1Packages(bob.context(), c.how); err != nil {
			t.Fatal(err)
		}
		if err := bob.Published(bob.context()); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the relay has what is wanted for "+string(c.how), func() bool {
			got := packageKinds(r, bob)
			return got["v2 30443"] == 1 && (c.want == "" && len(got) == 1 || len(got) == 2 && got[c.want] == 1)
		})
		if how, err := bob.V1Packages(bob.context()); how != c.how || err != nil {
			t.Errorf("%q, %v", how, err)
		}
		if c.want == "" {
			speaks(group.V2)
		} else {
			speaks(group.V2, group.V1)
		}
	}
	if err := bob.SetV1Packages(bob.context(), "444"); !errors.Is(err, marmot.ErrV1Packages) {
		t.Error(err)
	}
}

// onlyV1 takes the current key package of p away from the relay, as if p's app
// spoke only v1.
func onlyV1(t *testing.T, r *relayd.Running, p *person) {
	t.Helper()
	for _, e := range packagesAt(r) {
		if e.PubKey == p.PubKey() && !wire.LooksMIP(e) {
			p.publish(r.URL(), &nostr.Event{Kind: nostr.KindDeletion, CreatedAt: nostr.Timestamp(time.Now().Unix()), Tags: nostr.Tags{{"e", e.ID.String()}}})
		}
	}
	eventually(t, "the key package is gone", func() bool { return packageKinds(r, p)["v2 30443"] == 0 })
}

// TestInviteV1Only invites somebody whose app speaks only v1: not into a group of
// v2, and the error says what to do.
func TestInviteV1Only(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	alice, bob, carol := newPerson(t, "alice", r.URL()), newPerson(t, "bob", r.URL()), newPerson(t, "carol", r.URL())
	onlyV1(t, r, bob)
	contact, err := alice.Lookup(alice.context(), bob.PubKey())
	if err != nil || !slices.Equal(contact.Speaks(), []group.Protocol{group.V1}) {
		t.Fatal(contact.Speaks(), err)
	}
	why := func(err error) {
		t.Helper()
		var not *marmot.NotInvitable
		if !errors.As(err, &not) || not.Who != bob.PubKey() || !strings.Contains(not.Why, "--protocol v1") {
			t.Error(err)
		}
	}
	_, err = alice.CreateGroup(alice.context(), marmot.NewGroup{Name: "x", Invite: []marmot.Contact{contact}})
	why(err)
	current := alice.invites(carol)
	why(current.Invite(alice.context(), contact))
	old, err := alice.CreateGroup(alice.context(), marmot.NewGroup{Protocol: group.V1, Name: "x"})
	if err != nil {
		t.Fatal(err)
	}
	if err := old.Invite(alice.context(), contact); err != nil {
		t.Fatal(err)
	}
	bob.waitKind(group.EffectJoined)
	if st, err := bob.group().Status(bob.context()); err != nil || st.Protocol != group.V1 {
		t.Error(st.Protocol, err)
	}
	if err := old.Disband(alice.context()); !errors.Is(err, group.ErrNoDisband) {
		t.Errorf("disband: %v", err)
	}
	if _, err := alice.CreateGroup(alice.context(), marmot.NewGroup{Protocol: "v3", Name: "x"}); !errors.Is(err, group.ErrRequest) {
		t.Error(err)
	}
}

// TestBothGenerations talks in a group of each generation with the same people,
// over a restart, and removes one of them from both.
func TestBothGenerations(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	alice, bob, carol := newPerson(t, "alice", r.URL()), newPerson(t, "bob", r.URL()), newPerson(t, "carol", r.URL())
	groups := map[group.Protocol]*marmot.Group{group.V2: alice.invitesTo(group.V2, bob, carol), group.V1: alice.invitesTo(group.V1, bob, carol)}
	for _, p := range []*person{bob, carol} {
		p.waitFor("both groups", func(u marmot.Update) bool {
			all, err := p.Groups(p.context())
			return err == nil && len(all) == 2
		})
	}
	say := func(p *person, protocol group.Protocol, text string) {
		t.Helper()
		g, err := p.Group(p.context(), groups[protocol].ID())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := g.Send(p.context(), text); err != nil {
			t.Fatal(err)
		}
	}
	for protocol := range groups {
		say(bob, protocol, "hello in "+string(protocol))
		alice.waitText("hello in " + string(protocol))
		carol.waitText("hello in " + string(protocol))
	}
	carol.stop()
	for protocol, g := range groups {
		if err := g.SetProfile(alice.context(), "Renamed "+string(protocol), "both"); err != nil {
			t.Fatal(err)
		}
		say(alice, protocol, "carol is away from "+string(protocol))
	}
	carol.start()
	for protocol, g := range groups {
		carol.waitText("carol is away from " + string(protocol))
		own, err := carol.Group(carol.context(), g.ID())
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "carol sees the name", func() bool {
			st, err := own.Status(carol.context())
			return err == nil && st.Name == "Renamed "+string(protocol) && st.Protocol == protocol
		})
		if err := g.Remove(alice.context(), carol.PubKey()); err != nil {
			t.Fatal(err)
		}
		eventually(t, "carol is removed", func() bool {
			st, err := own.Status(carol.context())
			return err == nil && st.Removed
		})
		say(alice, protocol, "without carol in "+string(protocol))
		bob.waitText("without carol in " + string(protocol))
	}
	for _, text := range carol.texts() {
		if strings.HasPrefix(text, "without") {
			t.Errorf("carol read %q", text)
		}
	}
	if n := len(bob.texts()); n != 6 {
		t.Errorf("bob was shown %d messages: %q", n, bob.texts())
	}
}

// TestBadCandidates publishes junk under both kinds beside good key packages: it
// hides none, and a v1 one under 30443 is found as what it is.
func TestBadCandidates(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	alice, bob := newPerson(t, "alice", r.URL()), newPerson(t, "bob", r.URL())
	now := nostr.Timestamp(time.Now().Unix())
	for _, kind := range []nostr.Kind{wire.KindKeyPackage, wire.KindMIPKeyPackage} {
		for _, content := range []string{"", "garbage", "AAEABQ==", strings.Repeat("00", 5000)} {
			bob.publish(r.URL(), &nostr.Event{Kind: kind, CreatedAt: now + 5, Content: content, Tags: nostr.Tags{{"d", "junk" + content[:min(8, len(content))]}, {"encoding", "base64"}}})
		}
	}
	c, err := alice.Lookup(alice.context(), bob.PubKey())
	if err != nil || !slices.Equal(c.Speaks(), []group.Protocol{group.V2, group.V1}) {
		t.Fatal(c.Speaks(), err)
	}
	if c.KeyPackages[group.V1].Kind != wire.KindMIPKeyPackage || c.KeyPackages[group.V2].Kind != wire.KindKeyPackage {
		t.Errorf("%+v", c.KeyPackages)
	}
}

// TestMigrate moves a group of v1: who can come is invited, who cannot is named to
// everyone, and a second run invites who has another app by then.
func TestMigrate(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	alice, bob, carol := newPerson(t, "alice", r.URL()), newPerson(t, "bob", r.URL()), newPerson(t, "carol", r.URL())
	g := alice.invitesTo(group.V1, bob, carol)
	if err := g.Promote(alice.context(), bob.PubKey()); err != nil {
		t.Fatal(err)
	}
	if _, err := carol.group().Migrate(carol.context(), ""); !errors.Is(err, group.ErrNotAdmin) {
		t.Errorf("by a member: %v", err)
	}
	onlyV1(t, r, carol)
	first, err := g.Migrate(alice.context(), "")
	if err != nil || len(first.Invited) != 1 || len(first.Left) != 1 || first.Left[0].Who != carol.PubKey() {
		t.Fatalf("%+v, %v", first, err)
	}
	moved := carol.waitFor("where the group went", func(u marmot.Update) bool {
		m, ok := u.Message()
		return ok && strings.Contains(m.Content, `"Friends (v2)"`)
	})
	if m, _ := moved.Message(); !strings.Contains(m.Content, carol.PubKey().Npub()) || strings.Contains(m.Content, bob.PubKey().Npub()) {
		t.Errorf("told: %q", m.Content)
	}
	st, err := first.Successor.Status(alice.context())
	if err != nil || st.Protocol != group.V2 || !slices.Contains(st.Admins, bob.PubKey()) || len(st.Members) != 2 {
		t.Errorf("%+v, %v", st, err)
	}
	again, err := g.Migrate(alice.context(), "")
	if err != nil || again.Successor.ID() != first.Successor.ID() || len(again.Invited) != 0 || len(again.Left) != 1 {
		t.Fatalf("%+v, %v", again, err)
	}
	if err := carol.RotateKeyPackages(carol.context()); err != nil { // her app speaks v2 now
		t.Fatal(err)
	}
	last, err := g.Migrate(alice.context(), "")
	if err != nil || last.Successor.ID() != first.Successor.ID() || len(last.Invited) != 1 || len(last.Left) != 0 {
		t.Fatalf("%+v, %v", last, err)
	}
	posts := 0
	for _, text := range alice.texts() {
		if strings.Contains(text, "goes on in the group") {
			posts++
		}
	}
	if posts != 2 {
		t.Errorf("the old group was told %d times", posts)
	}
	if _, err := last.Successor.Migrate(alice.context(), ""); !errors.Is(err, marmot.ErrMigrated) {
		t.Error(err)
	}
}
