package relayd

import (
	"slices"

	"github.com/marmotgo/marmot/nostr"
)

func (c *conn) handleReq(m *nostr.ClientMessage) {
	if reason := c.refusal(m); reason != "" {
		c.mu.Lock()
		delete(c.subs, m.SubID)
		c.mu.Unlock()
		c.send(nostr.RelayMessage{Type: "CLOSED", SubID: m.SubID, Text: reason})
		return
	}
	stored := c.subscribe(m)
	faults := c.server.faults.get()
	if faults.Forge != nil {
		stored = append(stored, faults.Forge(m.Filters)...)
	}
	if faults.EarlyEOSE {
		c.send(nostr.RelayMessage{Type: "EOSE", SubID: m.SubID})
	}
	for _, e := range stored {
		if !c.wait() {
			return
		}
		c.send(nostr.RelayMessage{Type: "EVENT", SubID: m.SubID, Event: e})
	}
	if !faults.EarlyEOSE && !faults.NoEOSE {
		c.send(nostr.RelayMessage{Type: "EOSE", SubID: m.SubID})
	}
}

// subscribe registers the subscription and returns the stored events for it, in
// one step: no event between the two is missed.
func (c *conn) subscribe(m *nostr.ClientMessage) []*nostr.Event {
	limit := c.server.cfg.MaxLimit
	if page := c.server.faults.get().PageLimit; page > 0 {
		limit = min(limit, page)
	}
	now := c.server.now()
	logins := c.logins()
	visible := func(e *nostr.Event) bool { return !expired(e, now) && mayRead(e, logins) }

	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	c.mu.Lock()
	c.subs[m.SubID] = m.Filters
	c.mu.Unlock()
	var out []*nostr.Event
	for i := range m.Filters {
		out = append(out, c.server.events.query(&m.Filters[i], limit, visible)...)
	}
	slices.SortFunc(out, newestFirst)
	return slices.Compact(out)
}

// refusal returns why a REQ is not served, or "".
func (c *conn) refusal(m *nostr.ClientMessage) string {
	logins := c.logins()
	c.mu.Lock()
	_, replaces := c.subs[m.SubID]
	subs := len(c.subs)
	c.mu.Unlock()
	switch {
	case c.server.cfg.RequireAuth && len(logins) == 0:
		return "auth-required: log in first"
	case len(m.Filters) > c.server.cfg.MaxFilters:
		return "error: too many filters"
	case !replaces && subs >= c.server.cfg.MaxSubs:
		return "error: too many subscriptions"
	}
	for i := range m.Filters {
		f := &m.Filters[i]
		switch {
		case !slices.ContainsFunc(f.Kinds, isWrap):
		case len(logins) == 0:
			return "auth-required: gift wraps are for their recipient"
		case f.Tags["p"] != nil && !slices.ContainsFunc(logins, func(p nostr.PubKey) bool { return slices.Contains(f.Tags["p"], p.String()) }):
			return "restricted: gift wraps are for their recipient"
		}
	}
	return ""
}

// mayRead holds gift wraps back from all but their recipient (NIP-59).
func mayRead(e *nostr.Event, logins []nostr.PubKey) bool {
	return !isWrap(e.Kind) || slices.ContainsFunc(logins, func(p nostr.PubKey) bool { return addressedTo(e, p) })
}

// offer queues a new event for each subscription that matches.
func (c *conn) offer(e *nostr.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !mayRead(e, c.authed) {
		return
	}
	for id, filters := range c.subs {
		if !slices.ContainsFunc(filters, func(f nostr.Filter) bool { return f.Matches(e) }) {
			continue
		}
		if len(c.queue) >= maxQueue {
			c.cancel()
			return
		}
		c.push(nostr.RelayMessage{Type: "EVENT", SubID: id, Event: e})
	}
}
