package group

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// fork copies a client as it stands on disk, alone in a world of its own.
func (c *client) fork() *client {
	w := &world{t: c.w.t, now: c.w.now, clients: map[string]*client{}}
	d := &client{
		w: w, name: c.name, secret: c.secret, cfg: c.cfg, disk: maps.Clone(c.disk), ids: maps.Clone(c.ids), handed: map[nostr.ID]outbound{},
		effects: slices.Clone(c.effects),
	}
	w.clients[c.name] = d
	d.restart()
	return d
}

// permutations calls f with every order of 0..n-1, and reuses the slice.
func permutations(n int, f func([]int)) {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	var walk func(int)
	walk = func(k int) {
		if k == n {
			f(order)
			return
		}
		for i := k; i < n; i++ {
			order[k], order[i] = order[i], order[k]
			walk(k + 1)
			order[k], order[i] = order[i], order[k]
		}
	}
	walk(0)
}

// withDuplicates calls f with every order of 0..n-1 and every order in which
// one of them comes twice.
func withDuplicates(n int, f func([]int)) {
	permutations(n, f)
	permutations(n+1, func(order []int) {
		twice := make([]int, n+1)
		for d := range n { // entry n stands for a second d; the first d comes before it
			if slices.Index(order, n) < slices.Index(order, d) {
				continue
			}
			copy(twice, order)
			twice[slices.Index(twice, n)] = d
			f(twice)
		}
	})
}

// delivery is one way in which an observer takes events in.
type delivery struct {
	name    string
	between time.Duration // after each event
	restart bool
}

var deliveries = []delivery{
	{"one pass", time.Millisecond, false},
	{"a pass for each", 1100 * time.Millisecond, false},
	{"restarts", 300 * time.Millisecond, true},
}

func (d delivery) deliver(c *client, events []*nostr.Event, order []int) *client {
	for _, i := range order {
		c.receive(events[i])
		if d.restart {
			c.restart()
		}
		c.w.advance(d.between)
	}
	for range 3 {
		c.w.advance(1100 * time.Millisecond)
	}
	return c
}

// sameOutcome delivers events in every order and compares what comes out.
func sameOutcome(t *testing.T, observer *client, events []*nostr.Event, orders func(int, func([]int)), ways []delivery, want ...string) {
	t.Helper()
	count := 0
	var tip stateID
	for _, d := range ways {
		orders(len(events), func(order []int) {
			if t.Failed() {
				return
			}
			count++
			c := d.deliver(observer.fork(), events, order)
			if tip == (stateID{}) {
				tip = c.g.tip.id
			}
			if c.g.tip.id != tip {
				t.Errorf("%s, order %v: another tip, at epoch %d", d.name, order, c.g.tip.epoch)
			}
			equalTexts(t, fmt.Sprintf("%s, order %v: %s", d.name, order, c.name), c.shown(), want...)
			unique(t, c)
		})
	}
	t.Logf("%d orders", count)
}

// unique checks that no two effects share an identity and that each message
// is shown and withdrawn in turn.
func unique(t *testing.T, c *client) {
	t.Helper()
	visible := map[wire.MessageID]bool{}
	for _, e := range c.effects {
		switch e.Kind {
		case EffectMessage, EffectRestored:
			if visible[e.Message] {
				t.Errorf("%s was shown a message twice", c.name)
			}
			visible[e.Message] = true
		case EffectInvalidated:
			visible[e.Message] = false
		}
	}
}

func TestEveryOrderOfTwoRivals(t *testing.T) {
	_, alice, bob, carol := rivals(t)
	alice.step(SetProfile{Profile: wire.Profile{Name: "A2"}}) // a child: the longer branch
	events := append(slices.Clone(alice.sent), bob.sent...)
	if len(events) != 5 {
		t.Fatalf("%d events", len(events))
	}
	sameOutcome(t, carol, events, withDuplicates, deliveries[:2], "on A")
	sameOutcome(t, carol, events, permutations, deliveries[2:], "on A")
}

// threeRivals makes a group of four in which three admins commit on one state
// and talk on their branches; carol observes.
func threeRivals(t testing.TB) (events []*nostr.Event, carol *client) {
	w := newWorld(t, "alice", "bob", "carol", "dave")
	alice, bob, dave := w.client("alice"), w.client("bob"), w.client("dave")
	carol = w.client("carol")
	alice.create("g", bob, carol, dave)
	w.flood()
	alice.step(SetAdmins{Grant: []nostr.PubKey{bob.pub(), dave.pub()}})
	w.flood()
	for _, c := range []*client{alice, bob, dave} {
		c.sent = nil
		c.step(SetProfile{Profile: wire.Profile{Name: c.name}})
		c.say("by " + c.name)
		events = append(events, c.sent...)
	}
	return events, carol
}

func TestEveryOrderOfThreeRivals(t *testing.T) {
	events, carol := threeRivals(t)
	winner := deliveries[0].deliver(carol.fork(), events, []int{0, 1, 2, 3, 4, 5}).g.Status().Name
	sameOutcome(t, carol, events, permutations, deliveries[:2], "by "+winner)
}

// TestEveryOrderOfADeparture has a SelfRemove, the commit that refers to it, a
// rival of that commit and talk on both.
func TestEveryOrderOfADeparture(t *testing.T) {
	w := newWorld(t, "alice", "bob", "carol", "dave")
	alice, bob, carol, dave := w.client("alice"), w.client("bob"), w.client("carol"), w.client("dave")
	alice.create("g", bob, carol, dave)
	w.flood()
	alice.step(SetAdmins{Grant: []nostr.PubKey{bob.pub()}})
	w.flood()
	alice.sent, bob.sent, dave.sent = nil, nil, nil
	dave.step(Leave{})
	alice.receive(dave.sent...)
	w.now = w.now.Add(60 * time.Millisecond)
	alice.step(Tick{})
	alice.say("dave has left")
	bob.step(SetProfile{Profile: wire.Profile{Name: "B"}})
	bob.say("renamed")
	events := append(append(slices.Clone(dave.sent), alice.sent...), bob.sent...)
	if len(events) != 5 {
		t.Fatalf("%d events", len(events))
	}
	// Bob's commit is privileged and wins; a pass for each would let the
	// observer commit the departure herself, which is input of its own.
	sameOutcome(t, carol, events, withDuplicates, deliveries[:1], "renamed")
}

// TestRemovalCompetes delivers a commit that removes the observer and its
// rival in both orders: removal is one branch among others, and terminal.
func TestRemovalCompetes(t *testing.T) {
	for _, remover := range []string{"alice", "bob"} {
		t.Run(remover, func(t *testing.T) {
			w, alice, bob, carol := rivalsWith(t, remover)
			events := append(slices.Clone(alice.sent), bob.sent...)
			removed := carol.fork()
			deliveries[0].deliver(removed, events, []int{0, 1})
			wins := slices.Compare(keyOf(w.client(remover)), keyOf(alice)) <= 0 && slices.Compare(keyOf(w.client(remover)), keyOf(bob)) <= 0
			if removed.g.Status().Removed != wins {
				t.Errorf("removed %v, want %v", removed.g.Status().Removed, wins)
			}
			other := deliveries[0].deliver(carol.fork(), events, []int{1, 0})
			if other.g.Status().Removed != wins {
				t.Error("the order decided about a removal")
			}
			other.restart()
			if other.g.Status().Removed != wins {
				t.Error("a removal did not survive a restart")
			}
		})
	}
}

// rivalsWith is rivals without talk; one of the two removes carol instead.
func rivalsWith(t testing.TB, remover string) (w *world, alice, bob, carol *client) {
	w = newWorld(t, "alice", "bob", "carol")
	alice, bob, carol = w.client("alice"), w.client("bob"), w.client("carol")
	alice.create("g", bob, carol)
	w.flood()
	alice.step(SetAdmins{Grant: []nostr.PubKey{bob.pub()}})
	w.flood()
	alice.sent, bob.sent, carol.sent = nil, nil, nil
	for _, c := range []*client{alice, bob} {
		if c.name == remover {
			c.step(Remove{Accounts: []nostr.PubKey{carol.pub()}})
		} else {
			c.step(SetProfile{Profile: wire.Profile{Name: c.name}})
		}
	}
	return w, alice, bob, carol
}
