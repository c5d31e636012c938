package marmot_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/marmotgo/marmot"
	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/nostr/relayd"
	"github.com/marmotgo/marmot/store"
	"github.com/marmotgo/marmot/wire"
)

// child is what the process that gets killed needs to know.
type child struct {
	Path, Key, Relay, Group, Do string
	Side                        string         // where it stops itself;
	Boundary                    group.Boundary // empty for nowhere
}

// TestMain lets the test binary be a member that is killed.
func TestMain(m *testing.M) {
	var c child
	if s := os.Getenv("MARMOT_CHILD"); s != "" {
		if err := json.Unmarshal([]byte(s), &c); err != nil {
			panic(err)
		}
		c.run()
	}
	os.Exit(m.Run())
}

func (c child) run() {
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	dbKey, err := store.KeyFile(c.Path + ".key")
	must(err)
	db, err := store.Open(c.Path, dbKey)
	must(err)
	key, err := nostr.ParseSecretKey(c.Key)
	must(err)
	cfg := marmot.Config{Store: db, Signer: marmot.LocalSigner(key), Relays: []string{c.Relay}}
	cfg.StopAt(c.stop)
	a, err := marmot.Open(context.Background(), cfg)
	must(err)
	switch c.Do {
	case "rename":
		g, err := a.Group(context.Background(), c.Group)
		must(err)
		go func() { must(g.SetProfile(context.Background(), "renamed", "")) }()
	case "chores":
		must(c.chores(a))
		must(a.Close())
		must(db.Close())
		fmt.Println("done")
		os.Exit(0)
	}
	fmt.Println("running")
	select {}
}

// command is the member as a process of its own.
func (p *person) command(c child) *exec.Cmd {
	p.t.Helper()
	b, err := json.Marshal(c)
	if err != nil {
		p.t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "MARMOT_CHILD="+string(b))
	cmd.Stderr = os.Stderr
	return cmd
}

// killed runs the member in a process of its own and kills it.
func (p *person) killed(do string, when func()) {
	p.t.Helper()
	cmd := p.command(child{Path: p.path, Key: p.key.Nsec(), Relay: p.relays[0], Group: p.last, Do: do})
	out, err := cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	bufio.NewScanner(out).Scan()
	when()
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// TestKill kills a member between publishing a commit and the relay's answer,
// and several times while it receives.
func TestKill(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	alice := newPerson(t, "alice", r.URL())
	bob := newChildPerson(t, r.URL())
	g := bob.invites(alice)
	alice.waitKind(group.EffectEpoch)
	bob.waitKind(group.EffectEpoch)
	bob.last = g.ID()
	bob.stop()

	known := map[nostr.ID]bool{}
	for _, e := range r.Events() {
		known[e.ID] = true
	}
	var commit *nostr.Event
	r.SetFaults(relayd.Faults{NoOK: true})
	bob.killed("rename", func() {
		for commit == nil {
			for _, e := range r.Events() {
				if e.Kind == wire.KindGroupEvent && !known[e.ID] {
					commit = e
				}
			}
			time.Sleep(5 * time.Millisecond)
		}
	})
	var mu sync.Mutex
	var again []*nostr.Event
	r.SetFaults(relayd.Faults{Refuse: func(e *nostr.Event) string {
		mu.Lock()
		defer mu.Unlock()
		if e.Kind == wire.KindGroupEvent {
			again = append(again, e)
		}
		return ""
	}})
	bob.start()
	bob.waitFor("rename", func(u marmot.Update) bool { return u.Effect.Kind == group.EffectRenamed })
	alice.waitFor("rename", func(u marmot.Update) bool { return u.Effect.Kind == group.EffectRenamed })
	bob.stop()
	r.SetFaults(relayd.Faults{})
	mu.Lock()
	defer mu.Unlock()
	if len(again) == 0 || string(again[0].AppendJSON(nil)) != string(commit.AppendJSON(nil)) {
		t.Errorf("the commit was not published again byte for byte: %d events", len(again))
	}

	var want []string
	for round := range 4 {
		bob.killed("", func() {
			for i := range 12 {
				text := fmt.Sprintf("round %d message %d", round, i)
				want = append(want, text)
				alice.say(text)
				if i == 3+2*round {
					time.Sleep(time.Duration(round*7) * time.Millisecond)
				}
			}
		})
	}
	bob.start()
	for _, text := range want {
		bob.waitText(text)
	}
	slices.Sort(want)
	if got := bob.texts(); !slices.Equal(got, want) {
		t.Errorf("bob shows %d messages, want %d, each once", len(got), len(want))
	}
}

// everyKill makes the test of boundaries kill on all sides of each.
var everyKill = flag.Bool("every-kill", false, "kill the process on every side of every boundary of durability, not on one of each")

// stop kills this process, really, at its boundary.
func (c child) stop(side string, b group.Boundary) {
	if c.Boundary != "" && side == c.Side && b == c.Boundary {
		self, err := os.FindProcess(os.Getpid())
		if err == nil {
			err = self.Kill()
		}
		if err != nil {
			panic(err)
		}
		select {}
	}
}

// chores does what is not done yet: the same command again and again until it
// gets through, as a person would.
func (c child) chores(a *marmot.Account) error {
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	defer cancel()
	g, err := a.Group(ctx, c.Group)
	if err != nil {
		return err
	}
	if st, err := g.Status(ctx); err != nil || st.Lifecycle == group.Disbanded {
		return err
	}
	if said, err := logged(a, func(u marmot.Update) bool { m, ok := u.Message(); return ok && m.Content == "from bob" }); err != nil {
		return err
	} else if !said {
		st, err := g.Status(ctx)
		if err != nil {
			return err
		}
		if st.Queued+st.Outstanding == 0 {
			if _, err := g.Send(ctx, "from bob"); err != nil {
				return err
			}
		}
	}
	if err := g.SetProfile(ctx, "renamed", ""); err != nil && !errors.Is(err, group.ErrDisbanding) {
		return err
	}
	for u, err := range a.Updates(ctx, "chores") { // read from the start: nothing is acknowledged
		if err != nil {
			return err
		}
		if m, ok := u.Message(); ok && m.Content == "from alice" {
			break
		}
	}
	err = g.Disband(ctx)
	if errors.Is(err, group.ErrDisbanding) || errors.Is(err, group.ErrEnded) {
		for u, err := range a.Updates(ctx, "chores") {
			if err != nil {
				return err
			}
			if u.Effect.Kind == group.EffectDisbanded {
				return nil
			}
		}
	}
	return err
}

func logged(a *marmot.Account, f func(marmot.Update) bool) (bool, error) {
	page, err := a.History(0, 1000)
	return slices.ContainsFunc(page, f), err
}

// work runs the member in a process of its own until it ends, and reports
// whether it ended by itself.
func (p *person) work(c child) bool {
	p.t.Helper()
	out, err := p.command(c).Output()
	return err == nil && string(out) == "done\n"
}

// TestKilledAtEveryBoundary lets a member's process kill itself at each
// boundary of durability, and start again: in the end everything was done and
// told once.
func TestKilledAtEveryBoundary(t *testing.T) {
	sides := map[group.Boundary][]string{
		group.Sealed: {"left", "computed", "stored"}, group.Prepared: {"left", "computed", "stored"},
	}
	for _, b := range []group.Boundary{
		group.Acknowledged, group.Retained, group.Collecting, group.Resolved, group.Applied, group.Delivered, group.Queued, group.Gated, group.Ended,
	} {
		sides[b] = []string{"stored", "computed"}
	}
	for b, sides := range sides {
		if !*everyKill {
			sides = sides[:1]
		}
		for _, side := range sides {
			t.Run(fmt.Sprintf("%s/%s", b, side), func(t *testing.T) {
				t.Parallel()
				killedAt(t, b, side)
			})
		}
	}
}

func killedAt(t *testing.T, b group.Boundary, side string) {
	r := newRelay(t)
	alice := newPerson(t, "alice", r.URL())
	bob := newChildPerson(t, r.URL())
	g := bob.invites(alice)
	alice.waitKind(group.EffectEpoch)
	bob.waitKind(group.EffectEpoch)
	bob.stop()
	c := child{Path: bob.path, Key: bob.key.Nsec(), Relay: r.URL(), Group: g.ID(), Do: "chores", Side: side, Boundary: b}
	alice.say("from alice")
	if err := alice.group().SelfUpdate(alice.context()); err != nil {
		t.Fatal(err)
	}
	if bob.work(c) {
		t.Fatal("the process never came to its boundary")
	}
	c.Boundary = ""
	if !bob.work(c) {
		t.Fatal("after a restart the member's work did not come to its end")
	}
	alice.waitKind(group.EffectDisbanded)
	bob.start()
	for _, p := range []*person{alice, bob} {
		if got := p.texts(); !slices.Equal(got, []string{"from alice", "from bob"}) {
			t.Errorf("%s shows %q", p.name, got)
		}
		st, err := p.group().Status(p.context())
		if err != nil || st.Name != "renamed" || st.Lifecycle != group.Disbanded {
			t.Errorf("%s: %+v, %v", p.name, st, err)
		}
	}
}

// newChildPerson is somebody whose database key is in a file, for a process of
// its own.
func newChildPerson(t *testing.T, relay string) *person {
	t.Helper()
	bob := &person{t: t, name: "bob", path: filepath.Join(t.TempDir(), "bob.db"), key: nostr.GenerateSecretKey(), relays: []string{relay}}
	var err error
	if bob.dbKey, err = store.KeyFile(bob.path + ".key"); err != nil {
		t.Fatal(err)
	}
	bob.start()
	t.Cleanup(bob.stop)
	if err := bob.Published(bob.context()); err != nil {
		t.Fatal(err)
	}
	return bob
}
