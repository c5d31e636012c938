package sim

import (
	"flag"
	"fmt"
	"testing"
	"testing/cryptotest"
	"time"
)

var (
	seeds = flag.Int("seeds", 60, "how many histories to play")
	first = flag.Uint64("first", 1, "the first seed")
)

// draw makes a seed's world: every fourth is calm, the others are not.
func draw(seed uint64) Config {
	cfg := Config{
		Seed: seed, Clients: 3 + int(seed%4), Actions: 30, Pace: 700 * time.Millisecond,
		Delay: time.Duration(50+seed%17*100) * time.Millisecond,
	}
	if seed%4 != 0 {
		cfg.Loss, cfg.Repeat, cfg.Silent = 0.1, 0.1, 0.1
	}
	if seed%2 == 0 {
		cfg.Crash = 0.03
	}
	return cfg
}

// TestHistories plays many histories and checks each. A failing seed is
// played again with -first SEED -seeds 1.
func TestHistories(t *testing.T) {
	var sum Stats
	started := time.Now()
	for i := range *seeds {
		seed := *first + uint64(i)
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			cryptotest.SetGlobalRandom(t, seed)
			w := New(draw(seed))
			if err := w.Run(); err != nil {
				t.Error(err)
				if *seeds == 1 {
					t.Log(w.Dump())
				}
			}
			sum.add(w.Stats)
		})
	}
	took := time.Since(started).Seconds()
	t.Logf("%d histories, %.1f a second: %+v", *seeds, float64(*seeds)/took, sum)
	if *seeds >= 60 && (sum.Forks == 0 || sum.Crashes == 0 || sum.Withdrawn == 0) {
		t.Errorf("the histories are too tame: %+v", sum)
	}
}

func (s *Stats) add(o Stats) {
	s.Actions += o.Actions
	s.Refused += o.Refused
	s.Commits += o.Commits
	s.Forks += o.Forks
	s.Crashes += o.Crashes
	s.Messages += o.Messages
	s.Withdrawn += o.Withdrawn
	s.Stranded += o.Stranded
	s.Expired += o.Expired
}

func ExampleNew() {
	w := New(Config{Seed: 1, Clients: 2, Actions: 3, Pace: time.Second})
	fmt.Println(w.Run())
	// Output: <nil>
}
