package group

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// crashPoint names where a process may stop: at what a Step makes durable, in
// the lifecycle state that the Step found.
type crashPoint struct {
	Boundary
	Lifecycle
}

func (p crashPoint) String() string { return fmt.Sprintf("%s in %s", p.Boundary, p.Lifecycle) }

// writeLog notes which steps cross which boundaries.
type writeLog struct {
	at map[crashPoint][]place
}

type place struct {
	client string
	write  int
}

func (l *writeLog) add(c *client, out Output) {
	if l != nil {
		for _, b := range out.Crossed {
			p := crashPoint{b, c.life}
			l.at[p] = append(l.at[p], place{c.name, c.wrote})
		}
	}
	c.wrote++
	c.life = c.g.lifecycle()
}

// A tale is a scenario that ends in the same state whoever crashed on the way.
type tale struct {
	name   string
	play   func(w *world)
	names  []string
	settle func(t *testing.T, w *world, name string)
}

var tales = []tale{
	{"a journey", journey, []string{"alice", "bob", "carol", "dave"}, checkJourney},
	{"a fork and an end", forkAndEnd, []string{"alice", "bob", "carol"}, checkForkAndEnd},
	{"refusals", refusals, []string{"alice", "bob", "carol"}, checkRefusals},
}

// forkAndEnd has two admins who commit at once, talk on both branches, an
// event that only opens later, and the end of the group.
func forkAndEnd(w *world) {
	alice, bob, carol := w.client("alice"), w.client("bob"), w.client("carol")
	alice.create("g", bob, carol)
	w.flood()
	alice.step(SetAdmins{Ref: "promote", Grant: accountsOf(bob)})
	w.flood()
	alice.step(SetProfile{Ref: "rename", Profile: wire.Profile{Name: "by alice"}})
	bob.step(Remove{Ref: "remove", Accounts: accountsOf(carol)})
	alice.say("one")
	bob.say("two")
	bob.mute = true
	bob.say("three")
	alice.receive(bob.sent[len(bob.sent)-1]) // no key opens it yet
	bob.receive(alice.sent...)               // now bob is recovering
	bob.answerAll(true)
	w.flood()
	bob.say("four")
	w.flood()
	alice.step(Disband{Ref: "disband"})
	w.flood()
}

func checkForkAndEnd(t *testing.T, w *world, name string) {
	t.Helper()
	for range 2 {
		w.flood()
	}
	for _, who := range []string{"alice", "bob"} {
		c := w.client(who)
		if s := c.g.Status(); s.Lifecycle != Disbanded || s.Queued != 0 || s.Outstanding != 0 {
			t.Errorf("%s: %s: %+v", name, who, s)
		}
		equalTexts(t, name+": "+who, c.shown(), "one", "two", "three", "four")
		unique(t, c)
		onePerCommit(t, name, c)
	}
	if s := w.client("carol").g.Status(); !s.Removed {
		t.Errorf("%s: carol is still in: %+v", name, s)
	}
}

// refusals has relays that refuse a commit, one that stays silent for a while,
// and a copied home that has to stop.
func refusals(w *world) {
	alice, bob, carol := w.client("alice"), w.client("bob"), w.client("carol")
	alice.create("g", bob, carol)
	w.flood()
	alice.mute = true
	alice.step(SetProfile{Ref: "refused", Profile: wire.Profile{Name: "refused"}})
	bob.say("while alice waits")
	alice.receive(bob.sent...)
	alice.say("queued meanwhile")
	alice.answerAll(false)
	for range 40 { // what was not answered is sent again
		w.advance(15 * time.Second)
	}
	w.flood()
	carol.step(Leave{Ref: "leave"})
	w.flood()
	copied := bob.fork()
	copied.w, copied.name, w.clients["a copy of bob"] = w, "a copy of bob", copied
	bob.say("from one copy")
	w.flood()
}

// answerAll lets the relays answer for all that they kept quiet about.
func (c *client) answerAll(accept bool) {
	c.mute = false
	for _, o := range c.g.sortedOut() {
		for _, r := range o.Relays {
			c.step(RelayResult{Event: o.id, Relay: r.URL, Accepted: accept, Rejected: !accept})
		}
	}
}

func accountsOf(who ...*client) []nostr.PubKey {
	var out []nostr.PubKey
	for _, c := range who {
		out = append(out, c.pub())
	}
	return out
}

func checkRefusals(t *testing.T, w *world, name string) {
	t.Helper()
	for range 2 {
		w.flood()
	}
	w.sameTip("alice", "bob")
	for _, who := range []string{"alice", "bob"} {
		c := w.client(who)
		if s := c.g.Status(); s.Lifecycle != Stable || len(s.Members) != 2 || s.Queued != 0 || s.Outstanding != 0 {
			t.Errorf("%s: %s: %+v", name, who, s)
		}
		equalTexts(t, name+": "+who, c.shown(), "while alice waits", "queued meanwhile", "from one copy")
		unique(t, c)
		onePerCommit(t, name, c)
	}
	if s := w.client("a copy of bob").g.Status(); s.Cause != causeCopy {
		t.Errorf("%s: the copy of bob goes on: %+v", name, s)
	}
}

// onePerCommit demands that an obligation has one event only, whatever was
// published again.
func onePerCommit(t *testing.T, name string, c *client) {
	t.Helper()
	seen := map[stateID]bool{}
	for id, o := range c.handed {
		if o.Kind != outCommit {
			continue
		}
		if seen[o.Commit] {
			t.Errorf("%s: %s made a second event (%.8s) of one commit", name, c.name, id)
		}
		seen[o.Commit] = true
	}
}

// TestCrashAtEveryBoundary stops a client at each named boundary, in each
// lifecycle state where it occurs, before and after the write. In the end all
// is as if nobody had stopped.
func TestCrashAtEveryBoundary(t *testing.T) {
	met := map[crashPoint]bool{}
	for _, tale := range tales {
		w := newWorld(t, tale.names...)
		w.writes = &writeLog{at: map[crashPoint][]place{}}
		tale.play(w)
		tale.settle(t, w, tale.name)
		for point, places := range w.writes.at {
			met[point] = true
			if !*everyCrash {
				places = places[:1]
			}
			for _, at := range slices.Compact(places) {
				for _, before := range []bool{true, false} {
					w := newWorld(t, tale.names...)
					w.plan = &plan{victim: at.client, at: at.write, before: before}
					tale.play(w)
					tale.settle(t, w, fmt.Sprintf("%s: %s stops at %s, before the write: %v", tale.name, at.client, point, before))
				}
			}
		}
	}
	for _, p := range []crashPoint{
		{Prepared, Stable}, {Prepared, Recovering}, {Sealed, Stable}, {Sealed, PendingPublish}, {Acknowledged, Stable}, {Acknowledged, PendingPublish},
		{Acknowledged, Recovering}, {GivenUp, PendingPublish}, {Retained, Stable}, {Retained, PendingPublish}, {Retained, Recovering},
		{Collecting, Stable}, {Collecting, PendingPublish}, {Collecting, Recovering}, {Resolved, Stable}, {Resolved, Recovering},
		{Applied, Stable}, {Applied, PendingPublish}, {Applied, Recovering}, {Delivered, Stable}, {Delivered, Recovering},
		{Queued, Stable}, {Queued, PendingPublish}, {Gated, Stable}, {Ended, Stable}, {Ended, Recovering}, {Stopped, Stable},
	} {
		if !met[p] {
			t.Errorf("no tale comes to %s", p)
		}
	}
	t.Logf("%d points", len(met))
}
