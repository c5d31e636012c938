package relay

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/marmotgo/marmot/nostr"
)

// state is how far a request has come on the present connection.
type state int

const (
	unsent  state = iota
	sent          // the relay has it
	waiting       // for a login, then it is sent once more
	refused       // by the relay: closed, until it is renewed
)

// publication is an event that waits for its OK.
type publication struct {
	id      nostr.ID
	frame   []byte
	state   state
	retried bool
	done    chan okAnswer // of capacity 1
}

type okAnswer struct {
	ok     bool
	reason string
}

// conn is one connection, present or not: what is wanted of the relay, and on
// live what of it the relay has been told. run is its goroutine.
type conn struct {
	pool *Pool
	key  key
	more chan struct{} // one token: there is something to send or to do

	mu     sync.Mutex // guards what follows
	subs   []*Subscription
	pubs   []*publication
	greet  []*Subscription // made while connected: they have not heard so yet
	live   *session        // nil while not connected
	status RelayStatus
}

func newConn(p *Pool, k key) *conn {
	return &conn{
		pool:   p,
		key:    k,
		more:   make(chan struct{}, 1),
		status: RelayStatus{URL: k.url, Purpose: k.purpose, Since: time.Now()},
	}
}

// wake makes the connection look for work.
func (c *conn) wake() {
	select {
	case c.more <- struct{}{}:
	default:
	}
}

// run connects, and again after every loss, until nobody needs the connection.
func (c *conn) run() {
	wait := c.pool.cfg.BackoffMin
	for !c.pool.retire(c) && c.pool.ctx.Err() == nil {
		started := time.Now()
		err := c.connect()
		if c.pool.ctx.Err() != nil {
			return
		}
		if time.Since(started) > c.pool.cfg.BackoffMax {
			wait = c.pool.cfg.BackoffMin
		}
		if !c.idle() {
			c.pool.cfg.Log.Debug("relay connection ended", "purpose", c.key.purpose, "wait", wait, "err", errKind(err))
			c.pause(wait)
			wait = min(2*wait, c.pool.cfg.BackoffMax)
		}
	}
}

func (c *conn) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.subs) == 0 && len(c.pubs) == 0
}

// pause waits about d; the jitter keeps many clients from coming back to a
// restarted relay at one moment.
func (c *conn) pause(d time.Duration) {
	t := time.NewTimer(d*3/4 + rand.N(d/2+1))
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.pool.ctx.Done():
	}
}

// connect dials and serves one connection to its end.
func (c *conn) connect() error {
	ctx, cancel := context.WithTimeout(c.pool.ctx, c.pool.cfg.DialTimeout)
	ws, _, err := websocket.Dial(ctx, c.key.url, &websocket.DialOptions{HTTPClient: c.pool.cfg.HTTPClient})
	cancel()
	failed := 1
	if err != nil && c.pool.ctx.Err() == nil {
		c.pool.health.failed(c.key.url, Unreachable)
	}
	if err == nil {
		failed = 0
		ws.SetReadLimit(c.pool.cfg.MaxFrame)
		err = c.serve(ws)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status.Attempts += failed
	c.status.LastError = err.Error()
	return err
}

// errKind is an error for the log: the full text would name the relay.
func errKind(err error) string {
	if code := websocket.CloseStatus(err); code != -1 {
		return code.String()
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "timeout"
	}
	return "connection failed"
}

// begin makes ws the live connection, to which nothing has been said yet.
func (c *conn) begin(ws *websocket.Conn) (*session, []*Subscription) {
	s := &session{conn: c, ws: ws, requests: make(map[string]*Subscription)}
	s.ctx, s.cancel = context.WithCancel(c.pool.ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.live, c.greet = s, nil
	c.status.Connected, c.status.Since, c.status.Attempts = true, time.Now(), 0
	for _, sub := range c.subs {
		sub.wire, sub.old, sub.state, sub.retried = "", "", unsent, false
	}
	for _, pub := range c.pubs {
		pub.state, pub.retried = unsent, false
	}
	return s, slices.Clone(c.subs)
}

// end forgets the live connection.
func (c *conn) end() []*Subscription {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.live, c.greet = nil, nil
	c.status.Connected, c.status.Authenticated, c.status.Since = false, false, time.Now()
	return slices.Clone(c.subs)
}

// answerWait is how long a REQ waits for the EOSE of the one before it. Until that
// came, the one before that stands: no event falls between, even if the relay
// refuses one of them.
const answerWait = 3 * time.Second

// next returns the next frame to send, nil for none.
func (c *conn) next(s *session) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(s.control) > 0 {
		frame := s.control[0]
		s.control = s.control[1:]
		return frame
	}
	for _, sub := range c.subs {
		if sub.state != unsent || c.unanswered(s, sub) {
			continue
		}
		s.closeOld(sub)
		if s.requests[sub.wire] == sub {
			sub.old = sub.wire
		}
		s.counter++
		sub.wire, sub.state, sub.dropped = strconv.Itoa(s.counter), sent, c.status.dropped()
		sub.asked, sub.answered = time.Now(), false
		s.requests[sub.wire] = sub
		m := nostr.ClientMessage{Type: "REQ", SubID: sub.wire, Filters: sub.filters}
		return m.AppendJSON(nil)
	}
	for _, pub := range c.pubs {
		if pub.state == unsent {
			pub.state = sent
			return pub.frame
		}
	}
	return nil
}

// unanswered reports whether a subscription's last REQ takes the place of another and
// the relay may still answer it.
func (c *conn) unanswered(s *session, sub *Subscription) bool {
	if sub.answered || sub.old == "" || s.requests[sub.wire] != sub {
		return false
	}
	left := answerWait - time.Since(sub.asked)
	if left <= 0 {
		return false
	}
	if !sub.alarmed {
		sub.alarmed = true
		time.AfterFunc(left, func() {
			c.mu.Lock()
			sub.alarmed = false
			c.mu.Unlock()
			c.wake()
		})
	}
	return true
}

// endRequest ends the subscription's REQs.
func (c *conn) endRequest(sub *Subscription) {
	if c.live == nil {
		return
	}
	c.live.closeOld(sub)
	c.live.close(sub, sub.wire)
}

// closeOld ends the REQ that another has taken the place of.
func (s *session) closeOld(sub *Subscription) {
	s.close(sub, sub.old)
	sub.old = ""
}

// close queues the CLOSE of a REQ, if the relay has it.
func (s *session) close(sub *Subscription, wire string) {
	if s.requests[wire] == sub {
		delete(s.requests, wire)
		m := nostr.ClientMessage{Type: "CLOSE", SubID: wire}
		s.control = append(s.control, m.AppendJSON(nil))
	}
}

func (c *conn) dropPublication(pub *publication) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pubs = slices.DeleteFunc(c.pubs, func(x *publication) bool { return x == pub })
}

// settle answers the publications that are, for good.
func (c *conn) settle(a okAnswer, are func(*publication) bool) {
	c.pubs = slices.DeleteFunc(c.pubs, func(pub *publication) bool {
		if !are(pub) {
			return false
		}
		pub.done <- a
		return true
	})
}

func (c *conn) report() RelayStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	st := c.status
	st.Subscriptions, st.Publications = len(c.subs), len(c.pubs)
	return st
}

func (c *conn) count(field *int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*field++
}
