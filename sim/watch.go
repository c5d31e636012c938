package sim

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// passTimes are the bounds of a pass (convergence.md, "Convergence policy"); those
// of v1 are our own.
func (w *World) passTimes() (quiet, most time.Duration) {
	if w.cfg.Protocol == group.V1 {
		return 250 * time.Millisecond, time.Second
	}
	return time.Second, 5 * time.Second
}

// look is what a member shows from outside.
type look struct {
	tip         string
	lifecycle   group.Lifecycle
	convergence group.Convergence
	epoch       uint64
	pending     bool
}

func (m *member) look() look {
	if m.watch.last == nil {
		st := m.g.Status()
		m.watch.last = &look{m.g.Tip(), st.Lifecycle, st.Convergence, st.Epoch, st.Lifecycle == group.PendingPublish}
	}
	return *m.watch.last
}

// watch follows a member's passes with the oracle's own clock.
type watch struct {
	last    *look
	opened  time.Time // zero: no pass, or one of which the beginning was not seen
	held    time.Time // passes may wait until then for what is being fetched
	extend  time.Time // when a commit joined the open pass last
	durable look      // as stored
	highest uint64    // epoch as stored
	unsaved []wire.MessageID
	undated []nostr.ID // events taken in, not stored yet

	taken    map[nostr.ID]bool // own events that a relay said it took, or gave back
	nowTaken []nostr.ID        // not stored yet
}

// saw checks one Step while it happens: the tip moves when a pass ends or a
// relay accepted the member's own commit, to where the text says, and at no
// other time.
func (m *member) saw(before look, in group.Input, p *packet, out *group.Output) error {
	m.watch.last = nil
	after := m.look()
	m.c.w.cover.step(before, after, in, out)
	if err := m.judge(before, after, in); err != nil {
		return err
	}
	now := m.c.now()
	edges := m.note(out)
	held := now.Before(m.watch.held)
	if c, ok := in.(group.CatchUp); ok {
		m.watch.held = c.Until
	}
	switch {
	case after.convergence != group.Syncing || after.pending:
		m.watch.opened = time.Time{}
	case held && m.watch.opened.IsZero(): // whether it waits for a pass or is in one does not show
	case before.convergence != group.Syncing || before.pending || after.tip != before.tip:
		m.watch.opened, m.watch.extend = now, now
	case edges:
		m.watch.extend = now
	}
	if err := m.wakesInTime(after, out); err != nil {
		return err
	}
	if r, ok := in.(group.RelayResult); ok && r.Accepted {
		m.watch.nowTaken = append(m.watch.nowTaken, r.Event)
	}
	if p != nil && out.Outcome.Category == group.OwnEcho {
		m.watch.nowTaken = append(m.watch.nowTaken, p.event.ID)
	}
	m.highest = max(m.highest, after.epoch)
	if p != nil && !out.Outcome.Refetch {
		m.took(p)
	}
	return nil
}

func (m *member) took(p *packet) {
	id, ok := m.c.w.ledger.messages[p.event.ID]
	if !ok {
		return
	}
	if _, ok := m.dates[p.event.ID]; !ok && m.c.w.cfg.Protocol == group.V1 {
		m.dates[p.event.ID] = dated{id, dateOf(p.event)}
		m.watch.undated = append(m.watch.undated, p.event.ID)
	}
	if _, ok := m.received[id]; !ok {
		m.received[id] = receipt{m.highest}
		m.watch.unsaved = append(m.watch.unsaved, id)
	}
}

// note follows which states the member holds, and reports whether somebody
// else's commit has become one.
func (m *member) note(out *group.Output) (edges bool) {
	for _, r := range out.Records {
		id, ok := strings.CutPrefix(r.Key, "node/")
		if !ok {
			continue
		}
		known := m.holds[id]
		if r.Value == nil {
			delete(m.holds, id)
			continue
		}
		var n struct{ Pending, Abandoned bool }
		_ = json.Unmarshal(r.Value, &n) // the ledger reports what does not read
		m.holds[id] = true
		m.private[id] = n.Pending || n.Abandoned
		if !known && !m.private[id] {
			edges = true
		}
	}
	return edges
}

func (m *member) judge(before, after look, in group.Input) error {
	if m.c.rogue || before.tip == "" {
		return nil
	}
	_, most := m.c.w.passTimes()
	confirmed := before.pending && after.tip != before.tip && isAccepted(in)
	closed := before.convergence == group.Syncing && !before.pending && (after.convergence != group.Syncing || after.tip != before.tip)
	if closed && after.tip == before.tip && m.c.now().Before(m.watch.held) {
		return nil // what waited for a pass waits no more
	}
	switch {
	case confirmed:
		return nil
	case closed:
		if err := m.onTime(before); err != nil {
			return err
		}
		return m.choseRightly(before, after)
	case after.tip != before.tip:
		return fmt.Errorf("%s moved from epoch %d to %d without a pass", m, before.epoch, after.epoch)
	case before.convergence == group.Syncing && !m.watch.opened.IsZero() && m.c.now().Sub(m.watch.opened) > most:
		return fmt.Errorf("%s keeps a pass open for %v", m, m.c.now().Sub(m.watch.opened))
	}
	return nil
}

func isAccepted(in group.Input) bool {
	r, ok := in.(group.RelayResult)
	return ok && r.Accepted
}

// onTime demands a quiet time, or the longest one, before a pass ends.
func (m *member) onTime(before look) error {
	now := m.c.now()
	if m.watch.opened.IsZero() || now.Before(m.watch.opened) {
		return nil // a restart, or a clock that went back
	}
	quiet, most := m.c.w.passTimes()
	if now.Sub(m.watch.opened) < most && now.Sub(m.watch.extend) < quiet {
		return fmt.Errorf("%s closed a pass %v after it was opened and %v after the last commit", m, now.Sub(m.watch.opened), now.Sub(m.watch.extend))
	}
	return nil
}

// wakesInTime demands that an open pass does not wait past its five seconds.
func (m *member) wakesInTime(after look, out *group.Output) error {
	_, most := m.c.w.passTimes()
	end := m.watch.opened.Add(most)
	if m.c.rogue || after.convergence != group.Syncing || m.watch.opened.IsZero() || m.c.now().Before(m.watch.opened) {
		return nil
	}
	if out.Wake.IsZero() || out.Wake.After(end) && m.c.now().Before(end) {
		return fmt.Errorf("%s would leave a pass open for %v", m, out.Wake.Sub(m.watch.opened))
	}
	return nil
}

// choseRightly compares what a pass selected with what the text selects.
func (m *member) choseRightly(before, after look) error {
	v := m.situation(before.tip)
	if v == nil {
		return fmt.Errorf("%s is in a state that nobody made", m)
	}
	if v.unread {
		m.c.w.Stats.Unread++
		return nil
	}
	want, _ := v.choose()
	if want == nil {
		want = v.tip
	}
	got := m.c.w.ledger.named(after.tip)
	if got == want || after.tip == "" && (want.disbands || !want.members[m.c.account.pub]) {
		return nil
	}
	return fmt.Errorf("%s selected %s, but by the rules %s wins%s", m, m.c.w.describe(got), m.c.w.describe(want), m.c.w.explain(v))
}

// situation is what a member has to choose from when tip is canonical.
func (m *member) situation(tip string) *situation {
	l := m.c.w.ledger
	v := &situation{self: m.c.account.pub, root: m.root, tip: l.named(tip), highest: m.highest, commits: map[*state]bool{}}
	if v.root == nil || v.tip == nil {
		return nil
	}
	l.reveal()
	if m.c.w.cfg.Protocol == group.V1 {
		v.dates = m.datesOfCommits()
	}
	for id := range m.received {
		if s := l.commits[id]; s != nil && l.broken[id] == "" && !m.private[id.String()] && m.knows(s.needs) {
			v.commits[s] = true
			v.unread = v.unread || s.sealed != nil
		}
		if a := l.said[id]; a != nil {
			v.messages = append(v.messages, a)
		}
	}
	for _, s := range l.order {
		if s.maker == m.seat && s.parent != nil && !m.private[s.commit.String()] {
			v.commits[s] = true
		}
	}
	for _, a := range l.said {
		if _, back := m.received[a.id]; a.by == m.seat && (back || !m.unsaid[a.id]) {
			v.messages = append(v.messages, a)
		}
	}
	return v
}

// knows reports whether a member has proposals, without which a commit that
// refers to them is no edge yet.
func (m *member) knows(proposals []wire.MessageID) bool {
	for _, id := range proposals {
		if _, ok := m.received[id]; !ok && m.c.w.ledger.asker[id] != m.seat {
			return false
		}
	}
	return true
}

// gaveUp notes that a member no longer tries to publish an event. If no relay
// took it, nobody else has it.
func (m *member) gaveUp(event string) {
	id, err := nostr.ParseID(event)
	if err != nil || m.watch.taken[id] || slices.Contains(m.watch.nowTaken, id) {
		return
	}
	m.unsaid[m.c.w.ledger.messages[id]] = true
}

// sawLoad is saw for a restart. The times of an open pass survive, but the
// oracle need not know them.
func (m *member) sawLoad(before look, out *group.Output) error {
	m.watch.last = nil
	after := m.look()
	held := !m.watch.held.IsZero() // what was held is not held any more
	m.watch.opened, m.watch.held = time.Time{}, time.Time{}
	if !held && before.convergence == group.Settled && after.convergence != group.Settled && !m.c.rogue {
		return fmt.Errorf("%s was settled, and after a restart it is not", m)
	}
	if err := m.judge(before, after, group.Tick{}); err != nil {
		return err
	}
	m.note(out)
	m.highest = max(m.highest, after.epoch)
	return nil
}

// forgetUnsaved takes back what a crash has lost.
func (m *member) forgetUnsaved(records []group.Record) {
	for _, id := range m.watch.unsaved {
		delete(m.received, id)
	}
	for _, id := range m.watch.undated {
		delete(m.dates, id)
	}
	m.watch.unsaved, m.watch.undated, m.watch.nowTaken = nil, nil, nil
	m.highest = m.watch.highest
	m.holds, m.private = map[string]bool{}, map[string]bool{}
	m.note(&group.Output{Records: records})
}

// saved notes that what was taken in is durable.
func (m *member) saved() {
	m.watch.unsaved, m.watch.undated = m.watch.unsaved[:0], m.watch.undated[:0]
	for _, id := range m.watch.nowTaken {
		if m.watch.taken == nil {
			m.watch.taken = map[nostr.ID]bool{}
		}
		m.watch.taken[id] = true
	}
	m.watch.nowTaken = nil
	m.watch.highest, m.watch.durable = m.highest, m.look()
}
