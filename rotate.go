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
	Ref       string    // its hash reference (RFC 9420, Section 5.2), in hex
	Event     nostr.ID  // that published it
	CreatedAt time.Time // of the event
	NotAfter  time.Time // it cannot be used later
	Confirmed bool      // a relay has it
	Used      bool      // an invitation came for it, or it is being replaced
}

// KeyPackages returns the account's key packages, the newest first. An older
// one stays until a relay has taken the one that replaces it.
func (a *Account) KeyPackages(ctx context.Context) ([]KeyPackageInfo, error) {
	var out []KeyPackageInfo
	err := a.do(ctx, func() error {
		for ref, k := range a.packages {
			out = append(out, KeyPackageInfo{ref, k.Event, time.Unix(k.CreatedAt, 0), k.NotAfter, k.Confirmed, k.Used})
		}
		return nil
	})
	slices.SortFunc(out, func(x, y KeyPackageInfo) int {
		return cmp.Or(y.CreatedAt.Compare(x.CreatedAt), cmp.Compare(x.Ref, y.Ref))
	})
	return out, err
}

// RotateKeyPackage replaces the account's key package with a fresh one, and
// returns its reference when a relay has taken it: from then on the private
// part of the old one is erased, and an invitation made for that one can no
// longer be opened. Invitations that lie in the inbox are read first.
func (a *Account) RotateKeyPackage(ctx context.Context) (string, error) {
	var last int64
	err := a.do(ctx, func() error {
		last = a.record.LastKP
		records, apply := a.outdated()
		if err := a.write(records, nil); err != nil {
			return err
		}
		apply()
		a.record.Rotated = time.Time{} // asked for by a person: at once
		a.renewKeyPackage()
		return nil
	})
	for err == nil {
		news := a.news.wait()
		ref := ""
		err = a.do(ctx, func() error {
			for r, k := range a.packages {
				if k.CreatedAt > last && k.Confirmed {
					ref = r
				}
			}
			a.renewKeyPackage() // once the inbox was read
			return nil
		})
		if ref != "" {
			return ref, nil
		}
		if err != nil {
			break
		}
		select {
		case <-news:
		case <-ctx.Done():
			err = ctx.Err()
		case <-a.ctx.Done():
			err = ErrClosed
		}
	}
	return "", err
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
