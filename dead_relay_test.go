package marmot_test

import (
	"net"
	"slices"
	"testing"
	"time"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/nostr/relay"
	"github.com/marmotgo/marmot/nostr/relayd"
)

// deaf accepts connections and never says a word.
func deaf(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return "ws://" + l.Addr().String()
}

// closedPort is an address that nobody listens at.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	return "ws://" + l.Addr().String()
}

// TestDeadRelays lives with one good relay, one that refuses connections, one that
// is deaf, one that is silent and one that answers at once with what nobody signed:
// invitations, messages, commits and a restart go through.
func TestDeadRelays(t *testing.T) {
	t.Parallel()
	good, silent, liar := newRelay(t), newRelay(t), newRelay(t)
	silent.SetFaults(relayd.Faults{Silent: true})
	liar.SetFaults(relayd.Faults{
		Lose:  func(*nostr.Event) bool { return true },
		Forge: func(f []nostr.Filter) []*nostr.Event { return slices.Concat(forge(f), forgePackage(f)) },
	})
	relays := []string{closedPort(t), liar.URL(), deaf(t), silent.URL(), good.URL()}
	alice, bob := newPerson(t, "alice", relays...), newPerson(t, "bob", relays...)
	g := alice.invites(bob)
	bob.waitKind(group.EffectEpoch)
	alice.say("one")
	bob.waitText("one")
	if err := alice.Flush(alice.context()); err != nil {
		t.Errorf("the dead relays are waited for: %v", err)
	}
	bob.stop()
	alice.say("two")
	if err := g.SelfUpdate(alice.context()); err != nil {
		t.Error(err)
	}
	alice.say("three")
	bob.start()
	if complete, asked, err := bob.Synced(bob.context()); err != nil || complete == 0 || complete == asked {
		t.Errorf("%d of %d, %v", complete, asked, err)
	}
	bob.waitText("three")
	bob.waitText("two")
	if got := bob.texts(); len(got) != 3 {
		t.Errorf("bob shows %q", got)
	}
	health, err := bob.Health(bob.context())
	if err != nil {
		t.Fatal(err)
	}
	of := map[string]relay.Health{}
	for _, h := range health.Relays {
		of[h.URL] = h
	}
	if h := of[good.URL()]; h.Failing() || h.Answers == 0 || h.Latency <= 0 || h.LastAnswer.IsZero() {
		t.Errorf("the good relay: %+v (%v)", h, health.Relays)
	}
	if h := of[liar.URL()]; h.Bad == 0 {
		t.Errorf("the lying relay: %+v", h)
	}
	for _, url := range []string{relays[0], relays[2], relays[3]} {
		if h := of[url]; !h.Failing() || h.Answers != 0 || h.LastError == "" {
			t.Errorf("a dead relay: %+v", h)
		}
	}
}

// forgePackage answers whoever asks for public events of an account with one that
// it did not sign.
func forgePackage(filters []nostr.Filter) (out []*nostr.Event) {
	for _, f := range filters {
		for _, author := range f.Authors {
			for _, kind := range f.Kinds {
				e := &nostr.Event{Kind: kind, PubKey: author, CreatedAt: nostr.Timestamp(time.Now().Unix()), Tags: nostr.Tags{{"d", "x"}}}
				e.ID = e.ComputeID()
				out = append(out, e)
			}
		}
	}
	return out
}
