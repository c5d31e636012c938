package marmot

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// When a key package is replaced: after use, though not more often than once
// a minute, and two weeks before it expires.
const (
	renewBefore = 14 * 24 * time.Hour
	renewPause  = time.Minute
)

// keyPackage is a published key package with its private part. It is marked
// as last resort, so it serves until its replacement is confirmed.
type keyPackage struct {
	Protocol   group.Protocol `json:"protocol,omitempty"` // empty for v2
	Kind       nostr.Kind     `json:"kind,omitempty"`     // of the event; 0 for 30443
	Event      nostr.ID       `json:"event"`
	KeyPackage []byte         `json:"key_package"`
	Keys       []byte         `json:"keys"`
	Seed       []byte         `json:"seed"` // of the MLS signature key
	NotAfter   time.Time      `json:"not_after"`
	CreatedAt  int64          `json:"created_at"` // of the event
	Used       bool           `json:"used,omitempty"`
	Confirmed  bool           `json:"confirmed,omitempty"` // a relay has it
	EraseAt    time.Time      `json:"erase_at,omitzero"`   // it was replaced
}

func (k *keyPackage) protocol() group.Protocol { return cmp.Or(k.Protocol, group.V2) }

func (a *Account) loadPackages() error {
	return each(a.cfg.Store, keyPackages, func(ref string, k *keyPackage) {
		k.Kind = cmp.Or(k.Kind, wire.KindKeyPackage)
		a.packages[ref] = k
	})
}

func (k *keyPackage) stored(ref string) group.Record {
	return group.Record{Key: keyPackages + ref, Value: encode(k), Secret: true}
}

// fresh reports whether others may go on using a key package.
func (k *keyPackage) fresh(now time.Time) bool {
	return !k.Used && now.Before(k.NotAfter.Add(-renewBefore))
}

// invitable reports whether some relay has a key package of the account, of each
// generation that it is to have.
func (a *Account) invitable() bool {
	return !slices.ContainsFunc(a.record.wanted(), func(p packaging) bool {
		return a.current(p.protocol(), func(k *keyPackage) bool { return k.Confirmed }) == nil
	})
}

// current returns a key package of a generation that is in use and fits, or nil.
func (a *Account) current(p group.Protocol, fits func(*keyPackage) bool) *keyPackage {
	for _, k := range a.packages {
		if k.protocol() == p && k.EraseAt.IsZero() && fits(k) {
			return k
		}
	}
	return nil
}

// renewKeyPackages makes a key package of each generation that has no fresh one.
// While the inbox is being read it waits: there may be an invitation for the one
// that the new one replaces.
func (a *Account) renewKeyPackages() {
	for _, p := range a.record.wanted() {
		a.renewKeyPackage(p)
	}
}

func (a *Account) renewKeyPackage(p packaging) {
	now, slot := a.cfg.Now(), a.record.slot(p.protocol())
	if a.current(p.protocol(), func(k *keyPackage) bool { return k.fresh(now) }) != nil {
		return
	}
	some := a.current(p.protocol(), func(*keyPackage) bool { return true }) != nil
	if a.renewing[p.protocol()] || now.Before(slot.Rotated.Add(renewPause)) || (some && !a.inboxRead()) {
		return
	}
	if slot.Slot == "" { // the account is from before there were v1 ones
		slot.Slot = newSlot()
	}
	a.renewing[p.protocol()] = true
	createdAt := max(now.Unix(), slot.LastKP+1)
	record := a.record
	a.work(func(ctx context.Context) {
		k, e, err := a.makeKeyPackage(ctx, p, &record, nostr.Timestamp(createdAt))
		a.post(func() { a.adoptKeyPackage(p, k, e, err) })
	})
}

// newSignatureKey makes an MLS signature key, which the account vouches for if the
// protocol has that.
func (a *Account) newSignatureKey(ctx context.Context, p packaging) (ed25519.PrivateKey, wire.IdentityProof, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil || !p.vouched() {
		return key, wire.IdentityProof{}, err
	}
	at := nostr.Timestamp(a.cfg.Now().Unix())
	wanted := wire.ProofEvent(a.self, mls.X25519_AES128GCM_SHA256_Ed25519, key.Public().(ed25519.PublicKey), at)
	signed, err := sign(ctx, a.signer, wanted)
	if err != nil {
		return nil, wire.IdentityProof{}, fmt.Errorf("marmot: the signer did not vouch for the device's key: %w", err)
	}
	proof, err := wire.NewIdentityProof(wanted, signed)
	return key, proof, err
}

func (a *Account) makeKeyPackage(ctx context.Context, p packaging, record *accountRecord, at nostr.Timestamp) (*keyPackage, *nostr.Event, error) {
	key, proof, err := a.newSignatureKey(ctx, p)
	if err != nil {
		return nil, nil, err
	}
	kp, keys, err := mls.NewKeyPackage(key, p.config(a.self, proof, a.cfg.Now()))
	if err != nil {
		return nil, nil, err
	}
	template, err := p.event(record, kp, at)
	if err != nil {
		return nil, nil, err
	}
	e, err := sign(ctx, a.signer, template)
	if err != nil {
		return nil, nil, err
	}
	return &keyPackage{
		Protocol: p.protocol(), Kind: e.Kind, Event: e.ID, KeyPackage: kp.Bytes(), Keys: keys.AppendSecret(nil), Seed: key.Seed(),
		NotAfter: time.Unix(int64(kp.Leaf.Lifetime.NotAfter), 0), CreatedAt: int64(at),
	}, e, nil
}

// adoptKeyPackage stores a new key package, private part first, and only then
// publishes it.
func (a *Account) adoptKeyPackage(p packaging, k *keyPackage, e *nostr.Event, err error) {
	a.renewing[p.protocol()] = false
	slot := a.record.slot(p.protocol())
	slot.Rotated = a.cfg.Now()
	if err != nil {
		a.cfg.Log.Warn("no key package was made", "error", err)
		return
	}
	if k.Kind != p.kind(&a.record) || !slices.Contains(a.record.wanted(), p) {
		slot.Rotated = time.Time{}
		a.renewKeyPackages() // the account wants another kind by now
		return
	}
	slot.LastKP = k.CreatedAt
	kp, err := mls.DecodeKeyPackage(k.KeyPackage)
	if err != nil {
		a.cfg.Log.Error("own key package does not decode", "error", err)
		return
	}
	ref := hex.EncodeToString(kp.Ref())
	o := a.newOwn(e, ref)
	if err := a.write([]group.Record{k.stored(ref), o.stored(), a.accountRecord()}, nil); err != nil {
		a.cfg.Log.Error("state could not be stored", "error", err)
		return
	}
	a.packages[ref] = k
	a.own[e.ID] = o
	a.offer(o)
}

// confirmed takes the key packages out of use that an accepted one replaces: the
// private parts of v2 must not outlive the confirmation (key-packages.md). It
// returns what to store, and what to do when that is done.
func (a *Account) confirmed(o *ownEvent) (records []group.Record, apply func()) {
	k := a.packages[o.KeyPackage]
	if k == nil || k.Confirmed || !o.taken() {
		return nil, func() {}
	}
	now, record := *k, a.record
	now.Confirmed = true
	record.Swept = time.Time{} // what the new one replaces may still lie at a relay
	records, retired := a.retire(&record, a.replacedBy(k.protocol(), k))
	records = append(records, now.stored(o.KeyPackage), group.Record{Key: keyAccount, Value: encode(record)})
	return records, func() {
		k.Confirmed = true
		a.record, a.sweepAt = record, time.Time{}
		retired()
	}
}

func (k *keyPackage) erase() {
	clear(k.Keys)
	clear(k.Seed)
}

// newSlot names the account's key package slot: random, never derived.
func newSlot() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// newRef names a local request.
func newRef() string { return newSlot()[:16] }
