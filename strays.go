package marmot

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// Relays are asked for key packages of the account that nobody can use: after a
// rotation, and when the account is opened, though not again within sweepPause, or
// sweepRetry when no relay answered. One bad kind 30443 event keeps some clients
// from inviting the account at all.
const (
	sweepPause = 6 * time.Hour
	sweepRetry = 10 * time.Minute
	maxStrays  = 200                // key package events looked at, and named in one deletion
	againAfter = 7 * 24 * time.Hour // a deletion that a relay ignored is repeated
)

// sweep looks for stray key packages when it is time to.
func (a *Account) sweep() {
	now := a.cfg.Now()
	if a.sweeping || a.makesPackage() || !a.record.Listed || now.Before(a.sweepAt) || now.Before(a.record.Swept.Add(sweepPause)) {
		return
	}
	a.sweeping, a.sweepAt = true, now.Add(sweepRetry)
	relays := slices.Clone(a.record.Relays)
	filter := nostr.Filter{Authors: []nostr.PubKey{a.self}, Kinds: []nostr.Kind{wire.KindKeyPackage, wire.KindMIPKeyPackage}, Limit: maxStrays}
	a.work(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
		defer cancel()
		found := a.fetchAll(ctx, relays, filter)
		a.post(func() { a.swept(found) })
	})
}

// fetchAll is fetchFrom with the answers of all relays, also the slow ones: nobody
// waits for it.
func (a *Account) fetchAll(ctx context.Context, relays []string, filter nostr.Filter) []*nostr.Event {
	answers := make([][]*nostr.Event, len(relays))
	var asked sync.WaitGroup
	for i, url := range relays {
		asked.Go(func() { answers[i], _ = a.fetchFrom(ctx, []string{url}, filter) })
	}
	asked.Wait()
	found := map[nostr.ID]*nostr.Event{}
	for _, e := range slices.Concat(answers...) {
		found[e.ID] = e
	}
	return slices.Collect(maps.Values(found))
}

// swept has the strays among the found events deleted, and a key package of ours
// that a stray has displaced replaced.
func (a *Account) swept(found []*nostr.Event) {
	a.sweeping = false
	if len(found) == 0 {
		return // not even ours: no relay has answered
	}
	now := a.cfg.Now()
	record := a.record
	record.Swept = now
	var records []group.Record
	strays := a.strays(found, now)
	displaced := a.displaced(strays, &record, now)
	for ref, k := range displaced {
		used := *k
		used.Used = true
		records = append(records, used.stored(ref))
	}
	if err := a.write(append(records, group.Record{Key: keyAccount, Value: encode(record)}), nil); err != nil {
		a.cfg.Log.Error("state could not be stored", "error", err)
		return
	}
	a.record = record
	for _, k := range displaced {
		k.Used = true
	}
	a.renewKeyPackages()
	strays = slices.DeleteFunc(strays, func(e *nostr.Event) bool { return a.deletedLately(e.ID, now) })
	if len(strays) == 0 {
		return
	}
	a.cfg.Log.Info("stray key packages are deleted", "count", len(strays))
	a.sweeping = true
	a.work(func(ctx context.Context) {
		e, err := sign(ctx, a.signer, deletion(strays, nostr.Timestamp(now.Unix())))
		a.post(func() { a.adoptDeletion(strays, e, err) })
	})
}

// makesPackage reports whether a key package is being made.
func (a *Account) makesPackage() bool {
	for _, busy := range a.renewing {
		if busy {
			return true
		}
	}
	return false
}

// strays are the key package events of the account that nobody can use: expired,
// not decodable, replaced, or in a slot of ours without being ours. Another device
// of the account has slots of its own, and what is good or merely unknown there
// stays.
func (a *Account) strays(found []*nostr.Event, now time.Time) (out []*nostr.Event) {
	ours := map[nostr.ID]bool{}
	for _, k := range a.packages {
		ours[k.Event] = k.EraseAt.IsZero()
	}
	for _, e := range found {
		_, retired := a.record.Retired[e.ID]
		if !ours[e.ID] && (retired || a.slotOf(e) != nil || useless(e, now)) {
			out = append(out, e)
		}
	}
	return out
}

// slotOf returns which generation's slot of this account a key package event is
// in, or nil.
func (a *Account) slotOf(e *nostr.Event) packaging {
	d, _ := e.Tags.Find("d")
	for _, p := range packagings {
		if e.Kind == wire.KindKeyPackage && d.Value() != "" && d.Value() == a.record.slot(p.protocol()).Slot {
			return p
		}
	}
	return nil
}

// useless reports whether a key package event has expired or does not decode, as
// one of either generation.
func useless(e *nostr.Event, now time.Time) bool {
	kp, err := wire.DecodeAnyKeyPackage(e)
	return err != nil || now.After(time.Unix(int64(min(kp.Leaf.Lifetime.NotAfter, nostr.MaxTimestamp)), 0))
}

// displaced returns the key packages of ours that a stray in their slot stands in
// the place of at the relays, and sees to it that the next ones are newer than the
// stray.
func (a *Account) displaced(strays []*nostr.Event, record *accountRecord, now time.Time) (out map[string]*keyPackage) {
	out = map[string]*keyPackage{}
	for _, e := range strays {
		p := a.slotOf(e)
		if p == nil {
			continue
		}
		ref, newest := a.newestPackage(p.protocol())
		if newest == nil || int64(e.CreatedAt) < newest.CreatedAt || newest.Kind != e.Kind {
			continue
		}
		if int64(e.CreatedAt) < now.Unix()+clockSkew { // else a relay would refuse what is newer
			slot := record.slot(p.protocol())
			slot.LastKP = max(slot.LastKP, int64(e.CreatedAt))
		}
		if !newest.Used {
			out[ref] = newest
		}
	}
	return out
}

func (a *Account) newestPackage(p group.Protocol) (ref string, newest *keyPackage) {
	for r, k := range a.packages {
		if k.protocol() == p && (newest == nil || k.CreatedAt > newest.CreatedAt) {
			ref, newest = r, k
		}
	}
	return ref, newest
}

func (a *Account) deletedLately(id nostr.ID, now time.Time) bool {
	b, err := a.cfg.Store.Get(keyDeleted + id.String())
	if err != nil || b == nil {
		return false
	}
	var at time.Time
	return at.UnmarshalText(b) == nil && now.Before(at.Add(againAfter))
}

// deletion asks relays to delete events of the account (NIP-09). It names them one
// by one: an address would take our own key package in the same slot with it.
func deletion(strays []*nostr.Event, at nostr.Timestamp) *nostr.Event {
	e := &nostr.Event{Kind: nostr.KindDeletion, CreatedAt: at, Tags: nostr.Tags{}}
	for _, kind := range []nostr.Kind{wire.KindKeyPackage, wire.KindMIPKeyPackage} {
		if slices.ContainsFunc(strays, func(s *nostr.Event) bool { return s.Kind == kind }) {
			e.Tags = append(e.Tags, nostr.Tag{"k", strconv.Itoa(int(kind))})
		}
	}
	for _, s := range strays[:min(len(strays), maxStrays)] {
		e.Tags = append(e.Tags, nostr.Tag{"e", s.ID.String()})
	}
	return e
}

// adoptDeletion stores a signed deletion, and only then publishes it. It is offered
// to the relays like every public event of the account.
func (a *Account) adoptDeletion(strays []*nostr.Event, e *nostr.Event, err error) {
	a.sweeping = false
	if err != nil {
		a.cfg.Log.Warn("the deletion of stray key packages was not signed", "error", err)
		return
	}
	o := a.newOwn(e, "")
	records := []group.Record{o.stored()}
	at, _ := a.cfg.Now().MarshalText() // fails for years that no clock shows
	for _, s := range strays {
		records = append(records, group.Record{Key: keyDeleted + s.ID.String(), Value: at})
	}
	if err := a.write(records, nil); err != nil {
		a.cfg.Log.Error("state could not be stored", "error", err)
		return
	}
	a.own[e.ID] = o
	a.offer(o)
}
