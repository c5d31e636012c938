package group

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// crowd is a group of n accounts of which alice, bob and carol have clients.
// An invitation of so many does not fit an event; the others joined before.
func crowd(tb testing.TB, n int) (alice, bob, carol *client) {
	alice, guests, joins := invitedCrowd(tb, n)
	for i, c := range guests {
		g, out, err := Join(c.w.now, joins[i])
		if err != nil {
			tb.Fatal(err)
		}
		c.g = g
		c.apply(out, nil)
	}
	return alice, guests[0], guests[1]
}

// invitedCrowd is a crowd before bob and carol have joined.
func invitedCrowd(tb testing.TB, n int) (alice *client, guests []*client, joins []JoinConfig) {
	w := newWorld(tb, "alice", "bob", "carol")
	alice, guests = w.client("alice"), []*client{w.client("bob"), w.client("carol")}
	for _, c := range w.clients {
		c.cfg.Trace, c.tracer = false, nil
		c.cfg.JoinUpdateDelay, c.cfg.UpdateInterval = 100_000*time.Hour, 100_000*time.Hour
	}
	alice.create("crowd")
	var adds []mls.Proposal
	bundles := map[*client]*bundle{}
	for _, c := range guests {
		bundles[c] = c.keyPackage()
		adds = append(adds, mls.Add{KeyPackage: bundles[c].event.KeyPackage})
	}
	for i := range n - 3 {
		var secret nostr.SecretKey
		secret[30], secret[31] = byte(1+i>>8), byte(i)
		extra := &client{w: w, name: fmt.Sprint("extra ", i), secret: secret, cfg: Config{Self: secret.PubKey()}}
		adds = append(adds, mls.Add{KeyPackage: extra.keyPackage().event.KeyPackage})
	}
	s := alice.g.begin(w.now)
	signer, _ := alice.g.signer(alice.g.tip)
	node, staged, err := s.stage(alice.g.tip, signer, mls.CommitConfig{Proposals: adds, Path: mls.PathAlways})
	if err != nil {
		tb.Fatal(err)
	}
	id := wire.MessageIDOf(staged.Message)
	node.id, node.commit.Own = stateID(id), true
	s.addNode(node, alice.g.tip)
	alice.g.note(&retained{ID: id, Kind: kindCommit, Epoch: 0, Own: true, Disposition: deferred, Judged: true, At: w.now, State: node.id})
	s.advance(node)
	alice.apply(s.finish())
	for _, c := range guests {
		joins = append(joins, JoinConfig{
			Config: c.cfg, KeyPackage: bundles[c].event.KeyPackage, Keys: bundles[c].keys, Signer: bundles[c].key,
			Welcome: &wire.Welcome{Author: alice.pub(), KeyPackage: bundles[c].event.Event, Relays: alice.g.Settings().Routing.Relays, Message: staged.Welcome},
		})
	}
	return alice, guests, joins
}

// branch lets a client commit count times, and returns the events.
func (c *client) branch(count int) []*nostr.Event {
	before := len(c.sent)
	for range count {
		c.step(SelfUpdate{})
	}
	return c.sent[before:]
}

// again is the client as it is on disk.
func (c *client) again(b *testing.B) *Group {
	b.Helper()
	g, _, err := Load(c.w.now, c.cfg, c.records())
	if err != nil {
		b.Fatal(err)
	}
	return g
}

// feed gives a group events, then lets its pass come due. It returns what it
// has to store, in bytes.
func feed(b *testing.B, g *Group, now time.Time, events []*nostr.Event) (stored int) {
	step := func(at time.Time, in Input) {
		out, err := g.Step(at, in)
		if err != nil {
			b.Fatal(err)
		}
		for _, r := range out.Records {
			stored += len(r.Value)
		}
	}
	for _, e := range events {
		step(now, Received{Event: e})
	}
	step(now.Add(maxPass), Tick{})
	return stored
}

// engineTime is what package mls alone takes for a chain of commits.
func engineTime(b *testing.B, start *node, events []*nostr.Event) time.Duration {
	b.Helper()
	best := time.Duration(1 << 62)
	for range 5 {
		state, began, spent := start.state, time.Time{}, time.Duration(0)
		key, err := start.eventKey()
		if err != nil {
			b.Fatal(err)
		}
		for _, e := range events {
			ev, err := wire.ParseGroupEvent(e)
			if err != nil {
				b.Fatal(err)
			}
			raw, ok := ev.Open(key)
			if !ok {
				b.Fatal("the envelope does not open")
			}
			began = time.Now()
			m, err := mls.DecodeMessage(raw)
			if err != nil {
				b.Fatal(err)
			}
			v, err := state.Verify(m)
			if err != nil {
				b.Fatal(err)
			}
			if state, err = state.Apply(v.(*mls.VerifiedCommit), mls.ApplyInput{}); err != nil {
				b.Fatal(err)
			}
			spent += time.Since(began)
			if key, err = wire.EventKeyOf(state); err != nil {
				b.Fatal(err)
			}
		}
		best = min(best, spent)
	}
	return best
}

// BenchmarkLoneCommit takes in one commit in a group of 100 and applies it. Its
// floor is package mls; the target is a millisecond beyond that.
func BenchmarkLoneCommit(b *testing.B) {
	alice, _, carol := crowd(b, 100)
	events := alice.branch(1)
	floor := engineTime(b, carol.g.tip, events)
	stored := 0
	var spent time.Duration
	for b.Loop() {
		b.StopTimer()
		g := carol.again(b)
		b.StartTimer()
		began := time.Now()
		stored = feed(b, g, carol.w.now, events)
		spent += time.Since(began)
		if g.Epoch() != 2 {
			b.Fatal("the commit was not applied")
		}
	}
	report(b, spent, floor)
	b.ReportMetric(float64(stored), "stored-B")
}

func report(b *testing.B, spent, floor time.Duration) {
	each := spent / time.Duration(b.N)
	b.ReportMetric(float64(floor.Microseconds()), "µs-floor")
	b.ReportMetric(float64((each - floor).Microseconds()), "µs-beyond")
	b.ReportMetric(float64(each)/float64(floor), "x-floor")
}

// BenchmarkFork takes in two branches of five commits in a group of 100 and
// chooses. The target is 15 ms.
func BenchmarkFork(b *testing.B) {
	alice, bob, carol := crowd(b, 100)
	ours, theirs := alice.branch(5), bob.branch(5)
	floor := engineTime(b, carol.g.tip, ours) + engineTime(b, carol.g.tip, theirs)
	var spent time.Duration
	for b.Loop() {
		b.StopTimer()
		g := carol.again(b)
		b.StartTimer()
		began := time.Now()
		feed(b, g, carol.w.now, slices.Concat(ours, theirs))
		spent += time.Since(began)
		if g.Epoch() != 6 || g.Status().Branches != 1 {
			b.Fatal("the fork was not resolved")
		}
	}
	report(b, spent, floor)
}

// BenchmarkHeld measures what a group of 100 with six retained epochs and
// twenty open branches holds in memory. The target is 1 MB.
func BenchmarkHeld(b *testing.B) {
	alice, bob, carol := crowd(b, 100)
	for _, e := range alice.branch(5) {
		feed(b, carol.g, carol.w.now, []*nostr.Event{e})
		carol.w.now = carol.w.now.Add(maxPass)
	}
	events := openBranches(b, bob, 20)
	var before, after runtime.MemStats
	base := carol.records()
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		g, _, err := Load(carol.w.now, carol.cfg, base)
		if err != nil {
			b.Fatal(err)
		}
		for _, e := range events {
			if _, err := g.Step(carol.w.now, Received{Event: e}); err != nil {
				b.Fatal(err)
			}
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		if n := g.Status().Branches; n < len(events) {
			b.Fatalf("%d branches", n)
		}
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc), "held-B")
		runtime.KeepAlive(g)
	}
}

// openBranches lets copies of a client commit on one state.
func openBranches(b *testing.B, c *client, count int) []*nostr.Event {
	b.Helper()
	var out []*nostr.Event
	for range count {
		d := c.fork()
		out = append(out, d.branch(1)...)
	}
	return out
}
