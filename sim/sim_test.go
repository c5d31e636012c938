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

// draw makes a seed's world.
func draw(seed uint64) Config {
	cfg := Config{
		Seed: seed, Clients: 3 + int(seed%3), Relays: 1 + int(seed/3%2), Actions: 8 + int(seed%9), Pace: 700 * time.Millisecond,
		Delay: time.Duration(50+seed%17*100) * time.Millisecond, JoinUpdate: 24 * time.Hour,
	}
	if seed%4 != 0 {
		cfg.Loss, cfg.Repeat, cfg.Silent = 0.1, 0.1, 0.1
	}
	if seed%2 == 0 {
		cfg.Crash = 0.03
	}
	if seed%5 == 0 {
		cfg.JoinUpdate = 0
	}
	return cfg
}

// play plays one history with seeded keys. Only one world may be played at a
// time in a process.
func play(t *testing.T, random uint64, make func() (*World, error)) (*World, error) {
	t.Helper()
	cryptotest.SetGlobalRandom(t, random)
	w, err := make()
	if err != nil {
		t.Fatal(err)
	}
	err = w.Run()
	if closed := w.Close(); closed != nil {
		t.Error(closed)
	}
	return w, err
}

// TestHistories plays many histories and checks each. A failing seed is
// played again with -first SEED -seeds 1 -v.
func TestHistories(t *testing.T) {
	var sum Stats
	cover := NewCoverage()
	started := time.Now()
	for i := range *seeds {
		seed := *first + uint64(i)
		w, err := play(t, seed, func() (*World, error) { return New(draw(seed), cover) })
		if err != nil {
			t.Errorf("seed %d: %v", seed, err)
			if *seeds == 1 {
				t.Logf("%s\n%s", w.Dump(), w.Script())
			}
		}
		sum.Add(w.Stats)
	}
	took := time.Since(started).Seconds()
	fmt.Printf("%d histories, %.1f a second: %+v\n", *seeds, float64(*seeds)/took, sum)
	if testing.Verbose() {
		fmt.Print(cover)
	}
	if *seeds >= 60 && (sum.Forks == 0 || sum.Crashes == 0 || sum.Withdrawn == 0) {
		t.Errorf("the histories are too tame: %+v", sum)
	}
}

// TestReplay plays a seed again, and as the script of its first run: the bytes
// are the same.
func TestReplay(t *testing.T) {
	for seed := uint64(2); seed < 8; seed++ {
		again := func() (*World, error) { return New(draw(seed), nil) }
		a, err := play(t, seed, again)
		if err != nil {
			t.Fatal(err)
		}
		if b, _ := play(t, seed, again); b.Digest() != a.Digest() {
			t.Errorf("seed %d: other bytes", seed)
		}
		script, err := ParseScript(a.Script().String())
		if err != nil {
			t.Fatal(err)
		}
		if c, err := play(t, seed, func() (*World, error) { return NewScripted(script, nil, "") }); err != nil || c.Digest() != a.Digest() {
			t.Errorf("seed %d: the script gives other bytes: %v", seed, err)
		}
	}
}

// TestSQLite plays histories on real databases.
func TestSQLite(t *testing.T) {
	for seed := uint64(2); seed < 6; seed++ {
		_, err := play(t, seed, func() (*World, error) {
			cfg := draw(seed)
			cfg.Dir, cfg.Crash = t.TempDir(), 0.05
			return New(cfg, nil)
		})
		if err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
	}
}
