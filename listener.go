package marmot

import (
	"context"
	"encoding/hex"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/nostr/relay"
	"github.com/marmotgo/marmot/wire"
)

// Relays allow few subscriptions, filters and values: the groups of one relay share
// a subscription, up to so many in a filter and so many filters.
const (
	filterGroups    = 100
	listenerFilters = 10
)

// listener is one subscription for the groups that live on a relay.
type listener struct {
	url   string
	sub   *relay.Subscription
	feeds map[string]*feed // by the group's public id, in hex; for the owner
	dead  bool             // the relay ended it
	// routes is a copy of feeds for the connection's goroutine.
	routes atomic.Pointer[map[string]*feed]
}

// listen gives group feeds a place in a subscription to their relay. Those of one
// relay should come together: each call may ask the relay anew.
func (a *Account) listen(feeds []*feed) {
	changed := map[*listener]bool{}
	for _, f := range feeds {
		l := a.listenerFor(f.url)
		l.feeds[f.filter.Tags["h"][0]] = f
		f.listener = l
		changed[l] = true
	}
	for l := range changed {
		a.askAnew(l)
	}
}

// listenerFor returns a listener with room.
func (a *Account) listenerFor(url string) *listener {
	for _, l := range a.listeners[url] {
		if len(l.feeds) < filterGroups*listenerFilters {
			return l
		}
	}
	l := &listener{url: url, feeds: map[string]*feed{}}
	a.listeners[url] = append(a.listeners[url], l)
	return l
}

// silence takes feeds out of their subscriptions.
func (a *Account) silence(feeds []*feed) {
	changed := map[*listener]bool{}
	for _, f := range feeds {
		l := f.listener
		if h := f.filter.Tags["h"][0]; l.feeds[h] == f {
			delete(l.feeds, h)
			changed[l] = true
		}
	}
	for l := range changed {
		a.askAnew(l)
	}
}

// askAnew brings a subscription in line with its feeds.
func (a *Account) askAnew(l *listener) {
	routes := maps.Clone(l.feeds)
	l.routes.Store(&routes)
	switch {
	case len(l.feeds) == 0:
		l.sub.Close()
		if left := slices.DeleteFunc(a.listeners[l.url], func(x *listener) bool { return x == l }); len(left) > 0 {
			a.listeners[l.url] = left
		} else {
			delete(a.listeners, l.url)
		}
	case l.sub == nil:
		l.sub = a.pool.Subscribe(purposeGroup, l.url, a.liveFilters(l), func(d relay.Delivery) { a.heard(l, d) })
	default:
		l.sub.Update(a.liveFilters(l))
	}
}

// liveFilters are those of a listener: see [feed.liveSince].
func (a *Account) liveFilters(l *listener) (out []nostr.Filter) {
	now := a.cfg.Now()
	for ids := range slices.Chunk(slices.Sorted(maps.Keys(l.feeds)), filterGroups) {
		filter := nostr.Filter{Kinds: []nostr.Kind{wire.KindGroupEvent}, Tags: map[string][]string{"h": ids}, Limit: 1}
		since := nostr.Timestamp(nostr.MaxTimestamp)
		for _, id := range ids {
			since = min(since, l.feeds[id].liveSince(now))
		}
		filter.Since = &since
		out = append(out, filter)
	}
	return out
}

// heard takes what a subscription brings. It runs on the connection's goroutine.
func (a *Account) heard(l *listener, d relay.Delivery) {
	each := func(do func(*feed)) func() {
		return func() {
			for _, f := range l.feeds {
				do(f)
			}
		}
	}
	switch {
	case d.Event != nil:
		id, err := wire.GroupOf(d.Event)
		if err != nil {
			a.refused.add(string(group.InvalidEncoding))
			return
		}
		if f := (*l.routes.Load())[hex.EncodeToString(id[:])]; f != nil {
			a.takeLive(f.ctx, f, d.Event)
		}
	case d.Connected:
		a.post(func() { a.connected(slices.Collect(maps.Values(l.feeds))...) })
	case d.Disconnected:
		a.post(func() {
			each(func(f *feed) { f.synced, f.lost = false, f.filling })()
			if len(l.feeds) > 0 {
				l.sub.Update(a.liveFilters(l))
			}
		})
	case d.Closed != "": // perhaps told by Subscribe, which the owner is in
		a.work(func(context.Context) {
			a.post(func() {
				l.dead = true
				each(func(f *feed) { f.synced = false; a.fillLater(f) })()
			})
		})
	}
}

// revived asks again for what the relay refused to go on with.
func (a *Account) revived(l *listener) {
	if l.dead {
		l.dead = false
		l.sub.Update(a.liveFilters(l))
	}
}
