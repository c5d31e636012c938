package group

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkManyMessages receives message after message in one epoch: what a
// step costs must not grow with what came before.
func BenchmarkManyMessages(b *testing.B) {
	for _, before := range []int{0, 3000} {
		b.Run(fmt.Sprint("after-", before), func(b *testing.B) {
			w := newWorld(b, "alice", "bob")
			alice, bob := w.client("alice"), w.client("bob")
			alice.cfg.Trace, bob.cfg.Trace = false, false
			alice.create("g", bob)
			w.flood()
			alice.sent = nil
			for i := range before + 200 {
				alice.say(fmt.Sprint(i))
			}
			events := alice.sent
			bob.receive(events[:before]...)
			b.ResetTimer()
			var total time.Duration
			for i := 0; b.Loop(); i++ {
				e := events[before+i%200]
				start := time.Now()
				_, err := bob.g.Step(w.now, Received{Event: e})
				total += time.Since(start)
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
