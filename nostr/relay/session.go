package relay

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/marmotgo/marmot/nostr"
)

// session is one live connection. Its reader is the goroutine of its conn.
type session struct {
	conn   *conn
	ws     *websocket.Conn
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	heard      atomic.Bool // a frame came since the last look
	deliver    sync.Mutex
	delivering atomic.Bool // the reader is in a subscriber's hands, not deaf

	// Guarded by conn.mu.
	counter  int                      // of REQs
	requests map[string]*Subscription // by the id of their REQ
	control  [][]byte                 // AUTH and CLOSE frames to send
	auth     login
}

// serve reads the connection until it ends.
func (c *conn) serve(ws *websocket.Conn) error {
	s, subs := c.begin(ws)
	s.wg.Go(s.write)
	s.wg.Go(s.keepAlive)
	for _, sub := range subs {
		s.give(sub, Delivery{Connected: true})
	}
	err := s.read()
	s.cancel()
	ws.CloseNow()
	s.wg.Wait()
	for _, sub := range c.end() {
		sub.give(Delivery{Disconnected: true})
	}
	return err
}

func (s *session) read() error {
	for {
		typ, frame, err := s.ws.Read(s.ctx)
		if err != nil {
			return fmt.Errorf("relay: read: %w", err)
		}
		s.heard.Store(true)
		m, err := nostr.ParseRelayMessage(frame)
		s.conn.count(&s.conn.status.Received)
		if err != nil || typ != websocket.MessageText {
			s.conn.count(&s.conn.status.Malformed)
			continue
		}
		for _, sub := range s.takeGreet() {
			s.give(sub, Delivery{Connected: true})
		}
		s.handle(&m, len(frame))
	}
}

func (s *session) takeGreet() []*Subscription {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	greet := s.conn.greet
	s.conn.greet = nil
	return greet
}

// give is called by the reader, and by a login that failed: one at a time.
func (s *session) give(sub *Subscription, d Delivery) {
	s.deliver.Lock()
	defer s.deliver.Unlock()
	s.delivering.Store(true)
	sub.give(d)
	s.delivering.Store(false)
}

func (s *session) handle(m *nostr.RelayMessage, size int) {
	switch m.Type {
	case "EVENT":
		s.handleEvent(m, size)
	case "EOSE":
		s.handleEOSE(m)
	case "CLOSED":
		s.handleClosed(m)
	case "OK":
		s.handleOK(m)
	case "AUTH":
		s.handleChallenge(m.Text)
	case "NOTICE":
		s.conn.count(&s.conn.status.Notices)
	}
}

// request returns the subscription whose last REQ had this id, or one before it.
func (s *session) request(id string) (*Subscription, []nostr.Filter) {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	sub := s.requests[id]
	if sub == nil {
		return nil, nil
	}
	return sub, sub.filters
}

func (s *session) handleEvent(m *nostr.RelayMessage, size int) {
	sub, filters := s.request(m.SubID)
	if sub == nil {
		return // of a request that has ended
	}
	if !asks(filters, m.Event) {
		s.conn.count(&s.conn.status.Unmatched)
		return
	}
	s.give(sub, Delivery{Event: m.Event, size: size})
}

func (s *session) handleEOSE(m *nostr.RelayMessage) {
	s.conn.mu.Lock()
	sub := s.requests[m.SubID]
	if sub != nil && sub.wire != m.SubID {
		sub = nil // of a REQ that has ended
	}
	whole := sub != nil && sub.dropped == s.conn.status.dropped()
	if sub != nil {
		sub.answered = true
		s.closeOld(sub)
	}
	s.conn.mu.Unlock()
	s.conn.wake()
	if sub != nil {
		s.give(sub, Delivery{EOSE: true, whole: whole})
	}
}

func (s *session) handleClosed(m *nostr.RelayMessage) {
	c := s.conn
	c.mu.Lock()
	sub := s.requests[m.SubID]
	if sub == nil {
		c.mu.Unlock()
		return
	}
	delete(s.requests, m.SubID)
	if sub.wire != m.SubID { // the one before the last
		sub.old = ""
		c.mu.Unlock()
		return
	}
	if sub.old != "" { // it stands
		sub.wire, sub.old = sub.old, ""
	}
	if sub.state != sent { // about to be renewed
		c.mu.Unlock()
		return
	}
	sub.state = refused
	if wantsLogin(m.Text) && !sub.retried {
		sub.state, sub.retried = waiting, true
		if s.login() {
			c.mu.Unlock()
			return
		}
		sub.state = refused
	}
	c.mu.Unlock()
	reason := m.Text
	if reason == "" {
		reason = "error: closed without a reason"
	}
	s.give(sub, Delivery{Closed: reason})
}

func (s *session) handleOK(m *nostr.RelayMessage) {
	c := s.conn
	c.mu.Lock()
	refusedSubs := s.loginAnswered(m)
	if !m.OK && wantsLogin(m.Text) {
		var asked []*publication
		for _, pub := range c.pubs {
			if pub.id == m.ID && pub.state == sent && !pub.retried {
				pub.state, pub.retried = waiting, true
				asked = append(asked, pub)
			}
		}
		if len(asked) > 0 && !s.login() {
			for _, pub := range asked {
				pub.state = sent // and so settled now
			}
		}
	}
	c.settle(okAnswer{m.OK, m.Text}, func(pub *publication) bool {
		return pub.id == m.ID && pub.state == sent
	})
	c.mu.Unlock()
	c.wake() // a login may have set something free
	for _, sub := range refusedSubs {
		s.give(sub, Delivery{Closed: m.Text})
	}
}

// write sends what is wanted, until the connection ends.
func (s *session) write() {
	defer s.ws.CloseNow()
	for {
		frame := s.conn.next(s)
		if frame == nil {
			select {
			case <-s.conn.more:
				continue
			case <-s.ctx.Done():
				return
			}
		}
		ctx, cancel := context.WithTimeout(s.ctx, s.conn.pool.cfg.WriteTimeout)
		err := s.ws.Write(ctx, websocket.MessageText, frame)
		cancel()
		if err != nil {
			return
		}
	}
}

// keepAlive ends a connection that does not answer a ping, and one that has
// not been used for a while.
func (s *session) keepAlive() {
	cfg := &s.conn.pool.cfg
	defer s.ws.CloseNow()
	tick := time.NewTicker(min(cfg.PingInterval, cfg.IdleTimeout))
	defer tick.Stop()
	var idleSince, quietSince time.Time
	for {
		var now time.Time
		select {
		case now = <-tick.C:
		case <-s.ctx.Done():
			return
		}
		if !s.conn.idle() {
			idleSince = time.Time{}
		} else if idleSince.IsZero() {
			idleSince = now
		} else if now.Sub(idleSince) >= cfg.IdleTimeout {
			return
		}
		if s.heard.Swap(false) || s.delivering.Load() || quietSince.IsZero() {
			quietSince = now
		} else if now.Sub(quietSince) >= cfg.PingInterval {
			quietSince = now
			if !s.ping() {
				return
			}
		}
	}
}

func (s *session) ping() bool {
	ctx, cancel := context.WithTimeout(s.ctx, s.conn.pool.cfg.WriteTimeout)
	defer cancel()
	return s.ws.Ping(ctx) == nil || s.delivering.Load()
}

func wantsLogin(reason string) bool { return strings.HasPrefix(reason, "auth-required:") }
