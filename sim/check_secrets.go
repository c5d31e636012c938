package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/wire"
)

// checkSecrets demands that no secret outlives its window: on the disk there
// is none of a state behind the horizon, none after the end, no signature key
// that no retained leaf uses, and no key of a message that was opened.
func (w *World) checkSecrets(m *member) error {
	records, err := m.c.disk.records(m.prefix())
	if err != nil {
		return err
	}
	v := m.situation(m.g.Tip())
	signing := map[string]bool{}
	for _, r := range records {
		kind, rest, _ := strings.Cut(r.Key, "/")
		switch kind {
		case "secrets", "ratchets":
			err = w.checkWindow(m, v, rest)
		case "key":
			signing[rest] = true
		case "input":
			err = m.checkPayloadWindow(r)
		}
		if err != nil {
			return err
		}
		if !m.active() && r.Secret {
			return fmt.Errorf("%s has ended and keeps %s", m, r.Key)
		}
	}
	if !m.active() {
		return nil
	}
	return errors.Join(w.checkSigning(m, v, records, signing), w.checkOpened(m, records))
}

func (w *World) checkWindow(m *member, v *situation, id string) error {
	mine := w.ledger.bySeat[m.seat][id]
	if v == nil || mine == nil || mine.group == nil {
		return fmt.Errorf("%s keeps secrets of a state it cannot use", m)
	}
	if e := mine.group.Epoch(); e < v.anchor() {
		return fmt.Errorf("%s keeps the secrets of epoch %d, and its horizon is epoch %d", m, e, v.anchor())
	}
	return nil
}

func (m *member) checkPayloadWindow(r group.Record) error {
	in, err := readInput(r)
	if err != nil {
		return err
	}
	if m.active() && in.Epoch+messageWindow < m.g.Epoch() {
		return fmt.Errorf("%s keeps a message of epoch %d in epoch %d", m, in.Epoch, m.g.Epoch())
	}
	return nil
}

func (w *World) checkSigning(m *member, v *situation, records []group.Record, keys map[string]bool) error {
	used := map[string]bool{}
	for _, mine := range w.ledger.bySeat[m.seat] {
		if mine.group == nil {
			continue
		}
		if leaf, ok := mine.group.Leaf(mine.group.Self()); ok && mine.group.Epoch() >= v.anchor() {
			used[fmt.Sprintf("%x", leaf.SignatureKey)] = true
		}
	}
	for key := range keys {
		if !used[key] {
			return fmt.Errorf("%s keeps a signature key that no leaf of its windows has", m)
		}
	}
	return nil
}

// checkOpened plays a thief of the disk: what was opened does not open again.
func (w *World) checkOpened(m *member, records []group.Record) error {
	at := map[string]group.Record{}
	for _, r := range records {
		at[r.Key] = r
	}
	for _, p := range w.packets {
		a := w.ledger.said[w.ledger.messages[p.event.ID]]
		if a == nil || a.by == m.seat || a.by.group != m.group || !m.tellsOf(a.id) {
			continue
		}
		id := a.state.commit.String()
		mine := w.ledger.bySeat[m.seat][id]
		if mine == nil || at["ratchets/"+id].Value == nil {
			continue
		}
		if err := w.steal(mine, at, id, p); err != nil {
			return fmt.Errorf("%s keeps the key of %s after it was opened: %w", m, a.label, err)
		}
	}
	return nil
}

func (m *member) tellsOf(id wire.MessageID) bool {
	for _, e := range m.effects {
		if e.Message == id {
			return true
		}
	}
	return false
}

var errOpened = errors.New("it opens again")

func (w *World) steal(mine *reading, at map[string]group.Record, id string, p *packet) error {
	var node nodeRecord
	if err := json.Unmarshal(at["node/"+id].Value, &node); err != nil {
		return err
	}
	g, err := w.ledger.decode(w.ledger.byMemberOf(mine), &node, at["secrets/"+id].Value, at["ratchets/"+id].Value)
	if err != nil {
		return err
	}
	_, b := w.ledger.open(p.event)
	msg, err := mls.DecodeMessage(b)
	if err != nil {
		return err
	}
	if _, err := g.Unprotect(msg); err == nil {
		return errOpened
	}
	return nil
}

func (l *ledger) byMemberOf(r *reading) map[string]*reading {
	for _, all := range l.bySeat {
		for _, other := range all {
			if other == r {
				return all
			}
		}
	}
	return nil
}

// checkRemoved plays an ex-member who kept every secret it ever had: nothing
// that was sealed after its removal opens.
func (w *World) checkRemoved() error {
	keys := map[*Client][]wire.EventKey{}
	for m, all := range w.ledger.bySeat {
		for _, r := range all {
			if r.group == nil {
				continue
			}
			if s := w.ledger.named(nameOfState(r.group)); s != nil {
				keys[w.client(m.client)] = append(keys[w.client(m.client)], s.key)
			}
		}
	}
	for _, p := range w.packets {
		s := w.ledger.stateOf(p.event.ID)
		if s == nil {
			continue
		}
		ev, err := wire.ParseMIPGroupEvent(p.event) // the looser form
		if err != nil {
			return err
		}
		for c, mine := range keys {
			if s.members[c.account.pub] {
				continue
			}
			for _, key := range mine {
				if _, ok := ev.Open(key); ok {
					return fmt.Errorf("%s opens %s, sealed in %s, where it is no member", c.name, p.label, w.describe(s))
				}
			}
		}
	}
	return nil
}
