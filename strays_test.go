package marmot_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/nostr/relayd"
	"github.com/marmotgo/marmot/store"
	"github.com/marmotgo/marmot/wire"
)

// packageEvent is a kind 30443 event of p's account, as another device or an older
// installation would have made it at some time.
func packageEvent(t testing.TB, p *person, slot string, at time.Time) *nostr.Event {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	wanted := wire.ProofEvent(p.key.PubKey(), mls.X25519_AES128GCM_SHA256_Ed25519, key.Public().(ed25519.PublicKey), nostr.Timestamp(at.Unix()))
	signed := *wanted
	if err := p.key.SignEvent(&signed); err != nil {
		t.Fatal(err)
	}
	proof, err := wire.NewIdentityProof(wanted, &signed)
	if err != nil {
		t.Fatal(err)
	}
	kp, _, err := mls.NewKeyPackage(key, wire.KeyPackageConfig(p.key.PubKey(), proof, at))
	if err != nil {
		t.Fatal(err)
	}
	e, err := wire.NewKeyPackageEvent(p.key.PubKey(), slot, kp, nostr.Timestamp(at.Unix()))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.key.SignEvent(e); err != nil {
		t.Fatal(err)
	}
	return e
}

// packagesAt are the key package events that a relay has.
func packagesAt(r *relayd.Running) (out []*nostr.Event) {
	for _, e := range r.Events() {
		if e.Kind == wire.KindKeyPackage {
			out = append(out, e)
		}
	}
	return out
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 2000 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal(what)
}

// TestStrayKeyPackages leaves junk of an account at its relays. The junk goes, the
// key package of another device stays, and the account can be invited.
func TestStrayKeyPackages(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	bob := newPerson(t, "bob", r.URL())
	eventually(t, "no key package", func() bool { return len(packagesAt(r)) == 1 })
	ours := packagesAt(r)[0]
	slot, _ := ours.Tags.Find("d")
	device := packageEvent(t, bob, strings.Repeat("d1", 32), time.Now())
	expired := packageEvent(t, bob, strings.Repeat("d2", 32), time.Now().AddDate(-1, 0, 0))
	garbage := &nostr.Event{Kind: wire.KindKeyPackage, CreatedAt: nostr.Timestamp(time.Now().Unix()), Content: "garbage", Tags: nostr.Tags{{"d", "x"}}}
	if err := bob.key.SignEvent(garbage); err != nil {
		t.Fatal(err)
	}
	hiding := packageEvent(t, bob, slot.Value(), time.Unix(int64(ours.CreatedAt)+5, 0)) // stands in place of ours
	bob.stop()
	for _, e := range []*nostr.Event{device, expired, garbage, hiding} {
		if ok, why := r.Add(e); !ok {
			t.Fatal(why)
		}
	}
	forgetSweep(t, bob)
	bob.start()
	eventually(t, "the strays did not go, or ours did not come back", func() bool {
		var ids []nostr.ID
		for _, e := range packagesAt(r) {
			ids = append(ids, e.ID)
		}
		gone := !slices.Contains(ids, expired.ID) && !slices.Contains(ids, garbage.ID) && !slices.Contains(ids, hiding.ID)
		return gone && slices.Contains(ids, device.ID) && len(ids) == 2
	})
	for _, e := range packagesAt(r) {
		if d, _ := e.Tags.Find("d"); e.ID != device.ID && (d.Value() != slot.Value() || e.CreatedAt <= hiding.CreatedAt) {
			t.Errorf("slot %s at %d", d.Value(), e.CreatedAt)
		}
		if _, err := wire.ParseKeyPackageEvent(e, time.Now()); err != nil {
			t.Error(err)
		}
	}
	alice := newPerson(t, "alice", r.URL())
	if _, err := alice.Lookup(alice.context(), bob.PubKey()); err != nil {
		t.Error(err)
	}
}

// forgetSweep makes it as if the account had last been open long ago.
func forgetSweep(t *testing.T, p *person) {
	t.Helper()
	db, err := store.Open(p.path, p.dbKey)
	if err != nil {
		t.Fatal(err)
	}
	b, err := db.Get("account")
	if err != nil {
		t.Fatal(err)
	}
	var record map[string]any
	if err := json.Unmarshal(b, &record); err != nil {
		t.Fatal(err)
	}
	delete(record, "swept")
	delete(record, "rotated")
	if b, err = json.Marshal(record); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Write([]group.Record{{Key: "account", Value: b}}, nil), db.Close()); err != nil {
		t.Fatal(err)
	}
}
