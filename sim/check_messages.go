package sim

import (
	"errors"
	"fmt"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// shown replays what the application was told: which payloads are shown, how
// often, and what was said of each message last.
func (m *member) shown() (payloads map[nostr.ID]int, last map[wire.MessageID]group.EffectKind) {
	inner := map[wire.MessageID]nostr.ID{}
	last = map[wire.MessageID]group.EffectKind{}
	for _, e := range m.effects {
		switch e.Kind {
		case group.EffectMessage, group.EffectRestored:
			if rumor, err := nostr.ParseRumor(e.Payload); err == nil {
				inner[e.Message] = rumor.ID
			}
		case group.EffectInvalidated:
			delete(inner, e.Message)
		default:
			continue
		}
		last[e.Message] = e.Kind
	}
	payloads = map[nostr.ID]int{}
	for _, id := range inner {
		payloads[id]++
	}
	return payloads, last
}

// checkMessages demands every payload once, if a copy of it was made in a
// state on the member's branch and came inside the window; and of every copy
// on other branches that it is not shown.
func (w *World) checkMessages(m *member) error {
	payloads, last := m.shown()
	var errs []error
	for id, n := range payloads {
		if n > 1 {
			errs = append(errs, fmt.Errorf("%s is shown payload %s %d times", m, w.textOf(id), n))
		}
	}
	if !m.active() {
		return errors.Join(append(errs, w.checkForeign(m, last))...)
	}
	v := m.situation(m.g.Tip())
	v.edges()
	valid, late := map[nostr.ID]string{}, map[nostr.ID]bool{}
	missed := m.g.Status().Missed > 0 // it says that something was lost
	for id, a := range w.ledger.said {
		if a.by.group != m.group || w.rogue(a.by) || !a.state.leadsTo(v.tip) || !m.root.leadsTo(a.state) {
			continue
		}
		got, received := m.received[id]
		switch {
		case a.by != m.seat && missed && w.outran(a):
			late[a.inner] = true
		case a.by == m.seat, received && got.highest <= a.state.epoch+messageWindow:
			valid[a.inner] = a.label
		default:
			late[a.inner] = true
		}
	}
	for id, label := range valid {
		if payloads[id] == 0 {
			errs = append(errs, fmt.Errorf("%s is not shown %s (%s)", m, label, w.textOf(id)))
		}
	}
	for id := range payloads {
		if valid[id] == "" && !late[id] && !w.fromRogue(id) {
			errs = append(errs, fmt.Errorf("%s is shown %s, which is on no branch of its own", m, w.textOf(id)))
		}
	}
	for id := range late {
		if valid[id] == "" && payloads[id] == 0 {
			w.Stats.Expired++
		}
	}
	errs = append(errs, w.checkForeign(m, last), w.checkReported(m, v, last), w.checkOwn(m, payloads))
	return errors.Join(errs...)
}

// keysKept is how many keys of messages that did not come MLS keeps of a sender.
const keysKept = 100

// outran reports whether so much was said by one member in one state that a message
// that came last may have no key any more: relays keep no order.
func (w *World) outran(a *said) bool {
	n := 0
	for _, other := range w.ledger.said {
		if other.by == a.by && other.state == a.state {
			n++
		}
	}
	return n > keysKept
}

// checkForeign demands that nothing was shown of a state that the member is
// not in: before it came, after it went.
func (w *World) checkForeign(m *member, last map[wire.MessageID]group.EffectKind) error {
	for id := range last {
		a := w.ledger.said[id]
		if a == nil {
			return fmt.Errorf("%s was told of a message that nobody sent", m)
		}
		if !a.state.members[m.c.account.pub] {
			return fmt.Errorf("%s was told of %s, sealed in %s, where it is no member", m, a.label, w.describe(a.state))
		}
	}
	return nil
}

// checkReported demands that a message on a branch that lost was reported as
// invalidated, if the member has that branch.
func (w *World) checkReported(m *member, v *situation, last map[wire.MessageID]group.EffectKind) error {
	for id, a := range w.ledger.said {
		if a.by.group != m.group || w.rogue(a.by) || a.state.leadsTo(v.tip) || !m.has(v, a.state) {
			continue
		}
		if got, ok := m.received[id]; (!ok || got.highest > a.state.epoch+messageWindow) && a.by != m.seat {
			continue
		}
		if last[id] != group.EffectInvalidated {
			return fmt.Errorf("%s was not told that %s, on a branch that lost, is invalid", m, a.label)
		}
	}
	return nil
}

// checkOwn demands that what a member said stands, or that it was told that it
// does not: what was on a branch that lost is said again.
func (w *World) checkOwn(m *member, payloads map[nostr.ID]int) error {
	failed := map[string]bool{}
	for _, e := range m.effects {
		if e.Kind == group.EffectFailed {
			failed[e.Ref] = true
		}
	}
	for _, e := range m.effects {
		if e.Kind != group.EffectMessage || !e.Own || failed[e.Ref] {
			continue
		}
		rumor, err := nostr.ParseRumor(e.Payload)
		if err != nil {
			return err
		}
		if payloads[rumor.ID] == 0 {
			return fmt.Errorf("%s said %q, which stands nowhere, and was not told so", m, rumor.Content)
		}
	}
	return nil
}

func (w *World) fromRogue(inner nostr.ID) bool {
	for _, a := range w.ledger.said {
		if a.inner == inner && w.rogue(a.by) {
			return true
		}
	}
	return false
}

func (w *World) textOf(inner nostr.ID) string {
	for _, a := range w.ledger.said {
		if a.inner == inner && a.text != "" {
			return fmt.Sprintf("%q", a.text)
		}
	}
	return fmt.Sprintf("%.8s", inner)
}
