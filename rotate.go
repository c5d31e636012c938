package marmot

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
)

// KeyPackageInfo tells about a key package of the account.
type KeyPackageInfo struct {
	Protocol  group.Protocol // the generation that it is of
	Kind      nostr.Kind     // of the event
	Ref       string         // its hash reference (RFC 9420, Section 5.2), in hex
	Event     nostr.ID       // that published it
	CreatedAt time.Time      // of the event
	NotAfter  time.Time      // it cannot be used later
	Confirmed bool           // a relay has it
	Used      bool           // an invitation came for it, or it is being replaced
	EraseAt   time.Time      // its private part is erased then: it was replaced; else zero
}

// KeyPackages returns the account's key packages, the newest first. An older
// one stays until a relay has taken the one that replaces it.
func (a *Account) KeyPackages(ctx context.Context) ([]KeyPackageInfo, error) {
	var out []KeyPackageInfo
	err := a.do(ctx, func() error {
		for ref, k := range a.packages {
			out = append(out, KeyPackageInfo{
				k.protocol(), k.Kind, ref, k.Event, time.Unix(k.CreatedAt, 0), k.NotAfter, k.Confirmed, k.Used, k.EraseAt,
			})
		}
		return nil
	})
	slices.SortFunc(out, func(x, y KeyPackageInfo) int {
		return cmp.Or(y.CreatedAt.Compare(x.CreatedAt), cmp.Compare(y.Protocol, x.Protocol), cmp.Compare(x.Ref, y.Ref))
	})
	return out, err
}

// RotateKeyPackages replaces the account's key packages with fresh ones, and
// returns when a relay has taken each: from then on the private part of the old one
// of v2 is erased, and an invitation made for it can no longer be opened; that of v1
// is kept for a day. Invitations that lie in the inbox are read first.
func (a *Account) RotateKeyPackages(ctx context.Context) error {
	last := map[group.Protocol]int64{}
	err := a.do(ctx, func() error {
		records, apply := a.outdated()
		if err := a.write(records, nil); err != nil {
			return err
		}
		apply()
		for _, p := range a.record.wanted() {
			slot := a.record.slot(p.protocol())
			last[p.protocol()], slot.Rotated = slot.LastKP, time.Time{} // asked for by a person: at once
		}
		a.renewKeyPackages()
		return nil
	})
	for err == nil {
		news := a.news.wait()
		done := true
		err = a.do(ctx, func() error {
			for p, at := range last {
				done = done && a.current(p, func(k *keyPackage) bool { return k.CreatedAt > at && k.Confirmed }) != nil
			}
			a.renewKeyPackages() // once the inbox was read
			return nil
		})
		if done || err != nil {
			return err
		}
		select {
		case <-news:
		case <-ctx.Done():
			err = ctx.Err()
		case <-a.ctx.Done():
			err = ErrClosed
		}
	}
	return err
}

// outdated marks all key packages as to be replaced. It returns what to store,
// and what to do when that is done.
func (a *Account) outdated() (records []group.Record, apply func()) {
	for ref, k := range a.packages {
		used := *k
		used.Used = true
		records = append(records, used.stored(ref))
	}
	return records, func() {
		for _, k := range a.packages {
			k.Used = true
		}
	}
}
