package relay

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/marmotgo/marmot/nostr"
)

// Pool owns the connections to relays and their goroutines.
type Pool struct {
	cfg    Config
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup
	health ledger

	mu     sync.Mutex // taken before a connection's
	conns  map[key]*conn
	limits map[string]int // NIP-11 max_limit by URL; see pageLimit
	closed bool
}

// key names a connection. The URL is in normal form.
type key struct {
	url     string
	purpose Purpose
}

// NewPool returns a pool without connections; they are made when needed.
func NewPool(cfg Config) *Pool {
	p := &Pool{cfg: cfg.withDefaults(), conns: make(map[key]*conn), limits: make(map[string]int)}
	p.health = ledger{of: make(map[string]*Health), now: p.cfg.Now}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// Close ends all connections and waits for their goroutines, so also for calls
// of deliver that are under way.
func (p *Pool) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.cancel()
	p.wg.Wait()
	return nil
}

// use runs do with the connection for purpose and url, made if there is none.
// Both under the pool's lock, so that an idle connection cannot retire between.
func (p *Pool) use(purpose Purpose, url string, do func(*conn)) error {
	normal, err := nostr.NormalizeRelayURL(url)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrClosed
	}
	k := key{normal, purpose}
	c := p.conns[k]
	if c == nil {
		c = newConn(p, k)
		p.conns[k] = c
		p.wg.Go(c.run)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	do(c)
	c.wake()
	return nil
}

// retire takes a connection that nobody uses out of the pool.
func (p *Pool) retire(c *conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.subs) > 0 || len(c.pubs) > 0 {
		return false
	}
	delete(p.conns, c.key)
	return true
}

// PublishResult is what became of one event at one relay.
type PublishResult struct {
	URL      string
	Accepted bool   // the relay said OK true; nothing else counts
	Reason   string // the message of the relay's OK
	Err      error  // no answer: [ErrClosed], a bad URL, or the context's error
}

// Publish sends e to one relay and waits for its OK, until ctx ends or for
// [Config.PublishTimeout]. When the connection breaks it sends again; when the
// relay wants a login, it logs in and sends once more.
func (p *Pool) Publish(ctx context.Context, purpose Purpose, url string, e *nostr.Event) PublishResult {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.PublishTimeout)
	defer cancel()
	m := nostr.ClientMessage{Type: "EVENT", Event: e}
	pub := &publication{id: e.ID, frame: m.AppendJSON(nil), done: make(chan okAnswer, 1)}
	var c *conn
	if err := p.use(purpose, url, func(conn *conn) { c = conn; c.pubs = append(c.pubs, pub) }); err != nil {
		return PublishResult{URL: url, Err: err}
	}
	began := time.Now()
	select {
	case a := <-pub.done:
		p.health.answered(url, time.Since(began), !a.ok)
		return PublishResult{URL: url, Accepted: a.ok, Reason: a.reason}
	case <-ctx.Done():
		c.dropPublication(pub)
		p.health.asked(url, began, ctx.Err())
		return PublishResult{URL: url, Err: ctx.Err()}
	case <-p.ctx.Done():
		return PublishResult{URL: url, Err: ErrClosed}
	}
}

// RelayStatus describes one connection.
type RelayStatus struct {
	URL           string // in normal form
	Purpose       Purpose
	Connected     bool
	Authenticated bool
	Since         time.Time // of being connected or not
	Attempts      int       // dials that failed since the last connection
	LastError     string    // of the last dial or connection
	Subscriptions int
	Publications  int // that wait for an OK
	Received      int // frames
	Malformed     int // frames dropped as malformed
	Unmatched     int // events dropped because no filter of theirs asked for them
	Notices       int
}

// dropped counts what came to nothing, of which nobody can say whom it was for.
func (st *RelayStatus) dropped() int { return st.Malformed + st.Unmatched }

// Status returns the connections, sorted by URL and purpose.
func (p *Pool) Status() []RelayStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]RelayStatus, 0, len(p.conns))
	for _, c := range p.conns {
		out = append(out, c.report())
	}
	slices.SortFunc(out, func(a, b RelayStatus) int {
		return strings.Compare(a.URL+" "+string(a.Purpose), b.URL+" "+string(b.Purpose))
	})
	return out
}
