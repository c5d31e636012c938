package marmot_test

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/marmotgo/marmot"
	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/nostr/relay"
	"github.com/marmotgo/marmot/timeline"
	"github.com/marmotgo/marmot/wire"
)

// publish puts a signed event on a relay, as another client of p would.
func (p *person) publish(url string, template *nostr.Event) {
	p.t.Helper()
	pool := relay.NewPool(relay.Config{})
	defer pool.Close()
	if err := p.key.SignEvent(template); err != nil {
		p.t.Fatal(err)
	}
	if r := pool.Publish(p.context(), relay.PurposePublic, url, template); !r.Accepted {
		p.t.Fatalf("the relay says %+v", r)
	}
}

// TestProfile changes one field of a profile that another client wrote.
func TestProfile(t *testing.T) {
	r := newRelay(t)
	alice, bob := newPerson(t, "alice", r.URL()), newPerson(t, "bob", r.URL())
	if _, err := bob.Profile(bob.context(), alice.PubKey()); !errors.Is(err, marmot.ErrNoProfile) {
		t.Errorf("without a profile: %v", err)
	}
	alice.publish(r.URL(), &nostr.Event{
		PubKey: alice.PubKey(), Kind: nostr.KindProfile, CreatedAt: 1 << 33, Tags: nostr.Tags{{"i", "github:alice", "proof"}},
		Content: `{"name":"al","future":{"deep":[1,2.50]},"bot":true}`,
	})
	_, err := alice.EditProfile(alice.context(), func(p marmot.Profile) error { p.SetText("name", "Alice"); p.SetText("about", "digs"); return nil })
	if err != nil {
		t.Fatal(err)
	}
	if err := alice.Published(alice.context()); err != nil {
		t.Fatal(err)
	}
	p, err := bob.Profile(bob.context(), alice.PubKey())
	if err != nil || p.Text("name") != "Alice" || p.Text("about") != "digs" || string(p["future"]) != `{"deep":[1,2.50]}` || string(p["bot"]) != "true" {
		t.Errorf("bob reads %s, %v", p, err)
	}
	if p.Text("bot") != "" {
		t.Error("a field that is no string has a text")
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	alice.patience, bob.patience = time.Second, time.Second // nobody answers
	if p, err := alice.Profile(alice.context(), alice.PubKey()); err != nil || p.Text("name") != "Alice" {
		t.Errorf("without a relay alice reads %s, %v", p, err)
	}
	if _, err := bob.EditProfile(bob.context(), func(marmot.Profile) error { t.Error("a profile that was not read is changed"); return nil }); !errors.Is(err, marmot.ErrNoAnswer) {
		t.Errorf("without a relay bob's profile is changed: %v", err)
	}
}

// TestSetRelays moves an account: it is found and invited through the new
// relays, and what goes to the old inbox still arrives.
func TestSetRelays(t *testing.T) {
	old, outbox, inbox := newRelay(t), newRelay(t), newRelay(t)
	alice, bob := newPerson(t, "alice", old.URL()), newPerson(t, "bob", old.URL())
	before, err := alice.Lookup(alice.context(), bob.PubKey())
	if err != nil {
		t.Fatal(err)
	}
	want := marmot.RelayLists{Outbox: []string{outbox.URL()}, Inbox: []string{inbox.URL()}}
	for _, bad := range []marmot.RelayLists{{}, {Outbox: want.Outbox}, {Outbox: []string{"http://x"}, Inbox: want.Inbox}} {
		if err := bob.SetRelays(bob.context(), bad); !errors.Is(err, marmot.ErrRelays) {
			t.Errorf("%v: %v", bad, err)
		}
	}
	if err := bob.SetRelays(bob.context(), want); err != nil {
		t.Fatal(err)
	}
	if err := bob.RotateKeyPackages(bob.context()); err != nil {
		t.Fatal(err)
	}
	if err := bob.Published(bob.context()); err != nil {
		t.Fatal(err)
	}
	after, err := alice.Lookup(alice.context(), bob.PubKey())
	if err != nil || !slices.Equal(after.Inbox, want.Inbox) || after.KeyPackages[group.V2].Event == before.KeyPackages[group.V2].Event {
		t.Fatalf("alice finds %+v, %v", after, err)
	}
	bob.stop()
	bob.start()
	after.Inbox = before.Inbox // somebody read the old list
	if _, err := alice.CreateGroup(alice.context(), marmot.NewGroup{Name: "Burrow", Invite: []marmot.Contact{after}}); err != nil {
		t.Fatal(err)
	}
	bob.waitKind(group.EffectJoined)
	if got, err := bob.Relays(bob.context()); err != nil || !slices.Equal(got.Outbox, want.Outbox) || !slices.Equal(got.Inbox, want.Inbox) {
		t.Errorf("bob's relays are %+v, %v", got, err)
	}
}

// TestNotInvitable says why, and what they can do.
func TestNotInvitable(t *testing.T) {
	r := newRelay(t)
	alice := newPerson(t, "alice", r.URL())
	var why *marmot.NotInvitable
	if _, err := alice.Lookup(alice.context(), nostr.GenerateSecretKey().PubKey()); !errors.As(err, &why) || !errors.Is(err, marmot.ErrNotInvitable) || why.Remedy == "" {
		t.Errorf("nobody: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	alice.patience = time.Second // nobody answers
	if _, err := alice.Lookup(alice.context(), alice.PubKey()); !errors.Is(err, marmot.ErrNoAnswer) {
		t.Errorf("without relays: %v", err)
	}
}

// TestRotateKeyPackages replaces both key packages: the private part of the old one
// of v2 is erased, that of v1 serves for another day.
func TestRotateKeyPackages(t *testing.T) {
	r := newRelay(t)
	alice := newPerson(t, "alice", r.URL())
	byProtocol := func() map[group.Protocol][]marmot.KeyPackageInfo {
		t.Helper()
		list, err := alice.KeyPackages(alice.context())
		if err != nil {
			t.Fatal(err)
		}
		out := map[group.Protocol][]marmot.KeyPackageInfo{}
		for _, k := range list {
			out[k.Protocol] = append(out[k.Protocol], k)
		}
		return out
	}
	before := byProtocol()
	old, oldV1 := before[group.V2][0], before[group.V1][0]
	if !old.Confirmed || old.Kind != wire.KindKeyPackage || !oldV1.Confirmed || oldV1.Kind != wire.KindMIPKeyPackage {
		t.Fatalf("%+v", before)
	}
	if err := alice.RotateKeyPackages(alice.context()); err != nil {
		t.Fatal(err)
	}
	after := byProtocol()
	if v2 := after[group.V2]; len(v2) != 1 || v2[0].Ref == old.Ref || v2[0].Used || !v2[0].Confirmed {
		t.Errorf("%+v", v2)
	}
	if v1 := after[group.V1]; len(v1) != 2 || v1[0].Used || !v1[0].Confirmed || v1[1].Ref != oldV1.Ref || v1[1].EraseAt.IsZero() {
		t.Errorf("%+v", v1)
	}
	if b, err := alice.db.Get("keypackage/" + old.Ref); b != nil || err != nil {
		t.Errorf("the private part of the old one is still stored (%v)", err)
	}
	eventually(t, "the relay deletes the old kind 443 event", func() bool {
		return !slices.ContainsFunc(r.Events(), func(e *nostr.Event) bool { return e.ID == oldV1.Event })
	})
}

// TestGroupTimeline reads a conversation as a timeline, and forgets it.
func TestGroupTimeline(t *testing.T) {
	r := newRelay(t)
	alice, bob := newPerson(t, "alice", r.URL()), newPerson(t, "bob", r.URL())
	contact, err := alice.Lookup(alice.context(), bob.PubKey())
	if err != nil {
		t.Fatal(err)
	}
	g, err := alice.CreateGroup(alice.context(), marmot.NewGroup{Name: "Burrow", Invite: []marmot.Contact{contact}})
	if err != nil {
		t.Fatal(err)
	}
	bob.waitKind(group.EffectJoined)
	id, err := g.Send(alice.context(), "helo bob")
	if err != nil {
		t.Fatal(err)
	}
	bob.waitText("helo bob")
	if _, err := bob.group().React(bob.context(), id, "🎉"); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Edit(alice.context(), id, "hello bob"); err != nil {
		t.Fatal(err)
	}
	alice.waitText("🎉")
	bob.waitText("hello bob")
	for _, p := range []*person{alice, bob} {
		m, err := p.group().Message(p.context(), id)
		if err != nil || m.Text != "hello bob" || !m.Edited || m.From != alice.PubKey() || m.Own != (p == alice) || m.Epoch == 0 ||
			len(m.Reactions) != 1 || m.Reactions[0].From[0] != bob.PubKey() {
			t.Errorf("%s reads %+v, %v", p.name, m, err)
		}
		if ids, err := p.group().FindMessages(p.context(), id.String()[:8]); err != nil || !slices.Contains(ids, id) {
			t.Errorf("%s finds %v, %v", p.name, ids, err)
		}
		if err := p.RebuildTimeline(p.context()); err != nil {
			t.Error(err)
		}
		var chats, system int
		for m, err := range p.group().Timeline(p.context(), timeline.Query{}) {
			if err != nil {
				t.Fatal(err)
			}
			if m.System == "" {
				chats++
			} else {
				system++
			}
		}
		if chats != 1 || system == 0 {
			t.Errorf("%s reads %d messages and %d rows about the group", p.name, chats, system)
		}
	}
	if _, err := g.Message(alice.context(), nostr.ID{1}); !errors.Is(err, marmot.ErrNoMessage) {
		t.Errorf("no message: %v", err)
	}
	if err := bob.Forget(bob.context(), g.ID(), false); !errors.Is(err, marmot.ErrStillMember) {
		t.Errorf("a member forgets: %v", err)
	}
	if err := g.Remove(alice.context(), bob.PubKey()); err != nil {
		t.Fatal(err)
	}
	bob.waitKind(group.EffectSelfRemoved)
	if err := bob.Forget(bob.context(), g.ID(), false); err != nil {
		t.Fatal(err)
	}
	bob.stop()
	bob.start()
	if groups, err := bob.Groups(bob.context()); err != nil || len(groups) != 0 {
		t.Errorf("bob still has %d groups (%v)", len(groups), err)
	}
	for r, err := range bob.db.Range("") {
		if err != nil || len(r.Key) > len(g.ID()) && slices.Contains([]string{"group/" + g.ID(), "since/" + g.ID()}, r.Key[:min(len(r.Key), len(g.ID())+6)]) {
			t.Errorf("%s is still stored (%v)", r.Key, err)
		}
	}
	if page, err := bob.History(0, 1000); err != nil || slices.ContainsFunc(page, func(u marmot.Update) bool { return u.Group == g.ID() }) {
		t.Errorf("the log still tells of the group (%v)", err)
	}
}

func TestProfileText(t *testing.T) {
	p := marmot.Profile{"name": json.RawMessage(`"x"`)}
	if p.SetText("name", ""); len(p) != 0 {
		t.Errorf("left: %v", p)
	}
}

// TestSameTextTwice says the same thing several times within a second: each is a
// message of its own.
func TestSameTextTwice(t *testing.T) {
	r := newRelay(t)
	alice, bob := newPerson(t, "alice", r.URL()), newPerson(t, "bob", r.URL())
	g := alice.invites(bob)
	ids := map[nostr.ID]bool{}
	for range 5 {
		id, err := g.Send(alice.context(), "ok")
		if err != nil {
			t.Fatal(err)
		}
		ids[id] = true
	}
	if err := alice.Flush(alice.context()); err != nil {
		t.Fatal(err)
	}
	if len(ids) != 5 {
		t.Errorf("%d ids", len(ids))
	}
	eventually(t, "bob reads it five times", func() bool { return len(bob.texts()) == 5 })
	var err error
	for range 1000 {
		if _, err = g.Send(alice.context(), "ok"); err != nil {
			break
		}
	}
	if !errors.Is(err, marmot.ErrSame) {
		t.Errorf("a thousand times within a second: %v", err)
	}
}
