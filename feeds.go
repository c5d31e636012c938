package marmot

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/nostr/relay"
	"github.com/marmotgo/marmot/wire"
)

// How far behind what is synchronized a range is asked for again, in seconds,
// and how far clocks differ.
// A group's events may reach a relay up to a day after they were signed: their
// sender was offline and sends the same bytes. Gift wraps are dated up to two
// days back on purpose (NIP-59).
const (
	groupOverlap = 24 * 3600
	inboxOverlap = 2*24*3600 + clockSkew
	clockSkew    = 600
)

// A feed is filled again when a backfill was not complete, after refillAfter,
// which doubles up to refillLast; and from time to time in any case, because a
// relay may not have passed on what it has.
const (
	refillAfter = 5 * time.Second
	refillLast  = 10 * time.Minute
	refreshLive = 10 * time.Minute
)

// A group whose events find no state again and again may have missed what
// they build on: its whole history is read again, after stallLimit of them,
// and not more often than replayPause, which doubles.
const (
	stallLimit  = 8
	replayPause = 10 * time.Minute
)

// feed is one relay that the account listens to for one thing. Live events
// come through the subscription; what was missed is fetched after every
// connect, and counts as synchronized only with evidence.
type feed struct {
	key      string
	group    string // key of the group it is for; empty for the inbox
	url      string
	purpose  relay.Purpose
	filter   nostr.Filter // without times
	overlap  nostr.Timestamp
	floor    nostr.Timestamp // nothing older is for the account
	take     func(ctx context.Context, e *nostr.Event) (settled bool)
	sub      *relay.Subscription // of an inbox
	listener *listener           // of a group
	ctx      context.Context     // of what is taken from it; ends with the feed
	cancel   context.CancelFunc

	// For the owner.
	until    nostr.Timestamp // synchronized up to here; 0 for nothing
	ceiling  nostr.Timestamp // what is newer comes in a later backfill; 0 for none
	resume   bool            // a backfill below a ceiling is done: no overlap
	filling  bool
	lost     bool // the connection, while filling
	dead     bool // the relay ended the inbox's subscription
	synced   bool // since the last connect
	tried    bool // a backfill has ended since the account was opened
	failures int
	fillAt   time.Time // next backfill; zero while one is running
}

// close ends an inbox's subscription, and all that is under way. A group's
// subscription goes on for others.
func (f *feed) close() {
	f.cancel()
	if f.sub != nil {
		f.sub.Close()
	}
}

// liveSince is from when on a subscription brings events: as far back as they may be
// late. What is stored comes from the backfill, in an order that loses nothing, so
// the relay is asked for no more than one of those.
func (f *feed) liveSince(now time.Time) nostr.Timestamp {
	return max(nostr.Timestamp(now.Unix())-clockSkew-f.overlap, f.floor)
}

// live is the filter of an inbox's subscription.
func (f *feed) live(now time.Time) []nostr.Filter {
	since := f.liveSince(now)
	filter := f.filter
	filter.Since, filter.Limit = &since, 1
	return []nostr.Filter{filter}
}

func groupFeed(address group.Address, url string) string {
	return "group/" + hex.EncodeToString(address.GroupID[:]) + "/" + url
}

// follow opens the feeds that the account needs and closes the others.
func (a *Account) follow() {
	if !a.started {
		return
	}
	wanted := map[string]*feed{}
	a.routes = map[[32]byte][]string{}
	for _, url := range a.record.inboxes(a.cfg.Now()) {
		f := &feed{
			key: "inbox/" + url, url: url, purpose: a.inboxPurpose(), overlap: inboxOverlap, take: a.takeWrap,
			filter: nostr.Filter{Kinds: []nostr.Kind{nostr.KindGiftWrap}, Tags: map[string][]string{"p": {a.self.String()}}},
		}
		wanted[f.key] = f
	}
	for _, l := range a.groups {
		for _, address := range l.addresses {
			a.routes[address.GroupID] = append(a.routes[address.GroupID], l.key)
			h := hex.EncodeToString(address.GroupID[:])
			for _, url := range address.Relays {
				f := &feed{
					key: groupFeed(address, url), group: l.key, url: url, purpose: purposeGroup, overlap: groupOverlap, take: a.takeGroupEvent,
					floor:  max(l.since-clockSkew, 0),
					filter: nostr.Filter{Kinds: []nostr.Kind{wire.KindGroupEvent}, Tags: map[string][]string{"h": {h}}},
				}
				wanted[f.key] = f
			}
		}
	}
	var ended, begun []*feed
	for key, f := range a.feeds {
		if wanted[key] == nil {
			f.close()
			delete(a.feeds, key)
			if f.group != "" {
				ended = append(ended, f)
			}
		}
	}
	for key, f := range wanted {
		if a.feeds[key] == nil {
			a.feeds[key] = f
			a.prepareFeed(f)
			begun = append(begun, f)
		}
	}
	a.feedsOf = map[string][]*feed{}
	for _, f := range a.feeds {
		a.feedsOf[f.group] = append(a.feedsOf[f.group], f)
	}
	a.silence(ended)
	a.openFeeds(begun)
}

func (a *Account) prepareFeed(f *feed) {
	b := a.marks[f.key]
	if a.marks == nil {
		b, _ = a.cfg.Store.Get(keySync + f.key)
	}
	_ = json.Unmarshal(b, &f.until) // none, or unreadable: everything is fetched again
	f.ctx, f.cancel = context.WithCancel(a.ctx)
}

func (a *Account) openFeeds(feeds []*feed) {
	var groups []*feed
	for _, f := range feeds {
		if f.group == "" {
			a.subscribe(f)
		} else {
			groups = append(groups, f)
		}
	}
	a.listen(groups)
	a.fill(feeds...)
}

// loadMarks reads up to when all feeds were synchronized, for the first follow.
func (a *Account) loadMarks() {
	a.marks = map[string][]byte{}
	for r, err := range a.cfg.Store.Range(keySync) {
		if err == nil {
			a.marks[strings.TrimPrefix(r.Key, keySync)] = r.Value
		}
	}
}

func (a *Account) subscribe(f *feed) {
	f.sub = a.pool.Subscribe(f.purpose, f.url, f.live(a.cfg.Now()), func(d relay.Delivery) {
		switch {
		case d.Event != nil:
			a.takeLive(f.ctx, f, d.Event)
		case d.Connected:
			a.post(func() { a.connected(f) })
		case d.Disconnected:
			a.post(func() { a.disconnected(f) })
		case d.Closed != "": // perhaps told by Subscribe, which the owner is in
			a.work(func(context.Context) { a.post(func() { f.dead, f.synced = true, false; a.fillLater(f) }) })
		}
	})
}

// revive asks again for an inbox that the relay refused to go on with. A login that
// failed stays failed on its connection, so it gets a new one.
func (a *Account) revive(f *feed) {
	f.dead = false
	f.sub.Close()
	a.logins++
	f.purpose = relay.Purpose(fmt.Sprintf("%s#%d", a.inboxPurpose(), a.logins))
	a.subscribe(f)
}

// takeLive takes an event from the subscription. One that is not settled is
// fetched again later.
func (a *Account) takeLive(ctx context.Context, f *feed, e *nostr.Event) {
	if _, full := a.crowded.Load(f.group); full && a.hopeless(ctx, f, e) {
		return
	}
	if a.verified.check(e) != nil {
		a.refused.add(string(group.InvalidSignature))
		a.pool.NoteBad(f.url)
		return
	}
	if !f.take(ctx, e) {
		a.post(func() { a.fillLater(f) })
	}
}

// hopeless refuses an event of a flood before it costs a signature.
func (a *Account) hopeless(ctx context.Context, f *feed, e *nostr.Event) (refused bool) {
	err := a.do(ctx, func() error {
		if l := a.groups[f.group]; l != nil && l.state != nil && l.state.Hopeless(a.cfg.Now(), e) {
			a.refused.add(string(group.ResourceRefused))
			a.fillLater(f)
			refused = true
		}
		return nil
	})
	return refused && err == nil
}

func (a *Account) connected(feeds ...*feed) {
	a.fill(slices.DeleteFunc(feeds, func(f *feed) bool { return f.synced })...)
}

// disconnected prepares the next connection: what is older than now comes from
// a backfill.
func (a *Account) disconnected(f *feed) {
	f.synced, f.lost = false, f.filling
	if a.feeds[f.key] == f {
		f.sub.Update(f.live(a.cfg.Now()))
	}
}

// fillLater plans a backfill after a failure.
func (a *Account) fillLater(f *feed) {
	at := a.cfg.Now().Add(min(refillAfter<<min(f.failures, 10), refillLast))
	if !f.filling && (f.fillAt.IsZero() || at.Before(f.fillAt)) {
		f.fillAt = at
	}
	f.lost = f.lost || f.filling
}

// askAgain fetches at once what a group could not take in while it was suspended: its
// relays are not to blame.
func (a *Account) askAgain(key string, now time.Time) {
	if _, ok := a.suspended[key]; ok {
		return
	}
	for _, f := range a.feedsOf[key] {
		f.failures = 0
		switch {
		case f.filling:
			f.lost = true
		case !f.synced:
			f.fillAt = now
		}
	}
}

// refill starts the backfills that are due.
func (a *Account) refill(now time.Time) {
	var due []*feed
	for _, f := range a.feeds {
		if !f.fillAt.IsZero() && !now.Before(f.fillAt) {
			due = append(due, f)
		}
	}
	a.fill(due...)
}

// fill fetches what feeds missed.
func (a *Account) fill(feeds ...*feed) {
	for _, f := range feeds {
		a.fillOne(f)
	}
	a.startGathers()
}

// fillOne fetches what a feed missed, if nothing does so already. A group's feed
// waits for startGathers.
func (a *Account) fillOne(f *feed) {
	if a.feeds[f.key] != f || f.filling {
		return
	}
	if f.listener != nil {
		a.revived(f.listener)
	}
	if f.dead {
		a.revive(f)
	}
	f.filling, f.lost, f.fillAt = true, false, time.Time{}
	filter, started := f.filter, nostr.Timestamp(a.cfg.Now().Unix())
	since := f.until
	if !f.resume {
		since -= f.overlap
	}
	if since = max(since, f.floor); since > 0 {
		filter.Since = &since
	}
	if f.ceiling > 0 {
		started = f.ceiling
		filter.Until = &started
	}
	if f.group != "" {
		a.fillGroup(f, filter, started)
		return
	}
	a.work(func(ctx context.Context) {
		b := a.backfill(ctx, f, filter)
		a.post(func() { a.filled(f, b, started) })
	})
}

// inboxRead reports whether what lay in the inboxes was read, as far as their
// relays answered.
func (a *Account) inboxRead() bool {
	for _, f := range a.feeds {
		if f.purpose != purposeGroup && (!f.tried || f.filling) {
			return false
		}
	}
	return true
}

func (a *Account) filled(f *feed, b backfill, started nostr.Timestamp) {
	f.filling, f.tried = false, true
	if a.feeds[f.key] != f {
		return
	}
	again := f.lost
	switch {
	case b.oldest > 0: // too much at once: the older part comes first
		f.ceiling, again = b.oldest, true
	case b.complete:
		again = again || f.ceiling > 0
		f.resume, f.ceiling = f.ceiling > 0, 0
		f.until, f.synced, f.failures = started, !again, 0
		// With the next write: a mark that is lost costs asking again.
		a.unsaved = append(a.unsaved, group.Record{Key: keySync + f.key, Value: encode(f.until)})
		f.fillAt = a.cfg.Now().Add(refreshLive)
	default:
		f.failures++
		a.fillLater(f)
	}
	if again && f.failures < 3 {
		a.fill(f)
	}
	a.renewKeyPackages()
	a.news.tell()
}

// takeGroupEvent hands a verified kind 445 event to its group. It reports
// false when the event must stay obtainable.
func (a *Account) takeGroupEvent(ctx context.Context, e *nostr.Event) bool {
	settled := false
	err := a.do(ctx, func() error {
		settled = a.receiveBatch([]*nostr.Event{e})[0]
		return nil
	})
	return settled && err == nil
}

// stalled counts an event that found no state, and has the group's history
// read again when there are many.
func (a *Account) stalled(l *live, e *nostr.Event) {
	if e.CreatedAt <= l.born {
		return // perhaps from before the account came
	}
	now := a.cfg.Now()
	if l.stalled++; l.stalled < stallLimit || now.Before(l.replayAt) {
		return
	}
	l.stalled, l.replayAt = 0, now.Add(replayPause<<min(l.replays, 8))
	l.replays++
	for _, address := range l.addresses {
		for _, url := range address.Relays {
			if f := a.feeds[groupFeed(address, url)]; f != nil && !f.filling {
				f.until, f.fillAt = 0, now
			}
		}
	}
}

// Synced waits until the relays of the account were asked for what was missed, and
// reports how many of them answered completely. It does not wait for a relay that
// failed the last time, or that is slow, when another one has answered for the
// same group or inbox: what it has is taken in when it comes.
func (a *Account) Synced(ctx context.Context) (complete, asked int, err error) {
	return a.syncedWhen(ctx, func() syncState { return a.syncState(maps.Values(a.feeds)) })
}

// Synced is [Account.Synced] for this group alone, which is asked for before the
// others.
func (g *Group) Synced(ctx context.Context) (complete, asked int, err error) {
	return g.a.syncedWhen(ctx, func() syncState {
		g.a.goesFirst(g.key)
		return g.a.syncState(slices.Values(g.a.feedsOf[g.key]))
	})
}

// goesFirst puts what is to be fetched for a group before all that waits.
func (a *Account) goesFirst(key string) {
	if i := slices.Index(a.gatherQueue, a.gathers[key]); i > 0 {
		g := a.gatherQueue[i]
		a.gatherQueue = slices.Insert(slices.Delete(a.gatherQueue, i, i+1), 0, g)
	}
}

func (a *Account) syncedWhen(ctx context.Context, state func() syncState) (complete, asked int, err error) {
	ticks := time.NewTicker(failingGrace / 3)
	defer ticks.Stop()
	var covered time.Time // since when each group and inbox has an answer
	for {
		news := a.news.wait()
		var s syncState
		err := a.do(ctx, func() error { s = state(); return nil })
		if err != nil || s.done(&covered) {
			return s.complete, s.asked, err
		}
		select {
		case <-news:
		case <-ticks.C:
		case <-ctx.Done():
			return s.complete, s.asked, fmt.Errorf("marmot: %d of %d relays have answered: %w", s.complete, s.asked, ctx.Err())
		case <-a.ctx.Done():
			return s.complete, s.asked, ErrClosed
		}
	}
}

// syncState counts the feeds: those asked, those that answered completely, those
// still to answer, and of these the ones that there is no answer in place of, and
// the ones of relays that are not failing.
type syncState struct{ complete, asked, open, uncovered, healthy int }

func (a *Account) syncState(feeds iter.Seq[*feed]) (s syncState) {
	if !a.started {
		return syncState{open: 1, uncovered: 1, healthy: 1}
	}
	answered := map[string]bool{} // groups, and "" for the inbox
	for f := range feeds {
		if f.synced {
			s.complete++
			answered[f.group] = true
		}
	}
	for f := range feeds {
		s.asked++
		if f.tried && !f.filling {
			continue
		}
		s.open++
		if !answered[f.group] {
			s.uncovered++
		}
		if !a.pool.Failing(f.url) {
			s.healthy++
		}
	}
	return s
}

// done reports whether waiting is over; covered keeps since when it could be.
func (s *syncState) done(covered *time.Time) bool {
	switch {
	case s.open == 0:
		return true
	case s.uncovered > 0:
		*covered = time.Time{}
		return false
	case covered.IsZero():
		*covered = time.Now()
	}
	grace := lookupGrace
	if s.healthy == 0 {
		grace = failingGrace
	}
	return time.Since(*covered) > grace
}
