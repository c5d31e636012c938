package marmot

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// Bounds of catching up.
const (
	// gatherTime is how long a group's tip waits at most for what its relays
	// still owe: a relay that does not end keeps nobody from going on.
	gatherTime = 20 * time.Second
	// failingCheck is how often a gather looks whether only failing relays are left.
	failingCheck = 250 * time.Millisecond
	// silentGrace is how long a relay that sends nothing is waited for when another
	// has been through.
	silentGrace = 2 * time.Second
	// verifiedAhead is how many events of a range are verified before all of it
	// is here. Of a range that is too long at once that work is lost.
	verifiedAhead = 4000
	// verifiedTogether is how many events are verified as one, on one core.
	verifiedTogether = batchSize / 2
	// readAhead is from how many events on a group's messages are opened ahead.
	readAhead = 32
	// behindTime is how long messages wait at most for earlier ones when no
	// relay gives all that it has.
	behindTime = 5 * time.Minute
	// maxGathers is how many groups are caught up side by side; each may hold
	// maxBackfillBytes.
	maxGathers = 4
	// maxLoose is the same for those that wait for failing relays alone.
	maxLoose = 32
	// batchSize is how many events go into one transaction.
	batchSize = 500
	// roundPause is how long events that found no room are left alone: a pass
	// has closed by then.
	roundPause = 1200 * time.Millisecond
)

// gather is what is fetched for one group at one time. What several relays
// have of it is taken in from old to new as one, and the tip waits meanwhile:
// relays have different gaps, and a message whose epoch the tip has left by
// more than five is lost.
type gather struct {
	key      string
	parts    []*gatherPart
	fetching int            // parts under way or waiting for their turn
	events   []*nostr.Event // not verified yet, from old to new
	ready    []*nostr.Event // verified, not taken in yet
	sorted   int            // of them, in the order in which they are taken in
	refused  []*nostr.Event // that found no room or no state, and stay obtainable
	moved    bool           // something was taken in since the last retry
	busy     bool           // a batch is being verified
	reader   *group.Reader  // verifies what is inside of it
	taking   bool           // a batch will be taken in
	last     bool           // the last retry is over
	loose    bool           // the tip does not wait: only failing relays are left
	until    time.Time      // how long the tip waits at most
	answered time.Time      // when the first relay was through

	mu   sync.Mutex // for the goroutines that fetch
	seen map[signedID]bool
	size int // bytes of content
}

// signedID tells copies of an event apart: one with a bad signature must not
// stand for the good one of another relay.
type signedID struct {
	id  nostr.ID
	sig [64]byte
}

// gatherPart is one relay's share.
type gatherPart struct {
	feed    *feed
	filter  nostr.Filter
	started nostr.Timestamp
	result  backfill
	done    bool
	heard   atomic.Bool // something came
	ids     map[nostr.ID]bool
}

// fillGroup fetches what a group's feed missed, together with its other feeds
// that are due: at once if their gather is under way, else when it starts.
func (a *Account) fillGroup(f *feed, filter nostr.Filter, started nostr.Timestamp) {
	g := a.gathers[f.group]
	if g == nil || g.last {
		g = &gather{key: f.group, seen: map[signedID]bool{}}
		a.gathers[f.group] = g
		a.gatherQueue = append(a.gatherQueue, g)
		if l := a.groups[f.group]; l != nil && l.behind.IsZero() {
			l.behind = a.cfg.Now().Add(behindTime)
		}
		a.input(f.group, a.catchUp(f.group, time.Time{}))
	}
	p := &gatherPart{feed: f, filter: filter, started: started, ids: map[nostr.ID]bool{}}
	g.parts = append(g.parts, p)
	g.fetching++
	if !slices.Contains(a.gatherQueue, g) {
		a.fetchPart(g, p)
	}
}

// startGathers starts the next ones, as many as may run side by side. Those that
// wait for failing relays alone take no place of the others.
func (a *Account) startGathers() {
	for a.gathering < maxGathers || a.loose < maxLoose && a.someRelayFails() {
		i := slices.IndexFunc(a.gatherQueue, func(g *gather) bool {
			if g.loose = !a.holds(g); g.loose {
				return a.loose < maxLoose
			}
			return a.gathering < maxGathers
		})
		if i < 0 {
			return
		}
		g := a.gatherQueue[i]
		a.gatherQueue = slices.Delete(a.gatherQueue, i, i+1)
		a.startGather(g)
	}
}

// someRelayFails reports whether a gather may have to wait for failing relays alone.
func (a *Account) someRelayFails() bool {
	for url := range a.listeners {
		if a.pool.Failing(url) {
			return true
		}
	}
	return false
}

func (a *Account) startGather(g *gather) {
	if g.loose {
		a.loose++
		a.input(g.key, a.afterGather(g)) // another relay has answered
	} else {
		a.gathering++
		g.until = a.cfg.Now().Add(gatherTime)
		a.input(g.key, a.catchUp(g.key, g.until))
		a.later(failingCheck, func() { a.letLoose(g) })
	}
	for _, p := range g.parts {
		a.fetchPart(g, p)
	}
}

// holds reports whether the tip has to wait for a gather: until a relay of the
// group has answered, and then for those that did not fail the last time.
func (a *Account) holds(g *gather) bool {
	answered := a.answered(g.key)
	for _, p := range g.parts {
		if !p.done && !a.pool.Failing(p.feed.url) {
			return true
		}
		answered = answered || p.result.complete
	}
	return !answered
}

// answered reports whether a relay of a group has given all that it has.
func (a *Account) answered(key string) bool {
	return slices.ContainsFunc(a.feedsOf[key], func(f *feed) bool { return f.synced })
}

// letLoose ends a gather for the relays that have answered when only failing ones are
// left, and all that came is taken in. What those send later is taken in then.
func (a *Account) letLoose(g *gather) {
	a.noteSilent(g)
	switch {
	case a.gathers[g.key] != g || g.fetching == 0 || g.loose:
	case a.holds(g) || g.works() || g.overflow() > 0:
		a.later(failingCheck, func() { a.letLoose(g) })
	default:
		g.loose = true
		a.gathering--
		a.loose++
		late := slices.DeleteFunc(slices.Clone(g.parts), func(p *gatherPart) bool { return p.done })
		g.parts = slices.DeleteFunc(g.parts, func(p *gatherPart) bool { return !p.done })
		delete(a.gathers, g.key)
		a.input(g.key, a.afterGather(g))
		a.endParts(g)
		g.endReader()
		g.parts, g.refused = late, nil
		a.startGathers()
	}
}

// noteSilent notes that relays have sent nothing at all when another has been
// through for silentGrace. One that is sending has until gatherTime.
func (a *Account) noteSilent(g *gather) {
	if g.answered.IsZero() || a.cfg.Now().Sub(g.answered) < silentGrace {
		return
	}
	for _, p := range g.parts {
		if !p.done && !p.heard.Load() && !a.pool.Failing(p.feed.url) {
			a.pool.NoteSlow(p.feed.url)
		}
	}
}

func (a *Account) fetchPart(g *gather, p *gatherPart) {
	a.work(func(ctx context.Context) {
		events, result := a.fetchRange(ctx, g, p)
		a.post(func() { a.fetched(g, p, events, result) })
	})
}

// fetchRange reads a range of a relay. Events that another relay brought
// already are not held twice.
func (a *Account) fetchRange(ctx context.Context, g *gather, p *gatherPart) ([]*nostr.Event, backfill) {
	var events []*nostr.Event
	var whole atomic.Bool // then the oldest come first
	defer whole.Store(true)
	oldest := nostr.Timestamp(nostr.MaxTimestamp)
	coverage, err := a.pool.Backfill(ctx, p.feed.purpose, p.feed.url, p.filter, func(page []*nostr.Event) error {
		p.heard.Store(true)
		for _, e := range page {
			oldest = min(oldest, e.CreatedAt)
		}
		page, err := a.untaken(ctx, g.key, page)
		if err != nil {
			return err
		}
		for _, e := range page {
			p.ids[e.ID] = true
			if g.isNew(e) {
				events = append(events, e)
			}
		}
		if g.full() {
			return errBackfillFull
		}
		if len(events) <= verifiedAhead { // while the next page is on its way
			a.work(func(context.Context) { a.verifyAhead(page, &whole) })
		}
		return nil
	})
	if errors.Is(err, errBackfillFull) && (p.filter.Until == nil || oldest < *p.filter.Until) {
		return nil, backfill{oldest: oldest}
	}
	if err != nil || !coverage.Complete {
		a.cfg.Log.Debug("a range is not complete", "events", len(events), "reason", coverage.Reason)
	}
	return events, backfill{complete: err == nil && coverage.Complete}
}

func (g *gather) isNew(e *nostr.Event) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	key := signedID{e.ID, e.Sig}
	if g.seen[key] {
		return false
	}
	g.seen[key] = true
	g.size += len(e.Content)
	return true
}

func (g *gather) full() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.seen) > maxBackfillEvents || g.size > maxBackfillBytes
}

// fetched takes over what a relay had. When it was too much at once, nothing of
// this round is taken in: the older part comes first, from all relays.
func (a *Account) fetched(g *gather, p *gatherPart, events []*nostr.Event, result backfill) {
	g.fetching--
	p.result, p.done = result, true
	if result.complete && g.answered.IsZero() {
		g.answered = a.cfg.Now()
	}
	g.events = append(g.events, events...)
	slices.SortStableFunc(g.events, func(x, y *nostr.Event) int { return cmp.Compare(x.CreatedAt, y.CreatedAt) })
	a.pump(g)
}

// works reports whether events of the gather are on their way into the group.
func (g *gather) works() bool {
	return g.busy || g.taking || len(g.events) > 0 || len(g.ready) > 0
}

// pump has the next batches verified and taken in, side by side, or ends the
// gather when there is nothing left. Batches are small and go through the queue
// of calls, so that nobody waits.
func (a *Account) pump(g *gather) {
	if g.overflow() > 0 {
		if g.fetching == 0 && !g.busy && !g.taking {
			a.endGather(g)
		}
		return
	}
	if !g.busy && len(g.events) > 0 {
		a.verifyNext(g)
	}
	if !g.taking && g.whole() > 0 {
		g.taking = true
		a.work(func(context.Context) { a.post(func() { a.takeIn(g) }) })
	}
	switch {
	case g.works():
	case len(g.refused) > 0 && g.moved: // what came since may have made room
		g.events, g.refused, g.moved = g.refused, nil, false
		a.pump(g)
	case g.fetching > 0:
	case len(g.refused) > 0 && !g.last:
		a.input(g.key, a.afterGather(g)) // let the tip follow, then try once more
		g.last = true
		a.later(roundPause, func() { g.moved = true; a.pump(g) })
	default:
		a.endGather(g)
	}
}

// verifyAhead verifies events that will be asked for soon, until that is now:
// those that are good are remembered.
func (a *Account) verifyAhead(events []*nostr.Event, enough *atomic.Bool) {
	pieces := slices.Collect(slices.Chunk(events, verifiedTogether))
	parallel(len(pieces), func(i int) {
		if !enough.Load() {
			a.verified.checkAll(pieces[i])
		}
	})
}

// verifyAll checks ids and signatures on all cores and keeps the good ones.
func (a *Account) verifyAll(events []*nostr.Event) []*nostr.Event {
	pieces := slices.Collect(slices.Chunk(events, verifiedTogether))
	errs := make([][]error, len(pieces))
	parallel(len(pieces), func(i int) { errs[i] = a.verified.checkAll(pieces[i]) })
	good := events[:0:0]
	for i, err := range slices.Concat(errs...) {
		if err != nil {
			a.refused.add(string(group.InvalidSignature))
		} else {
			good = append(good, events[i])
		}
	}
	return good
}

func (a *Account) verifyNext(g *gather) {
	next := g.events[:min(batchSize, len(g.events))]
	g.events = g.events[len(next):]
	batch := a.hopeful(g, next)
	g.busy = true
	if l := a.groups[g.key]; l != nil && len(batch) >= readAhead && a.rouse(l) == nil {
		g.reader = l.state.Reader(g.reader)
	}
	reader := g.reader
	a.work(func(context.Context) {
		good := a.verifyAll(batch)
		if reader != nil {
			reader.Check(a.cfg.Now(), good, parallel)
		}
		a.post(func() {
			g.busy = false
			g.ready = append(g.ready, good...)
			a.pump(g)
		})
	})
}

// hopeful sets aside what the group has no room for before it is verified.
func (a *Account) hopeful(g *gather, events []*nostr.Event) (out []*nostr.Event) {
	l := a.groups[g.key]
	if l == nil || l.state == nil || !l.state.Crowded() {
		return events
	}
	for _, e := range events {
		if l.state.Hopeless(a.cfg.Now(), e) {
			a.refused.add(string(group.ResourceRefused))
			g.refused = append(g.refused, e)
		} else {
			out = append(out, e)
		}
	}
	return out
}

// whole is how many of the verified events can be taken in: a second goes as a
// whole, because only its group can tell the order within.
func (g *gather) whole() int {
	if g.sorted > 0 || (!g.busy && len(g.events) == 0) {
		return cmp.Or(g.sorted, len(g.ready))
	}
	n := len(g.ready)
	for n > 0 && g.ready[n-1].CreatedAt == g.ready[len(g.ready)-1].CreatedAt {
		n--
	}
	return n
}

// takeIn gives a verified batch to the group, while the next one is verified.
func (a *Account) takeIn(g *gather) {
	g.taking = false
	n := g.whole()
	if g.sorted == 0 {
		if l := a.groups[g.key]; l != nil && a.rouse(l) == nil {
			l.state.Sort(a.cfg.Now(), g.ready[:n])
		}
	}
	batch := g.ready[:min(batchSize, n)]
	g.ready, g.sorted = g.ready[len(batch):], n-len(batch)
	for i, settled := range a.receiveBatch(batch) {
		if settled {
			g.moved = true
		} else {
			g.refused = append(g.refused, batch[i])
		}
	}
	if g.last && g.moved && len(g.refused) > 0 && !g.works() {
		g.last, g.moved = false, false // it goes on: another round
	}
	a.pump(g)
}

// endReader erases the keys of what was read ahead.
func (g *gather) endReader() {
	g.reader.Erase()
	g.reader = nil
}

// overflow returns the oldest time at which a relay had too much, or 0.
func (g *gather) overflow() nostr.Timestamp {
	oldest := nostr.Timestamp(0)
	for _, p := range g.parts {
		if o := p.result.oldest; o > 0 && (oldest == 0 || o < oldest) {
			oldest = o
		}
	}
	return oldest
}

// endGather lets the tip go on and tells every feed how its range ended.
func (a *Account) endGather(g *gather) {
	if a.gathers[g.key] == g {
		delete(a.gathers, g.key)
	}
	if g.endReader(); g.loose {
		a.loose--
	} else {
		a.gathering--
	}
	a.input(g.key, a.afterGather(g))
	a.endParts(g)
	a.startGathers()
}

// afterGather is what a group is told when nothing more comes of a gather. As
// long as no relay has given all that it has, the group stays behind, for a
// while: what is missing may be older than what came, and comes next time.
func (a *Account) afterGather(g *gather) group.CatchUp {
	l, complete := a.groups[g.key], a.answered(g.key)
	for _, p := range g.parts {
		complete = complete || p.result.complete
	}
	if l != nil && complete && g.overflow() == 0 {
		l.behind = time.Time{}
	}
	return a.catchUp(g.key, time.Time{})
}

// catchUp tells a group for how long its tip waits for what is being fetched,
// and how long its messages do for earlier ones.
func (a *Account) catchUp(key string, until time.Time) group.CatchUp {
	in := group.CatchUp{Until: until}
	if l := a.groups[key]; l != nil {
		in.Behind = l.behind
	}
	return in
}

func (a *Account) endParts(g *gather) {
	oldest := g.overflow()
	for _, p := range g.parts {
		result := p.result
		if oldest > 0 {
			result = backfill{oldest: oldest}
		}
		for _, e := range g.refused {
			result.complete = result.complete && !p.ids[e.ID]
		}
		a.filled(p.feed, result, p.started)
	}
}

// later runs f where the state is, after a while.
func (a *Account) later(wait time.Duration, f func()) {
	a.work(func(ctx context.Context) {
		select {
		case <-time.After(wait):
			a.post(f)
		case <-ctx.Done():
		}
	})
}

// receiveBatch takes verified group events in, all in one transaction, and
// reports for each whether it is settled; what is not stays obtainable.
func (a *Account) receiveBatch(events []*nostr.Event) []bool {
	settled := make([]bool, len(events))
	b := &batch{a: a, groups: map[string]bool{}}
	for i, e := range events {
		settled[i] = b.receive(e)
	}
	for key := range b.groups {
		if g := a.gathers[key]; g != nil && !g.last && !g.loose && len(events) > 1 {
			b.step(a.groups[key], a.catchUp(key, g.until))
		}
	}
	if !b.finish() {
		clear(settled)
	}
	return settled
}

// batch collects the outputs of several steps, of one group or more. Nothing
// of them leaves before all are stored; if that fails, the groups are loaded
// again.
type batch struct {
	a      *Account
	steps  []batchStep
	groups map[string]bool
	failed bool
}

type batchStep struct {
	live *live
	out  group.Output
}

func (b *batch) receive(e *nostr.Event) bool {
	id, err := wire.GroupOf(e) // all else is judged by the rules of its group
	if err != nil {
		b.a.refused.add(string(group.InvalidEncoding))
		return true
	}
	found, settled := false, true
	for _, key := range b.a.routes[id] {
		l := b.a.groups[key]
		if l == nil {
			continue
		}
		found = true
		if l.state == nil && b.a.tookBefore(l, e) {
			continue // a relay's newest event, at every start
		}
		if b.a.rouse(l) != nil {
			return false
		}
		b.groups[l.key] = true
		settled = b.received(l, e) && settled
	}
	return found && settled
}

func (b *batch) received(l *live, e *nostr.Event) bool {
	out, ok := b.step(l, group.Received{Event: e})
	category := out.Outcome.Category
	if category != group.Accepted {
		b.a.refused.add(string(category))
	}
	switch {
	case category == group.TransportDeferred || category == group.MissingHistory:
		b.a.stalled(l, e)
	case ok && !out.Outcome.Refetch:
		b.a.took(l, e)
	}
	return ok && !out.Outcome.Refetch
}

func (b *batch) step(l *live, in group.Input) (group.Output, bool) {
	out, err := l.state.Step(b.a.cfg.Now(), in)
	if err != nil { // only our own failures come here: memory is ahead of the disk
		b.a.cfg.Log.Error("a group step failed", "error", err)
		b.failed = true
		return out, false
	}
	b.steps = append(b.steps, batchStep{l, out})
	return out, true
}

// finish stores everything and lets it out. It reports false after a failure.
func (b *batch) finish() bool {
	a := b.a
	if !b.failed {
		for _, s := range b.steps {
			a.cfg.crash.at(sideComputed, s.out.Crossed...)
		}
		if err := b.store(); err != nil {
			a.cfg.Log.Error("state could not be stored", "error", err)
			b.failed = true
		}
	}
	if b.failed {
		for key := range b.groups {
			a.reload(key)
		}
		return false
	}
	for _, s := range b.steps {
		a.cfg.crash.at(sideStored, s.out.Crossed...)
		a.carryOut(s.live, s.out)
	}
	return true
}

func (b *batch) store() error {
	records, entries := b.records()
	if len(records)+len(entries) == 0 {
		return nil
	}
	return b.a.write(records, entries)
}

// outs are the outputs of one group.
func (b *batch) outs(l *live) (outs []group.Output) {
	for _, s := range b.steps {
		if s.live == l {
			outs = append(outs, s.out)
		}
	}
	return outs
}

// records merges what the steps store: of each key the last value, in the
// order of the steps.
func (b *batch) records() (records, entries []group.Record) {
	at := map[string]int{}
	for _, s := range b.steps {
		for _, r := range s.out.Records {
			r.Key = keyGroups + s.live.key + "/" + r.Key
			if i, ok := at[r.Key]; ok {
				records[i] = r
				continue
			}
			at[r.Key] = len(records)
			records = append(records, r)
		}
		entries = append(entries, b.a.entries(s.live, s.out.Effects)...)
	}
	for key := range b.groups {
		if l := b.a.groups[key]; l != nil {
			records = append(records, b.a.summarize(l, b.outs(l)...)...)
			records = append(records, b.a.takenRecords(l, takenPart)...)
		}
	}
	return records, entries
}
