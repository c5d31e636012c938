package relay

import (
	"context"
	"fmt"
	"time"

	"github.com/marmotgo/marmot/nostr"
)

// Fetch sends one REQ and returns the stored events up to the relay's EOSE, in
// the order they came, each id once. complete tells that EOSE came, nothing
// malformed came before it, and fewer events than filter.Limit; it does not tell
// that the relay has no more, for relays cut what they send: see [Pool.Backfill].
// With an error the events that came before it are returned too.
func (p *Pool) Fetch(ctx context.Context, purpose Purpose, url string, filter nostr.Filter) (events []*nostr.Event, complete bool, err error) {
	seen := make(map[nostr.ID]bool)
	clean, err := p.collect(ctx, purpose, url, filter, func(e *nostr.Event) error {
		if seen[e.ID] {
			return nil
		}
		if len(events) >= p.cfg.MaxFetch {
			return ErrTooMany
		}
		seen[e.ID] = true
		events = append(events, e)
		return nil
	})
	complete = err == nil && clean && (filter.Limit <= 0 || len(events) < filter.Limit)
	return events, complete, err
}

// collect sends one REQ and hands over each event until EOSE. clean is false
// when frames were dropped meanwhile that may have been events of this REQ.
func (p *Pool) collect(ctx context.Context, purpose Purpose, url string, filter nostr.Filter, each func(*nostr.Event) error) (clean bool, err error) {
	began := time.Now()
	defer func() { p.health.asked(url, began, err) }()
	ctx, cancel := context.WithTimeout(ctx, p.cfg.FetchTimeout)
	defer cancel()
	deliveries := make(chan Delivery)
	sub := p.Subscribe(purpose, url, []nostr.Filter{filter}, func(d Delivery) {
		select {
		case deliveries <- d:
		case <-ctx.Done():
		}
	})
	// A cancelled context lets go a delivery under way, and only then the
	// subscription is closed; so the connection never hangs on us.
	defer sub.Close()
	defer cancel()
	if sub.conn == nil {
		return false, fmt.Errorf("%w: URL or pool", ErrRefused)
	}
	size := 0
	for {
		select {
		case d := <-deliveries:
			switch {
			case d.Event != nil:
				if size += d.size; size > p.cfg.answer {
					return false, ErrTooLarge
				}
				if err := each(d.Event); err != nil {
					return false, err
				}
			case d.EOSE:
				return d.whole, nil
			case d.Closed != "":
				return false, fmt.Errorf("%w: %s", ErrRefused, d.Closed)
			case d.Disconnected:
				return false, ErrDisconnected
			}
		case <-ctx.Done():
			return false, ctx.Err()
		case <-p.ctx.Done():
			return false, ErrClosed
		}
	}
}
