package group

import "time"

// catchUpGrace is how long a pass waits in any case for what is being fetched:
// most relays have answered by then. Afterwards it waits only if it could cost
// messages.
const catchUpGrace = 2 * time.Second

// hold says that what was missed is being fetched. It lives in memory only.
type hold struct {
	since, until time.Time
	on           bool      // no pass may be admitted now
	behind       time.Time // see [CatchUp]; zero for no longer
}

func (s *step) catchUp(in CatchUp) {
	h := &s.g.hold
	if h.until.IsZero() {
		h.since = s.now
	}
	if h.until = in.Until; in.Until.IsZero() {
		*h = hold{}
	}
	h.behind = in.Behind
	s.reopen = true // messages that waited for those before them
}

// holds reports whether admission waits for what is being fetched. A pass that
// is open goes on collecting: its cutoff stands.
func (s *step) holds() bool {
	h := &s.g.hold
	switch {
	case h.until.IsZero() || !s.now.Before(h.until):
		*h = hold{behind: h.behind}
	case s.now.Before(h.since.Add(catchUpGrace)):
		h.on = true
	default:
		h.on = s.g.farAhead()
	}
	return h.on && s.g.meta.Pass == nil
}

// farAhead reports whether the commits that are here would move the tip by
// more than the window of messages: those of the epochs between, which another
// relay may still bring, would be lost.
func (g *Group) farAhead() bool {
	for _, in := range g.index.open {
		if in.Kind == kindCommit && in.Epoch >= g.tip.epoch+appWindow && g.unresolved(in) {
			return true
		}
	}
	return false
}

// waitsForMore reports that commits, or a witness that may change the choice,
// are here which no pass may admit yet.
func (g *Group) waitsForMore() bool {
	if !g.hold.on || g.meta.Pass != nil {
		return false
	}
	for _, in := range g.index.open {
		if g.unresolved(in) {
			return true
		}
	}
	return g.meta.Witnessed && g.contested()
}

// catchUpOver lets the messages go that waited for earlier ones long enough.
func (s *step) catchUpOver() {
	if h := &s.g.hold; !h.behind.IsZero() && !s.now.Before(h.behind) {
		h.behind, s.reopen = time.Time{}, true
	}
}

// wake is when a hold ends or may end.
func (h hold) wake(now time.Time) time.Time {
	if grace := h.since.Add(catchUpGrace); !h.until.IsZero() && now.Before(grace) {
		return grace
	}
	return h.until
}
