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

func (c *conn) logins() []nostr.PubKey {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.authed)
}

func (c *conn) isAuthed(p nostr.PubKey) bool { return slices.Contains(c.logins(), p) }

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
