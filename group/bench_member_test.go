package group

import (
	"crypto/ed25519"
	"fmt"
	"testing"
	"time"

	"github.com/marmotgo/marmot/nostr"
)

// leastOf returns the least time of some calls.
func leastOf(calls int, f func()) time.Duration {
	best := time.Duration(1 << 62)
	for range calls {
		began := time.Now()
		f()
		best = min(best, time.Since(began))
	}
	return best
}

// BenchmarkJoin joins a group. The floor is one account proof (Schnorr) and one
// leaf signature (Ed25519) for each member.
func BenchmarkJoin(b *testing.B) {
	e := &nostr.Event{Kind: 450}
	if err := nostr.GenerateSecretKey().SignEvent(e); err != nil {
		b.Fatal(err)
	}
	public, key, _ := ed25519.GenerateKey(nil)
	text := make([]byte, 400)
	signature := ed25519.Sign(key, text)
	proof := leastOf(200, func() { _ = e.Verify() })
	leaf := leastOf(200, func() { ed25519.Verify(public, text, signature) })
	for _, n := range []int{10, 70} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			_, guests, joins := invitedCrowd(b, n)
			least := time.Duration(1 << 62)
			for b.Loop() {
				began := time.Now()
				if _, _, err := Join(guests[0].w.now, joins[0]); err != nil {
					b.Fatal(err)
				}
				least = min(least, time.Since(began))
			}
			floor := time.Duration(n) * (proof + leaf)
			b.ReportMetric(float64(least.Microseconds()), "least-µs")
			b.ReportMetric(float64(floor.Microseconds()), "floor-µs")
			b.ReportMetric(float64(least)/float64(floor), "x-floor")
		})
	}
}

// BenchmarkStoredCommit tells what a commit of another member makes a group of 70
// store, beside what the commit has itself.
func BenchmarkStoredCommit(b *testing.B) {
	const count = 20
	alice, bob, _ := crowd(b, 70)
	events := alice.branch(count)
	own := 0
	for _, e := range events {
		own += len(e.Content) * 3 / 4
	}
	var stored, written int
	for b.Loop() {
		g, sizes := bob.again(b), map[string]int{}
		stored, written = 0, 0
		for _, r := range bob.records() {
			sizes[r.Key] = len(r.Value)
			stored -= len(r.Value)
		}
		step := func(at time.Time, in Input) {
			out, err := g.Step(at, in)
			if err != nil {
				b.Fatal(err)
			}
			for _, r := range out.Records {
				sizes[r.Key] = len(r.Value)
				written += len(r.Value)
			}
		}
		for _, e := range events {
			step(bob.w.now, Received{Event: e})
			step(bob.w.now.Add(maxPass), Tick{})
		}
		for _, n := range sizes {
			stored += n
		}
	}
	b.ReportMetric(float64(own)/count, "B-commit")
	b.ReportMetric(float64(stored-own)/count, "B-stored-beyond")
	b.ReportMetric(float64(written)/count, "B-written")
}
