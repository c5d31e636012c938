package marmot

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
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
	failingGrace  = 150 * time.Millisecond  // for those of them that failed the last time
	maxLookup     = 16                      // relays asked; a stranger's list may be long
	maxCandidates = 12                      // key package events read for one account
)

// Contact is somebody who can be invited: the key packages chosen for them, one
// for each generation of the protocol that they can be invited with, and the relays
// where their invitations go.
type Contact struct {
	PubKey      nostr.PubKey
	KeyPackages map[group.Protocol]*wire.KeyPackageEvent
	Inbox       []string
	// AnotherDevice invites a further device of somebody who is a member.
	AnotherDevice bool

	bad map[group.Protocol]error // why a generation is missing, if something was found
}

// Speaks returns the generations of the protocol that the contact can be invited
// with, the current one first.
func (c Contact) Speaks() (out []group.Protocol) {
	for _, p := range []group.Protocol{group.V2, group.V1} {
		if c.KeyPackages[p] != nil {
			out = append(out, p)
		}
	}
	return out
}

// invitee is the contact for a group of one generation. The error is a
// [*NotInvitable].
func (c Contact) invitee(p group.Protocol) (group.Invitee, error) {
	k := c.KeyPackages[p]
	if k != nil {
		return group.Invitee{KeyPackage: k, Inbox: c.Inbox, AnotherDevice: c.AnotherDevice}, nil
	}
	why := fmt.Sprintf("has no key package of protocol %s", p)
	if err := c.bad[p]; err != nil {
		why = fmt.Sprintf("has no usable key package of protocol %s: %v", p, err)
	}
	remedy := "publish a key package: open your client, or marmot keys publish"
	if other := c.Speaks(); len(other) > 0 {
		why += fmt.Sprintf("; only of %s: they can be in a group made with --protocol %s, and a group keeps its protocol for life", other[0], other[0])
		remedy = fmt.Sprintf("use an app that speaks %s too, or be invited to a group of %s", p, other[0])
	}
	return group.Invitee{}, &NotInvitable{c.PubKey, why, remedy}
}

func invitees(p group.Protocol, people []Contact) (out []group.Invitee, err error) {
	for _, c := range people {
		v, err := c.invitee(p)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// NotInvitable says why somebody cannot be invited, and what they can do about
// it. It is an [ErrNotInvitable].
type NotInvitable struct {
	Who    nostr.PubKey
	Why    string // goes on after their name
	Remedy string // addressed to them
}

func (e *NotInvitable) Error() string {
	return fmt.Sprintf("%v: %s %s", ErrNotInvitable, e.Who.Npub(), e.Why)
}

func (e *NotInvitable) Unwrap() error { return ErrNotInvitable }

// Lookup finds what is needed to invite an account: its relay lists, then its
// key packages at the relays it writes to. The error is a [*NotInvitable] or,
// when nothing can be said about them, wraps [ErrNoAnswer].
func (a *Account) Lookup(ctx context.Context, who nostr.PubKey) (Contact, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	c := Contact{PubKey: who}
	refuse := func(why, remedy string) (Contact, error) { return c, &NotInvitable{who, why, remedy} }
	lists, asked, err := a.relayLists(ctx, who)
	if err != nil {
		return c, err
	}
	common := strings.Join(asked, " ")
	switch {
	case len(lists.packages) > 0: // v1 names its relays there
	case lists.outbox == nil:
		return refuse("has no relay list (kind 10002) at our relays", "publish your relay list and your key package where we look for them: "+common)
	case len(lists.Outbox) == 0:
		return refuse("lists no relay to write to (kind 10002)", "add a relay that you write to to your relay list, and publish a key package there")
	}
	switch {
	case lists.inbox == nil:
		return refuse("has no inbox relays (kind 10050)", "publish a list of inbox relays (kind 10050): without one nobody knows where to send your invitation")
	case len(lists.Inbox) == 0:
		return refuse("lists no usable inbox relay (kind 10050)", "put a relay with a ws:// or wss:// address on your list of inbox relays")
	}
	c.Inbox = lists.Inbox
	relays := slices.Concat(lists.Outbox, lists.packages)
	events, answered := a.keyPackagesOf(ctx, who, relays)
	if answered == 0 && len(events) == 0 {
		return c, fmt.Errorf("%w: of the relays that %s writes to: %s", ErrNoAnswer, who.Npub(), strings.Join(relays, " "))
	}
	c.KeyPackages, c.bad = choose(events, a.cfg.Now())
	switch {
	case len(c.KeyPackages) > 0:
		return c, nil
	case len(events) == 0:
		return refuse("has no key package", "publish a key package at a relay of your list ("+strings.Join(relays, " ")+"): open your client, or marmot keys publish")
	}
	reason := cmp.Or(c.bad[group.V2], c.bad[group.V1])
	return refuse("has no usable key package: "+reason.Error(), "publish a new key package and delete the old ones: open your client, or marmot keys rotate")
}

// keyPackagesOf asks for the key package events of an account: for both kinds,
// because many of the one must not crowd out the other.
func (a *Account) keyPackagesOf(ctx context.Context, who nostr.PubKey, relays []string) (events []*nostr.Event, answered int) {
	kinds := []nostr.Kind{wire.KindKeyPackage, wire.KindMIPKeyPackage}
	found, complete := make([][]*nostr.Event, len(kinds)), make([]int, len(kinds))
	var asked sync.WaitGroup
	for i, kind := range kinds {
		asked.Go(func() {
			found[i], complete[i] = a.fetchFrom(ctx, relays, nostr.Filter{Authors: []nostr.PubKey{who}, Kinds: []nostr.Kind{kind}, Limit: maxCandidates})
		})
	}
	asked.Wait()
	return slices.Concat(found...), slices.Min(complete)
}

// fetchFrom asks several relays side by side and returns the verified events
// that came, each once, and how many relays answered completely. A relay that
// fails, is slow or sends what nobody signed delays nobody for long, and hides
// nothing of the others.
func (a *Account) fetchFrom(ctx context.Context, relays []string, filter nostr.Filter) (out []*nostr.Event, answered int) {
	ctx, cancel := context.WithCancel(ctx)
	var asked sync.WaitGroup
	type answer struct {
		url      string
		events   []*nostr.Event
		complete bool
	}
	answers := make(chan answer, maxLookup)
	waiting := map[string]bool{}
	for _, url := range relays[:min(len(relays), maxLookup)] {
		if waiting[url] {
			continue
		}
		waiting[url] = true
		asked.Go(func() {
			events, complete, _ := a.pool.Fetch(ctx, purposePublic, url, filter) // what came counts
			answers <- answer{url, a.honest(url, filter, events), complete}
		})
	}
	found := map[nostr.ID]*nostr.Event{}
	var since time.Time // there was an answer
	collect := func(r answer) {
		delete(waiting, r.url)
		for _, e := range r.events {
			found[e.ID] = e
		}
		if r.complete {
			answered++
		}
		if r.complete && since.IsZero() {
			since = time.Now()
		}
	}
	ticks := time.NewTicker(failingGrace / 3)
	defer ticks.Stop()
	for len(waiting) > 0 && ctx.Err() == nil {
		select {
		case r := <-answers:
			collect(r)
		case <-ticks.C:
			grace := a.graceFor(waiting)
			if !since.IsZero() && time.Since(since) > grace && (len(found) > 0 || grace == failingGrace) {
				a.giveUp(waiting)
			}
		case <-ctx.Done():
		}
	}
	cancel()
	asked.Wait()
	for range len(answers) { // what the others had sent until then
		collect(<-answers)
	}
	out = slices.Collect(maps.Values(found))
	slices.SortFunc(out, func(x, y *nostr.Event) int { return slices.Compare(x.ID[:], y.ID[:]) })
	return out, answered
}

// honest keeps the events that fit the filter and that somebody signed.
func (a *Account) honest(url string, filter nostr.Filter, events []*nostr.Event) (out []*nostr.Event) {
	for _, e := range events {
		if !filter.Matches(e) || a.verified.check(e) != nil {
			a.pool.NoteBad(url)
			continue
		}
		out = append(out, e)
	}
	return out
}

// graceFor is how long relays are waited for when one has answered.
func (a *Account) graceFor(waiting map[string]bool) time.Duration {
	for url := range waiting {
		if !a.pool.Failing(url) {
			return lookupGrace
		}
	}
	return failingGrace
}

func (a *Account) giveUp(waiting map[string]bool) {
	for url := range waiting {
		if !a.pool.Failing(url) {
			a.pool.NoteSlow(url)
		}
	}
	clear(waiting)
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

// choose validates every candidate and chooses one for each generation. A bad one
// never hides a good one; of a generation of which all are bad, the error is that of
// the newest.
func choose(events []*nostr.Event, now time.Time) (chosen map[group.Protocol]*wire.KeyPackageEvent, bad map[group.Protocol]error) {
	chosen, bad = map[group.Protocol]*wire.KeyPackageEvent{}, map[group.Protocol]error{}
	badAt := map[group.Protocol]nostr.Timestamp{}
	for _, e := range inForce(events) {
		p := packagingOf(e)
		name := p.protocol()
		k, err := p.parse(e, now)
		switch {
		case err != nil:
			if e.CreatedAt >= badAt[name] {
				bad[name], badAt[name] = err, e.CreatedAt
			}
		case chosen[name] == nil || k.Better(chosen[name]):
			chosen[name] = k
		}
	}
	return chosen, bad
}

// inForce leaves out what relays should have replaced: of a slot the latest counts,
// and of equal ones that with the lower id. Events of kind 443 have no slot.
func inForce(events []*nostr.Event) (out []*nostr.Event) {
	slots := map[string]int{}
	for _, e := range events { // sorted by id
		d, _ := e.Tags.Find("d")
		i, ok := slots[d.Value()]
		switch {
		case e.Kind != wire.KindKeyPackage:
			out = append(out, e)
		case !ok:
			slots[d.Value()] = len(out)
			out = append(out, e)
		case e.CreatedAt > out[i].CreatedAt:
			out[i] = e
		}
	}
	return out
}
