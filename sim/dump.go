package sim

import (
	"fmt"
	"strings"

	"github.com/marmotgo/marmot/nostr"
)

func (w *World) nameOfAccount(k nostr.PubKey) string {
	for _, c := range w.clients {
		if c.account.pub == k {
			return c.name
		}
	}
	return "-"
}

// describe names a state for a person: by the event that made it.
func (w *World) describe(s *state) string {
	if s == nil {
		return "no state"
	}
	label := w.ledger.labels[s.commit]
	if label == "" {
		label = "the beginning"
	}
	return fmt.Sprintf("epoch %d (%s)", s.epoch, label)
}

// explain shows what the rules compared.
func (w *World) explain(v *situation) string {
	_, all := v.choose()
	out := fmt.Sprintf("\n  from %s, tip %s", w.describe(v.start()), w.describe(v.tip))
	for _, c := range all {
		out += fmt.Sprintf("\n  %s: depth %d, quorum %v, score %d, privileged %v, %s, %.6s", w.describe(c.tip), c.depth, c.quorum, c.score, c.tip.privileged, w.nameOfAccount(c.tip.committer), c.tip.commit)
	}
	return out
}

// Dump writes what every client was told, for a person who looks for the cause
// of a failing seed.
func (w *World) Dump() string {
	var b strings.Builder
	for _, c := range w.clients {
		for _, m := range c.members {
			fmt.Fprintf(&b, "%s\n", m)
			for _, e := range m.effects {
				text := e.Text
				if rumor, err := nostr.ParseRumor(e.Payload); err == nil {
					text = rumor.Content
				}
				fmt.Fprintf(&b, "  %7.2fs epoch %-2d %-16s", e.At.Sub(w.start).Seconds(), e.Epoch, e.Kind)
				if l := w.ledger.labels[e.Commit]; l != "" {
					fmt.Fprintf(&b, " commit %s", l)
				}
				if l := w.ledger.labels[e.Message]; l != "" {
					fmt.Fprintf(&b, " message %s", l)
				}
				fmt.Fprintf(&b, " %s %s %q %s\n", w.nameOfAccount(e.Actor), w.nameOfAccount(e.Subject), text, e.Ref)
			}
			m.dumpInputs(&b)
			st := m.g.Status()
			st.Members, st.Admins = nil, nil
			fmt.Fprintf(&b, "  in %s, %+v\n", w.describe(w.ledger.named(m.g.Tip())), st)
		}
	}
	return b.String()
}

// dumpInputs writes what a member retains.
func (m *member) dumpInputs(b *strings.Builder) {
	records, err := m.c.disk.records(m.prefix())
	if err != nil {
		fmt.Fprintf(b, "  %v\n", err)
	}
	for _, r := range records {
		if in, err := readInput(r); strings.HasPrefix(r.Key, "input/") && err == nil {
			fmt.Fprintf(b, "  retains %s: %s of epoch %d, %s %s, state %.3x\n", m.c.w.ledger.labels[in.ID], in.Kind, in.Epoch, in.Disposition, in.Category, in.State)
		}
	}
}
