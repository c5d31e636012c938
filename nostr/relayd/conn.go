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
	// maxQueue and maxQueueBytes are how many live events may wait for one slow
	// client, and storedQueue how far the answer to a REQ runs ahead of the network.
	maxQueue      = 16384
	maxQueueBytes = 32 << 20
	storedQueue   = 256

	// maxLogins is how many keys may log in on one connection.
	maxLogins = 16

	writeTimeout = 10 * time.Second

	// A client that says nothing is asked whether it is there, so that those that
	// went without a word do not fill the relay.
	pingInterval = time.Minute
	pingTimeout  = 20 * time.Second
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
	address   string
	origin    *origin
	rate      bucket
	writes    sync.WaitGroup // events handed over and not yet answered

	mu        sync.Mutex // taken after the server's, guards what follows
	subs      map[string]subscription
	subBytes  int
	authed    []nostr.PubKey
	queue     []outgoing
	liveBytes int // in the queue
	finishing bool
	more      chan struct{} // one token: the queue has grown
	room      chan struct{} // one token: the queue has shrunk
}

type subscription struct {
	filters []nostr.Filter
	size    int // of the request in bytes
}

type outgoing struct {
	nostr.RelayMessage
	size int // of a live event in bytes
}

func newConn(s *Server, ws *websocket.Conn, addresses []string) *conn {
	c := &conn{
		server:    s,
		ws:        ws,
		addresses: addresses,
		challenge: rand.Text(),
		subs:      make(map[string]subscription),
		more:      make(chan struct{}, 1),
		room:      make(chan struct{}, 1),
	}
	c.ctx, c.cancel = context.WithCancel(s.ctx)
	return c
}

// run serves the client until it leaves or the server closes.
func (c *conn) run() {
	defer c.ws.CloseNow()
	var others sync.WaitGroup
	defer others.Wait()
	defer c.cancel()
	others.Go(func() {
		defer c.cancel()
		c.write()
		if c.isFinishing() {
			c.ws.Close(websocket.StatusGoingAway, "relay is stopping")
		}
	})
	others.Go(c.keepAlive)
	c.send(nostr.RelayMessage{Type: "AUTH", Text: c.challenge})
	for {
		typ, frame, err := c.ws.Read(c.ctx)
		if err != nil {
			break
		}
		if !c.isFinishing() {
			c.take(typ, frame)
		}
	}
}

// take answers one frame.
func (c *conn) take(typ websocket.MessageType, frame []byte) {
	stats := &c.server.stats
	stats.frames.Add(1)
	stats.frameBytes.Add(uint64(len(frame)))
	inTime := c.throttle()
	m, err := nostr.ParseClientMessage(frame)
	switch {
	case typ != websocket.MessageText || err != nil:
		stats.malformed.Add(1)
		c.send(nostr.RelayMessage{Type: "NOTICE", Text: "invalid: " + reasonOf(err)})
	case c.server.faults.get().Silent:
	case !inTime && m.Type != "CLOSE":
		c.refuse(&m, "rate-limited: slow down")
	default:
		stats.message(m.Type)
		c.handle(&m, len(frame))
	}
}

// refuse answers a message as not done.
func (c *conn) refuse(m *nostr.ClientMessage, reason string) {
	if m.Event != nil {
		c.answer(m.Event.ID, false, reason)
		return
	}
	c.send(nostr.RelayMessage{Type: "CLOSED", SubID: m.SubID, Text: reason})
}

func (c *conn) answer(id nostr.ID, ok bool, reason string) {
	c.server.stats.answer(ok, reason)
	c.send(nostr.RelayMessage{Type: "OK", ID: id, OK: ok, Text: reason})
}

// finish lets the connection end when everything queued is sent.
func (c *conn) finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.finishing = true
	signal(c.more)
	signal(c.room)
}

func (c *conn) isFinishing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.finishing
}

// keepAlive ends the connection of a client that is not there any more.
func (c *conn) keepAlive() {
	for c.sleep(pingInterval) {
		ctx, cancel := context.WithTimeout(c.ctx, pingTimeout)
		err := c.ws.Ping(ctx)
		cancel()
		if err != nil {
			c.cancel()
			return
		}
	}
}

func reasonOf(err error) string {
	if err == nil {
		return "not a text frame"
	}
	return err.Error()
}

func (c *conn) handle(m *nostr.ClientMessage, size int) {
	switch m.Type {
	case "EVENT":
		c.handleEvent(m.Event)
	case "REQ":
		c.handleReq(m, size)
	case "COUNT":
		c.handleCount(m)
	case "CLOSE":
		c.unsubscribe(m.SubID)
	case "AUTH":
		c.handleAuth(m.Event)
	}
}

func (c *conn) handleEvent(e *nostr.Event) {
	faults := c.server.faults.get()
	done := func(ok bool, reason string) {
		if !faults.NoOK {
			c.answer(e.ID, ok, reason)
		}
	}
	reason := ""
	if faults.Refuse != nil {
		reason = faults.Refuse(e)
	}
	switch {
	case reason != "":
		done(false, reason)
	case faults.Lose != nil && faults.Lose(e):
		done(true, "")
	case c.server.cfg.RequireAuth && len(c.logins()) == 0:
		done(false, "auth-required: log in first")
	default:
		c.writes.Add(1)
		c.server.publish(e, c.isAuthed, func(ok bool, reason string) {
			done(ok, reason)
			c.writes.Done()
		})
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
	c.answer(e.ID, ok, reason)
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
	c.push(m, 0)
}

// push holds c.mu. size is that of a live event.
func (c *conn) push(m nostr.RelayMessage, size int) {
	c.queue = append(c.queue, outgoing{m, size})
	c.liveBytes += size
	signal(c.more)
}

// wait returns when the queue has room for more of a stored answer, false when
// the connection has ended.
func (c *conn) wait() bool {
	for {
		c.mu.Lock()
		n, finishing := len(c.queue), c.finishing
		c.mu.Unlock()
		if finishing {
			return false
		}
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
