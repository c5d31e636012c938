package sim

import (
	"errors"
	"fmt"
	"slices"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// window is the number of epochs within which a message that comes late is
// still delivered (convergence.md).
const window = 5

// check compares what the clients came to, when all have received the same.
func (w *World) check() error {
	return errors.Join(w.checkTips(), w.checkMessages())
}

// checkTips demands one state of all clients who take each other for members.
// A client that was invited by a commit that lost sits on a branch that the
// others left; it is counted, not excused.
func (w *World) checkTips() error {
	var errs []error
	for i, a := range w.clients {
		if !a.active() {
			continue
		}
		sa := a.g.Status()
		if sa.Cause != "" {
			errs = append(errs, fmt.Errorf("%s needs help: %s", a.name, sa.Cause))
		}
		for _, b := range w.clients[i+1:] {
			if !b.active() {
				continue
			}
			sb := b.g.Status()
			if !slices.Contains(sa.Members, b.pub()) || !slices.Contains(sb.Members, a.pub()) {
				continue
			}
			if a.tip() != b.tip() {
				if a.stranded() || b.stranded() {
					w.Stats.Stranded++
					continue
				}
				errs = append(errs, fmt.Errorf("%s is at epoch %d (%s), %s at epoch %d (%s)", a.name, sa.Epoch, a.tip()[:8], b.name, sb.Epoch, b.tip()[:8]))
			}
		}
	}
	return errors.Join(errs...)
}

// stranded reports whether no other active client has this one's first state:
// its invitation was made on a branch that lost.
func (c *Client) stranded() bool {
	for _, other := range c.w.clients {
		if other != c && other.active() && other.tip() == c.tip() {
			return false
		}
	}
	return true
}

// checkMessages demands that nobody is shown a message twice, and that those
// who end on the same state and were in the group all along were shown the
// same.
func (w *World) checkMessages() error {
	var errs []error
	shown := map[*Client]map[nostr.ID]int{}
	for _, c := range w.clients {
		shown[c] = c.shown()
		for id, n := range shown[c] {
			if n > 1 {
				errs = append(errs, fmt.Errorf("%s was shown message %.8s %d times", c.name, id, n))
			}
		}
	}
	for _, author := range w.clients {
		if !author.active() {
			continue
		}
		for _, e := range author.effects {
			m, err := nostr.ParseRumor(e.Payload)
			if err != nil || e.Kind != group.EffectMessage || !e.Own || shown[author][m.ID] != 1 {
				continue
			}
			for _, c := range w.clients {
				if c.tip() != author.tip() || c.joined.After(w.settled) || shown[c][m.ID] > 0 {
					continue
				}
				if c.g.Epoch() > e.Epoch+window {
					w.Stats.Expired++ // it came when the protocol no longer delivers it
				} else {
					errs = append(errs, fmt.Errorf("%s was never shown %q", c.name, m.Content))
				}
			}
		}
	}
	return errors.Join(errs...)
}

// shown counts the messages a client shows: delivered and not withdrawn. One
// payload may have come in several MLS messages; each is withdrawn by itself.
func (c *Client) shown() map[nostr.ID]int {
	inner := map[wire.MessageID]nostr.ID{}
	for _, e := range c.effects {
		m, err := nostr.ParseRumor(e.Payload)
		if err != nil {
			continue
		}
		switch e.Kind {
		case group.EffectMessage, group.EffectRestored:
			inner[e.Message] = m.ID
		case group.EffectInvalidated:
			delete(inner, e.Message)
		}
	}
	out := map[nostr.ID]int{}
	for _, id := range inner {
		out[id]++
	}
	return out
}
