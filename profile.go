package marmot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
)

// keyProfile is where the newest profile of the account is kept that is known.
const keyProfile = "profile"

// maxProfile bounds a profile's content, in bytes.
const maxProfile = 64 << 10

// Profile is what an account says about itself in public (kind 0, NIP-01 and
// NIP-24): a JSON object. Fields that this package does not know are kept as
// they are.
type Profile map[string]json.RawMessage

// Text returns a field that is a string; empty if there is none.
func (p Profile) Text(name string) string {
	var s string
	_ = json.Unmarshal(p[name], &s) // what is no string has no text
	return s
}

// SetText sets a field to a string; an empty one removes it.
func (p Profile) SetText(name, text string) {
	if text == "" {
		delete(p, name)
		return
	}
	p[name] = encode(text)
}

// Errors of profiles.
var (
	ErrNoProfile = errors.New("marmot: no profile was found")
	ErrProfile   = fmt.Errorf("marmot: a profile has at most %d bytes", maxProfile)
)

// readProfile reads the content of a kind 0 event. One that is no object has
// no fields.
func readProfile(e *nostr.Event) Profile {
	p := Profile{}
	if e == nil || len(e.Content) > maxProfile || json.Unmarshal([]byte(e.Content), &p) != nil || p == nil {
		return Profile{}
	}
	return p
}

// Profile looks for the profile of an account at this account's relays and at
// those that account writes to. The error is [ErrNoProfile], or wraps
// [ErrNoAnswer] when nothing can be said.
func (a *Account) Profile(ctx context.Context, who nostr.PubKey) (Profile, error) {
	e, err := a.profileEvent(ctx, who)
	if err != nil {
		return nil, err
	}
	return readProfile(e), nil
}

func (a *Account) profileEvent(ctx context.Context, who nostr.PubKey) (*nostr.Event, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	var events []*nostr.Event
	if who == a.self {
		b, err := a.cfg.Store.Get(keyProfile)
		if err != nil {
			return nil, err
		}
		if e, err := nostr.ParseEvent(b); err == nil {
			events = append(events, e)
		}
	}
	lists, relays, err := a.relayLists(ctx, who)
	if err != nil && !errors.Is(err, ErrNoAnswer) {
		return nil, err
	}
	for _, url := range lists.Outbox {
		if !slices.Contains(relays, url) {
			relays = append(relays, url)
		}
	}
	found, answered := a.fetchFrom(ctx, relays, nostr.Filter{Authors: []nostr.PubKey{who}, Kinds: []nostr.Kind{nostr.KindProfile}, Limit: 2})
	events = append(events, found...)
	slices.SortFunc(events, func(x, y *nostr.Event) int { return slices.Compare(x.ID[:], y.ID[:]) })
	if e, ok := newest(events, nostr.KindProfile); ok {
		return e, nil
	}
	if answered == 0 {
		return nil, fmt.Errorf("%w: the profile of %s could not be read", ErrNoAnswer, who.Npub())
	}
	return nil, ErrNoProfile
}

// EditProfile changes the account's own profile: edit gets the newest version
// that can be found, and changes it in place. It returns when the new one is
// stored; it is published in the background. When no relay answers, and no
// version is stored here, nothing is changed: the account may have a profile
// that would be lost.
func (a *Account) EditProfile(ctx context.Context, edit func(Profile) error) (Profile, error) {
	old, err := a.profileEvent(ctx, a.self)
	if err != nil && !errors.Is(err, ErrNoProfile) {
		return nil, err
	}
	p := readProfile(old)
	if err := edit(p); err != nil {
		return nil, err
	}
	content := encode(p)
	if len(content) > maxProfile {
		return nil, ErrProfile
	}
	template := &nostr.Event{Kind: nostr.KindProfile, CreatedAt: nostr.Timestamp(a.cfg.Now().Unix()), Tags: nostr.Tags{}, Content: string(content)}
	if old != nil {
		template.Tags, template.CreatedAt = old.Tags, max(template.CreatedAt, old.CreatedAt+1)
	}
	e, err := sign(ctx, a.signer, template)
	if err != nil {
		return nil, fmt.Errorf("marmot: the signer did not sign the profile: %w", err)
	}
	return p, a.do(ctx, func() error { return a.adoptProfile(e) })
}

func (a *Account) adoptProfile(e *nostr.Event) error {
	o := a.newOwn(e, "")
	records := []group.Record{{Key: keyProfile, Value: o.Event}, o.stored()}
	older := a.supersedes(e)
	for _, old := range older {
		records = append(records, group.Record{Key: old.key()})
	}
	if err := a.write(records, nil); err != nil {
		return err
	}
	for _, old := range older {
		delete(a.own, old.event.ID)
	}
	a.own[e.ID] = o
	a.offer(o)
	return nil
}
