package marmot

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// maxLookups is how many members of a group are looked up side by side.
const maxLookups = 8

// ErrMigrated means that a group is of protocol v2 already.
var ErrMigrated = errors.New("marmot: the group is of protocol v2 already")

// Migration is what became of moving a group of protocol v1 to v2.
type Migration struct {
	Successor *Group         // the group of v2
	Invited   []nostr.PubKey // now; who was invited before is left out
	Left      []LeftBehind   // who could not be invited
}

// LeftBehind is a member who could not be invited to the successor of a group.
type LeftBehind struct {
	Who nostr.PubKey
	Why error // a [*NotInvitable], or it wraps [ErrNoAnswer]
}

// migration is the stored part: it is written together with the successor, so that
// a second attempt goes on with that one.
type migration struct {
	Successor string   `json:"successor"`
	Told      []string `json:"told,omitempty"` // names left behind when the members were told last
	Done      bool     `json:"done,omitempty"` // they were told
}

func (m migration) stored(old string) group.Record {
	return group.Record{Key: keyMigrated + old, Value: encode(m)}
}

// Migrate founds the successor of a group of protocol v1 in v2, with the same
// description, relays, retention and admins, invites all members who can be, and
// posts in the old group where the conversation went and who was left. Called again
// it invites to the same successor who can come by now. Only an admin may do this;
// the old group stays as it is. An empty name is that of the group with "(v2)".
func (g *Group) Migrate(ctx context.Context, name string) (Migration, error) {
	st, err := g.Status(ctx)
	switch {
	case err != nil:
		return Migration{}, err
	case st.Protocol != group.V1:
		return Migration{}, ErrMigrated
	case st.Removed:
		return Migration{}, group.ErrRemoved
	case !slices.Contains(st.Admins, g.a.self):
		return Migration{}, group.ErrNotAdmin
	}
	stored, successor, err := g.successor(ctx)
	if err != nil {
		return Migration{}, err
	}
	m := Migration{Successor: successor}
	there := []nostr.PubKey{g.a.self}
	if successor != nil {
		now, err := successor.Status(ctx)
		if err != nil {
			return Migration{}, err
		}
		there = now.Members
	}
	missing := slices.DeleteFunc(slices.Clone(st.Members), func(who nostr.PubKey) bool { return slices.Contains(there, who) })
	contacts, left := g.a.lookupAll(ctx, missing, group.V2)
	if ctx.Err() != nil {
		return m, ctx.Err()
	}
	m.Left = left
	for _, c := range contacts {
		m.Invited = append(m.Invited, c.PubKey)
	}
	if err := g.succeed(ctx, &m, cmp.Or(name, st.Name+" (v2)"), st, contacts); err != nil {
		return m, err
	}
	return m, g.tell(ctx, stored, m)
}

// lookupAll looks people up side by side, and tells who can be invited with one
// generation of the protocol from who cannot.
func (a *Account) lookupAll(ctx context.Context, people []nostr.PubKey, p group.Protocol) (found []Contact, left []LeftBehind) {
	contacts, errs := make([]Contact, len(people)), make([]error, len(people))
	turn := make(chan struct{}, maxLookups)
	var all sync.WaitGroup
	for i, who := range people {
		turn <- struct{}{}
		all.Go(func() {
			defer func() { <-turn }()
			if contacts[i], errs[i] = a.Lookup(ctx, who); errs[i] == nil {
				_, errs[i] = contacts[i].invitee(p)
			}
		})
	}
	all.Wait()
	for i, who := range people {
		if errs[i] != nil {
			left = append(left, LeftBehind{who, errs[i]})
		} else {
			found = append(found, contacts[i])
		}
	}
	return found, left
}

// successor returns the group that a migration founded before, or nil.
func (g *Group) successor(ctx context.Context) (m migration, successor *Group, err error) {
	b, err := g.a.cfg.Store.Get(keyMigrated + g.key)
	if err != nil || b == nil {
		return m, nil, err
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return m, nil, fmt.Errorf("marmot: stored record of a migration: %w", err)
	}
	successor, err = g.a.Group(ctx, m.Successor)
	if errors.Is(err, ErrNoGroup) { // it was left and forgotten
		return migration{}, nil, nil
	}
	return m, successor, err
}

// succeed founds the successor with the contacts, or invites them to it.
func (g *Group) succeed(ctx context.Context, m *Migration, name string, st group.Status, contacts []Contact) error {
	if m.Successor != nil {
		if len(contacts) == 0 {
			return nil
		}
		return m.Successor.Invite(ctx, contacts...)
	}
	addresses, err := g.Addresses(ctx)
	if err != nil {
		return err
	}
	n := NewGroup{
		Name: name, Description: st.Description, Relays: addresses[0].Relays, Retention: seconds(st.Retention), Invite: contacts,
	}
	for _, c := range contacts {
		if slices.Contains(st.Admins, c.PubKey) {
			n.Admins = append(n.Admins, c.PubKey)
		}
	}
	m.Successor, err = g.a.createGroup(ctx, n, func(key string) []group.Record {
		return []group.Record{migration{Successor: key}.stored(g.key)}
	})
	return err
}

// seconds is a retention as a duration, which ends after 292 years.
func seconds(n uint64) time.Duration {
	return time.Duration(min(n, uint64(math.MaxInt64/time.Second))) * time.Second
}

// tell posts in the old group where the conversation went, unless it was told so
// already: in one transaction with the note that it was.
func (g *Group) tell(ctx context.Context, stored migration, m Migration) error {
	told := migration{Successor: m.Successor.key, Done: true}
	for _, l := range m.Left {
		told.Told = append(told.Told, l.Who.Npub())
	}
	if stored.Done && len(m.Invited) == 0 && slices.Equal(stored.Told, told.Told) {
		return nil
	}
	st, err := m.Successor.Status(ctx)
	if err != nil {
		return err
	}
	return g.a.do(ctx, func() error {
		l, err := g.a.group(g.key)
		if err != nil {
			return err
		}
		e, err := g.a.newPayload(l, wire.KindChat, moved(st, told.Told), nil)
		if err != nil {
			return err
		}
		out, err := l.state.Step(g.a.cfg.Now(), group.Send{Ref: e.ID.String(), Payload: e})
		if err != nil {
			return err
		}
		return g.a.commit(l, out, []group.Record{told.stored(g.key)})
	})
}

// moved is what the members of the old group are told.
func moved(successor group.Status, left []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "This conversation goes on in the group %q, with a newer version of the protocol. Everyone whose app speaks it was invited: look at your invitations.", successor.Name)
	if len(left) > 0 {
		fmt.Fprintf(&b, "\n\nNot invited yet, because no key package of the new version was found: %s. Update your app, then ask an admin to move the group once more.", strings.Join(left, ", "))
	}
	return b.String()
}
