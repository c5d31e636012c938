package group

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

func (c *client) keyPackageV1() *bundle {
	c.w.t.Helper()
	return c.keyPackageOf(wire.MIPKeyPackageConfig(c.pub(), c.w.now))
}

// keyPackageOf publishes and reads a key package of protocol v1.
func (c *client) keyPackageOf(cfg mls.KeyPackageConfig) *bundle {
	c.w.t.Helper()
	key := keyOfSeed(newSeed())
	kp, keys, err := mls.NewKeyPackage(key, cfg)
	if err != nil {
		c.w.t.Fatal(err)
	}
	e := wire.NewMIPKeyPackageEvent(c.pub(), wire.KindKeyPackage, fmt.Sprintf("%064x", 7), []string{"wss://a.example"}, kp, nostr.Timestamp(c.w.now.Unix()))
	if err := c.secret.SignEvent(e); err != nil {
		c.w.t.Fatal(err)
	}
	parsed, err := wire.ParseMIPKeyPackageEvent(e, c.w.now)
	if err != nil {
		c.w.t.Fatal(err)
	}
	return &bundle{parsed, keys, key}
}

// quartetV1 is a v1 group of alice, its admin, and three more.
func quartetV1(t *testing.T) (w *world, all []*client) {
	w = newWorld(t, "alice", "bob", "carol", "dave")
	w.proto = V1
	for _, name := range []string{"alice", "bob", "carol", "dave"} {
		all = append(all, w.client(name))
	}
	all[0].create("g", all[1:]...)
	w.flood()
	w.sameTip("alice", "bob", "carol", "dave")
	for _, c := range all {
		c.sent = nil
	}
	return w, all
}

// TestV1Group lets four of our own clients live in a v1 group: they talk, change
// everything that can be changed, restart, leave and remove.
func TestV1Group(t *testing.T) {
	w, all := quartetV1(t)
	alice, bob, carol, dave := all[0], all[1], all[2], all[3]
	for _, c := range all {
		c.say("hello from " + c.name)
	}
	alice.step(SetProfile{Ref: "rename", Profile: wire.Profile{Name: "h", Description: "d"}})
	w.flood()
	alice.step(SetAdmins{Ref: "promote", Grant: []nostr.PubKey{bob.pub()}})
	w.flood()
	bob.step(SetRetention{Ref: "vanish", Retention: 3600})
	w.flood()
	bob.step(SetRouting{Ref: "move", Relays: []string{"wss://c.example"}, NewID: true})
	carol.step(SelfUpdate{Ref: "renew"})
	w.flood()
	w.sameTip("alice", "bob", "carol", "dave")
	for _, c := range all {
		c.restart()
		equalTexts(t, c.name, c.shown(), "hello from alice", "hello from bob", "hello from carol", "hello from dave")
		s := c.g.Settings()
		if c.g.Status().Protocol != V1 || s.Profile.Name != "h" || s.Retention != 3600 || s.Data.Version != 3 || len(s.Admins) != 2 ||
			!slices.Equal(s.Routing.Relays, []string{"wss://c.example"}) {
			t.Errorf("%s holds %+v", c.name, s.Data)
		}
	}
	if err := alice.try(Disband{}); !errors.Is(err, ErrNoDisband) {
		t.Errorf("ending it: %v", err)
	}
	carol.step(Leave{Ref: "leave"}) // to bob, whose leaf is the one before
	bob.receive(carol.sent...)
	w.advance(100 * time.Millisecond)
	if bob.count(EffectLeft) != 1 {
		t.Error("bob did not take carol out")
	}
	w.flood()
	w.sameTip("alice", "bob", "dave")
	bob.step(Remove{Ref: "remove", Accounts: []nostr.PubKey{dave.pub()}})
	w.flood()
	w.sameTip("alice", "bob")
	for _, c := range all {
		c.replay(t)
	}
	for _, c := range []*client{carol, dave} {
		if !c.g.Status().Removed {
			t.Errorf("%s is still there: %+v", c.name, c.g.Status())
		}
	}
}

// TestV1LeaveByRemove leaves a group in which somebody could not read a
// SelfRemove, as marmot-ts cannot: an admin commits the Remove. The proposal is
// encrypted, so its maker keeps what it said over a restart.
func TestV1LeaveByRemove(t *testing.T) {
	w := newWorld(t, "alice", "bob", "carol")
	w.proto = V1
	alice, bob, carol := w.client("alice"), w.client("bob"), w.client("carol")
	alice.create("g", bob)
	w.flood()
	cfg := wire.MIPKeyPackageConfig(carol.pub(), w.now)
	cfg.Capabilities.Proposals = nil
	b := carol.keyPackageOf(cfg)
	invite := Invite{Invitees: []Invitee{{KeyPackage: b.event, Inbox: []string{"wss://inbox.example"}}}}
	if err := alice.try(invite); !errors.Is(err, wire.ErrUnsupportedFeature) {
		t.Errorf("somebody who does not know SelfRemove in a group that requires it: %v", err)
	}
	w = newWorld(t, "alice", "bob", "carol")
	w.proto = V1
	alice, bob, carol = w.client("alice"), w.client("bob"), w.client("carol")
	alice.create("g") // without invitees nothing is required
	alice.invite(bob)
	alice.invite(carol)
	w.flood()
	w.sameTip("alice", "bob", "carol")
	bob.step(Leave{Ref: "leave"})
	bob.restart()
	w.flood()
	w.sameTip("alice", "carol")
	if !bob.g.Status().Removed {
		t.Errorf("bob is still there: %+v", bob.g.Status())
	}
}

// TestV1Race lets two admins rename at once. The earlier event wins with
// everybody, in whatever order the two come, also where the later one was
// applied before, and what was said after it is said again.
func TestV1Race(t *testing.T) {
	w, all := quartetV1(t)
	alice, bob, carol, dave := all[0], all[1], all[2], all[3]
	alice.step(SetAdmins{Ref: "promote", Grant: []nostr.PubKey{bob.pub()}})
	w.flood()
	alice.sent = nil
	alice.step(SetProfile{Ref: "a", Profile: wire.Profile{Name: "early"}})
	w.now = w.now.Add(time.Second)
	bob.step(SetProfile{Ref: "b", Profile: wire.Profile{Name: "late"}})
	carol.receive(bob.sent[len(bob.sent)-1])
	w.advance(1100 * time.Millisecond)
	if carol.g.Settings().Profile.Name != "late" {
		t.Fatalf("carol waits: %+v", carol.g.Status())
	}
	carol.say("after the late one")
	dave.receive(alice.sent...)
	w.flood()
	w.sameTip("alice", "bob", "carol", "dave")
	for _, c := range all {
		if name := c.g.Settings().Profile.Name; name != "early" {
			t.Errorf("%s has %q", c.name, name)
		}
		equalTexts(t, c.name, c.shown(), "after the late one")
	}
}

// TestV1BetterEvidence puts a commit that lost into an earlier event: any member
// can, and all have to come to the same branch.
func TestV1BetterEvidence(t *testing.T) {
	w, all := quartetV1(t)
	alice, bob, carol, dave := all[0], all[1], all[2], all[3]
	alice.step(SetAdmins{Ref: "promote", Grant: []nostr.PubKey{bob.pub()}})
	w.flood()
	parent := carol.g.tip
	alice.step(SetProfile{Ref: "a", Profile: wire.Profile{Name: "first"}})
	w.now = w.now.Add(time.Second)
	bob.step(SetProfile{Ref: "b", Profile: wire.Profile{Name: "second"}})
	late := bob.sent[len(bob.sent)-1]
	ev, err := carol.g.gen.parse(late, w.now)
	if err != nil {
		t.Fatal(err)
	}
	message, ok := ev.open(parent)
	if !ok {
		t.Fatal("the commit does not open")
	}
	again, err := v1{}.seal(parent, message, late.CreatedAt-100, 0)
	if err != nil {
		t.Fatal(err)
	}
	w.flood()
	if name := dave.g.Settings().Profile.Name; name != "first" {
		t.Fatalf("dave has %q", name)
	}
	for _, c := range all {
		c.receive(again)
	}
	w.flood()
	w.sameTip("alice", "bob", "carol", "dave")
	if name := dave.g.Settings().Profile.Name; name != "second" {
		t.Errorf("dave has %q", name)
	}
}

// TestV1BadInput sends what a v1 client must not take.
func TestV1BadInput(t *testing.T) {
	w, all := quartetV1(t)
	alice, bob := all[0], all[1]
	signer, _ := bob.g.signer(bob.g.tip)
	n := bob.g.tip
	message := func(text string) *nostr.Event {
		sealed, err := n.state.Protect(signer, []byte(text), nil)
		if err != nil {
			t.Fatal(err)
		}
		e, err := v1{}.seal(n, sealed.Message, nostr.Timestamp(w.now.Unix()), 0)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	loose := `{"pubkey":"` + bob.pub().String() + `","created_at":9,"kind":9,"tags":[],"content":"without an id"}`
	alice.receive(message(loose))
	alice.restart()
	equalTexts(t, "alice", alice.shown(), "without an id")
	for name, text := range map[string]string{
		"somebody else's": `{"pubkey":"` + alice.pub().String() + `","created_at":9,"kind":9,"tags":[],"content":"x"}`,
		"no event":        "hello",
	} {
		alice.receive(message(text))
		if alice.last.Category != InvalidEncoding {
			t.Errorf("%s: %+v", name, alice.last)
		}
	}
	ahead := message(loose)
	ahead.CreatedAt += 400
	alice.receive(ahead)
	if !alice.last.Refetch || !errors.Is(alice.last.Err, errEarly) {
		t.Errorf("an event of the future: %+v", alice.last)
	}
	commit := func(proposals ...mls.Proposal) *nostr.Event {
		staged, err := n.state.Commit(signer, mls.CommitConfig{Proposals: proposals, Path: mls.PathAlways, Private: true})
		if err != nil {
			t.Fatal(err)
		}
		e, err := v1{}.seal(n, staged.Message, nostr.Timestamp(w.now.Unix()), 0)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	before := alice.g.Epoch()
	d := *n.settings.Data
	d.Admins = wire.NewAdmins(bob.pub())
	alice.receive(commit(mls.GroupContextExtensions{Extensions: wire.AmendMIP(n.state.Context().Extensions, &d)}))
	if alice.last.Category != AuthFailed {
		t.Errorf("a member makes themselves admin: %+v", alice.last)
	}
	alice.receive(commit(mls.Remove{Removed: 2}))
	if alice.last.Category != AuthFailed {
		t.Errorf("a member removes another: %+v", alice.last)
	}
	w.flood()
	if alice.g.Epoch() != before {
		t.Errorf("epoch %d became %d", before, alice.g.Epoch())
	}
}

// TestV1NewerData has an app of the future write the group's settings: what is known
// of them is read and shown, nothing is written over, and the person is told why.
func TestV1NewerData(t *testing.T) {
	w, all := quartetV1(t)
	alice, bob := all[0], all[1]
	n := alice.g.tip
	signer, _ := alice.g.signer(n)
	d := *n.settings.Data
	d.Name, d.Version = "from the future", 7
	d.Admins = wire.NewAdmins(alice.pub(), bob.pub())
	ext := n.state.Context().Extensions.Clone()
	for i := range ext {
		if ext[i].Type == wire.ExtGroupData {
			ext[i].Data = append(d.Append(nil), 0, 1, 2, 3) // the lifetime's length, and fields nobody knows
		}
	}
	staged, err := n.state.Commit(signer, mls.CommitConfig{Proposals: []mls.Proposal{mls.GroupContextExtensions{Extensions: ext}}, Path: mls.PathAlways, Private: true})
	if err != nil {
		t.Fatal(err)
	}
	e, err := v1{}.seal(n, staged.Message, nostr.Timestamp(w.now.Unix()), 0)
	if err != nil {
		t.Fatal(err)
	}
	bob.receive(e)
	w.advance(2 * time.Second)
	s := bob.g.Status()
	if s.Name != "from the future" || len(s.Unavailable) != 1 || len(s.Admins) != 2 {
		t.Fatalf("%+v", s)
	}
	bob.restart()
	bob.step(SetProfile{Ref: "rename", Profile: wire.Profile{Name: "mine"}})
	if !slices.ContainsFunc(bob.effects, func(e Effect) bool { return e.Kind == EffectFailed && e.Text == ErrNewerData.Error() }) {
		t.Errorf("the rename did not fail: %+v", bob.effects)
	}
	bob.say("talk goes on")
	bob.step(SelfUpdate{})
	if got, _ := bob.g.tip.state.Context().Extensions.Find(wire.ExtGroupData); !slices.Equal(got, ext[0].Data) && !slices.Equal(got, ext[len(ext)-1].Data) {
		t.Errorf("the settings became %x", got)
	}
}
