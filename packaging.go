package marmot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// V1Packages says how an account publishes key packages of protocol v1, so that
// apps which know only the numbered MIPs can invite it.
type V1Packages string

const (
	// V1Legacy publishes them as kind 443. Readers of v2 never ask for it, those
	// of v1 take it. It is the default.
	V1Legacy V1Packages = "443"
	// V1Addressable publishes them as kind 30443, which v1 readers prefer. A
	// reader of v2 that does not expect v1 there may fail on it, and then cannot
	// invite the account at all.
	V1Addressable V1Packages = "30443"
	// V1Off publishes none.
	V1Off V1Packages = "off"
)

// ErrV1Packages means that a value is none of the above.
var ErrV1Packages = errors.New("marmot: key packages of protocol v1 are published as 443, as 30443, or off")

// packageSlot is where the key packages of one generation are published.
type packageSlot struct {
	Slot    string    `json:"slot"` // d value, random, kept for ever
	Rotated time.Time `json:"rotated,omitzero"`
	LastKP  int64     `json:"last_kp"` // created_at of the newest key package event
}

func (r *accountRecord) slot(p group.Protocol) *packageSlot {
	if p == group.V1 {
		return &r.V1
	}
	return &r.packageSlot
}

func (r *accountRecord) v1() V1Packages {
	if r.V1As == "" {
		return V1Legacy
	}
	return r.V1As
}

// packaging is all of key packages and Welcomes in which the generations of the
// protocol differ for an account.
type packaging interface {
	protocol() group.Protocol
	kind(r *accountRecord) nostr.Kind
	// vouched reports whether leaves carry a proof of their account.
	vouched() bool
	config(account nostr.PubKey, proof wire.IdentityProof, now time.Time) mls.KeyPackageConfig
	event(r *accountRecord, kp *mls.KeyPackage, at nostr.Timestamp) (*nostr.Event, error)
	parse(e *nostr.Event, now time.Time) (*wire.KeyPackageEvent, error)
	// welcome reads an invitation that was made for such a key package.
	welcome(rumor *nostr.Event) (*wire.Welcome, error)
	// outlives is how long the private part of one is kept when a relay has taken
	// its replacement.
	outlives() time.Duration
}

type packagesV2 struct{}

func (packagesV2) protocol() group.Protocol       { return group.V2 }
func (packagesV2) kind(*accountRecord) nostr.Kind { return wire.KindKeyPackage }
func (packagesV2) vouched() bool                  { return true }
func (packagesV2) outlives() time.Duration        { return 0 }

func (packagesV2) config(account nostr.PubKey, proof wire.IdentityProof, now time.Time) mls.KeyPackageConfig {
	return wire.KeyPackageConfig(account, proof, now)
}

func (packagesV2) event(r *accountRecord, kp *mls.KeyPackage, at nostr.Timestamp) (*nostr.Event, error) {
	return wire.NewKeyPackageEvent(r.PubKey, r.Slot, kp, at)
}

func (packagesV2) parse(e *nostr.Event, now time.Time) (*wire.KeyPackageEvent, error) {
	return wire.ParseKeyPackageEvent(e, now)
}

func (packagesV2) welcome(rumor *nostr.Event) (*wire.Welcome, error) { return wire.ParseWelcome(rumor) }

type packagesV1 struct{}

func (packagesV1) protocol() group.Protocol { return group.V1 }

func (packagesV1) kind(r *accountRecord) nostr.Kind {
	if r.v1() == V1Addressable {
		return wire.KindKeyPackage
	}
	return wire.KindMIPKeyPackage
}

func (packagesV1) vouched() bool { return false }

// outlives: a relay does not replace a kind 443 event, so somebody may choose the
// old one for a while (MIP-00 names a day).
func (packagesV1) outlives() time.Duration { return 24 * time.Hour }

func (packagesV1) config(account nostr.PubKey, _ wire.IdentityProof, now time.Time) mls.KeyPackageConfig {
	return wire.MIPKeyPackageConfig(account, now)
}

func (p packagesV1) event(r *accountRecord, kp *mls.KeyPackage, at nostr.Timestamp) (*nostr.Event, error) {
	return wire.NewMIPKeyPackageEvent(r.PubKey, p.kind(r), r.V1.Slot, r.Relays, kp, at), nil
}

func (packagesV1) parse(e *nostr.Event, now time.Time) (*wire.KeyPackageEvent, error) {
	return wire.ParseMIPKeyPackageEvent(e, now)
}

func (packagesV1) welcome(rumor *nostr.Event) (*wire.Welcome, error) {
	return wire.ParseAnyWelcome(rumor)
}

// packagings by generation.
var packagings = map[group.Protocol]packaging{group.V2: packagesV2{}, group.V1: packagesV1{}}

// packagingOf tells which generation a key package event is of.
func packagingOf(e *nostr.Event) packaging {
	if wire.LooksMIP(e) {
		return packagesV1{}
	}
	return packagesV2{}
}

// wanted are the generations that the account can be invited with.
func (r *accountRecord) wanted() []packaging {
	if r.v1() == V1Off {
		return []packaging{packagesV2{}}
	}
	return []packaging{packagesV2{}, packagesV1{}}
}

// V1Packages returns how the account publishes key packages of protocol v1.
func (a *Account) V1Packages(ctx context.Context) (how V1Packages, err error) {
	err = a.do(ctx, func() error { how = a.record.v1(); return nil })
	return how, err
}

// SetV1Packages changes how the account publishes key packages of protocol v1. It
// returns when that is stored; relays are told in the background, also to delete
// the ones published before. Groups of v1 go on whatever is chosen.
func (a *Account) SetV1Packages(ctx context.Context, how V1Packages) error {
	if !slices.Contains([]V1Packages{V1Legacy, V1Addressable, V1Off}, how) {
		return fmt.Errorf("%w: not %q", ErrV1Packages, how)
	}
	return a.do(ctx, func() error {
		if how == a.record.v1() {
			return nil
		}
		record := a.record
		record.V1As, record.V1.Rotated, record.Swept = how, time.Time{}, time.Time{}
		records, apply := a.retire(&record, a.replacedBy(group.V1, nil))
		if err := a.write(append(records, group.Record{Key: keyAccount, Value: encode(record)}), nil); err != nil {
			return err
		}
		apply()
		a.record, a.sweepAt = record, time.Time{}
		a.announce()
		a.sweep()
		return nil
	})
}

// keepRetired is how long relays are looked through for a key package event that
// was replaced, to have it deleted.
const keepRetired = 14 * 24 * time.Hour

// replacedBy are the key packages of a generation that one replaces; nil replaces
// all.
func (a *Account) replacedBy(p group.Protocol, k *keyPackage) (refs []string) {
	for ref, old := range a.packages {
		if old.protocol() == p && (k == nil || old.CreatedAt < k.CreatedAt) && old.EraseAt.IsZero() {
			refs = append(refs, ref)
		}
	}
	return refs
}

// retire takes key packages out of use: their events are offered no more, and what
// no relay replaces by itself is to be deleted. Their private parts are erased, now
// or when nobody can mean them any more. It returns what to store, beside record,
// and what to do when that is done.
func (a *Account) retire(record *accountRecord, refs []string) (records []group.Record, apply func()) {
	now := a.cfg.Now()
	var kept, gone []string
	retired := map[nostr.ID]time.Time{}
	for id, until := range record.Retired {
		if now.Before(until) {
			retired[id] = until
		}
	}
	for _, ref := range refs {
		old := *a.packages[ref]
		p := packagings[old.protocol()]
		if old.Kind != wire.KindKeyPackage || p.kind(record) != old.Kind {
			retired[old.Event] = now.Add(keepRetired)
		}
		if p.outlives() == 0 {
			gone = append(gone, ref)
			records = append(records, group.Record{Key: keyPackages + ref})
			continue
		}
		kept = append(kept, ref)
		old.Used, old.EraseAt = true, now.Add(p.outlives())
		records = append(records, old.stored(ref))
	}
	record.Retired = retired
	var ended []nostr.ID
	for id, o := range a.own {
		if slices.Contains(refs, o.KeyPackage) {
			ended = append(ended, id)
			records = append(records, group.Record{Key: o.key()})
		}
	}
	return records, func() {
		for _, ref := range gone {
			a.packages[ref].erase()
			delete(a.packages, ref)
		}
		for _, ref := range kept {
			k := a.packages[ref]
			k.Used, k.EraseAt = true, now.Add(packagings[k.protocol()].outlives())
		}
		for _, id := range ended {
			delete(a.own, id)
		}
	}
}

// eraseOutlived erases the private parts of key packages whose time is over.
func (a *Account) eraseOutlived(now time.Time) {
	var over []string
	var records []group.Record
	for ref, k := range a.packages {
		if !k.EraseAt.IsZero() && !now.Before(k.EraseAt) {
			over = append(over, ref)
			records = append(records, group.Record{Key: keyPackages + ref})
		}
	}
	if len(over) == 0 {
		return
	}
	if err := a.write(records, nil); err != nil {
		a.cfg.Log.Error("state could not be stored", "error", err)
		return // tried again with the next tick
	}
	for _, ref := range over {
		a.packages[ref].erase()
		delete(a.packages, ref)
	}
}
