// Package bottest has people who talk to the example bots in their tests.
package bottest

import (
	"context"
	"fmt"
	"time"

	"github.com/marmotgo/marmot"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/nostr/relay"
	"github.com/marmotgo/marmot/store"
	"github.com/marmotgo/marmot/wire"
)

// Person is somebody who talks to a bot in its test.
type Person struct {
	*marmot.Account
	db *store.Store
}

// NewPerson opens an account that lives in memory.
func NewPerson(ctx context.Context, relayURL string) (*Person, error) {
	db, err := store.Open("", store.NewKey())
	if err != nil {
		return nil, err
	}
	a, err := marmot.Open(ctx, marmot.Config{Store: db, Signer: marmot.LocalSigner(nostr.GenerateSecretKey()), Relays: []string{relayURL}})
	if err != nil {
		return nil, err
	}
	return &Person{a, db}, a.Published(ctx)
}

// Close ends the account.
func (p *Person) Close() {
	_ = p.Account.Close() // its relay may be gone already
	_ = p.db.Close()
}

// Found makes a group with the one who published a key package at the relay
// and is none of the people given: the bot.
func (p *Person) Found(ctx context.Context, relayURL string, people ...*Person) (*marmot.Group, error) {
	var invited []marmot.Contact
	known := map[nostr.PubKey]bool{}
	for _, other := range append(people, p) {
		known[other.PubKey()] = true
		if other != p {
			c, err := p.Lookup(ctx, other.PubKey())
			if err != nil {
				return nil, err
			}
			invited = append(invited, c)
		}
	}
	pool := relay.NewPool(relay.Config{})
	defer pool.Close()
	for ctx.Err() == nil {
		events, _, err := pool.Fetch(ctx, relay.PurposePublic, relayURL, nostr.Filter{Kinds: []nostr.Kind{wire.KindKeyPackage}})
		if err != nil {
			return nil, err
		}
		for _, e := range events {
			if c, err := p.Lookup(ctx, e.PubKey); err == nil && !known[e.PubKey] {
				return p.CreateGroup(ctx, marmot.NewGroup{Name: "Bots", Invite: append(invited, c)})
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	return nil, fmt.Errorf("the bot published no key package: %w", ctx.Err())
}

// Hears waits for the next message of somebody else that ok accepts.
func (p *Person) Hears(ctx context.Context, ok func(text string) bool) (string, error) {
	for u, err := range p.Updates(ctx, "test") {
		if err != nil {
			return "", err
		}
		if err := p.Ack("test", u.Cursor); err != nil {
			return "", err
		}
		if m, is := u.Message(); is && !u.Effect.Own && ok(m.Content) {
			return m.Content, nil
		}
	}
	return "", fmt.Errorf("nothing of that kind was said: %w", ctx.Err())
}
