package marmot

import (
	"context"
	"slices"
	"time"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/nostr/relay"
)

// Purposes of connections: publishing what the account shows in public, and
// delivering to the inboxes of others. Neither shares a connection with group
// traffic or with the account's own inbox.
const (
	purposePublic  = relay.PurposePublic
	purposeDeliver = relay.Purpose("deliver")
)

// ownRetry is the wait before a public event is offered again to the relays
// that have not taken it; it doubles up to an hour.
const ownRetry = 5 * time.Second

// ownEvent is a public event of the account that its relays should have.
type ownEvent struct {
	Event      []byte      `json:"event"`
	Relays     []ownTarget `json:"relays"`
	KeyPackage string      `json:"key_package,omitempty"` // reference, for kind 30443

	event   *nostr.Event
	retryAt time.Time
	rounds  int
	open    int // attempts under way
}

type ownTarget struct {
	URL      string `json:"url"`
	Tried    bool   `json:"tried,omitempty"`
	Accepted bool   `json:"accepted,omitempty"`
}

func (a *Account) loadOwn() error {
	var failed error
	err := each(a.cfg.Store, keyOwn, func(_ string, o *ownEvent) {
		e, err := nostr.ParseEvent(o.Event)
		if err != nil {
			failed = err
			return
		}
		o.event = e
		a.own[e.ID] = o
	})
	if err != nil {
		return err
	}
	return failed
}

func (a *Account) newOwn(e *nostr.Event, keyPackage string) *ownEvent {
	o := &ownEvent{Event: e.AppendJSON(nil), KeyPackage: keyPackage, event: e}
	for _, url := range a.record.Relays {
		o.Relays = append(o.Relays, ownTarget{URL: url})
	}
	return o
}

func (o *ownEvent) stored() group.Record {
	return group.Record{Key: keyOwn + o.event.ID.String(), Value: encode(o)}
}

func (a *Account) resumeOwn() {
	for _, o := range a.own {
		a.offer(o)
	}
}

func (a *Account) retryOwn(now time.Time) {
	for _, o := range a.own {
		if !o.retryAt.IsZero() && !now.Before(o.retryAt) {
			a.offer(o)
		}
	}
}

// offer publishes an event at the relays that have not taken it.
func (a *Account) offer(o *ownEvent) {
	o.retryAt = time.Time{}
	for i, t := range o.Relays {
		if t.Accepted {
			continue
		}
		o.open++
		a.work(func(ctx context.Context) {
			ctx, cancel := context.WithTimeout(ctx, publishTimeout)
			defer cancel()
			r := a.pool.Publish(ctx, purposePublic, t.URL, o.event)
			if a.ctx.Err() == nil {
				a.post(func() { a.offered(o, i, r.Accepted || isDuplicate(r.Reason)) })
			}
		})
	}
}

func (a *Account) offered(o *ownEvent, i int, accepted bool) {
	o.open--
	o.Relays[i].Tried = true
	o.Relays[i].Accepted = o.Relays[i].Accepted || accepted
	records := a.confirmed(o, accepted)
	has := func(f func(ownTarget) bool) bool { return slices.ContainsFunc(o.Relays, f) }
	untried := has(func(t ownTarget) bool { return !t.Tried })
	taken := has(func(t ownTarget) bool { return t.Accepted })
	switch {
	case taken && !untried:
		delete(a.own, o.event.ID)
		records = append(records, group.Record{Key: keyOwn + o.event.ID.String()})
	default:
		records = append(records, o.stored())
		if o.open == 0 {
			o.retryAt = a.cfg.Now().Add(min(ownRetry<<min(o.rounds, 12), time.Hour))
			o.rounds++
		}
	}
	if err := a.write(records, nil); err != nil {
		a.cfg.Log.Error("state could not be stored", "error", err)
	}
	a.news.tell()
}

// announce makes what others need to find and invite the account: the relay
// lists once, and always a key package that is fresh.
func (a *Account) announce() {
	if a.record.LastKP == 0 && !a.announcing {
		a.announcing = true
		a.work(a.publishLists)
	}
	a.renewKeyPackage()
}

// publishLists signs and publishes the relay lists (kinds 10002 and 10050).
func (a *Account) publishLists(ctx context.Context) {
	var relays []string
	if a.do(ctx, func() error { relays = slices.Clone(a.record.Relays); return nil }) != nil {
		return
	}
	now := nostr.Timestamp(a.cfg.Now().Unix())
	var list nostr.RelayList
	for _, url := range relays {
		list = append(list, nostr.RelayEntry{URL: url, Read: true, Write: true})
	}
	for _, template := range []*nostr.Event{nostr.RelayListEvent(list, now), nostr.InboxRelaysEvent(relays, now)} {
		e, err := sign(ctx, a.cfg.Signer, template)
		if err != nil {
			a.cfg.Log.Warn("a relay list was not signed", "error", err)
			continue
		}
		a.post(func() {
			o := a.newOwn(e, "")
			if err := a.write([]group.Record{o.stored()}, nil); err != nil {
				a.cfg.Log.Error("state could not be stored", "error", err)
				return
			}
			a.own[e.ID] = o
			a.offer(o)
		})
	}
}

// Published waits until at least one relay has taken each of the account's
// public events: from then on it can be found and invited.
func (a *Account) Published(ctx context.Context) error {
	for {
		news := a.news.wait()
		done := false
		err := a.do(ctx, func() error {
			done = a.invitable()
			for _, o := range a.own {
				done = done && slices.ContainsFunc(o.Relays, func(t ownTarget) bool { return t.Accepted })
			}
			return nil
		})
		if err != nil || done {
			return err
		}
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
