package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/marmotgo/marmot"
	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/nostr/relay"
	"github.com/marmotgo/marmot/store"
	"github.com/marmotgo/marmot/store/keywrap"
	"github.com/marmotgo/marmot/wire"
)

// actor is one person of the demo: an account with a database of its own.
type actor struct {
	*marmot.Account
	name  string
	home  *app
	relay string
	key   nostr.SecretKey
	db    *store.Store
	group *marmot.Group
	last  nostr.ID       // the message this person has read or sent last
	kept  []group.Record // carol's copy of her keys
}

// newActor makes an account in the demo's folder, which is a home like any
// other: with --dir the other verbs can look into it afterwards.
func (d *demo) newActor(ctx context.Context, name string) (*actor, error) {
	a := &actor{name: name, home: &app{home: d.dir}, relay: d.relayURL, key: nostr.GenerateSecretKey()}
	if _, err := a.home.addAccount(a.key, keywrap.Options{Method: keywrap.KeyFile}); err != nil {
		return nil, err
	}
	if err := a.start(ctx); err != nil {
		return nil, err
	}
	if err := a.Published(ctx); err != nil {
		return nil, fmt.Errorf("no relay took the relay lists and the key package: %w", err)
	}
	d.out.line(entry{Who: name, What: "has a Nostr key (" + a.PubKey().Npub()[:12] + "…), a database and a published key package", At: time.Since(d.started)})
	return a, nil
}

// start opens the account from its database.
func (a *actor) start(ctx context.Context) (err error) {
	if a.db, err = a.home.openStore(a.key.PubKey()); err != nil {
		return err
	}
	a.Account, err = marmot.Open(ctx, marmot.Config{Store: a.db, Signer: marmot.LocalSigner(a.key), Relays: []string{a.relay}})
	if err == nil && a.group != nil {
		a.group, err = a.Group(ctx, a.group.ID())
	}
	return err
}

// stop ends the account's process, as far as one process can.
func (a *actor) stop() error {
	if a.Account == nil {
		return nil
	}
	err := a.Close()
	a.Account = nil
	if e := a.db.Close(); err == nil {
		err = e
	}
	return err
}

func (a *actor) epoch(ctx context.Context) uint64 {
	if a.Account == nil || a.group == nil {
		return 0
	}
	s, err := a.group.Status(ctx)
	if err != nil {
		return 0
	}
	return s.Epoch
}

func (a *actor) found(ctx context.Context, n marmot.NewGroup, people ...*actor) error {
	for _, p := range people {
		c, err := a.Lookup(ctx, p.PubKey())
		if err != nil {
			return err
		}
		n.Invite = append(n.Invite, c)
	}
	g, err := a.CreateGroup(ctx, n)
	a.group = g
	return err
}

// accept waits for the invitation and joins.
func (a *actor) accept(ctx context.Context) error {
	if err := a.wait(ctx, func(u marmot.Update) bool { return u.Effect.Kind == marmot.EffectInvited }); err != nil {
		return fmt.Errorf("no invitation came: %w", err)
	}
	list, err := a.Invitations(ctx)
	if err != nil || len(list) != 1 {
		return fmt.Errorf("%d invitations wait, 1 expected: %w", len(list), err)
	}
	a.group, err = a.Accept(ctx, list[0])
	return err
}

// wait reads the log from its beginning until f accepts an update.
func (a *actor) wait(ctx context.Context, f func(marmot.Update) bool) error {
	for u, err := range a.Updates(ctx, "demo") {
		if err != nil {
			return err
		}
		if f(u) {
			return nil
		}
	}
	return ctx.Err()
}

// reads waits for a message, and remembers it to answer to.
func (a *actor) reads(ctx context.Context, text string) error {
	err := a.wait(ctx, func(u marmot.Update) bool {
		e, ok := u.Message()
		if !ok || e.Content != text {
			return false
		}
		a.last = e.ID
		return true
	})
	if err != nil {
		return fmt.Errorf("%s never read %q: %w", a.name, text, err)
	}
	return nil
}

func allRead(ctx context.Context, text string, readers []*actor) error {
	for _, r := range readers {
		if err := r.reads(ctx, text); err != nil {
			return err
		}
	}
	return nil
}

func (a *actor) say(ctx context.Context, text string, readers ...*actor) error {
	if _, err := a.group.Send(ctx, text); err != nil {
		return err
	}
	return allRead(ctx, text, readers)
}

func (a *actor) reply(ctx context.Context, text string, readers ...*actor) error {
	if _, err := a.group.Reply(ctx, a.last, text); err != nil {
		return err
	}
	return allRead(ctx, text, readers)
}

func (a *actor) react(ctx context.Context, reaction string, readers ...*actor) error {
	if _, err := a.group.React(ctx, a.last, reaction); err != nil {
		return err
	}
	return allRead(ctx, reaction, readers)
}

func (a *actor) waitRemoved(ctx context.Context) error {
	return a.wait(ctx, func(u marmot.Update) bool { return u.Effect.Kind == group.EffectSelfRemoved })
}

// keepKeys copies what the account stores of the group, as a member could who
// does not play by the rules.
func (a *actor) keepKeys(context.Context) error {
	prefix := "group/" + a.group.ID() + "/"
	for r, err := range a.db.Range(prefix) {
		if err != nil {
			return err
		}
		r.Key = strings.TrimPrefix(r.Key, prefix)
		a.kept = append(a.kept, r)
	}
	return nil
}

// cannotRead shows that carol is out: her client has forgotten the group's
// keys and follows it no more, and the copy she kept opens nothing that was
// sent after the removal.
func (d *demo) cannotRead(ctx context.Context, text string) error {
	a := d.carol
	s, err := a.group.Status(ctx)
	if err != nil || !s.Removed {
		return fmt.Errorf("%s is still a member: %w", a.name, err)
	}
	left := 0
	for r, err := range a.db.Range("group/" + a.group.ID() + "/") {
		if err != nil {
			return err
		}
		if r.Secret {
			left++
		}
	}
	if left > 0 {
		return fmt.Errorf("%d secrets are left in the database", left)
	}
	event, err := d.newGroupEvent(ctx)
	if err != nil {
		return err
	}
	old, _, err := group.Load(time.Now(), group.Config{Self: a.PubKey()}, a.kept)
	if err != nil {
		return err
	}
	out, err := old.Step(time.Now(), group.Received{Event: event})
	if err != nil {
		return err
	}
	if out.Outcome.Category != group.TransportDeferred {
		return fmt.Errorf("the kept keys opened an event sent after the removal (%q)", out.Outcome.Category)
	}
	return a.neverShown(text)
}

// remember notes which events the relay has, to tell later ones apart.
func (d *demo) remember(ctx context.Context) error {
	events, err := d.stored(ctx)
	d.known = map[nostr.ID]bool{}
	for _, e := range events {
		d.known[e.ID] = true
	}
	return err
}

// newGroupEvent is the group's event that came since then.
func (d *demo) newGroupEvent(ctx context.Context) (*nostr.Event, error) {
	events, err := d.stored(ctx)
	if err != nil {
		return nil, err
	}
	for _, e := range events {
		if e.Kind == wire.KindGroupEvent && !d.known[e.ID] {
			return e, nil
		}
	}
	return nil, fmt.Errorf("the relay has no new event of the group")
}

func (a *actor) neverShown(text string) error {
	updates, err := a.History(0, 10_000)
	if err != nil {
		return err
	}
	for _, u := range updates {
		if e, ok := u.Message(); ok && e.Content == text {
			return fmt.Errorf("%s read a message sent after the removal", a.name)
		}
	}
	return nil
}

// shows compares the messages this person was told of with want, each once.
func (a *actor) shows(want ...string) error {
	updates, err := a.History(0, 10_000)
	if err != nil {
		return err
	}
	var got []string
	for _, u := range updates {
		e, ok := u.Message()
		switch {
		case !ok:
		case u.Effect.Kind == group.EffectInvalidated:
			if i := slices.Index(got, e.Content); i >= 0 {
				got = slices.Delete(got, i, i+1)
			}
		default:
			got = append(got, e.Content)
		}
	}
	want = slices.Sorted(slices.Values(want))
	slices.Sort(got)
	if !slices.Equal(got, want) {
		return fmt.Errorf("%s was shown %q, expected %q", a.name, got, want)
	}
	return nil
}

// settle waits until the actors are at one epoch with nothing left to do; at
// least atLeast.
func settle(ctx context.Context, atLeast uint64, actors ...*actor) error {
	for {
		var seen []group.Status
		for _, a := range actors {
			s, err := a.group.Status(ctx)
			if err != nil {
				return err
			}
			seen = append(seen, s)
		}
		if settled(seen, atLeast) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the members did not settle: %+v: %w", seen, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func settled(seen []group.Status, atLeast uint64) bool {
	for _, s := range seen {
		if s.Epoch < atLeast || s.Epoch != seen[0].Epoch || s.Convergence != group.Settled || s.Queued > 0 || s.Lifecycle != group.Stable {
			return false
		}
	}
	return true
}

// named checks that everyone sees the group's name.
func named(name string, actors ...*actor) func(context.Context) error {
	return func(ctx context.Context) error {
		for _, a := range actors {
			if s, err := a.group.Status(ctx); err != nil || s.Name != name {
				return fmt.Errorf("%s sees the name %q: %w", a.name, s.Name, err)
			}
		}
		return nil
	}
}

// stored reads what the relay keeps, as its operator would: everything from
// our own relay, and from another one what can be asked for.
func (d *demo) stored(ctx context.Context) ([]*nostr.Event, error) {
	if d.relay != nil {
		return d.relay.Events(), nil
	}
	pool := relay.NewPool(relay.Config{})
	defer pool.Close()
	addresses, err := d.alice.group.Addresses(ctx)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, a := range addresses {
		ids = append(ids, hex.EncodeToString(a.GroupID[:]))
	}
	var people []nostr.PubKey
	for _, a := range []*actor{d.alice, d.bob, d.carol} {
		people = append(people, a.PubKey())
	}
	var out []*nostr.Event
	for _, f := range []nostr.Filter{
		{Kinds: []nostr.Kind{wire.KindGroupEvent}, Tags: map[string][]string{"h": ids}},
		{Authors: people},
	} {
		events, _, err := pool.Fetch(ctx, relay.PurposePublic, d.relayURL, f)
		if err != nil {
			return nil, err
		}
		out = append(out, events...)
	}
	return out, nil
}
