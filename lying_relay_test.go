package marmot_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/nostr/relayd"
	"github.com/marmotgo/marmot/wire"
)

// TestLyingRelay lives with one honest relay and one that loses, repeats,
// reorders, cuts its answers, and adds events that nobody signed.
func TestLyingRelay(t *testing.T) {
	good, bad := newRelay(t), newRelay(t)
	alice, bob := newPerson(t, "alice", good.URL(), bad.URL()), newPerson(t, "bob", good.URL(), bad.URL())
	bad.SetFaults(relayd.Faults{
		Seed: 7, Drop: 0.3, Duplicate: 0.3, Reorder: 4, Delay: 50 * time.Millisecond, PageLimit: 2, EarlyEOSE: true,
		Lose:  func(e *nostr.Event) bool { return e.Sig[0]%2 == 0 },
		Forge: forge,
	})
	alice.invites(bob)
	bob.waitKind(group.EffectEpoch)
	var want []string
	for i := range 6 {
		text := fmt.Sprint("message ", i)
		want = append(want, text)
		alice.say(text)
		if i == 2 {
			bob.stop()
		}
		if i == 4 {
			bob.start()
		}
	}
	for _, text := range want {
		bob.waitText(text)
	}
	if got := bob.texts(); !slices.Equal(got, want) {
		t.Errorf("bob shows %q, want %q", got, want)
	}
}

// forge answers a request with events that fit it and that nobody signed.
func forge(filters []nostr.Filter) []*nostr.Event {
	var out []*nostr.Event
	for _, f := range filters {
		for _, h := range f.Tags["h"] {
			id, err := nostr.ParseID(h)
			if err != nil {
				continue
			}
			e, err := wire.SealGroupEvent(wire.EventKey{}, id, []byte("forged"), nostr.Timestamp(time.Now().Unix()), 0)
			if err != nil {
				continue
			}
			e.Sig[3] ^= 1
			out = append(out, e)
		}
	}
	return out
}
