package sim

import (
	"fmt"
	"strings"

	"github.com/marmotgo/marmot/nostr"
)

// Dump writes what every client was told, for a person who looks for the
// cause of a failing seed.
func (w *World) Dump() string {
	var b strings.Builder
	name := func(k nostr.PubKey) string {
		for _, c := range w.clients {
			if c.pub() == k {
				return c.name
			}
		}
		return "-"
	}
	for _, c := range w.clients {
		fmt.Fprintf(&b, "%s\n", c.name)
		for _, e := range c.effects {
			text := e.Text
			if m, err := nostr.ParseRumor(e.Payload); err == nil {
				text = fmt.Sprintf("%.6s %s", m.ID, m.Content)
			}
			fmt.Fprintf(&b, "  %6.2fs epoch %-2d %-16s commit %.6s message %.6s by %s of %s %q own=%v turn=%d\n", e.At.Sub(w.start).Seconds(), e.Epoch, e.Kind, e.Commit, e.Message, name(e.Actor), name(e.Subject), text, e.Own, e.Turn)
		}
		if c.g != nil {
			st := c.g.Status()
			st.Members, st.Admins = nil, nil
			fmt.Fprintf(&b, "  tip %.8s %+v\n", c.tip(), st)
		}
	}
	return b.String()
}
