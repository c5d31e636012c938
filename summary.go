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
// together with what it tells of. When more than maxLoaded are in memory, those that
// were not used for longest are let go again, if nothing is under way for them.
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
	var keys []nostr.PubKey
	for b := range slices.Chunk(r.keys, 32) {
		keys = append(keys, nostr.PubKey(b))
	}
	return keys[:r.members:r.members], keys[r.members:]
}

func newRoster(members, admins []nostr.PubKey) roster {
	r := roster{members: len(members), keys: []byte{}} // nil would be a roster that is missing
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
	damaged := map[*live]bool{}
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
				damaged[l] = true
			}
		}
	}
	for _, l := range a.groups {
		if damaged[l] || l.roster.keys == nil {
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
	if len(r.Keys)%32 != 0 || r.Members < 0 || r.Members > len(r.Keys)/32 {
		return group.ErrCorrupt
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
	a.roused = true
	err := a.readState(l)
	if err == nil {
		err = a.tellGather(l)
	}
	if err != nil {
		a.suspend(l, err)
	}
	return err
}

// tellGather tells a group that was loaded what is being fetched for it. A failure is
// the caller's: to load the group again would lead back here.
func (a *Account) tellGather(l *live) error {
	in := a.catchUp(l.key, time.Time{})
	if g := a.gathers[l.key]; g != nil && !g.loose {
		in.Until = g.until
	} else if l.behind.IsZero() {
		return nil
	}
	out, err := l.state.Step(a.cfg.Now(), in)
	if err == nil {
		err = a.store(l, out, nil)
	}
	if err == nil {
		a.carryOut(l, out)
	}
	return err
}

// letGo lets the groups go that were not used for longest, if there are too many in
// memory: a quarter of them, so that it is one write for many. It is called between
// the account's calls, when no group has an output that is not stored.
func (a *Account) letGo() {
	var loaded []*live
	for _, l := range a.groups {
		if l.state != nil {
			loaded = append(loaded, l)
		}
	}
	if len(loaded) <= maxLoaded {
		return
	}
	slices.SortFunc(loaded, func(x, y *live) int { return x.used.Compare(y.used) })
	var going []*live
	var records []group.Record
	waited := a.waitedFor()
	for _, l := range loaded {
		if len(loaded)-len(going) <= maxLoaded*3/4 {
			break
		}
		if l.state.Idle() && a.gathers[l.key] == nil && !waited[l.key] {
			going = append(going, l)
			records = append(records, append(a.summary(l), a.takenRecords(l, 1)...)...)
		}
	}
	if len(records) > 0 && a.write(records, nil) != nil {
		for _, l := range going {
			l.stored = nil // they stay, and are summarized again
		}
		return
	}
	for _, l := range going {
		l.state, l.taken = nil, nil
	}
}

// waitedFor are the groups from which somebody waits for an outcome.
func (a *Account) waitedFor() map[string]bool {
	out := map[string]bool{}
	for _, w := range a.waiters {
		out[w.group] = true
	}
	return out
}
