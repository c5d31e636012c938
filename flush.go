package marmot

import (
	"context"
	"time"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
)

// attempt is an event of a group on its way to relays.
type attempt struct {
	group    string
	event    nostr.ID
	open     map[string]int // relays that have not answered
	accepted time.Time      // by the first relay
}

func (a *Account) attempt(key string, p group.Publication) *attempt {
	t := a.attempts[p.Event.ID]
	if t == nil {
		t = &attempt{group: key, event: p.Event.ID, open: map[string]int{}}
		a.attempts[p.Event.ID] = t
	}
	for _, url := range p.Relays {
		t.open[url]++
	}
	return t
}

func (a *Account) attempted(t *attempt, url string, accepted bool) {
	if t.open[url]--; t.open[url] <= 0 {
		delete(t.open, url)
	}
	if accepted && t.accepted.IsZero() {
		t.accepted = time.Now()
	}
	if len(t.open) == 0 {
		delete(a.attempts, t.event)
	}
	a.news.tell()
}

// rests reports whether what is left of an attempt may wait for the next start: a
// relay has the event, and the others failed the last time or had their time.
func (a *Account) rests(t *attempt) bool {
	if t.accepted.IsZero() {
		return false
	}
	waiting := make(map[string]bool, len(t.open))
	for url := range t.open {
		waiting[url] = true
	}
	return time.Since(t.accepted) > a.graceFor(waiting)
}

// Flush waits until everything that the groups have to publish was handed to their
// relays. When one relay has an event, it does not wait for those that are slow or
// failed the last time: they are tried again when the account is next opened.
func (a *Account) Flush(ctx context.Context) error {
	ticks := time.NewTicker(failingGrace / 6)
	defer ticks.Stop()
	for {
		news := a.news.wait()
		done := false
		err := a.do(ctx, func() error { done = a.flushed(); return nil })
		if err != nil || done {
			return err
		}
		select {
		case <-news:
		case <-ticks.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-a.ctx.Done():
			return ErrClosed
		}
	}
}

func (a *Account) flushed() bool {
	resting := map[string]int{}
	for _, t := range a.attempts {
		if a.rests(t) {
			resting[t.group]++
		}
	}
	for _, l := range a.groups {
		if l.state == nil {
			if l.summary.Busy {
				return false
			}
			continue
		}
		st := l.state.Status()
		if st.Removed || st.Cause != "" {
			continue
		}
		if st.Queued > 0 || st.Outstanding > resting[l.key] {
			return false
		}
	}
	return true
}
