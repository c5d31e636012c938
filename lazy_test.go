package marmot_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/marmotgo/marmot"
	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr/relayd"
	"github.com/marmotgo/marmot/store"
)

// status is what every group shows, by name.
func (p *person) statuses() map[string]group.Status {
	p.t.Helper()
	groups, err := p.Groups(p.context())
	if err != nil {
		p.t.Fatal(err)
	}
	out := map[string]group.Status{}
	for _, g := range groups {
		st, err := g.Status(p.context())
		if err != nil {
			p.t.Fatal(err)
		}
		out[st.Name] = st
	}
	return out
}

// TestGroupsAreLoadedWhenUsed restarts an account with more groups than it keeps in
// memory. They are listed without being loaded, as they were; one is loaded when
// somebody uses it, when an event comes for it, and when it has something to do.
func TestGroupsAreLoadedWhenUsed(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	alice, bob := newPerson(t, "alice", r.URL()), newPerson(t, "bob", r.URL())
	const n = marmot.MaxLoaded + 8
	var groups []*marmot.Group
	for i := range n {
		var people []marmot.Contact
		if i == 3 {
			people = append(people, bob.fresh(alice))
		}
		g, err := alice.CreateGroup(alice.context(), marmot.NewGroup{Name: fmt.Sprint("group ", i), Description: "d", Invite: people})
		if err != nil {
			t.Fatal(err)
		}
		groups = append(groups, g)
	}
	bob.waitKind(group.EffectJoined)
	waitPublished(alice, groups)
	eventually(t, "bob's keys are renewed", func() bool { return alice.statuses()["group 3"].Epoch == 2 })
	if got := alice.Loaded(); got > marmot.MaxLoaded {
		t.Errorf("%d groups are in memory", got)
	}
	before := alice.statuses()
	alice.stop()
	alice.start()
	if got := alice.Loaded(); got != 0 {
		t.Errorf("%d groups are loaded at the start", got)
	}
	after := alice.statuses()
	if len(after) != n {
		t.Errorf("%d groups are listed", len(after))
	}
	for name, st := range before {
		if a, b := fmt.Sprintf("%+v", st), fmt.Sprintf("%+v", after[name]); a != b {
			t.Errorf("%s was\n%s and is\n%s", name, a, b)
		}
	}
	if _, _, err := alice.Synced(alice.context()); err != nil {
		t.Fatal(err)
	}
	if got := alice.Loaded(); got != 0 {
		t.Errorf("%d groups were loaded to see that nothing came for them", got)
	}
	bob.say("for one of them")
	alice.waitText("for one of them")
	if got := alice.Loaded(); got != 1 {
		t.Errorf("%d groups are loaded for one message", got)
	}
	shared := groups[3].ID()
	groups, err := alice.Groups(alice.context())
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range groups {
		if _, err := g.Send(alice.context(), "in "+g.ID()); err != nil {
			t.Fatal(err)
		}
	}
	waitPublished(alice, groups)
	bob.waitText("in " + shared)
	if got := alice.Loaded(); got > marmot.MaxLoaded {
		t.Errorf("%d groups are in memory", got)
	}
	alice.stop()
	if got := len(alice.reopened().statuses()); got != n {
		t.Errorf("%d groups", got)
	}
}

// reopened starts the person again and returns it.
func (p *person) reopened() *person {
	p.t.Helper()
	p.start()
	return p
}

// TestSummaries takes the summaries away, as they were not there before, and damages
// one: the groups are found all the same.
func TestSummaries(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	alice, bob := newPerson(t, "alice", r.URL()), newPerson(t, "bob", r.URL())
	g := alice.invites(bob)
	eventually(t, "bob's keys are renewed", func() bool { return alice.statuses()["Friends"].Epoch == 2 })
	before := fmt.Sprintf("%+v", alice.statuses())
	for name, damage := range map[string]func(db *store.Store) []group.Record{
		"none, as before there were any": func(db *store.Store) []group.Record {
			b, err := db.Get("account")
			var record map[string]json.RawMessage
			if err = errors.Join(err, json.Unmarshal(b, &record)); err != nil {
				t.Fatal(err)
			}
			delete(record, "summarized")
			b, _ = json.Marshal(record)
			return []group.Record{{Key: "account", Value: b}, {Key: "summary/" + g.ID()}, {Key: "roster/" + g.ID()}, {Key: "since/" + g.ID()}}
		},
		"no roster":  func(*store.Store) []group.Record { return []group.Record{{Key: "roster/" + g.ID()}} },
		"no summary": func(*store.Store) []group.Record { return []group.Record{{Key: "summary/" + g.ID()}} },
		"a bad one": func(*store.Store) []group.Record {
			return []group.Record{{Key: "summary/" + g.ID(), Value: []byte("{")}}
		},
		"a roster that cannot be true": func(*store.Store) []group.Record {
			return []group.Record{{Key: "roster/" + g.ID(), Value: []byte(`{"members":9,"keys":"AAAA"}`)}}
		},
	} {
		alice.stop()
		db, err := store.Open(alice.path, alice.dbKey)
		if err == nil {
			err = errors.Join(db.Write(damage(db), nil), db.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
		alice.start()
		if after := fmt.Sprintf("%+v", alice.statuses()); after != before {
			t.Errorf("%s: was\n%s and is\n%s", name, before, after)
		}
		bob.say(name)
		alice.waitText(name)
	}
}

// TestManyGroupsOnOneRelay has a relay that allows few subscriptions: all groups
// share one, and everything comes at once.
func TestManyGroupsOnOneRelay(t *testing.T) {
	t.Parallel()
	r, err := relayd.Start("127.0.0.1:0", relayd.Config{MaxSubs: 3 + marmot.MaxGathers})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	alice, bob := newPerson(t, "alice", r.URL()), newPerson(t, "bob", r.URL())
	contact := bob.fresh(alice)
	const n = marmot.FilterGroups + 10
	ids := map[string]bool{}
	for i := range n {
		g, err := alice.CreateGroup(alice.context(), marmot.NewGroup{Name: fmt.Sprint("group ", i), Invite: []marmot.Contact{contact}})
		if err != nil {
			t.Fatal(err)
		}
		ids[g.ID()] = true
	}
	eventually(t, "bob has all groups", func() bool { return len(bob.statuses()) == n })
	groups, err := bob.Groups(bob.context())
	if err != nil {
		t.Fatal(err)
	}
	for _, again := range []bool{false, true} {
		for i, g := range groups {
			if i%9 == 0 {
				if _, err := g.Send(bob.context(), fmt.Sprint(again, g.ID())); err != nil {
					t.Fatal(err)
				}
			}
		}
		for i, g := range groups {
			if i%9 == 0 {
				alice.waitText(fmt.Sprint(again, g.ID()))
			}
		}
		alice.stop()
		alice.start()
		if complete, asked, err := alice.Synced(alice.context()); err != nil || complete != asked || asked != n+1 {
			t.Errorf("%d of %d feeds are synchronized, %v", complete, asked, err)
		}
	}
}

// full is a store without room, while it says so.
type full struct {
	marmot.Store
	now atomic.Bool
}

func (f *full) Write(records, entries []group.Record) error {
	if f.now.Load() {
		return errDisk
	}
	return f.Store.Write(records, entries)
}

// TestLoadingWithoutRoom loads a group for what it missed while nothing can be
// written: it is set aside, and comes back and catches up when there is room.
func TestLoadingWithoutRoom(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	alice, bob := newPerson(t, "alice", r.URL()), newPerson(t, "bob", r.URL())
	g := alice.invites(bob)
	eventually(t, "bob's keys are renewed", func() bool { return alice.statuses()["Friends"].Epoch == 2 })
	bob.say("settled")
	alice.waitText("settled")
	bob.stop()
	if err := g.SetProfile(alice.context(), "Renamed", ""); err != nil {
		t.Fatal(err)
	}
	alice.say("while bob is away")
	f := &full{}
	opened(t, bob, func(c *marmot.Config) { f.Store, c.Store = c.Store, f })
	f.now.Store(true)
	time.Sleep(1500 * time.Millisecond)
	f.now.Store(false)
	bob.waitText("while bob is away")
	eventually(t, "bob sees the name", func() bool { return bob.statuses()["Renamed"].Epoch == 3 })
}
