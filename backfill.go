package marmot

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/marmotgo/marmot/nostr"
)

// Bounds of what one backfill holds in memory before it is taken in: events
// must come from old to new, and relays give them from new to old.
const (
	maxBackfillEvents = 20_000
	maxBackfillBytes  = 64 << 20
)

var errBackfillFull = errors.New("marmot: more events than are taken in at once")

// backfill is the result of reading a range.
type backfill struct {
	complete bool            // all of it was read and settled
	oldest   nostr.Timestamp // with too many events: nothing was taken in, the rest is older; else 0
}

// backfill reads a range and takes it in from old to new, so that commits come
// before what builds on them.
func (a *Account) backfill(ctx context.Context, f *feed, filter nostr.Filter) backfill {
	var events []*nostr.Event
	size := 0
	coverage, err := a.pool.Backfill(ctx, f.purpose, f.url, filter, func(page []*nostr.Event) error {
		for _, e := range page {
			if a.verified.check(e) != nil {
				a.refused.add("invalid_signature")
				continue
			}
			events = append(events, e)
			size += len(e.Content)
		}
		if len(events) > maxBackfillEvents || size > maxBackfillBytes {
			return errBackfillFull
		}
		return nil
	})
	slices.SortStableFunc(events, func(x, y *nostr.Event) int { return cmp.Compare(x.CreatedAt, y.CreatedAt) })
	if errors.Is(err, errBackfillFull) && (filter.Until == nil || events[0].CreatedAt < *filter.Until) {
		return backfill{oldest: events[0].CreatedAt}
	}
	settled := true
	for _, e := range events {
		settled = f.take(ctx, e) && settled
	}
	if err != nil || !coverage.Complete {
		a.cfg.Log.Debug("a range is not complete", "events", len(events), "reason", coverage.Reason)
	}
	return backfill{complete: err == nil && coverage.Complete && settled}
}
