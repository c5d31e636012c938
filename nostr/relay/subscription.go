package relay

import (
	"slices"
	"time"

	"github.com/marmotgo/marmot/nostr"
)

// Delivery is what a subscription hears: exactly one of the fields after URL.
type Delivery struct {
	URL          string       // as given to Subscribe
	Event        *nostr.Event // not verified; shared, not to be changed
	EOSE         bool         // the stored events that the relay chose to send are through
	Closed       string       // the relay ended the subscription for this reason
	Connected    bool
	Disconnected bool

	whole bool // with EOSE: nothing was dropped since the REQ that may have belonged to it
	size  int  // with Event: of its frame in bytes
}

// Subscription is a standing request to one relay. It is renewed after every
// reconnect, with the filters it has then.
type Subscription struct {
	conn    *conn // nil when it could not be made
	url     string
	deliver func(Delivery)

	// Guarded by conn.mu. wire is the id of the last REQ, "" before the first on
	// this connection. Every REQ has an id of its own: an EOSE can then only
	// mean the filters that were sent with it. old is the one before, which stands
	// until the last is answered; "" for none.
	filters  []nostr.Filter
	wire     string
	old      string
	asked    time.Time // when the last REQ was sent
	answered bool      // with EOSE
	alarmed  bool      // something looks again when the answer is overdue
	dropped  int       // by the connection, before the last REQ
	state    state
	retried  bool
	closed   bool
}

// Subscribe asks one relay for the events that match the filters, stored and
// new. deliver is called in order, from the connection's goroutine: as long as
// it does not return, nothing else is read from this connection, and no other
// is affected. It must not wait for a Publish or Fetch over the same
// connection.
//
// After Closed the relay sends nothing more until the connection is renewed or
// [Subscription.Update] is called. A URL that is not valid, or a closed pool,
// gives one Closed before Subscribe returns, and a subscription that is dead.
func (p *Pool) Subscribe(purpose Purpose, url string, filters []nostr.Filter, deliver func(Delivery)) *Subscription {
	s := &Subscription{url: url, filters: slices.Clone(filters), deliver: deliver}
	err := p.use(purpose, url, func(c *conn) {
		s.conn = c
		c.subs = append(c.subs, s)
		if c.live != nil {
			c.greet = append(c.greet, s)
		}
	})
	if err != nil {
		deliver(Delivery{URL: url, Closed: "error: " + err.Error()})
	}
	return s
}

// Update replaces the filters and asks anew; the old request stands until the
// new one is out, so that nothing falls between.
func (s *Subscription) Update(filters []nostr.Filter) {
	if s.conn == nil {
		return
	}
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	s.filters = slices.Clone(filters)
	s.state, s.retried = unsent, false
	s.conn.wake()
}

// Close ends the subscription. A call of deliver may be under way; no other
// follows it.
func (s *Subscription) Close() {
	if s.conn == nil {
		return
	}
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	c.subs = slices.DeleteFunc(c.subs, func(x *Subscription) bool { return x == s })
	c.endRequest(s)
	c.wake()
}

// give calls deliver unless the subscription has been closed.
func (s *Subscription) give(d Delivery) {
	s.conn.mu.Lock()
	closed := s.closed
	s.conn.mu.Unlock()
	if !closed {
		d.URL = s.url
		s.deliver(d)
	}
}

// asks reports whether one of the filters matches.
func asks(filters []nostr.Filter, e *nostr.Event) bool {
	return slices.ContainsFunc(filters, func(f nostr.Filter) bool { return f.Matches(e) })
}
