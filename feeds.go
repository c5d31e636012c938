package marmot

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/nostr/relay"
	"github.com/marmotgo/marmot/wire"
)

// How far behind what is synchronized a range is asked for again, in seconds.
// Gift wraps are dated up to two days back on purpose (NIP-59).
const (
	groupOverlap = 600
	inboxOverlap = 2*24*3600 + 600
	liveOverlap  = 120
)

// refillAfter is how long a feed waits after a backfill that was not complete.
const refillAfter = 30 * time.Second

// feed is one relay that the account listens to for one thing. Live events
// come through the subscription; what was missed is fetched after every
// connect, and counts as synchronized only with evidence.
type feed struct {
	key     string
	url     string
	purpose relay.Purpose
	filter  nostr.Filter // without times
	overlap nostr.Timestamp
	take    func(ctx context.Context, e *nostr.Event) (settled bool)
	sub     *relay.Subscription
	cancel  context.CancelFunc

	// For the owner.
	until   nostr.Timestamp // synchronized up to here; 0 for nothing
	filling bool
	again   bool
	synced  bool // since the last connect
	tried   bool // a backfill has ended since the account was opened
}

func (f *feed) close() {
	f.cancel()
	f.sub.Close()
}

// follow opens the feeds that the account needs and closes the others.
func (a *Account) follow() {
	wanted := map[string]*feed{}
	for _, url := range a.record.Relays {
		f := &feed{
			key: "inbox/" + url, url: url, purpose: a.inboxPurpose(), overlap: inboxOverlap, take: a.takeWrap,
			filter: nostr.Filter{Kinds: []nostr.Kind{nostr.KindGiftWrap}, Tags: map[string][]string{"p": {a.self.String()}}},
		}
		wanted[f.key] = f
	}
	for _, l := range a.groups {
		for _, address := range l.state.Addresses() {
			h := hex.EncodeToString(address.GroupID[:])
			for _, url := range address.Relays {
				f := &feed{
					key: "group/" + h + "/" + url, url: url, purpose: purposeGroup, overlap: groupOverlap, take: a.takeGroupEvent,
					filter: nostr.Filter{Kinds: []nostr.Kind{wire.KindGroupEvent}, Tags: map[string][]string{"h": {h}}},
				}
				wanted[f.key] = f
			}
		}
	}
	for key, f := range a.feeds {
		if wanted[key] == nil {
			f.close()
			delete(a.feeds, key)
		}
	}
	for key, f := range wanted {
		if a.feeds[key] == nil {
			a.feeds[key] = f
			a.openFeed(f)
		}
	}
}

func (a *Account) openFeed(f *feed) {
	if b, err := a.cfg.Store.Get(keySync + f.key); err == nil && b != nil {
		_ = json.Unmarshal(b, &f.until) // unreadable: everything is fetched again
	}
	ctx, cancel := context.WithCancel(a.ctx)
	f.cancel = cancel
	live := f.filter
	since := nostr.Timestamp(a.cfg.Now().Unix()) - liveOverlap
	if f.purpose != purposeGroup {
		since -= inboxOverlap
	}
	live.Since = &since
	f.sub = a.pool.Subscribe(f.purpose, f.url, []nostr.Filter{live}, func(d relay.Delivery) {
		switch {
		case d.Event != nil:
			if a.verified.check(d.Event) == nil {
				f.take(ctx, d.Event)
			} else {
				a.work(func(context.Context) { a.post(func() { a.count("invalid_signature") }) })
			}
		case d.Connected:
			a.work(func(context.Context) { a.post(func() { a.fill(f) }) })
		case d.Disconnected:
			a.work(func(context.Context) { a.post(func() { f.synced = false }) })
		}
	})
}

// fill fetches what a feed missed. One runs at a time for each feed.
func (a *Account) fill(f *feed) {
	if a.feeds[f.key] != f {
		return
	}
	if f.filling {
		f.again = true
		return
	}
	f.filling = true
	filter, started := f.filter, nostr.Timestamp(a.cfg.Now().Unix())
	if f.until > 0 {
		since := max(f.until-f.overlap, 0)
		filter.Since = &since
	}
	a.work(func(ctx context.Context) {
		complete := a.backfill(ctx, f, filter)
		a.post(func() { a.filled(f, complete, started) })
	})
}

// backfill reads a range and takes it in from old to new, so that commits come
// before what builds on them. It reports whether all of it was settled.
func (a *Account) backfill(ctx context.Context, f *feed, filter nostr.Filter) bool {
	var events []*nostr.Event
	coverage, err := a.pool.Backfill(ctx, f.purpose, f.url, filter, func(page []*nostr.Event) error {
		for _, e := range page {
			if a.verified.check(e) == nil {
				events = append(events, e)
			}
		}
		return nil
	})
	slices.SortStableFunc(events, func(x, y *nostr.Event) int { return cmp.Compare(x.CreatedAt, y.CreatedAt) })
	settled := true
	for _, e := range events {
		settled = f.take(ctx, e) && settled
	}
	if err != nil || !coverage.Complete {
		a.cfg.Log.Debug("a range is not complete", "events", len(events), "reason", coverage.Reason)
	}
	return err == nil && coverage.Complete && settled
}

func (a *Account) filled(f *feed, complete bool, started nostr.Timestamp) {
	f.filling, f.tried = false, true
	if a.feeds[f.key] != f {
		return
	}
	if complete {
		f.until, f.synced = started, true
		record := group.Record{Key: keySync + f.key, Value: encode(f.until)}
		if err := a.write([]group.Record{record}, nil); err != nil {
			a.cfg.Log.Error("state could not be stored", "error", err)
		}
	}
	a.news.tell()
	switch {
	case f.again:
		f.again = false
		a.fill(f)
	case !complete:
		a.work(func(ctx context.Context) {
			select {
			case <-time.After(refillAfter):
				a.post(func() { a.fill(f) })
			case <-ctx.Done():
			}
		})
	}
}

// takeGroupEvent hands a verified kind 445 event to its group. It reports
// false when the event must stay obtainable.
func (a *Account) takeGroupEvent(ctx context.Context, e *nostr.Event) bool {
	settled := false
	err := a.do(ctx, func() error {
		settled = a.receive(e)
		return nil
	})
	return settled && err == nil
}

func (a *Account) receive(e *nostr.Event) bool {
	g, err := wire.ParseGroupEvent(e)
	if err != nil {
		a.count(string(group.InvalidEncoding))
		return true
	}
	settled := true
	for _, l := range a.groups {
		if !slices.ContainsFunc(l.state.Addresses(), func(ad group.Address) bool { return ad.GroupID == g.Group }) {
			continue
		}
		outcome, err := a.step(l, group.Received{Event: e})
		if outcome.Category != group.Accepted {
			a.count(string(outcome.Category))
		}
		settled = settled && err == nil && !outcome.Refetch
	}
	return settled
}

// Synced waits until every relay of the account was asked for what was
// missed, and reports how many of them answered completely.
func (a *Account) Synced(ctx context.Context) (complete, asked int, err error) {
	for {
		news := a.news.wait()
		done := true
		complete, asked = 0, 0
		err := a.do(ctx, func() error {
			for _, f := range a.feeds {
				asked++
				if f.synced {
					complete++
				}
				done = done && f.tried && !f.filling
			}
			return nil
		})
		if err != nil || done {
			return complete, asked, err
		}
		select {
		case <-news:
		case <-ctx.Done():
			return complete, asked, fmt.Errorf("marmot: %d of %d relays have answered: %w", complete, asked, ctx.Err())
		}
	}
}
