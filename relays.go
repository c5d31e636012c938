package marmot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
)

// maxListed bounds the relays of one list: others ask all of them.
const maxListed = 16

// keepInbox is how long an inbox that is listed no more is still read: others
// may have read the old list.
const keepInbox = 30 * 24 * time.Hour

// RelayLists are the relays that an account shows in public.
type RelayLists struct {
	Outbox []string // where it publishes: its key package and profile (kind 10002, NIP-65)
	Inbox  []string // where invitations to it go (kind 10050, NIP-17)

	outbox, inbox *nostr.Event // as found at relays
	packages      []string     // where v1 apps say their key packages are (kind 10051)
}

// formerInbox is an inbox relay that is listed no more.
type formerInbox struct {
	URL   string    `json:"url"`
	Until time.Time `json:"until"`
}

// inbox is where the account receives.
func (r *accountRecord) inbox() []string {
	if r.Inbox != nil {
		return r.Inbox
	}
	return r.Relays
}

// inboxes are all the relays where something for the account may come.
func (r *accountRecord) inboxes(now time.Time) []string {
	out := slices.Clone(r.inbox())
	for _, f := range r.Former {
		if now.Before(f.Until) && !slices.Contains(out, f.URL) {
			out = append(out, f.URL)
		}
	}
	return out
}

// listsAt dates the next lists: of two replaceable events the later counts.
func (a *Account) listsAt() nostr.Timestamp {
	return nostr.Timestamp(max(a.cfg.Now().Unix(), a.record.ListsAt+1))
}

// Relays returns the account's own lists.
func (a *Account) Relays(ctx context.Context) (RelayLists, error) {
	var l RelayLists
	err := a.do(ctx, func() error {
		l.Outbox, l.Inbox = slices.Clone(a.record.Relays), slices.Clone(a.record.inbox())
		return nil
	})
	return l, err
}

// RelaysOf asks this account's relays for the lists of somebody else. The
// error wraps [ErrNoAnswer] when none answered.
func (a *Account) RelaysOf(ctx context.Context, who nostr.PubKey) (RelayLists, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	l, _, err := a.relayLists(ctx, who)
	return l, err
}

func (a *Account) relayLists(ctx context.Context, who nostr.PubKey) (l RelayLists, asked []string, err error) {
	if err := a.do(ctx, func() error { asked = slices.Clone(a.record.Relays); return nil }); err != nil {
		return l, nil, err
	}
	events, answered := a.fetchFrom(ctx, asked, nostr.Filter{Authors: []nostr.PubKey{who}, Kinds: []nostr.Kind{nostr.KindRelayList, nostr.KindInboxRelays, nostr.KindPackageRelays}, Limit: 6})
	if answered == 0 && len(events) == 0 {
		return l, asked, fmt.Errorf("%w: of ours, which are asked for the relays of %s", ErrNoAnswer, who.Npub())
	}
	if e, ok := newest(events, nostr.KindRelayList); ok {
		l.outbox = e
		if parsed, err := nostr.ParseRelayList(e); err == nil {
			l.Outbox = parsed.Writes()
		}
	}
	if e, ok := newest(events, nostr.KindInboxRelays); ok {
		l.inbox = e
		l.Inbox, _ = nostr.InboxRelays(e) // what does not parse lists nothing
	}
	if e, ok := newest(events, nostr.KindPackageRelays); ok {
		l.packages, _ = nostr.PackageRelays(e)
	}
	return l, asked, nil
}

// ErrRelays means that a list cannot be published as it is.
var ErrRelays = errors.New("marmot: a relay list needs one to 16 relays, ws:// or wss://")

func checkList(urls []string) error {
	if len(urls) == 0 || len(urls) > maxListed {
		return fmt.Errorf("%w: %d given", ErrRelays, len(urls))
	}
	for _, u := range urls {
		if err := nostr.CheckRelayURL(u); err != nil {
			return fmt.Errorf("%w: %w", ErrRelays, err)
		}
	}
	return nil
}

// SetRelays replaces the account's lists. It returns when they are stored; they
// are published in the background, at the old relays too, and so is a new key
// package, at the new ones: see [Account.Published]. Inboxes that are listed no
// more are read for another 30 days. Groups stay where they are: see
// [Group.SetRelays].
func (a *Account) SetRelays(ctx context.Context, l RelayLists) error {
	if err := errors.Join(checkList(l.Outbox), checkList(l.Inbox)); err != nil {
		return err
	}
	var at nostr.Timestamp
	if err := a.do(ctx, func() error { at = a.listsAt(); return nil }); err != nil {
		return err
	}
	lists, err := a.signLists(ctx, relayListEvents(l.Outbox, l.Inbox, at))
	if err != nil {
		return fmt.Errorf("marmot: the signer did not sign the lists: %w", err)
	}
	return a.do(ctx, func() error { return a.changeRelays(l, lists) })
}

func (a *Account) changeRelays(l RelayLists, lists []*nostr.Event) error {
	now := a.cfg.Now()
	record := a.record
	record.Relays, record.Inbox = slices.Clone(l.Outbox), slices.Clone(l.Inbox)
	record.Former = slices.DeleteFunc(slices.Clone(record.Former), func(f formerInbox) bool { return !now.Before(f.Until) })
	for _, url := range a.record.inbox() {
		if !slices.Contains(record.Inbox, url) {
			record.Former = append(record.Former, formerInbox{url, now.Add(keepInbox)})
		}
	}
	record.Listed, record.Packaged, record.ListsAt = true, true, int64(lists[0].CreatedAt)
	record.Rotated, record.V1.Rotated = time.Time{}, time.Time{}
	targets := slices.Concat(record.Relays, a.record.Relays)
	slices.Sort(targets)
	targets = slices.Compact(targets)
	records := []group.Record{{Key: keyAccount, Value: encode(record)}}
	var own, older []*ownEvent
	for _, e := range lists {
		o := &ownEvent{Event: e.AppendJSON(nil), event: e}
		for _, url := range targets {
			o.Relays = append(o.Relays, ownTarget{URL: url})
		}
		own = append(own, o)
		records = append(records, o.stored())
		older = append(older, a.supersedes(e)...)
	}
	for _, o := range older {
		records = append(records, group.Record{Key: o.key()})
	}
	replaced, apply := a.outdated()
	if err := a.write(append(records, replaced...), nil); err != nil {
		return err
	}
	apply()
	a.record = record
	for _, o := range older {
		delete(a.own, o.event.ID)
	}
	for _, o := range own {
		a.own[o.event.ID] = o
		a.offer(o)
	}
	a.follow()
	a.renewKeyPackages()
	return nil
}
