package marmot_test

import (
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/marmotgo/marmot"
	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/nostr/relayd"
	"github.com/marmotgo/marmot/wire"
)

// Sizes of the absence that TestAway plays: -away-groups 50 -away-commits 20
// -away-messages 50 is a month in fifty groups.
var (
	awayGroups   = flag.Int("away-groups", 2, "groups in which the member is away")
	awayCommits  = flag.Int("away-commits", 8, "commits in each of them")
	awayMessages = flag.Int("away-messages", 6, "messages after each commit")
)

// gaps makes three relays that each lack a third of the group events, so that
// none has all and each event is on two.
func gaps(t *testing.T) (urls []string) {
	for i := range 3 {
		r := newRelay(t)
		r.SetFaults(relayd.Faults{Refuse: func(e *nostr.Event) string {
			if e.Kind == wire.KindGroupEvent && int(e.ID[0])%3 == i {
				return "blocked: this relay has gaps"
			}
			return ""
		}})
		urls = append(urls, r.URL())
	}
	return urls
}

// TestAway brings a member back after an absence of many more epochs than a
// message may be late. Commits and messages are on different relays: all that
// can be had is delivered, each once, because the tip waits for the relays.
func TestAway(t *testing.T) {
	urls := gaps(t)
	alice, bob := newPerson(t, "alice", urls...), newPerson(t, "bob", urls...)
	total := *awayGroups * *awayCommits * (*awayMessages + 1)
	alice.patience = 20*time.Second + time.Duration(total)*20*time.Millisecond
	bob.patience = alice.patience
	var groups []*marmot.Group
	for range *awayGroups {
		groups = append(groups, alice.invites(bob))
	}
	for _, g := range groups {
		waitEpochs(bob, g.ID(), 1)
	}
	if _, _, err := bob.Synced(bob.context()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Second) // let both renew their keys after joining
	bob.stop()
	var want []string
	for i, g := range groups {
		for epoch := range *awayCommits {
			if err := g.SelfUpdate(alice.context()); err != nil {
				t.Fatal(err)
			}
			for n := range *awayMessages {
				text := fmt.Sprintf("group %d, commit %d, message %d", i, epoch, n)
				if _, err := g.Send(alice.context(), text); err != nil {
					t.Fatal(err)
				}
				want = append(want, text)
			}
		}
	}
	waitPublished(alice, groups)
	began := time.Now()
	bob.start()
	for _, g := range groups {
		last := fmt.Sprintf("group %d, commit %d, message %d", slices.Index(groups, g), *awayCommits-1, *awayMessages-1)
		bob.waitFor(last, func(u marmot.Update) bool { m, ok := u.Message(); return ok && m.Content == last })
	}
	if _, _, err := bob.Synced(bob.context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d commits and %d messages in %v", *awayGroups**awayCommits, len(want), time.Since(began).Round(time.Millisecond))
	slices.Sort(want)
	if got := bob.texts(); !slices.Equal(got, want) {
		t.Errorf("bob shows %d messages, want %d, each once", len(got), len(want))
	}
	for _, g := range groups {
		mine, err := bob.Group(bob.context(), g.ID())
		if err != nil {
			t.Fatal(err)
		}
		a, errA := g.Status(alice.context())
		b, errB := mine.Status(bob.context())
		if errA != nil || errB != nil || a.Epoch != b.Epoch {
			t.Errorf("alice is at epoch %d, bob at %d: %v, %v", a.Epoch, b.Epoch, errA, errB)
		}
	}
}

// TestBurst brings a member back after many messages of a few seconds. Relays
// know no order within a second, and MLS keeps a hundred keys. Another restart
// brings nothing that was dealt with again.
func TestBurst(t *testing.T) {
	const messages = 1200
	bob, last := missing(t, 1, messages)
	bob.start()
	bob.waitText(last[0])
	if _, _, err := bob.Synced(bob.context()); err != nil {
		t.Fatal(err)
	}
	if got := len(bob.texts()); got != messages {
		t.Errorf("%d messages are shown, %d were sent", got, messages)
	}
	bob.stop()
	bob.start()
	if _, _, err := bob.Synced(bob.context()); err != nil {
		t.Fatal(err)
	}
	if got := bob.Refused(); got[string(group.Duplicate)]+got[string(group.StaleEpoch)] > 3 {
		t.Errorf("after a restart these were taken in again: %v", got)
	}
	status, err := bob.group().Status(bob.context())
	if err != nil || status.Missed != 0 {
		t.Errorf("%d messages count as missed, %v", status.Missed, err)
	}
}

func waitEpochs(p *person, id string, count int) {
	p.t.Helper()
	n := 0
	p.waitFor("an epoch of "+id, func(u marmot.Update) bool {
		if u.Group == id && u.Effect.Kind == group.EffectEpoch {
			n++
		}
		return n >= count
	})
}

// waitPublished waits until everything was tried at every relay.
func waitPublished(p *person, groups []*marmot.Group) {
	p.t.Helper()
	for _, g := range groups {
		for {
			st, err := g.Status(p.context())
			if err != nil {
				p.t.Fatal(err)
			}
			if st.Outstanding == 0 && st.Queued == 0 {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// TestTenRestarts kills a member's process ten times while 1,024 messages are
// sent to it.
func TestTenRestarts(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	alice := newPerson(t, "alice", r.URL())
	bob := newChildPerson(t, r.URL())
	bob.invites(alice)
	alice.waitKind(group.EffectEpoch)
	bob.waitKind(group.EffectEpoch)
	bob.stop()
	var want []string
	say := func(n int) {
		for range n {
			text := fmt.Sprint("message ", len(want))
			want = append(want, text)
			alice.say(text)
		}
	}
	for round := range 10 {
		bob.killed("", func() {
			say(100)
			time.Sleep(time.Duration(round*5) * time.Millisecond)
		})
	}
	say(1024 - len(want))
	bob.start()
	bob.waitText("message 1023")
	if _, _, err := bob.Synced(bob.context()); err != nil {
		t.Fatal(err)
	}
	slices.Sort(want)
	if got := bob.texts(); !slices.Equal(got, want) {
		t.Errorf("bob shows %d messages, want %d, each once", len(got), len(want))
	}
}
