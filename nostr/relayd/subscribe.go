package relayd

import (
	"slices"

	"github.com/marmotgo/marmot/nostr"
)

func (c *conn) handleReq(m *nostr.ClientMessage, size int) {
	reason := c.refusal(m)
	if reason == "" {
		reason = c.noRoom(m, size)
	}
	if reason != "" {
		c.unsubscribe(m.SubID)
		c.refuse(m, reason)
		return
	}
	c.writes.Wait() // a client sees what it has sent before
	stored, err := c.subscribe(m, size)
	if err != nil {
		c.server.cfg.Log.Error("a request could not be answered", "error", err)
		c.unsubscribe(m.SubID)
		c.refuse(m, "error: the request took too long or failed")
		return
	}
	c.serveStored(m, stored)
}

// serveStored sends the stored events of a REQ, as fast as the client takes them.
func (c *conn) serveStored(m *nostr.ClientMessage, stored []*nostr.Event) {
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
func (c *conn) subscribe(m *nostr.ClientMessage, size int) ([]*nostr.Event, error) {
	limit := c.server.cfg.MaxLimit
	if page := c.server.faults.get().PageLimit; page > 0 {
		limit = min(limit, page)
	}
	scope := Scope{Now: c.server.now(), Readers: c.logins()}

	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	c.mu.Lock()
	c.subBytes += size - c.subs[m.SubID].size
	c.subs[m.SubID] = subscription{m.Filters, size}
	c.mu.Unlock()
	var out []*nostr.Event
	left := c.server.cfg.MaxAnswer
	for i := range m.Filters {
		f, most := &m.Filters[i], limit
		if f.Limit != 0 {
			most = min(most, max(f.Limit, 0))
		}
		if most == 0 {
			continue
		}
		events, bytes, err := c.server.store.Query(f, scope, most, left)
		if err != nil {
			return nil, err
		}
		out, left = append(out, events...), left-bytes
		if left <= 0 {
			break
		}
	}
	slices.SortFunc(out, NewestFirst)
	return slices.CompactFunc(out, func(a, b *nostr.Event) bool { return a.ID == b.ID }), nil
}

func (c *conn) unsubscribe(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.subBytes -= c.subs[id].size
	delete(c.subs, id)
}

// handleCount is NIP-45. What the client may not read does not count.
func (c *conn) handleCount(m *nostr.ClientMessage) {
	if reason := c.refusal(m); reason != "" {
		c.refuse(m, reason)
		return
	}
	c.writes.Wait()
	limit := c.server.cfg.MaxCount
	scope := Scope{Now: c.server.now(), Readers: c.logins()}
	c.server.mu.Lock()
	n, err := c.server.store.Count(m.Filters, scope, limit)
	c.server.mu.Unlock()
	if err != nil {
		c.server.cfg.Log.Error("a request could not be answered", "error", err)
		c.refuse(m, "error: the request took too long or failed")
		return
	}
	c.send(nostr.RelayMessage{Type: "COUNT", SubID: m.SubID, Count: uint64(n), Approximate: n >= limit})
}

// noRoom returns why the connection gets no further subscription, or "".
func (c *conn) noRoom(m *nostr.ClientMessage, size int) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	old, replaces := c.subs[m.SubID]
	switch {
	case !replaces && len(c.subs) >= c.server.cfg.MaxSubs:
		return "error: too many subscriptions"
	case c.subBytes-old.size+size > c.server.cfg.MaxSubBytes:
		return "error: subscriptions are too large"
	}
	return ""
}

// refusal returns why a REQ or COUNT is not served, or "".
func (c *conn) refusal(m *nostr.ClientMessage) string {
	logins := c.logins()
	switch {
	case c.server.cfg.RequireAuth && len(logins) == 0:
		return "auth-required: log in first"
	case len(m.Filters) > c.server.cfg.MaxFilters:
		return "error: too many filters"
	}
	for i := range m.Filters {
		f := &m.Filters[i]
		switch {
		case values(f) > c.server.cfg.MaxValues:
			return "error: too many values in a filter"
		case !slices.ContainsFunc(f.Kinds, IsWrap):
		case len(logins) == 0:
			return "auth-required: gift wraps are for their recipient"
		case f.Tags["p"] != nil && !slices.ContainsFunc(logins, func(p nostr.PubKey) bool { return slices.Contains(f.Tags["p"], p.String()) }):
			return "restricted: gift wraps are for their recipient"
		}
	}
	return ""
}

func values(f *nostr.Filter) int {
	n := len(f.IDs) + len(f.Authors) + len(f.Kinds)
	for _, list := range f.Tags {
		n += len(list)
	}
	return n
}

// offer queues a new event, of size bytes, for each subscription that matches.
func (c *conn) offer(e *nostr.Event, size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !mayRead(e, c.authed) {
		return
	}
	for id, sub := range c.subs {
		if !slices.ContainsFunc(sub.filters, func(f nostr.Filter) bool { return f.Matches(e) }) {
			continue
		}
		if len(c.queue) >= maxQueue || c.liveBytes+size > maxQueueBytes {
			c.server.stats.slow.Add(1)
			c.cancel()
			return
		}
		c.push(nostr.RelayMessage{Type: "EVENT", SubID: id, Event: e}, size)
	}
}
