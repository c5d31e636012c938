package marmot_test

import (
	"context"
	"flag"
	"fmt"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/marmotgo/marmot"
	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/nostr/relayd"
	"github.com/marmotgo/marmot/store"
	"github.com/marmotgo/marmot/wire"
)

// homeGroups and homeMessages are the size of the home of BenchmarkHome: 1000 and
// 100 are the design's.
var (
	homeGroups   = flag.Int("home-groups", 20, "groups of ten of a home")
	homeMessages = flag.Int("home-messages", 20, "messages in each of its groups")
)

// pair is two members of a group, settled.
func pair(b *testing.B, r *relayd.Running) (alice, bob *person, g *marmot.Group) {
	alice, bob = newPerson(b, "alice", r.URL()), newPerson(b, "bob", r.URL())
	alice.patience, bob.patience = 5*time.Minute, 5*time.Minute
	g = alice.invites(bob)
	bob.waitKind(group.EffectEpoch)
	alice.waitFor("bob's update", func(u marmot.Update) bool { return u.Effect.Kind == group.EffectEpoch && u.Effect.Epoch == 2 })
	return alice, bob, g
}

// writeFloor is a synced transaction of records and log entries of 1 kB each.
func writeFloor(b *testing.B, count int) time.Duration {
	b.Helper()
	db, err := store.Open(filepath.Join(b.TempDir(), "floor.db"), store.NewKey())
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	best := time.Duration(1 << 62)
	for round := range 30 {
		var records, entries []group.Record
		for i := range count {
			r := group.Record{Key: fmt.Sprint(round, "/", i), Value: make([]byte, 1000)}
			records, entries = append(records, r), append(entries, r)
		}
		began := time.Now()
		if err := db.Write(records, entries); err != nil {
			b.Fatal(err)
		}
		best = min(best, time.Since(began))
	}
	return best
}

func reportFloor(b *testing.B, least, floor time.Duration) {
	b.ReportMetric(float64(least.Microseconds()), "least-µs")
	b.ReportMetric(float64(floor.Microseconds()), "floor-µs")
	b.ReportMetric(float64(least)/float64(floor), "x-floor")
}

// BenchmarkReceive takes in 100 kind 445 events, from the bytes of a relay's frames
// to durable messages, and tells the time of one. The floor is one Schnorr
// verification on all cores, the envelope's AEAD, one MLS decryption and a
// hundredth of a transaction.
func BenchmarkReceive(b *testing.B) {
	const count = 100
	verify, decrypt := eventFloor(b)
	aead, _ := chacha20poly1305.New(make([]byte, 32))
	sealed := aead.Seal(nil, make([]byte, 12), make([]byte, 500), nil)
	open := fastest(func() { _, _ = aead.Open(nil, make([]byte, 12), sealed, nil) })
	floor := verify/time.Duration(cores()) + open + decrypt + writeFloor(b, count)/count
	r := newRelay(b)
	alice, bob, g := pair(b, r)
	least := time.Duration(1 << 62)
	for b.Loop() {
		b.StopTimer()
		r.SetFaults(relayd.Faults{Drop: 1}) // bob hears of nothing
		known := map[nostr.ID]bool{}
		for _, e := range r.Events() {
			known[e.ID] = true
		}
		for i := range count {
			if _, err := g.Send(alice.context(), fmt.Sprint("message ", i)); err != nil {
				b.Fatal(err)
			}
		}
		waitPublished(alice, []*marmot.Group{g})
		var frames [][]byte
		for _, e := range r.Events() { // of one second in any order
			if !known[e.ID] && e.Kind == wire.KindGroupEvent {
				m := nostr.RelayMessage{Type: "EVENT", SubID: "1", Event: e}
				frames = append(frames, m.AppendJSON(nil))
			}
		}
		b.StartTimer()
		began := time.Now()
		settled, err := bob.TakeFrames(frames)
		each := time.Since(began) / time.Duration(len(frames))
		refused := bob.Refused()
		if err != nil || settled != count || refused[string(group.Duplicate)]+refused[string(group.StaleEpoch)] > 0 {
			b.Fatalf("%d of %d events are settled, %v, refused %v", settled, len(frames), err, refused)
		}
		least = min(least, each)
	}
	reportFloor(b, least, floor)
}

// BenchmarkSend sends one message, until it is durable and on its way. The floor is
// a key pair and a signature of secp256k1, one MLS encryption and one synced
// transaction.
func BenchmarkSend(b *testing.B) {
	sign := fastest(func() {
		if err := nostr.GenerateSecretKey().SignEvent(&nostr.Event{Kind: 445, Content: string(make([]byte, 700))}); err != nil {
			b.Fatal(err)
		}
	})
	member, _, signer := twoMembers(b)
	encrypt := fastest(func() {
		if _, err := member.Protect(signer, make([]byte, 300), nil); err != nil {
			b.Fatal(err)
		}
	})
	floor := sign + encrypt + writeFloor(b, 1)
	alice, _, g := pair(b, newRelay(b))
	least := time.Duration(1 << 62)
	for i := 0; b.Loop(); i++ {
		began := time.Now()
		if _, err := g.Send(alice.context(), fmt.Sprint("message ", i)); err != nil {
			b.Fatal(err)
		}
		least = min(least, time.Since(began))
		b.StopTimer()
		waitPublished(alice, []*marmot.Group{g})
		b.StartTimer()
	}
	reportFloor(b, least, floor)
}

// stranger is a person that only ever was invited.
func stranger(b *testing.B, inbox string) marmot.Contact {
	p := &person{t: b, key: nostr.GenerateSecretKey()}
	e := packageEvent(b, p, fmt.Sprintf("%064x", 1), time.Now())
	kp, err := wire.ParseKeyPackageEvent(e, time.Now())
	if err != nil {
		b.Fatal(err)
	}
	return marmot.Contact{PubKey: p.key.PubKey(), KeyPackages: map[group.Protocol]*wire.KeyPackageEvent{group.V2: kp}, Inbox: []string{inbox}}
}

// BenchmarkHome opens a home with -home-groups groups of ten members and
// -home-messages messages in each, until the first list of groups is there, and
// tells what of memory and disk it takes.
func BenchmarkHome(b *testing.B) {
	r, err := relayd.Start("127.0.0.1:0", relayd.Config{MaxEvents: 1 << 20, MaxSubs: 1 << 16})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { r.Close() })
	alice := newPerson(b, "alice", r.URL())
	alice.patience = time.Hour
	var nine []marmot.Contact
	for range 9 {
		nine = append(nine, stranger(b, r.URL()))
	}
	ctx := alice.context()
	var groups []*marmot.Group
	for i := range *homeGroups {
		g, err := alice.CreateGroup(ctx, marmot.NewGroup{Name: fmt.Sprint("group ", i), Invite: nine})
		if err != nil {
			b.Fatal(err)
		}
		groups = append(groups, g)
	}
	waitPublished(alice, groups)
	alice.stop()
	before := sizeOf(alice.path)
	alice.start()
	groups, err = alice.Groups(ctx)
	if err != nil {
		b.Fatal(err)
	}
	for _, g := range groups {
		for i := range *homeMessages {
			if _, err := g.Send(ctx, fmt.Sprint("message ", i)); err != nil {
				b.Fatal(err)
			}
		}
		waitPublished(alice, []*marmot.Group{g})
	}
	if err := alice.RebuildTimeline(ctx); err != nil { // which has rows of its own
		b.Fatal(err)
	}
	alice.stop()
	grown := float64(sizeOf(alice.path)-before) / float64(*homeGroups**homeMessages)
	least := time.Duration(1 << 62)
	var heap uint64
	for b.Loop() {
		db, err := store.Open(alice.path, alice.dbKey)
		if err != nil {
			b.Fatal(err)
		}
		began := time.Now() // the key is unwrapped
		a, err := marmot.Open(b.Context(), marmot.Config{Store: db, Signer: marmot.LocalSigner(alice.key), Relays: alice.relays})
		if err != nil {
			b.Fatal(err)
		}
		list, err := a.Groups(context.Background())
		if err != nil || len(list) != *homeGroups {
			b.Fatal(len(list), err)
		}
		least = min(least, time.Since(began))
		b.StopTimer()
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		heap = m.HeapAlloc
		a.Close()
		db.Close()
		var after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&after)
		heap -= min(heap, after.HeapAlloc)
		b.StartTimer()
	}
	b.ReportMetric(float64(least.Microseconds())/1e3, "ms-first-list")
	b.ReportMetric(float64(heap)/1e6, "MB-heap")
	b.ReportMetric(grown, "B-disk/message")
}
