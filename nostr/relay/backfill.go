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
// complete only after a page that is empty, or that ends with the second Since
// itself and is too short to have been cut. A second that holds more events than
// a page cannot be read with NIP-01 and is reported as incomplete; so is a
// CLOSED, a timeout, a lost connection and a page with malformed events.
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
	boundary map[nostr.ID]bool // handed over already, of the boundary second
	largest  int               // page so far
}

func (b *backfill) run(ctx context.Context) (Coverage, error) {
	since, until := nostr.Timestamp(0), nostr.Timestamp(nostr.MaxTimestamp)
	if b.filter.Since != nil {
		since = *b.filter.Since
	}
	if b.filter.Until != nil {
		until = *b.filter.Until
	}
	b.coverage = Coverage{Since: until + 1, Until: until}
	b.filter.Limit = b.pool.cfg.PageSize
	for until >= since {
		oldest, n, err := b.page(ctx, until)
		switch {
		case err != nil:
			b.coverage.Reason = reason(err)
			return b.coverage, err
		case n == 0:
			return b.complete(since), nil
		case oldest < until: // the page is cut at the earliest within oldest
			b.coverage.Since = oldest + 1
			until = oldest
		case n >= b.pageLimit(ctx):
			b.coverage.Reason = "one second holds as many events as a page"
			return b.coverage, nil
		default: // all of this one second, and not cut
			b.coverage.Since = until
			until--
		}
	}
	return b.complete(since), nil
}

func (b *backfill) complete(since nostr.Timestamp) Coverage {
	b.coverage.Complete, b.coverage.Since = true, since
	return b.coverage
}

// errMalformedPage is of a page that cannot be trusted to be whole.
var errMalformedPage = errors.New("relay: a page with malformed or foreign events")

// page asks for the events up to and including until, hands over those that are
// new, and returns the oldest time and the number of all.
func (b *backfill) page(ctx context.Context, until nostr.Timestamp) (oldest nostr.Timestamp, n int, err error) {
	f := b.filter
	f.Until = &until
	if until == nostr.MaxTimestamp {
		f.Until = nil // some relays refuse what does not fit 32 bits
	}
	var fresh []*nostr.Event
	seen := make(map[nostr.ID]bool)
	oldest = until
	clean, err := b.pool.collect(ctx, b.purpose, b.url, f, func(e *nostr.Event) error {
		if seen[e.ID] {
			return nil
		}
		if len(seen) >= max(b.pool.cfg.MaxFetch, f.Limit) {
			return ErrTooMany
		}
		seen[e.ID] = true
		oldest = min(oldest, e.CreatedAt)
		if !b.boundary[e.ID] {
			fresh = append(fresh, e)
		}
		return nil
	})
	if len(fresh) > 0 { // good events also when the page is not whole
		if failed := b.each(fresh); failed != nil {
			return 0, 0, failed
		}
		b.coverage.Events += len(fresh)
	}
	if err == nil && !clean {
		err = errMalformedPage
	}
	if err != nil {
		return 0, 0, err
	}
	b.boundary = seen
	b.largest = max(b.largest, len(seen))
	return oldest, len(seen), nil
}

// pageLimit is the number of events from which a page may have been cut: what
// the relay announces, else the largest page it has sent, which an uncut one
// stays below.
func (b *backfill) pageLimit(ctx context.Context) int {
	limit := b.filter.Limit
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
	case errors.Is(err, ErrRefused), errors.Is(err, ErrDisconnected), errors.Is(err, ErrTooMany), errors.Is(err, errMalformedPage):
		return err.Error()
	}
	return fmt.Sprintf("stopped: %T", err)
}
