package sim

import (
	"bytes"
	"slices"

	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// The rule of MIP-03 for commits that race, written down once more from the text,
// and what the oracle needs to see of protocol v1.

// date is what a commit is judged by: when its event says it was made, and the
// event's id.
type date struct {
	at    nostr.Timestamp
	event nostr.ID
}

// dated is an event with what is in it.
type dated struct {
	message wire.MessageID
	date    date
}

func dateOf(e *nostr.Event) date { return date{e.CreatedAt, e.ID} }

// earlier: the smaller created_at wins, then the lexicographically smaller id.
func (d date) earlier(other date) bool {
	if d.at != other.at {
		return d.at < other.at
	}
	return bytes.Compare(d.event[:], other.event[:]) < 0
}

// datesOfCommits is the best date of every commit that the member has seen: the same
// commit in another event is the same commit.
func (m *member) datesOfCommits() map[wire.MessageID]date {
	out := map[wire.MessageID]date{}
	note := func(id wire.MessageID, d date) {
		if old, ok := out[id]; !ok || d.earlier(old) {
			out[id] = d
		}
	}
	for _, d := range m.dates {
		note(d.message, d.date)
	}
	for id, s := range m.c.w.ledger.commits {
		if s.maker == m.seat && s.published {
			note(id, s.date)
		}
	}
	return out
}

// chooseEarliest goes from the oldest state that can still be left along the earliest
// commit of every epoch.
func (v *situation) chooseEarliest() *state {
	n := v.tip
	for n != v.root && n.parent.epoch >= v.anchor() {
		n = n.parent
	}
	for {
		children := v.children(n)
		if len(children) == 0 {
			return n
		}
		n = slices.MinFunc(children, func(x, y *state) int {
			if v.dates[x.commit].earlier(v.dates[y.commit]) {
				return -1
			}
			return 1
		})
	}
}

func settingsOf(ext mls.Extensions) (*wire.Settings, error) {
	if wire.IsMIPGroup(ext) {
		return wire.DecodeMIPSettings(ext)
	}
	return wire.DecodeSettings(ext)
}

// reveal opens encrypted commits with the copies that other members have of their
// parents: a maker cannot open its own. One that cannot be opened yet stays for
// later; nobody else can have judged it either.
func (l *ledger) reveal() {
	for _, s := range l.commits {
		if s.sealed != nil && l.unseal(s) {
			s.sealed = nil
		}
	}
}

func (l *ledger) unseal(s *state) bool {
	for seat, again := range l.copies[s.parent] {
		if seat == s.maker {
			continue
		}
		g, err := again()
		if err != nil {
			continue
		}
		msg, err := mls.DecodeMessage(s.sealed)
		if err != nil {
			return false
		}
		v, err := g.Verify(msg)
		if commit, ok := v.(*mls.VerifiedCommit); ok && err == nil {
			return l.readCommit(s, commit) == nil
		}
	}
	return false
}
