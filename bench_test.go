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

// BenchmarkCatchUp brings a member back after 3,200 messages in one group, and
// in eight: from starting the account until all is in its log, over a
// relay on loopback and SQLite on disk. The floor is one Schnorr verification
// and one MLS decryption for each event, on all cores. In one group a relay is
// read before the first message can be opened, since it gives the newest first;
// several groups overlap.
func BenchmarkCatchUp(b *testing.B) {
	for _, groups := range []int{1, 8} {
		b.Run(fmt.Sprintf("groups=%d", groups), func(b *testing.B) { benchCatchUp(b, groups, 3200) })
	}
}

func benchCatchUp(b *testing.B, groups, messages int) {
	verify, decrypt := eventFloor(b)
	floor := (verify + decrypt) / time.Duration(cores())
	best := time.Duration(1 << 62)
	for b.Loop() {
		b.StopTimer()
		bob, _ := missing(b, groups, messages)
		b.StartTimer()
		began := time.Now()
		bob.start()
		if _, _, err := bob.Synced(bob.context()); err != nil {
			b.Fatal(err)
		}
		best = min(best, time.Since(began)/time.Duration(messages))
		b.StopTimer()
		if got := len(bob.texts()); got != messages {
			b.Fatalf("%d of %d messages are there", got, messages)
		}
		bob.stop()
		b.StartTimer()
	}
	b.ReportMetric(1/best.Seconds(), "events/s")
	b.ReportMetric(100*float64(floor)/float64(best), "%-of-floor")
	b.ReportMetric(float64(verify.Microseconds()), "µs-verify")
	b.ReportMetric(float64(decrypt.Microseconds()), "µs-decrypt")
}

// missing returns a member who is not running, and the last of the messages in
// each group that were sent meanwhile.
func missing(b testing.TB, groups, messages int) (bob *person, last []string) {
	r := newRelay(b)
	alice := newPerson(b, "alice", r.URL())
	bob = newPerson(b, "bob", r.URL())
	alice.patience, bob.patience = 2*time.Minute, 2*time.Minute
	var all []*marmot.Group
	for range groups {
		g := alice.invites(bob)
		waitEpochs(bob, g.ID(), 1)
		alice.waitFor("bob's update", func(u marmot.Update) bool {
			return u.Group == g.ID() && u.Effect.Kind == group.EffectEpoch && u.Effect.Epoch == 2
		})
		all = append(all, g)
	}
	if _, _, err := bob.Synced(bob.context()); err != nil {
		b.Fatal(err)
	}
	bob.stop()
	for i, g := range all {
		text := ""
		for n := range messages / groups {
			text = fmt.Sprintf("message %d in group %d", n, i)
			if _, err := g.Send(alice.context(), text); err != nil {
				b.Fatal(err)
			}
		}
		last = append(last, text)
	}
	waitPublished(alice, all)
	alice.stop()
	return bob, last
}
