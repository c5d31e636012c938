package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// check judges where everybody came to after all have received everything.
func (w *World) check() error {
	var errs []error
	for _, m := range w.everybody() {
		if m.c.rogue {
			continue
		}
		errs = append(errs, w.checkTip(m), w.checkRest(m), w.checkMessages(m), w.checkSecrets(m), w.checkRequests(m))
	}
	errs = append(errs, w.checkPairs(), w.checkRemoved())
	return errors.Join(errs...)
}

// checkTip demands that a member is where the text puts it.
func (w *World) checkTip(m *member) error {
	if !m.active() {
		return nil
	}
	v := m.situation(m.g.Tip())
	if v == nil {
		return fmt.Errorf("%s is in a state that nobody made", m)
	}
	st, s := m.g.Status(), v.tip
	if !slices.Equal(st.Members, accountsOf(s)) || !slices.Equal(st.Admins, s.settings.Admins) || st.Name != s.settings.Profile.Name {
		return fmt.Errorf("%s shows other members, admins or settings than its state has", m)
	}
	if v.unread {
		w.Stats.Unread++
		return nil
	}
	if want, _ := v.choose(); want != nil && want != v.tip {
		return fmt.Errorf("%s stays in %s, but by the rules %s wins%s", m, w.describe(v.tip), w.describe(want), w.explain(v))
	}
	return nil
}

func accountsOf(s *state) []nostr.PubKey {
	out := make([]nostr.PubKey, 0, len(s.members))
	for a := range s.members {
		out = append(out, a)
	}
	return wire.NewAdmins(out...) // sorted
}

// checkPairs demands one tip of all members of a group who take each other for
// members. Where they differ, the protocol has to allow it, for a cause that
// is found here and counted.
func (w *World) checkPairs() error {
	var errs []error
	all := w.everybody()
	for i, a := range all {
		for _, b := range all[i+1:] {
			if a.group != b.group || !a.active() || !b.active() || a.c.rogue || b.c.rogue || a.g.Tip() == b.g.Tip() {
				continue
			}
			s, t := w.ledger.named(a.g.Tip()), w.ledger.named(b.g.Tip())
			if !s.members[b.c.account.pub] || !t.members[a.c.account.pub] {
				continue
			}
			if err := w.excuse(a, b, s, t); err != nil {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

func (w *World) excuse(a, b *member, s, t *state) error {
	f := fork(s, t)
	switch {
	case f == nil:
		return fmt.Errorf("%s and %s are in groups that never were one", a, b)
	case !a.root.leadsTo(t) || !b.root.leadsTo(s):
		w.Stats.Stranded++ // one was invited by a commit that the other left
		return nil
	case f.epoch+rewindLimit < a.highest || f.epoch+rewindLimit < b.highest:
		w.Stats.Beyond++
		return nil
	}
	va, vb := a.situation(a.g.Tip()), b.situation(b.g.Tip())
	va.edges()
	vb.edges()
	if va.dates == nil && va.start() != vb.start() && (a.root.depth > vb.start().depth || b.root.depth > va.start().depth) {
		w.Stats.Newcomer++
		return nil
	}
	return fmt.Errorf("%s is in %s, %s in %s, and both received the same", a, w.describe(s), b, w.describe(t))
}

// checkRest demands that nothing is left undone without a stated cause.
func (w *World) checkRest(m *member) error {
	st := m.g.Status()
	switch {
	case st.Cause != "":
		return fmt.Errorf("%s needs help: %s", m, st.Cause)
	case !m.active():
		return nil
	case st.Lifecycle != group.Stable || st.Convergence != group.Settled || st.Outstanding > 0:
		return fmt.Errorf("%s is not at rest: %s, %s, outstanding %d, queued %d", m, st.Lifecycle, st.Convergence, st.Outstanding, st.Queued)
	}
	records, err := m.c.disk.records(m.prefix())
	if err != nil {
		return err
	}
	v := m.situation(m.g.Tip())
	v.edges()
	for _, r := range records {
		if err := w.checkWaiting(m, v, r); err != nil {
			return err
		}
	}
	return nil
}

// checkWaiting demands of what waits that its state is not there.
func (w *World) checkWaiting(m *member, v *situation, r group.Record) error {
	kind, rest, _ := strings.Cut(r.Key, "/")
	switch kind {
	case "intent":
		return m.checkQueued(r)
	case "raw":
		id, err := nostr.ParseID(rest)
		if err != nil {
			return err
		}
		if s := w.ledger.stateOf(id); s != nil && m.has(v, s) {
			return fmt.Errorf("%s does not open %s although it has its state", m, w.ledger.labels[w.ledger.messages[id]])
		}
	case "input":
		in, err := readInput(r)
		if err != nil {
			return err
		}
		id := in.ID
		if in.Disposition != "deferred" || in.Own {
			return nil
		}
		if a := w.ledger.said[id]; a != nil && m.has(v, a.state) {
			return fmt.Errorf("%s has not decided about message %s", m, a.label)
		}
		if s := w.ledger.commits[id]; s != nil && m.has(v, s.parent) && m.knows(s.needs) && !in.placed() && w.ledger.broken[id] == "" {
			return fmt.Errorf("%s has not placed commit %s although it has its parent", m, w.ledger.labels[id])
		}
	}
	return nil
}

// checkQueued demands of a request that waits that its time has not come, and
// that only the client itself made it wait.
func (m *member) checkQueued(r group.Record) error {
	var i struct {
		Kind      string    `json:"kind"`
		NotBefore time.Time `json:"not_before"`
	}
	if err := json.Unmarshal(r.Value, &i); err != nil {
		return err
	}
	planned := i.Kind == "update" || i.Kind == "departures"
	if !planned || !i.NotBefore.After(m.c.now()) {
		return fmt.Errorf("%s leaves a request undone: %s, due %v ago", m, i.Kind, m.c.now().Sub(i.NotBefore))
	}
	return nil
}

// stateOf returns the state in which the message of an event was made.
func (l *ledger) stateOf(event nostr.ID) *state {
	id := l.messages[event]
	if a := l.said[id]; a != nil {
		return a.state
	}
	if s := l.commits[id]; s != nil {
		return s.parent
	}
	return l.asks[id]
}

// has reports whether a member must be able to use a state: it has the commits
// that lead there, is in it, and nothing of it was erased.
func (m *member) has(v *situation, s *state) bool {
	if s == v.root {
		return s.epoch >= v.anchor()
	}
	return v.commits[s] && s.epoch >= v.anchor() && s.members[m.c.account.pub] && v.eligible(s)
}

// checkRequests demands that everything a person asked for came to an end that
// the person was told.
func (w *World) checkRequests(m *member) error {
	for _, e := range m.effects {
		if e.Kind == group.EffectPublished || e.Kind == group.EffectFailed {
			delete(m.asked, e.Ref)
		}
	}
	if !m.active() {
		return nil
	}
	for ref := range m.asked {
		return fmt.Errorf("%s was never told what became of %q", m, ref)
	}
	return nil
}
