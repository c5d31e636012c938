package marmot

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
)

// A group is loaded when it is used: by a person, by an event that came for it, or
// by the time. What has to be known of the others is in a summary, which is stored
// together with what it tells of. The one that was not used for longest is let go
// again when more than maxLoaded are in memory.
const maxLoaded = 64

// maxDue is how many groups are woken by the time in one go: others wait for the
// account meanwhile.
const maxDue = 16

// summary is what is known of a group without its state. It may ask for the group
// earlier than needed, never later: what came to rest since is noted in passing.
type summary struct {
	Status    group.Status     `json:"status"` // members and admins are in the roster
	Addresses []summaryAddress `json:"addresses"`
	Wake      time.Time        `json:"wake,omitzero"`
	Busy      bool             `json:"busy,omitempty"` // it has something to publish or to ask for
}

type summaryAddress struct {
	GroupID string   `json:"h"`
	Relays  []string `json:"relays"`
}

// roster is a group's members and admins. It is a record of its own, because it
// grows with the group and seldom changes: 32 bytes an account, members first.
type roster struct {
	members int
	keys    []byte
}

func (r roster) all() (members, admins []nostr.PubKey) {
	for i, b := range slices.Collect(slices.Chunk(r.keys, 32)) {
		if i < r.members {
			members = append(members, nostr.PubKey(b))
		} else {
			admins = append(admins, nostr.PubKey(b))
		}
	}
	return members, admins
}

func newRoster(members, admins []nostr.PubKey) roster {
	r := roster{members: len(members)}
	for _, k := range slices.Concat(members, admins) {
		r.keys = append(r.keys, k[:]...)
	}
	return r
}

// status is that of a group that is not loaded.
func (l *live) status() group.Status {
	if l.state != nil {
		return l.state.Status()
	}
	st := l.summary.Status
	st.Members, st.Admins = l.roster.all()
	return st
}

// summarize returns what is to be stored of a group's summary beside the outputs of
// steps, before they are carried out. It is made anew when a person would see
// something else, or when the group has to be loaded earlier than it says.
func (a *Account) summarize(l *live, outs ...group.Output) []group.Record {
	for _, out := range outs {
		sooner := !out.Wake.IsZero() && (l.summary.Wake.IsZero() || out.Wake.Before(l.summary.Wake))
		if l.stored == nil || sooner || l.state.Busy() && !l.summary.Busy || slices.ContainsFunc(out.Effects, showsInStatus) {
			l.wake = outs[len(outs)-1].Wake
			return a.summary(l)
		}
		l.stale = true
	}
	return nil
}

// showsInStatus reports whether an effect is more than talk.
func showsInStatus(e group.Effect) bool {
	switch e.Kind {
	case group.EffectMessage, group.EffectInvalidated, group.EffectRestored, group.EffectPublished:
		return false
	}
	return true
}

// summary returns what is to be stored so that it tells what is now.
func (a *Account) summary(l *live) (records []group.Record) {
	l.stale = false
	st := l.state.Status()
	if r := newRoster(st.Members, st.Admins); l.stored == nil || r.members != l.roster.members || !slices.Equal(r.keys, l.roster.keys) {
		l.roster = r
		records = append(records, group.Record{Key: keyRoster + l.key, Value: encode(storedRoster{r.members, r.keys})})
	}
	st.Members, st.Admins = nil, nil
	l.summary = summary{Status: st, Wake: l.wake, Busy: l.state.Busy()}
	for _, ad := range l.state.Addresses() {
		l.summary.Addresses = append(l.summary.Addresses, summaryAddress{hex.EncodeToString(ad.GroupID[:]), ad.Relays})
	}
	if b := encode(l.summary); !slices.Equal(b, l.stored) {
		l.stored = b
		records = append(records, group.Record{Key: keySummary + l.key, Value: b})
	}
	return records
}

type storedRoster struct {
	Members int    `json:"members"`
	Keys    []byte `json:"keys"`
}

// noteRest stores the summaries of groups that came to rest, with more. It does not
// leave them to a later write: a group that is busy by then would be told to rest.
func (a *Account) noteRest(more ...group.Record) {
	records := more
	var noted []*live
	for _, l := range a.groups {
		if l.stale && l.state != nil {
			records = append(records, a.summary(l)...)
			noted = append(noted, l)
		}
	}
	if len(records) == 0 {
		return
	}
	if err := a.write(records, nil); err != nil {
		a.cfg.Log.Warn("summaries were not stored", "error", err)
		for _, l := range noted {
			l.stored, l.stale = nil, true // as they are on the disk is not known
		}
	}
}

// loadSummaries reads which groups there are. One without a summary that can be
// read has to be loaded itself.
func (a *Account) loadSummaries() error {
	stub := func(key string) *live {
		if a.groups[key] == nil {
			a.groups[key] = &live{key: key, born: nostr.Timestamp(a.cfg.Now().Unix())}
		}
		return a.groups[key]
	}
	for _, part := range []struct {
		prefix string
		read   func(l *live, value []byte) error
	}{{keySince, readSince}, {keySummary, readSummary}, {keyRoster, readRoster}} {
		for r, err := range a.cfg.Store.Range(part.prefix) {
			if err != nil && !errors.Is(err, group.ErrCorrupt) {
				return err
			}
			l := stub(strings.TrimPrefix(r.Key, part.prefix))
			if err != nil || part.read(l, r.Value) != nil {
				l.damaged = true
			}
		}
	}
	for _, l := range a.groups {
		if l.damaged || l.roster.keys == nil {
			l.summary, l.stored = summary{}, nil
		}
	}
	return nil
}

func readSince(l *live, value []byte) error {
	_ = json.Unmarshal(value, &l.since) // unreadable: everything is fetched
	return nil
}

func readSummary(l *live, value []byte) error {
	var s summary
	if err := json.Unmarshal(value, &s); err != nil {
		return err
	}
	var addresses []group.Address
	for _, ad := range s.Addresses {
		id, err := nostr.ParseID(ad.GroupID)
		if err != nil {
			return err
		}
		addresses = append(addresses, group.Address{GroupID: id, Relays: ad.Relays})
	}
	l.summary, l.stored, l.addresses, l.wake = s, value, addresses, s.Wake
	return nil
}

func readRoster(l *live, value []byte) error {
	var r storedRoster
	if err := json.Unmarshal(value, &r); err != nil {
		return err
	}
	l.roster = roster{r.Members, r.Keys}
	return nil
}

// rouse loads a group that is not. When that fails, the group is suspended.
func (a *Account) rouse(l *live) error {
	l.used = a.cfg.Now()
	if l.state != nil {
		return nil
	}
	a.letOneGo()
	if err := a.readState(l); err != nil {
		a.suspend(l, err)
		return err
	}
	if g := a.gathers[l.key]; g != nil && !g.loose || !l.behind.IsZero() {
		in := a.catchUp(l.key, time.Time{})
		if g != nil && !g.loose {
			in.Until = g.until
		}
		_, _ = a.step(l, in) // logged where it fails
	}
	if l.state == nil {
		return ErrSuspended
	}
	return nil
}

// letOneGo lets the group go that was not used for longest, if there are too many in
// memory.
func (a *Account) letOneGo() {
	var oldest *live
	loaded := 0
	for _, l := range a.groups {
		if l.state == nil {
			continue
		}
		loaded++
		if (oldest == nil || l.used.Before(oldest.used)) && a.idle(l) {
			oldest = l
		}
	}
	if loaded < maxLoaded || oldest == nil {
		return
	}
	records := append(a.summary(oldest), a.takenRecords(oldest, 1)...)
	if len(records) > 0 && a.write(records, nil) != nil {
		oldest.stored = nil // it stays, and is summarized again
		return
	}
	oldest.state, oldest.taken = nil, nil
}

// idle reports whether nothing is under way for a group.
func (a *Account) idle(l *live) bool {
	if l.state.Busy() || l.state.Status().Convergence != group.Settled || a.gathers[l.key] != nil {
		return false
	}
	for _, w := range a.waiters {
		if w.group == l.key {
			return false
		}
	}
	return true
}
