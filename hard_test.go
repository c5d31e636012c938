package marmot_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/marmotgo/marmot"
	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/nostr/relayd"
	"github.com/marmotgo/marmot/store"
	"github.com/marmotgo/marmot/wire"
)

// failing is a store whose writes fail while countdown is at zero; below zero
// it never fails.
type failing struct {
	marmot.Store
	countdown atomic.Int64
	failed    atomic.Int64
}

var errDisk = errors.New("no space left")

func (f *failing) Write(records, entries []group.Record) error {
	switch n := f.countdown.Load(); {
	case n == 0:
		f.failed.Add(1)
		f.countdown.Store(-1)
		return errDisk
	case n > 0:
		f.countdown.Add(-1)
	}
	return f.Store.Write(records, entries)
}

// stubborn is a signer that blocks or refuses when told so.
type stubborn struct {
	marmot.Signer
	block  atomic.Bool
	refuse atomic.Bool
	wrong  atomic.Bool
}

var errNo = errors.New("the person said no")

func (s *stubborn) SignEvent(ctx context.Context, e *nostr.Event) error {
	if s.block.Load() {
		select {} // does not even listen to ctx
	}
	if s.refuse.Load() {
		return errNo
	}
	if s.wrong.Load() {
		e.Content += "!"
	}
	return s.Signer.SignEvent(ctx, e)
}

// opened starts an account with changes to its configuration.
func opened(t *testing.T, p *person, change func(*marmot.Config)) *person {
	t.Helper()
	if p.path == "" {
		p.t, p.path, p.key, p.dbKey = t, filepath.Join(t.TempDir(), "p.db"), nostr.GenerateSecretKey(), store.NewKey()
		t.Cleanup(p.stop)
	}
	db, err := store.Open(p.path, p.dbKey)
	if err != nil {
		t.Fatal(err)
	}
	p.db = db
	cfg := marmot.Config{
		Store: db, Signer: marmot.LocalSigner(p.key), Relays: p.relays,
		Accept: func(group.Invitation) bool { return true },
	}
	change(&cfg)
	if p.Account, err = marmot.Open(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestFailingWrites fails each write of a conversation once. Requests are
// answered, nothing is lost and nothing is told twice.
func TestFailingWrites(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	f := &failing{}
	f.countdown.Store(-1)
	bob := opened(t, &person{name: "bob", relays: []string{r.URL()}}, func(c *marmot.Config) {
		f.Store, c.Store = c.Store, f
	})
	if err := bob.Published(bob.context()); err != nil {
		t.Fatal(err)
	}
	alice := newPerson(t, "alice", r.URL())
	alice.invites(bob)
	bob.waitKind(group.EffectEpoch)
	var want []string
	for n := range 7 {
		f.countdown.Store(int64(n % 4))
		text := fmt.Sprint("from bob ", n)
		if _, err := bob.group().Send(bob.context(), text); err != nil {
			if !errors.Is(err, errDisk) {
				t.Fatalf("send: %v", err)
			}
			bob.say(text)
		}
		alice.say(fmt.Sprint("from alice ", n))
		want = append(want, text, fmt.Sprint("from alice ", n))
	}
	for _, text := range want {
		alice.waitText(text)
		bob.waitText(text)
	}
	for n := range 3 {
		f.countdown.Store(int64(n))
		if err := bob.group().SelfUpdate(bob.context()); err != nil && !errors.Is(err, errDisk) {
			t.Errorf("update with write %d failing: %v", n, err)
		}
	}
	f.countdown.Store(-1)
	slices.Sort(want)
	for _, p := range []*person{alice, bob} {
		if got := p.texts(); !slices.Equal(got, want) {
			t.Errorf("%s shows %q, want %q", p.name, got, want)
		}
	}
	if f.failed.Load() < 5 {
		t.Errorf("only %d writes failed", f.failed.Load())
	}
}

// TestSigner lets a signer refuse, answer something else and block for ever:
// sends go on, and what it refused is asked again.
func TestSigner(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	var shift atomic.Int64
	s := &stubborn{}
	s.refuse.Store(true)
	bob := opened(t, &person{name: "bob", relays: []string{r.URL()}}, func(c *marmot.Config) {
		s.Signer, c.Signer = c.Signer, s
		c.Now = func() time.Time { return time.Now().Add(time.Duration(shift.Load())) }
	})
	again := func(refuse, wrong bool) {
		s.refuse.Store(refuse)
		s.wrong.Store(wrong)
		shift.Add(int64(65 * time.Second))
		_, _ = bob.Groups(bob.context()) // notices the time
		time.Sleep(50 * time.Millisecond)
	}
	time.Sleep(50 * time.Millisecond)
	again(false, true)
	if len(r.Events()) != 0 {
		t.Error("something was published that was not asked for")
	}
	again(false, false)
	if err := bob.Published(bob.context()); err != nil {
		t.Fatal(err)
	}
	for range 5 { // the inbox logs in again, now that the signer lets it
		complete, _, err := bob.Synced(bob.context())
		if err != nil {
			t.Fatal(err)
		}
		if complete == 1 {
			break
		}
		again(false, false)
	}
	kinds := map[nostr.Kind]int{}
	for _, e := range r.Events() {
		kinds[e.Kind]++
	}
	if kinds[nostr.KindRelayList] != 1 || kinds[nostr.KindInboxRelays] != 1 || kinds[wire.KindKeyPackage] != 1 {
		t.Errorf("published: %v", kinds)
	}
	alice := newPerson(t, "alice", r.URL())
	alice.invites(bob)
	bob.waitKind(group.EffectEpoch)
	s.block.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := bob.group().SelfUpdate(ctx); !errors.Is(err, marmot.ErrQueued) {
		t.Errorf("an update without an answer: %v", err)
	}
	bob.say("the signer sleeps")
	alice.waitText("the signer sleeps")
	alice.say("never mind")
	bob.waitText("never mind")
	bob.stop() // does not wait for the signer
}

// TestPrint keeps the account's key out of prints.
func TestPrint(t *testing.T) {
	t.Parallel()
	p := newPerson(t, "p", newRelay(t).URL())
	for _, verb := range []string{"%v", "%+v", "%#v", "%x", "%d"} {
		for _, v := range []any{p.Account, marmot.LocalSigner(p.key), marmot.Config{Signer: marmot.LocalSigner(p.key)}} {
			got := fmt.Sprintf(verb, v)
			for _, form := range []string{"%x", "%d", "%v", "%#v"} {
				if secret := strings.Trim(fmt.Sprintf(form, p.key[:]), "[]{}"); strings.Contains(got, secret) {
					t.Errorf("%s of %T shows the key", verb, v)
				}
			}
		}
	}
}

// packages returns the keys of the stored key packages of a generation.
func (p *person) packages(of group.Protocol) (out []string) {
	for r, err := range p.db.Range("keypackage/") {
		if err != nil {
			p.t.Fatal(err)
		}
		var k struct{ Protocol group.Protocol }
		if err := json.Unmarshal(r.Value, &k); err != nil {
			p.t.Fatal(err)
		}
		if k.Protocol == of {
			out = append(out, r.Key)
		}
	}
	return out
}

// TestKeyPackageRotation replaces a key package after use, and before it
// expires. The old private part goes when the new one is confirmed; that of v1 a
// day later.
func TestKeyPackageRotation(t *testing.T) {
	for _, c := range []struct {
		protocol group.Protocol
		kind     nostr.Kind
		outlives time.Duration
	}{{group.V2, wire.KindKeyPackage, 0}, {group.V1, wire.KindMIPKeyPackage, 25 * time.Hour}} {
		t.Run(string(c.protocol), func(t *testing.T) {
			t.Parallel()
			testRotation(t, c.protocol, c.kind, c.outlives)
		})
	}
}

func testRotation(t *testing.T, protocol group.Protocol, kind nostr.Kind, outlives time.Duration) {
	r := newRelay(t)
	var shift atomic.Int64
	bob := opened(t, &person{name: "bob", relays: []string{r.URL()}}, func(c *marmot.Config) {
		c.Now = func() time.Time { return time.Now().Add(time.Duration(shift.Load())) }
	})
	if err := bob.Published(bob.context()); err != nil {
		t.Fatal(err)
	}
	alice := newPerson(t, "alice", r.URL())
	tick := func(what string, ok func(now []string) bool) []string {
		t.Helper()
		for range 400 {
			_, _ = bob.Groups(bob.context())
			if now := bob.packages(protocol); ok(now) {
				return now
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Fatalf("%s: %q", what, bob.packages(protocol))
		return nil
	}
	replaced := func(after time.Duration, old []string) []string {
		t.Helper()
		shift.Add(int64(after))
		if outlives > 0 {
			tick("the old one is kept for a while", func([]string) bool {
				list, err := bob.KeyPackages(bob.context())
				return err == nil && slices.ContainsFunc(list, func(k marmot.KeyPackageInfo) bool { return !k.EraseAt.IsZero() })
			})
			shift.Add(int64(outlives))
		}
		return tick("not replaced", func(now []string) bool { return len(now) == 1 && now[0] != old[0] })
	}
	first := bob.packages(protocol)
	alice.invitesTo(protocol, bob)
	second := replaced(2*time.Minute, first)
	third := replaced(71*24*time.Hour, second)
	eventually(t, "one key package is at the relay", func() bool {
		n := 0
		for _, e := range r.Events() {
			if e.Kind == kind && e.PubKey == bob.PubKey() {
				n++
			}
		}
		return n == 1
	})
	bob.stop()
	bob.start()
	if got := bob.packages(protocol); !slices.Equal(got, third) {
		t.Errorf("after a restart %q, want %q", got, third)
	}
}

// TestAgain removes a member and invites it again: it joins, and keeps what it
// had read. Meanwhile strangers flood its inbox, and one relay is dead.
func TestAgain(t *testing.T) {
	t.Parallel()
	r, dead := newRelay(t), newRelay(t)
	url := dead.URL()
	_ = dead.Close()
	alice, bob := newPerson(t, "alice", r.URL()), newPerson(t, "bob", r.URL(), url)
	g := alice.invites(bob)
	bob.waitKind(group.EffectEpoch)
	alice.say("before")
	bob.waitText("before")
	if err := g.Remove(alice.context(), bob.PubKey()); err != nil {
		t.Fatal(err)
	}
	bob.waitKind(group.EffectSelfRemoved)
	for range 50 {
		stranger := nostr.GenerateSecretKey()
		e := &nostr.Event{Kind: nostr.KindGiftWrap, CreatedAt: nostr.Timestamp(time.Now().Unix()), Tags: nostr.Tags{{"p", bob.PubKey().String()}}, Content: "AgAA"}
		if err := stranger.SignEvent(e); err != nil {
			t.Fatal(err)
		}
		r.Add(e)
	}
	c, err := alice.Lookup(alice.context(), bob.PubKey())
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Invite(alice.context(), c); err != nil {
		t.Fatal(err)
	}
	joined := 0
	bob.waitFor("second join", func(u marmot.Update) bool {
		if u.Effect.Kind == group.EffectJoined {
			joined++
		}
		return joined == 2
	})
	alice.say("after")
	bob.waitText("after")
	if got := bob.texts(); !slices.Equal(got, []string{"after", "before"}) {
		t.Errorf("bob shows %q", got)
	}
	if counts := bob.Refused(); counts["gift_wrap"] != 50 {
		t.Errorf("refused: %v", counts)
	}
}

// TestGarbage sends what is no group event under the group's h tag: it is
// counted, and blocks nothing.
func TestGarbage(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	alice, bob := newPerson(t, "alice", r.URL()), newPerson(t, "bob", r.URL())
	g := alice.invites(bob)
	bob.waitKind(group.EffectEpoch)
	addresses, err := g.Addresses(alice.context())
	if err != nil {
		t.Fatal(err)
	}
	h := fmt.Sprintf("%x", addresses[0].GroupID)
	for i, tags := range []nostr.Tags{{{"h", h}}, {{"h", h}, {"x", "y"}}, {{"h", h, "more"}}, {{"h", h}, {"h", h}}} {
		e := &nostr.Event{Kind: wire.KindGroupEvent, CreatedAt: nostr.Timestamp(time.Now().Unix()), Tags: tags, Content: "not base64" + fmt.Sprint(i)}
		if err := nostr.GenerateSecretKey().SignEvent(e); err != nil {
			t.Fatal(err)
		}
		r.Add(e)
	}
	alice.say("behind it")
	bob.waitText("behind it")
	if counts := bob.Refused(); counts[string(group.InvalidEncoding)] != 4 {
		t.Errorf("refused: %v", counts)
	}
}

// TestLogin asks for a login everywhere: the inbox logs in, group traffic never
// does. A silent relay beside it holds nobody up, and Synced tells.
func TestLogin(t *testing.T) {
	t.Parallel()
	r, silent := newRelay(t), newRelay(t)
	silent.SetFaults(relayd.Faults{Silent: true})
	strict, err := relayd.Start("127.0.0.1:0", relayd.Config{RequireAuth: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = strict.Close() })
	alice, bob := newPerson(t, "alice", r.URL(), silent.URL()), newPerson(t, "bob", r.URL())
	c, err := alice.Lookup(alice.context(), bob.PubKey())
	if err != nil {
		t.Fatal(err)
	}
	n := marmot.NewGroup{Name: "n", Relays: []string{r.URL(), strict.URL(), silent.URL()}, Invite: []marmot.Contact{c}}
	if _, err := alice.CreateGroup(alice.context(), n); err != nil {
		t.Fatal(err)
	}
	bob.waitKind(group.EffectJoined)
	alice.say("hello")
	bob.waitText("hello")
	if n := len(strict.Events()); n != 0 {
		t.Errorf("a relay that wants a login has %d events: somebody logged in", n)
	}
	complete, asked, err := bob.Synced(bob.context())
	if err != nil || complete != 2 || asked != 4 {
		t.Errorf("%d of %d relays answered, %v; want 2 of 4", complete, asked, err)
	}
}
