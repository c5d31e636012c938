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

// A public event is offered again to the relays that have not taken it: after
// ownRetry, which doubles up to an hour. When one has taken it, the others are
// tried for ownRounds, which is about a day.
const (
	ownRetry  = 5 * time.Second
	ownRounds = 32
)

// ownEvent is a public event of the account that its relays should have.
type ownEvent struct {
	Event      []byte      `json:"event"`
	Relays     []ownTarget `json:"relays"`
	KeyPackage string      `json:"key_package,omitempty"` // reference, if it is one

	event   *nostr.Event
	retryAt time.Time
	rounds  int
	open    int // attempts under way
}

type ownTarget struct {
	URL      string `json:"url"`
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

// supersedes finds the older versions of a replaceable event that are still
// being offered.
func (a *Account) supersedes(e *nostr.Event) (older []*ownEvent) {
	for _, o := range a.own {
		if o.event.Kind == e.Kind && o.event.ID != e.ID && o.KeyPackage == "" {
			older = append(older, o)
		}
	}
	return older
}

func (o *ownEvent) key() string { return keyOwn + o.event.ID.String() }

func (o *ownEvent) stored() group.Record { return group.Record{Key: o.key(), Value: encode(o)} }

// taken reports whether some relay has the event.
func (o *ownEvent) taken() bool {
	return slices.ContainsFunc(o.Relays, func(t ownTarget) bool { return t.Accepted })
}

// done reports whether enough was tried.
func (o *ownEvent) done() bool {
	missing := slices.ContainsFunc(o.Relays, func(t ownTarget) bool { return !t.Accepted })
	return !missing || (o.taken() && o.rounds >= ownRounds)
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
	if o.open == 0 { // only what it led to could not be stored
		a.noteOffered(o)
	}
}

func (a *Account) offered(o *ownEvent, i int, accepted bool) {
	o.open--
	o.Relays[i].Accepted = o.Relays[i].Accepted || accepted
	if a.own[o.event.ID] == o { // else it was replaced meanwhile
		a.noteOffered(o)
	}
}

// noteOffered stores how far an event has come, and what its acceptance means
// for older key packages. Memory follows only when that is stored.
func (a *Account) noteOffered(o *ownEvent) {
	if o.open == 0 {
		o.retryAt = a.cfg.Now().Add(min(ownRetry<<min(o.rounds, 12), time.Hour))
		o.rounds++
	}
	records, apply := a.confirmed(o)
	if o.done() {
		records = append(records, group.Record{Key: o.key()})
	} else {
		records = append(records, o.stored())
	}
	if err := a.write(records, nil); err != nil {
		a.cfg.Log.Error("state could not be stored", "error", err)
		o.retryAt = a.cfg.Now().Add(ownRetry)
		return
	}
	apply()
	if o.done() {
		delete(a.own, o.event.ID)
	}
	a.sweep()
	a.news.tell()
}

// announce makes what others need to find and invite the account: the relay
// lists once, and always key packages that are fresh.
func (a *Account) announce() {
	if !(a.record.Listed && a.record.Packaged) && !a.announcing && !a.cfg.Now().Before(a.announceAt) {
		a.announcing = true
		templates := a.missingLists()
		a.work(func(ctx context.Context) {
			lists, err := a.signLists(ctx, templates)
			a.post(func() { a.adoptLists(lists, err) })
		})
	}
	a.renewKeyPackages()
}

// missingLists are the lists that were never signed: those of an account from
// before there was v1 lack the one of its key packages.
func (a *Account) missingLists() []*nostr.Event {
	if a.record.Listed {
		return []*nostr.Event{nostr.PackageRelaysEvent(a.record.Relays, a.listsAt())}
	}
	return relayListEvents(a.record.Relays, a.record.inbox(), a.listsAt())
}

// relayListEvents are the unsigned lists of an account (kinds 10002 and 10050, and
// 10051 for apps of v1).
func relayListEvents(relays, inbox []string, at nostr.Timestamp) []*nostr.Event {
	var list nostr.RelayList
	for _, url := range relays {
		list = append(list, nostr.RelayEntry{URL: url, Read: true, Write: true})
	}
	return []*nostr.Event{nostr.RelayListEvent(list, at), nostr.InboxRelaysEvent(inbox, at), nostr.PackageRelaysEvent(relays, at)}
}

func (a *Account) signLists(ctx context.Context, templates []*nostr.Event) (out []*nostr.Event, err error) {
	for _, template := range templates {
		e, err := sign(ctx, a.signer, template)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// adoptLists stores the signed lists, with the note that they exist, and only
// then publishes them. What the signer refused is asked again.
func (a *Account) adoptLists(lists []*nostr.Event, err error) {
	a.announcing, a.announceAt = false, a.cfg.Now().Add(renewPause)
	if err != nil {
		a.cfg.Log.Warn("the relay lists were not signed", "error", err)
		return
	}
	if a.record.Packaged {
		return // others were chosen meanwhile
	}
	record := a.record
	record.Listed, record.Packaged, record.ListsAt = true, true, int64(lists[0].CreatedAt)
	records := []group.Record{{Key: keyAccount, Value: encode(record)}}
	var own []*ownEvent
	for _, e := range lists {
		o := a.newOwn(e, "")
		own = append(own, o)
		records = append(records, o.stored())
	}
	if err := a.write(records, nil); err != nil {
		a.cfg.Log.Error("state could not be stored", "error", err)
		return
	}
	a.record = record
	for _, o := range own {
		a.own[o.event.ID] = o
		a.offer(o)
	}
}

// Published waits until at least one relay has taken each of the account's
// public events: from then on it can be found and invited.
func (a *Account) Published(ctx context.Context) error {
	for {
		news := a.news.wait()
		done := false
		err := a.do(ctx, func() error {
			done = a.record.Listed && a.invitable()
			for _, o := range a.own {
				done = done && (o.taken() || (o.KeyPackage != "" && a.invitable()))
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
		case <-a.ctx.Done():
			return ErrClosed
		}
	}
}
