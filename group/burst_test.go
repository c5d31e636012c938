package group

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/marmotgo/marmot/nostr"
)

// burst returns what alice said in one second, more than MLS keeps keys for.
func burst(t *testing.T) (w *world, bob *client, said []*nostr.Event) {
	w, alice, bob, _, _ := quartet(t)
	for n := range 250 {
		alice.say(fmt.Sprint(n))
	}
	return w, bob, alice.sent
}

// TestBurstWaits delivers the newest first while earlier ones are on their way:
// those that would erase keys wait, over what else comes, until all are here.
func TestBurstWaits(t *testing.T) {
	w, bob, said := burst(t)
	limit := w.now.Add(time.Minute)
	bob.step(CatchUp{Behind: limit})
	for _, e := range slices.Backward(said) {
		bob.receive(e)
	}
	if got := len(bob.shown()); got == 0 || got == len(said) {
		t.Errorf("%d are shown before the wait is over", got)
	}
	bob.step(CatchUp{})
	if got := len(bob.shown()); got != len(said) {
		t.Errorf("%d of %d are shown", got, len(said))
	}
	if missed := bob.g.Status().Missed; missed != 0 {
		t.Errorf("%d count as missed", missed)
	}
}

// TestBurstWaitsNotForEver ends the wait by itself: whoever fetches may be held
// up by a relay that never ends. What was lost by that is counted.
func TestBurstWaitsNotForEver(t *testing.T) {
	w, bob, said := burst(t)
	bob.step(CatchUp{Behind: w.now.Add(time.Minute)})
	bob.receive(said[len(said)-1])
	if got := len(bob.shown()); got != 0 {
		t.Errorf("%d are shown before the wait is over", got)
	}
	if bob.wake.IsZero() || bob.wake.After(w.now.Add(time.Minute)) {
		t.Errorf("it wakes at %v", bob.wake)
	}
	w.advance(time.Minute)
	if got := len(bob.shown()); got != 1 {
		t.Errorf("%d are shown when the wait is over", got)
	}
	if missed := bob.g.Status().Missed; missed != len(said)-100 {
		t.Errorf("%d count as missed", missed)
	}
}

// TestSort brings a second's messages into the order in which they were said,
// before the commit that leaves their epoch.
func TestSort(t *testing.T) {
	w, alice, bob, _, _ := quartet(t)
	for n := range 150 {
		alice.say(fmt.Sprint(n))
	}
	alice.step(SelfUpdate{})
	want := slices.Clone(alice.sent)
	mixed := slices.Clone(want)
	slices.SortFunc(mixed, func(x, y *nostr.Event) int { return slices.Compare(x.ID[:], y.ID[:]) })
	bob.g.Sort(w.now, mixed)
	if !slices.Equal(mixed, want) {
		t.Error("another order")
	}
}
