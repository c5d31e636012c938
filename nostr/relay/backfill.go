package relay

import (
	"context"
	"errors"
	"fmt"

	"github.com/marmotgo/marmot/nostr"
)

// Coverage is what a [Pool.Backfill] has evidence for. With Complete the relay
// answered the whole range asked for. Otherwise it answered from Since to Until
// (nothing, when Since is after Until) and Reason says what stopped it.
type Coverage struct {
	Complete     bool
	Since, Until nostr.Timestamp
	Events       int // handed over, each once
	Reason       string
}

// minPage is what a relay that does not announce its limit is believed to send in
// one page at least. None is known to cut lower.
const minPage = 10

// Backfill reads the stored events that match filter from filter.Until back to
// filter.Since, page by page. Each page is handed to each before the next is
// asked for. Without Since it goes back to the beginning; without Until it
// starts from the newest. filter.Limit is ignored.
//
// EOSE proves nothing: relays cut their answers. So every page but the last
// overlaps the one before in its boundary second, and the range counts as
// complete only after a page that is empty, or one of the second Since alone
// that is too short to have been cut. A second that fills a page is asked for once
// more, alone and with the largest limit; if it fills that too, NIP-01 cannot read
// it, and it is reported as incomplete; so is a CLOSED, a timeout, a lost connection and a page with malformed events.
//
// The error is that of ctx, of each, or of the relay that did not answer; the
// coverage is valid in any case.
func (p *Pool) Backfill(ctx context.Context, purpose Purpose, url string, filter nostr.Filter, each func([]*nostr.Event) error) (Coverage, error) {
	b := backfill{pool: p, purpose: purpose, url: url, filter: filter, each: each}
	return b.run(ctx)
}

type backfill struct {
	pool    *Pool
	purpose Purpose
	url     string
	filter  nostr.Filter
	each    func([]*nostr.Event) error

	coverage Coverage
	last     page // the one before
	largest  int  // page so far
	cut      int  // smallest page that was certainly cut, 0 for none
}

// page is one answer. Its oldest second may be the boundary with the next.
type page struct {
	ids    map[nostr.ID]bool
	fresh  int // not in the page before
	oldest nostr.Timestamp
	single bool // all of one second
}

func (b *backfill) run(ctx context.Context) (Coverage, error) {
	since, until := nostr.Timestamp(0), nostr.Timestamp(nostr.MaxTimestamp)
	if b.filter.Since != nil {
		since = *b.filter.Since
	}
	newest := nostr.Timestamp(b.pool.cfg.Now().Unix())
	if b.filter.Until != nil {
		until, newest = *b.filter.Until, *b.filter.Until
	}
	b.coverage = Coverage{Since: newest + 1, Until: newest}
	b.filter.Limit = b.pool.cfg.PageSize
	for until >= since {
		p, err := b.ask(ctx, until)
		if errors.Is(err, ErrTooLarge) && b.filter.Limit > 1 {
			b.filter.Limit /= 2 // the same again in smaller pages
			continue
		}
		if err != nil {
			b.coverage.Reason = reason(err)
			return b.coverage, err
		}
		b.compare(p)
		switch {
		case b.last.single && len(p.ids) > 0:
			// Newest first, the last page should have gone on with these.
			b.coverage.Since = b.last.oldest + 1
			b.coverage.Reason = "a page was cut within a second"
			return b.coverage, nil
		case len(p.ids) == 0:
			return b.complete(since), nil
		case !p.single: // the page is cut at the earliest within its oldest second
			b.coverage.Since = min(b.coverage.Since, p.oldest+1)
			until = p.oldest
		case len(p.ids) >= b.pageLimit(ctx):
			whole, err := b.second(ctx, until, p)
			if err != nil || !whole {
				b.coverage.Reason = "one second holds as many events as a page"
				return b.coverage, err
			}
			b.coverage.Since = min(b.coverage.Since, until)
			until, p = until-1, page{} // it was not asked to go on
		default: // all of this one second, and not cut as far as can be seen
			b.coverage.Since = min(b.coverage.Since, until)
			until--
		}
		b.last = p
	}
	return b.complete(since), nil
}

// second asks for one second alone, in one page as large as it may be. Relays that
// cut pages of the usual size often do so because they were asked to. It reports
// whether there is evidence that the second is whole.
func (b *backfill) second(ctx context.Context, at nostr.Timestamp, before page) (whole bool, err error) {
	usual := b.filter
	defer func() { b.filter = usual }()
	b.filter.Since, b.filter.Limit = &at, b.pool.cfg.MaxFetch
	b.last = before
	p, err := b.ask(ctx, at)
	if err != nil {
		return false, err
	}
	n, limit := len(p.ids), b.filter.Limit
	if announced := b.pool.announcedLimit(ctx, b.url); announced > 0 {
		cutsLower := b.cut > 0 && b.cut < usual.Limit && n <= b.cut
		return n < min(limit, announced) && !cutsLower, nil
	}
	const round = 100 // a limit that nobody announces is a round number
	return n > len(before.ids) && n < limit && n%round != 0, nil
}

// compare learns from p about the page before: with something new in the overlap
// or below it, that one was cut.
func (b *backfill) compare(p page) {
	b.largest = max(b.largest, len(p.ids))
	if n := len(b.last.ids); n > 0 && p.fresh > 0 && (b.cut == 0 || n < b.cut) {
		b.cut = n
	}
}

func (b *backfill) complete(since nostr.Timestamp) Coverage {
	b.coverage.Complete, b.coverage.Since = true, since
	return b.coverage
}

// errMalformedPage is of a page that cannot be trusted to be whole.
var errMalformedPage = errors.New("relay: a page with malformed or foreign events")

// ask requests the events up to and including until and hands over the new ones.
func (b *backfill) ask(ctx context.Context, until nostr.Timestamp) (page, error) {
	f := b.filter
	f.Until = &until
	if until == nostr.MaxTimestamp {
		f.Until = nil // some relays refuse what does not fit 32 bits
	}
	p := page{ids: make(map[nostr.ID]bool), oldest: nostr.MaxTimestamp}
	newest := nostr.Timestamp(0)
	var fresh []*nostr.Event
	clean, err := b.pool.collect(ctx, b.purpose, b.url, f, func(e *nostr.Event) error {
		if p.ids[e.ID] {
			return nil
		}
		if len(p.ids) >= max(b.pool.cfg.MaxFetch, f.Limit) {
			return ErrTooMany
		}
		p.ids[e.ID] = true
		p.oldest, newest = min(p.oldest, e.CreatedAt), max(newest, e.CreatedAt)
		if !b.last.ids[e.ID] {
			fresh = append(fresh, e)
		}
		return nil
	})
	p.fresh, p.single = len(fresh), len(p.ids) > 0 && p.oldest == newest && p.oldest == until
	if len(fresh) > 0 && !errors.Is(err, ErrTooLarge) { // also of a page that is not whole
		if failed := b.each(fresh); failed != nil {
			return p, failed
		}
		b.coverage.Events += len(fresh)
	}
	if err == nil && !clean {
		err = errMalformedPage
	}
	return p, err
}

// pageLimit is the number of events from which a page may have been cut: where
// one was, what the relay announces, else the largest page it has sent, which an
// uncut one stays below.
func (b *backfill) pageLimit(ctx context.Context) int {
	limit := b.filter.Limit
	if b.cut > 0 {
		limit = min(limit, b.cut)
	}
	if announced := b.pool.announcedLimit(ctx, b.url); announced > 0 {
		return min(limit, announced)
	}
	return min(limit, max(b.largest, minPage))
}

// reason is an error for [Coverage], without the relay's address.
func reason(err error) string {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.Is(err, ErrRefused), errors.Is(err, ErrDisconnected), errors.Is(err, ErrTooMany), errors.Is(err, ErrTooLarge), errors.Is(err, errMalformedPage):
		return err.Error()
	}
	return fmt.Sprintf("stopped: %T", err)
}
