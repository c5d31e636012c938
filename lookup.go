package marmot

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// Bounds of a lookup.
const (
	lookupTimeout = 10 * time.Second
	lookupGrace   = 1500 * time.Millisecond // for the others, after one relay has answered
	maxLookup     = 16                      // relays asked; a stranger's list may be long
	maxCandidates = 12                      // key package events read for one account
)

// Contact is somebody who can be invited: the key package chosen for them and
// the relays where their invitations go.
type Contact struct {
	PubKey     nostr.PubKey
	KeyPackage *wire.KeyPackageEvent
	Inbox      []string
	// AnotherDevice invites a further device of somebody who is a member.
	AnotherDevice bool
}

func (c Contact) invitee() group.Invitee {
	return group.Invitee{KeyPackage: c.KeyPackage, Inbox: c.Inbox, AnotherDevice: c.AnotherDevice}
}

// Lookup finds what is needed to invite an account: its relay lists, then its
// key packages at the relays it writes to. The error wraps [ErrNotInvitable]
// and says what is missing.
func (a *Account) Lookup(ctx context.Context, who nostr.PubKey) (Contact, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	c := Contact{PubKey: who}
	var relays []string
	if err := a.do(ctx, func() error { relays = slices.Clone(a.record.Relays); return nil }); err != nil {
		return c, err
	}
	lists := a.fetch(ctx, relays, nostr.Filter{Authors: []nostr.PubKey{who}, Kinds: []nostr.Kind{nostr.KindRelayList, nostr.KindInboxRelays}, Limit: 4})
	refuse := func(why string) (Contact, error) {
		return c, fmt.Errorf("%w: %s %s", ErrNotInvitable, who.Npub(), why)
	}
	list, ok := newest(lists, nostr.KindRelayList)
	if !ok {
		return refuse("has no relay list (kind 10002) at our relays")
	}
	parsed, err := nostr.ParseRelayList(list)
	if err != nil || len(parsed.Writes()) == 0 {
		return refuse("lists no relay to write to")
	}
	inbox, ok := newest(lists, nostr.KindInboxRelays)
	if !ok {
		return refuse("has no inbox relays (kind 10050)")
	}
	if c.Inbox, err = nostr.InboxRelays(inbox); err != nil || len(c.Inbox) == 0 {
		return refuse("lists no usable inbox relay")
	}
	events := a.fetch(ctx, parsed.Writes(), nostr.Filter{Authors: []nostr.PubKey{who}, Kinds: []nostr.Kind{wire.KindKeyPackage}, Limit: maxCandidates})
	if c.KeyPackage, err = best(events, a.cfg.Now()); err != nil {
		return refuse("has no usable key package: " + err.Error())
	}
	return c, nil
}

// fetch asks several relays side by side and returns the verified events that
// came, each once. A relay that fails, or is slow, delays nobody for long and is
// left out.
func (a *Account) fetch(ctx context.Context, relays []string, filter nostr.Filter) []*nostr.Event {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var mu sync.Mutex
	var wg sync.WaitGroup
	found := map[nostr.ID]*nostr.Event{}
	for _, url := range relays[:min(len(relays), maxLookup)] {
		wg.Add(1)
		go func() {
			defer wg.Done()
			events, complete, _ := a.pool.Fetch(ctx, purposePublic, url, filter) // what came counts
			if complete && len(events) > 0 {
				time.AfterFunc(lookupGrace, cancel)
			}
			for _, e := range events {
				if !filter.Matches(e) || a.verified.check(e) != nil {
					continue
				}
				mu.Lock()
				found[e.ID] = e
				mu.Unlock()
			}
		}()
	}
	wg.Wait()
	out := make([]*nostr.Event, 0, len(found))
	for _, e := range found {
		out = append(out, e)
	}
	slices.SortFunc(out, func(x, y *nostr.Event) int { return slices.Compare(x.ID[:], y.ID[:]) })
	return out
}

// newest returns the replaceable event in force: the latest, and of equal ones
// that with the lower id.
func newest(events []*nostr.Event, kind nostr.Kind) (*nostr.Event, bool) {
	var out *nostr.Event
	for _, e := range events { // sorted by id
		if e.Kind == kind && (out == nil || e.CreatedAt > out.CreatedAt) {
			out = e
		}
	}
	return out, out != nil
}

// best validates every candidate and chooses one. A bad one never hides a
// good one; if all are bad, the error is that of the newest.
func best(events []*nostr.Event, now time.Time) (*wire.KeyPackageEvent, error) {
	slots := map[string]*nostr.Event{}
	for _, e := range events { // sorted by id: the lower id stays on equal times
		d, _ := e.Tags.Find("d")
		slot := ""
		if len(d) > 1 {
			slot = d[1]
		}
		if old := slots[slot]; old == nil || e.CreatedAt > old.CreatedAt {
			slots[slot] = e
		}
	}
	var chosen *wire.KeyPackageEvent
	reason, reasonAt := fmt.Errorf("none was found"), nostr.Timestamp(0)
	for _, e := range slots {
		k, err := wire.ParseKeyPackageEvent(e, now)
		switch {
		case err != nil:
			if e.CreatedAt >= reasonAt {
				reason, reasonAt = err, e.CreatedAt
			}
		case chosen == nil || k.Better(chosen):
			chosen = k
		}
	}
	if chosen == nil {
		return nil, reason
	}
	return chosen, nil
}
