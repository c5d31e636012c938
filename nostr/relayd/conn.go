package relayd

import (
	"context"
	"crypto/rand"
	"slices"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/marmotgo/marmot/nostr"
)

const (
	// maxQueue is how many live events may wait for one slow client, and
	// storedQueue how far the answer to a REQ runs ahead of the network.
	maxQueue    = 16384
	storedQueue = 256

	// maxLogins is how many keys may log in on one connection.
	maxLogins = 16

	writeTimeout = 10 * time.Second
)

// conn is one client. Its reader answers messages; its writer sends what is in
// the queue.
type conn struct {
	server    *Server
	ws        *websocket.Conn
	addresses []string
	challenge string
	ctx       context.Context
	cancel    context.CancelFunc

	mu     sync.Mutex // taken after the server's, guards what follows
	subs   map[string][]nostr.Filter
	authed []nostr.PubKey
	queue  []nostr.RelayMessage
	more   chan struct{} // one token: the queue has grown
	room   chan struct{} // one token: the queue has shrunk
}

func newConn(s *Server, ws *websocket.Conn, addresses []string) *conn {
	c := &conn{
		server:    s,
		ws:        ws,
		addresses: addresses,
		challenge: rand.Text(),
		subs:      make(map[string][]nostr.Filter),
		more:      make(chan struct{}, 1),
		room:      make(chan struct{}, 1),
	}
	c.ctx, c.cancel = context.WithCancel(s.ctx)
	return c
}

// run serves the client until it leaves or the server closes.
func (c *conn) run() {
	defer c.ws.CloseNow()
	written := make(chan struct{})
	go func() {
		defer close(written)
		defer c.cancel()
		c.write()
	}()
	c.send(nostr.RelayMessage{Type: "AUTH", Text: c.challenge})
	for {
		typ, frame, err := c.ws.Read(c.ctx)
		if err != nil {
			break
		}
		m, err := nostr.ParseClientMessage(frame)
		if typ != websocket.MessageText || err != nil {
			c.send(nostr.RelayMessage{Type: "NOTICE", Text: "invalid: " + reasonOf(err)})
			continue
		}
		if !c.server.faults.get().Silent {
			c.handle(&m)
		}
	}
	c.cancel()
	<-written
}

func reasonOf(err error) string {
	if err == nil {
		return "not a text frame"
	}
	return err.Error()
}

func (c *conn) handle(m *nostr.ClientMessage) {
	switch m.Type {
	case "EVENT":
		c.handleEvent(m.Event)
	case "REQ":
		c.handleReq(m)
	case "CLOSE":
		c.mu.Lock()
		delete(c.subs, m.SubID)
		c.mu.Unlock()
	case "AUTH":
		c.handleAuth(m.Event)
	}
}

func (c *conn) handleEvent(e *nostr.Event) {
	faults := c.server.faults.get()
	ok, reason := false, ""
	switch {
	case faults.Refuse != nil && faults.Refuse(e) != "":
		reason = faults.Refuse(e)
	case faults.Lose != nil && faults.Lose(e):
		ok = true
	case c.server.cfg.RequireAuth && len(c.logins()) == 0:
		reason = "auth-required: log in first"
	default:
		ok, reason = c.server.publish(e, c.isAuthed)
	}
	if !faults.NoOK {
		c.send(nostr.RelayMessage{Type: "OK", ID: e.ID, OK: ok, Text: reason})
	}
}

func (c *conn) handleAuth(e *nostr.Event) {
	ok, reason := false, "invalid: the answer does not fit the challenge"
	for _, url := range c.addresses {
		if nostr.CheckAuth(e, c.challenge, url, c.server.now()) == nil {
			ok, reason = true, ""
		}
	}
	c.mu.Lock()
	switch {
	case !ok || slices.Contains(c.authed, e.PubKey):
	case len(c.authed) >= maxLogins:
		ok, reason = false, "restricted: too many keys on one connection"
	default:
		c.authed = append(c.authed, e.PubKey)
	}
	c.mu.Unlock()
	c.send(nostr.RelayMessage{Type: "OK", ID: e.ID, OK: ok, Text: reason})
}

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

func (c *conn) logins() []nostr.PubKey {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.authed)
}

func (c *conn) isAuthed(p nostr.PubKey) bool { return slices.Contains(c.logins(), p) }

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

func (c *conn) send(m nostr.RelayMessage) {
	if c.server.faults.get().Silent {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.push(m)
}

// push holds c.mu.
func (c *conn) push(m nostr.RelayMessage) {
	c.queue = append(c.queue, m)
	signal(c.more)
}

// wait returns when the queue has room for more of a stored answer, false when
// the connection has ended.
func (c *conn) wait() bool {
	for {
		c.mu.Lock()
		n := len(c.queue)
		c.mu.Unlock()
		if n < storedQueue {
			return c.ctx.Err() == nil
		}
		select {
		case <-c.room:
		case <-c.ctx.Done():
			return false
		}
	}
}

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
