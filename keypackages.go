package marmot

import (
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
	Event      nostr.ID  `json:"event"`
	KeyPackage []byte    `json:"key_package"`
	Keys       []byte    `json:"keys"`
	Seed       []byte    `json:"seed"` // of the MLS signature key
	NotAfter   time.Time `json:"not_after"`
	CreatedAt  int64     `json:"created_at"` // of the event
	Used       bool      `json:"used,omitempty"`
	Confirmed  bool      `json:"confirmed,omitempty"` // a relay has it
}

func (a *Account) loadPackages() error {
	return each(a.cfg.Store, keyPackages, func(ref string, k *keyPackage) { a.packages[ref] = k })
}

func (k *keyPackage) stored(ref string) group.Record {
	return group.Record{Key: keyPackages + ref, Value: encode(k), Secret: true}
}

// fresh reports whether others may go on using a key package.
func (k *keyPackage) fresh(now time.Time) bool {
	return !k.Used && now.Before(k.NotAfter.Add(-renewBefore))
}

// invitable reports whether some relay has a key package of the account.
func (a *Account) invitable() bool {
	for _, k := range a.packages {
		if k.Confirmed {
			return true
		}
	}
	return false
}

// renewKeyPackage makes a key package when there is no fresh one. While the
// inbox is being read it waits: there may be an invitation for the one that
// the new one replaces.
func (a *Account) renewKeyPackage() {
	now := a.cfg.Now()
	for _, k := range a.packages {
		if k.fresh(now) {
			return
		}
	}
	if a.renewing || now.Before(a.record.Rotated.Add(renewPause)) || (len(a.packages) > 0 && !a.inboxRead()) {
		return
	}
	a.renewing = true
	createdAt := max(now.Unix(), a.record.LastKP+1)
	slot := a.record.Slot
	a.work(func(ctx context.Context) {
		k, e, err := a.makeKeyPackage(ctx, slot, nostr.Timestamp(createdAt))
		a.post(func() { a.adoptKeyPackage(k, e, err) })
	})
}

// newSignatureKey makes an MLS signature key that the account vouches for.
func (a *Account) newSignatureKey(ctx context.Context) (ed25519.PrivateKey, wire.IdentityProof, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, wire.IdentityProof{}, err
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

func (a *Account) makeKeyPackage(ctx context.Context, slot string, at nostr.Timestamp) (*keyPackage, *nostr.Event, error) {
	key, proof, err := a.newSignatureKey(ctx)
	if err != nil {
		return nil, nil, err
	}
	kp, keys, err := mls.NewKeyPackage(key, wire.KeyPackageConfig(a.self, proof, a.cfg.Now()))
	if err != nil {
		return nil, nil, err
	}
	template, err := wire.NewKeyPackageEvent(a.self, slot, kp, at)
	if err != nil {
		return nil, nil, err
	}
	e, err := sign(ctx, a.signer, template)
	if err != nil {
		return nil, nil, err
	}
	return &keyPackage{
		Event: e.ID, KeyPackage: kp.Bytes(), Keys: keys.AppendSecret(nil), Seed: key.Seed(),
		NotAfter: time.Unix(int64(kp.Leaf.Lifetime.NotAfter), 0), CreatedAt: int64(at),
	}, e, nil
}

// adoptKeyPackage stores a new key package, private part first, and only then
// publishes it.
func (a *Account) adoptKeyPackage(k *keyPackage, e *nostr.Event, err error) {
	a.renewing = false
	a.record.Rotated = a.cfg.Now()
	if err != nil {
		a.cfg.Log.Warn("no key package was made", "error", err)
		return
	}
	a.record.LastKP = k.CreatedAt
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

// confirmed erases the key packages that an accepted one replaces: their
// private parts must not outlive the confirmation (key-packages.md). Their
// events are offered no more. It returns what to store, and what to do when
// that is done.
func (a *Account) confirmed(o *ownEvent) (records []group.Record, apply func()) {
	k := a.packages[o.KeyPackage]
	if k == nil || k.Confirmed || !o.taken() {
		return nil, func() {}
	}
	now := *k
	now.Confirmed = true
	records = []group.Record{now.stored(o.KeyPackage)}
	var replaced []string
	for ref, old := range a.packages {
		if old.CreatedAt < k.CreatedAt {
			replaced = append(replaced, ref)
			records = append(records, group.Record{Key: keyPackages + ref})
		}
	}
	var ended []nostr.ID
	for id, p := range a.own {
		if slices.Contains(replaced, p.KeyPackage) {
			ended = append(ended, id)
			records = append(records, group.Record{Key: p.key()})
		}
	}
	return records, func() {
		k.Confirmed = true
		a.record.Swept, a.sweepAt = time.Time{}, time.Time{} // what the new one replaces may still lie at a relay
		for _, ref := range replaced {
			a.packages[ref].erase()
			delete(a.packages, ref)
		}
		for _, id := range ended {
			delete(a.own, id)
		}
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
