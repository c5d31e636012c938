package marmot_test

import (
	"context"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/marmotgo/marmot"
	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/nostr/relayd"
	"github.com/marmotgo/marmot/store"
)

// person is an account with its database on disk.
type person struct {
	t      testing.TB
	name   string
	path   string
	key    nostr.SecretKey
	dbKey  store.Key
	relays []string
	// patience is how long the person waits for anything; 0 is 20 s.
	patience time.Duration
	db       *store.Store
	last     string // id of the group, for a child process
	*marmot.Account
}

func newRelay(t testing.TB) *relayd.Running {
	t.Helper()
	r, err := relayd.Start("127.0.0.1:0", relayd.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func newPerson(t testing.TB, name string, relays ...string) *person {
	t.Helper()
	p := &person{
		t: t, name: name, path: filepath.Join(t.TempDir(), name+".db"),
		key: nostr.GenerateSecretKey(), dbKey: store.NewKey(), relays: relays,
	}
	p.start()
	t.Cleanup(p.stop)
	if err := p.Published(p.context()); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return p
}

func (p *person) context() context.Context {
	patience := p.patience
	if patience == 0 {
		patience = 20 * time.Second
	}
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	p.t.Cleanup(cancel)
	return ctx
}

func (p *person) start() {
	p.t.Helper()
	db, err := store.Open(p.path, p.dbKey)
	if err != nil {
		p.t.Fatal(err)
	}
	p.db = db
	p.Account, err = marmot.Open(p.t.Context(), marmot.Config{
		Store: db, Signer: marmot.LocalSigner(p.key), Relays: p.relays,
		Accept: func(group.Invitation) bool { return true },
	})
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *person) stop() {
	if p.Account == nil {
		return
	}
	if err := p.Close(); err != nil {
		p.t.Error(err)
	}
	if err := p.db.Close(); err != nil {
		p.t.Error(err)
	}
	p.Account = nil
}

// waitFor reads the log from its beginning until f accepts an update.
func (p *person) waitFor(what string, f func(marmot.Update) bool) marmot.Update {
	p.t.Helper()
	for u, err := range p.Updates(p.context(), "test "+what) {
		if err != nil {
			p.t.Fatalf("%s waits for %s: %v", p.name, what, err)
		}
		if f(u) {
			return u
		}
	}
	p.t.Fatalf("%s waits in vain for %s", p.name, what)
	return marmot.Update{}
}

func (p *person) waitText(text string) marmot.Update {
	p.t.Helper()
	return p.waitFor(text, func(u marmot.Update) bool {
		e, ok := u.Message()
		return ok && e.Content == text
	})
}

func (p *person) waitKind(kind group.EffectKind) marmot.Update {
	p.t.Helper()
	return p.waitFor(string(kind), func(u marmot.Update) bool { return u.Effect.Kind == kind })
}

func (p *person) group() *marmot.Group {
	p.t.Helper()
	groups, err := p.Groups(p.context())
	if err != nil || len(groups) != 1 {
		p.t.Fatalf("%s has %d groups, %v", p.name, len(groups), err)
	}
	return groups[0]
}

func (p *person) say(text string) {
	p.t.Helper()
	if _, err := p.group().Send(p.context(), text); err != nil {
		p.t.Fatal(err)
	}
}

// texts are the messages shown, each as often as it was told.
func (p *person) texts() []string {
	p.t.Helper()
	var updates []marmot.Update
	for after := uint64(0); ; after = updates[len(updates)-1].Cursor {
		page, err := p.History(after, 10_000)
		if err != nil {
			p.t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		updates = append(updates, page...)
	}
	var out []string
	for _, u := range updates {
		e, ok := u.Message()
		switch {
		case !ok:
		case u.Effect.Kind == group.EffectInvalidated:
			if i := slices.Index(out, e.Content); i >= 0 {
				out = slices.Delete(out, i, i+1)
			}
		default:
			out = append(out, e.Content)
		}
	}
	slices.Sort(out)
	return out
}

func (p *person) invites(people ...*person) *marmot.Group {
	p.t.Helper()
	return p.invitesTo(group.V2, people...)
}

// invitesTo founds a group of one generation.
func (p *person) invitesTo(protocol group.Protocol, people ...*person) *marmot.Group {
	p.t.Helper()
	n := marmot.NewGroup{Protocol: protocol, Name: "Friends"}
	for _, q := range people {
		c, err := p.Lookup(p.context(), q.PubKey())
		if err != nil {
			p.t.Fatal(err)
		}
		n.Invite = append(n.Invite, c)
	}
	g, err := p.CreateGroup(p.context(), n)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, q := range people {
		q.waitKind(group.EffectJoined)
	}
	return g
}

func TestThreeAccounts(t *testing.T) {
	r := newRelay(t)
	alice, bob, carol := newPerson(t, "alice", r.URL()), newPerson(t, "bob", r.URL()), newPerson(t, "carol", r.URL())
	g := alice.invites(bob, carol)
	bob.say("hello from bob")
	alice.waitText("hello from bob")
	carol.waitText("hello from bob")
	if err := g.SetProfile(alice.context(), "Close friends", ""); err != nil {
		t.Fatal(err)
	}
	if err := g.Remove(alice.context(), carol.PubKey()); err != nil {
		t.Fatal(err)
	}
	carol.waitKind(group.EffectSelfRemoved)
	bob.waitFor("removal", func(u marmot.Update) bool {
		return u.Effect.Kind == group.EffectRemoved && u.Effect.Subject == carol.PubKey()
	})
	alice.say("carol cannot read this")
	bob.waitText("carol cannot read this")
	if got := carol.texts(); slices.Contains(got, "carol cannot read this") {
		t.Error("a removed member reads on")
	}
}

// TestOffline stops a member, sends while it is away, and starts it again:
// each message arrives once.
func TestOffline(t *testing.T) {
	r := newRelay(t)
	alice, bob := newPerson(t, "alice", r.URL()), newPerson(t, "bob", r.URL())
	alice.invites(bob)
	bob.waitKind(group.EffectEpoch)
	alice.say("one")
	bob.waitText("one")
	bob.stop()
	var want []string
	for _, text := range []string{"two", "three", "four"} {
		alice.say(text)
		want = append(want, text)
	}
	if err := alice.group().SetProfile(alice.context(), "renamed", ""); err != nil {
		t.Fatal(err)
	}
	alice.say("five")
	bob.start()
	bob.waitText("five")
	want = append(want, "one", "five")
	slices.Sort(want)
	if got := bob.texts(); !slices.Equal(got, want) {
		t.Errorf("bob shows %q, want %q", got, want)
	}
	for range 3 { // and not again after further restarts
		bob.stop()
		bob.start()
		if _, _, err := bob.Synced(bob.context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := bob.texts(); !slices.Equal(got, want) {
		t.Errorf("after restarts bob shows %q, want %q", got, want)
	}
}

// TestAcknowledge keeps what nobody read.
func TestAcknowledge(t *testing.T) {
	r := newRelay(t)
	alice, bob := newPerson(t, "alice", r.URL()), newPerson(t, "bob", r.URL())
	alice.invites(bob)
	alice.say("read")
	alice.say("unread")
	u := bob.waitText("read")
	bob.waitText("unread")
	if err := bob.Ack("reader", u.Cursor); err != nil {
		t.Fatal(err)
	}
	bob.stop()
	bob.start()
	for v, err := range bob.Updates(bob.context(), "reader") {
		if err != nil {
			t.Fatal(err)
		}
		if v.Cursor <= u.Cursor {
			t.Fatal("an acknowledged update came again")
		}
		if e, ok := v.Message(); ok {
			if e.Content != "unread" {
				t.Errorf("got %q", e.Content)
			}
			break
		}
	}
}
