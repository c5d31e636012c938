package marmot_test

import (
	"crypto/ed25519"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/marmotgo/marmot"
	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/nostr"
)

func cores() int { return runtime.GOMAXPROCS(0) }

// twoMembers is the smallest group.
func twoMembers(b *testing.B) (alice, bob *mls.Group, signer ed25519.PrivateKey) {
	b.Helper()
	_, signer, _ = ed25519.GenerateKey(nil)
	_, other, _ := ed25519.GenerateKey(nil)
	caps := mls.Capabilities{Versions: []uint16{1}, Suites: []mls.Suite{mls.X25519_AES128GCM_SHA256_Ed25519}, Credentials: []mls.CredentialType{mls.CredentialBasic}}
	alice, err := mls.Create(signer, mls.GroupConfig{
		Suite: mls.X25519_AES128GCM_SHA256_Ed25519, Credential: mls.BasicCredential([]byte("a")), Capabilities: caps,
		Lifetime: mls.Lifetime{NotAfter: 1 << 62},
	})
	if err != nil {
		b.Fatal(err)
	}
	kp, keys, err := mls.NewKeyPackage(other, mls.KeyPackageConfig{
		Suite: mls.X25519_AES128GCM_SHA256_Ed25519, Credential: mls.BasicCredential([]byte("b")), Capabilities: caps,
		Lifetime: mls.Lifetime{NotAfter: 1 << 62},
	})
	if err != nil {
		b.Fatal(err)
	}
	staged, err := alice.Commit(signer, mls.CommitConfig{Proposals: []mls.Proposal{mls.Add{KeyPackage: kp}}})
	if err != nil {
		b.Fatal(err)
	}
	m, err := mls.DecodeMessage(staged.Welcome)
	if err != nil {
		b.Fatal(err)
	}
	w, _ := m.Welcome()
	joined, err := mls.Join(w, kp, keys, mls.JoinConfig{})
	if err != nil {
		b.Fatal(err)
	}
	return staged.Next, joined.Group, signer
}

// fastest returns the least time of a call over some rounds.
func fastest(f func()) time.Duration {
	best := time.Duration(1 << 62)
	for range 20 {
		began := time.Now()
		for range 10 {
			f()
		}
		best = min(best, time.Since(began)/10)
	}
	return best
}

// eventFloor is what one received message cannot do without: a Schnorr
// verification and an MLS decryption.
func eventFloor(b *testing.B) (verify, decrypt time.Duration) {
	b.Helper()
	e := &nostr.Event{CreatedAt: 1, Kind: 445, Content: string(make([]byte, 700))}
	if err := nostr.GenerateSecretKey().SignEvent(e); err != nil {
		b.Fatal(err)
	}
	verify = fastest(func() {
		if e.Verify() != nil {
			b.Fatal("a good event")
		}
	})
	alice, bob, signer := twoMembers(b)
	decrypt = time.Duration(1 << 62)
	for range 200 {
		sealed, err := alice.Protect(signer, make([]byte, 300), nil)
		if err != nil {
			b.Fatal(err)
		}
		began := time.Now()
		m, err := mls.DecodeMessage(sealed.Message)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := bob.Unprotect(m); err != nil {
			b.Fatal(err)
		}
		decrypt = min(decrypt, time.Since(began))
	}
	return verify, decrypt
}

// BenchmarkCatchUp brings a member back after 3,000 messages: from starting the
// account to the last message in its log, over a relay on loopback and SQLite
// on disk. The floor is one Schnorr verification and one MLS decryption for
// each event, on all cores.
func BenchmarkCatchUp(b *testing.B) {
	const messages = 3000
	verify, decrypt := eventFloor(b)
	floor := (verify + decrypt) / time.Duration(cores())
	r := newRelay(b)
	alice, bob := newPerson(b, "alice", r.URL()), newPerson(b, "bob", r.URL())
	alice.patience, bob.patience = time.Minute, time.Minute
	g := alice.invites(bob)
	bob.waitKind(group.EffectEpoch)
	alice.waitFor("bob's update", func(u marmot.Update) bool { return u.Effect.Kind == group.EffectEpoch && u.Effect.Epoch == 2 })
	for b.Loop() {
		b.StopTimer()
		bob.stop()
		last := ""
		for n := range messages {
			last = fmt.Sprintf("%d of %v", n, time.Now().UnixNano())
			if _, err := g.Send(alice.context(), last); err != nil {
				b.Fatal(err)
			}
		}
		waitPublished(alice, []*marmot.Group{g})
		b.StartTimer()
		began := time.Now()
		bob.start()
		bob.waitText(last)
		each := time.Since(began) / messages
		b.ReportMetric(1/each.Seconds(), "events/s")
		b.ReportMetric(100*float64(floor)/float64(each), "%-of-floor")
	}
	b.ReportMetric(float64(verify.Microseconds()), "µs-verify")
	b.ReportMetric(float64(decrypt.Microseconds()), "µs-decrypt")
}
