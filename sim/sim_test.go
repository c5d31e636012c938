package sim

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"testing/cryptotest"
	"time"

	"github.com/marmotgo/marmot/group"
)

var (
	seeds  = flag.Int("seeds", 60, "how many histories to play")
	long   = flag.Duration("for", 0, "play for so long, and not -seeds histories")
	first  = flag.Uint64("first", 1, "the first seed")
	crowd  = flag.Int("crowd", 16, "how many clients the crowd has")
	halves = flag.Int("halves", 6, "how many groups are parted for long")
	dir    = flag.String("shrink", "", "folder for scripts of failing seeds, shrunk")
)

// play plays one history with seeded keys. Only one world may be played at a
// time in a process.
func play(t *testing.T, cfg Config, s *Script, cover *Coverage) (*World, error) {
	t.Helper()
	var w *World
	var err error
	if cfg.SQLite || s != nil && s.SQLite {
		dir, err := os.MkdirTemp(t.TempDir(), "disks")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		cfg.Dir = dir
	}
	if s != nil {
		begin := template(t, s.Begin)
		cryptotest.SetGlobalRandom(t, s.Random)
		w, err = NewScripted(s, begin, cover, cfg.Dir)
	} else {
		cfg.Begin = template(t, &cfg.Beginning)
		cryptotest.SetGlobalRandom(t, cfg.Seed)
		w, err = New(cfg, cover)
	}
	if err != nil {
		t.Fatal(err)
	}
	err = run(w)
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
	played := 0
	for ; *long > 0 && time.Since(started) < *long || *long == 0 && played < *seeds; played++ {
		seed := *first + uint64(played)
		w, err := play(t, Draw(seed), nil, cover)
		if played%1000 == 999 && *seeds > 1000 {
			fmt.Printf("%d played, to seed %d\n", played+1, seed)
		}
		if err != nil {
			fmt.Printf("seed %d fails\n", seed)
			failed(t, seed, w, err)
			if failFast() {
				break
			}
		}
		sum.Add(w.Stats)
	}
	took := time.Since(started).Seconds()
	fmt.Printf("%d histories from seed %d, %.1f a second: %+v\n%s\n", played, *first, float64(played)/took, sum, cover.Summary())
	if testing.Verbose() {
		fmt.Print(cover)
	}
	if *seeds >= 60 && (sum.Forks == 0 || sum.Crashes == 0 || sum.Withdrawn == 0) {
		t.Errorf("the histories are too tame: %+v", sum)
	}
}

// failed tells of a history, and shrinks it if somebody asked for that.
func failed(t *testing.T, seed uint64, w *World, err error) {
	t.Helper()
	t.Errorf("seed %d: %v", seed, err)
	if *seeds == 1 {
		t.Logf("%s\n%s", w.Dump(), w.Script())
	}
	if *dir != "" {
		shrink(t, seed, w.Script(), err)
	}
}

var templates = map[Beginning]*Template{}

// template returns the world that histories of a kind begin with. Its keys
// depend on nothing that was played before.
func template(t *testing.T, b *Beginning) *Template {
	t.Helper()
	if b == nil || *b == (Beginning{}) {
		return nil
	}
	if templates[*b] == nil {
		cryptotest.SetGlobalRandom(t, uint64(b.Clients+10*b.Relays+100*b.Members+1000*b.Admins))
		made, err := NewTemplate(*b)
		if err != nil {
			t.Fatal(err)
		}
		templates[*b] = made
	}
	return templates[*b]
}

// failFast reports whether the first failure ends it.
func failFast() bool {
	f := flag.Lookup("test.failfast")
	return f != nil && f.Value.String() == "true"
}

// run makes a panic a finding like any other.
func run(w *World) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return w.Run()
}

// shrink writes a failing history as a script that a person can read.
func shrink(t *testing.T, seed uint64, s *Script, cause error) {
	t.Helper()
	want := Shape(cause)
	fails := func(s *Script) bool {
		_, err := play(t, Config{}, s, nil)
		return Shape(err) == want
	}
	if !fails(s) {
		_, err := play(t, Config{}, s, nil)
		t.Errorf("seed %d: its script does not fail in the same way: %v", seed, err)
		return
	}
	s = Shrink(s, 3000, fails)
	line, _, _ := strings.Cut(cause.Error(), "\n")
	s.Comment = append(s.Comment, fmt.Sprintf("Seed %d, shrunk. It failed with: %s", seed, line))
	path := filepath.Join(*dir, fmt.Sprintf("seed-%d.txt", seed))
	if err := os.WriteFile(path, []byte(s.String()), 0o600); err != nil {
		t.Error(err)
	}
	t.Logf("%s\n%s", path, s)
}

// TestScripts plays the histories that found bugs once.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("../group/testdata/sim/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s, err := ParseScript(string(text))
			if err != nil {
				t.Fatal(err)
			}
			w, err := play(t, Config{}, s, nil)
			if err != nil {
				t.Errorf("%v\n%s", err, w.Dump())
			}
		})
	}
}

// TestReplay plays a seed again, and as the script of its first run: the bytes
// are the same.
func TestReplay(t *testing.T) {
	for seed := uint64(2); seed < 8; seed++ {
		a, err := play(t, Draw(seed), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if b, _ := play(t, Draw(seed), nil, nil); b.Digest() != a.Digest() {
			t.Errorf("seed %d: other bytes", seed)
		}
		script, err := ParseScript(a.Script().String())
		if err != nil {
			t.Fatal(err)
		}
		if c, err := play(t, Config{}, script, nil); err != nil || c.Digest() != a.Digest() {
			t.Errorf("seed %d: the script gives other bytes: %v", seed, err)
		}
	}
}

// TestHalves parts groups for about as long as the horizon. What is longer
// apart stays apart, and nothing else does.
func TestHalves(t *testing.T) {
	var sum Stats
	for i := range *halves {
		seed := uint64(i + 1)
		cfg := Draw(seed)
		cfg.Protocol, cfg.Beginning = group.V2, Beginning{Clients: 4, Relays: 2, Members: 4, Admins: 3}
		cfg.Clients, cfg.Relays, cfg.Groups, cfg.JoinUpdate, cfg.Liars, cfg.SQLite = 4, 2, 1, 24*time.Hour, false, false
		cfg.Split, cfg.Busy, cfg.Actions, cfg.Unreachable, cfg.Cut, cfg.Malice = true, true, 20+i%20, 0, 0, 0
		cfg.Pace, cfg.Delay = 1500*time.Millisecond, 100*time.Millisecond
		w, err := play(t, cfg, nil, nil)
		if err != nil {
			t.Errorf("seed %d: %v", seed, err)
			if *dir != "" {
				shrink(t, seed, w.Script(), err)
			}
		}
		sum.Add(w.Stats)
	}
	t.Logf("%+v", sum)
	if sum.Forks == 0 || *halves >= 100 && sum.Beyond == 0 {
		t.Errorf("no half was apart for longer than the horizon: %+v", sum)
	}
}

// TestCrowd plays a world of many clients.
func TestCrowd(t *testing.T) {
	cfg := Draw(1)
	cfg.crowd(*crowd)
	if _, err := play(t, cfg, nil, nil); err != nil {
		t.Error(err)
	}
}

// TestSQLite plays histories on real databases.
func TestSQLite(t *testing.T) {
	for seed := uint64(2); seed < 6; seed++ {
		cfg := Draw(seed)
		cfg.SQLite, cfg.Crash = true, 0.05
		if _, err := play(t, cfg, nil, nil); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
	}
}

// TestHistoriesV1 plays histories of protocol v1 alone.
func TestHistoriesV1(t *testing.T) {
	var sum Stats
	played := 0
	for seed := *first; played < *seeds; seed++ {
		cfg := Draw(seed)
		if cfg.Protocol != "v1" {
			cfg.older()
		}
		played++
		w, err := play(t, cfg, nil, nil)
		if err != nil {
			failed(t, seed, w, err)
			if failFast() {
				break
			}
		}
		sum.Add(w.Stats)
	}
	t.Logf("%d histories of v1: %+v", played, sum)
	if *seeds >= 60 && (sum.Forks == 0 || sum.Withdrawn == 0 || sum.Unread*20 > sum.Commits) {
		t.Errorf("the histories are too tame: %+v", sum)
	}
}
