package relayd

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/marmotgo/marmot/nostr"
)

// closeGrace is how long Close waits for clients to take what was queued for
// them and to answer the close frame.
const closeGrace = time.Second

// Server is a relay. It is an [http.Handler] for its WebSocket, its NIP-11
// document and a page for people.
type Server struct {
	cfg    Config
	store  Store // guarded by mu
	faults faultState
	stats  counters
	ctx    context.Context // ends with Close, after closeGrace at the latest
	cancel context.CancelFunc

	closing  sync.RWMutex // held for reading while something is handed over
	closed   atomic.Bool
	incoming chan *submission
	kept     chan struct{} // closed when keeper is through

	mu      sync.Mutex // guards what follows, and the store
	conns   map[*conn]bool
	origins map[string]*origin
	wg      sync.WaitGroup // one for each connection
}

// New returns a relay that listens nowhere yet; see [Start]. Close ends it.
func New(cfg Config) *Server {
	s := &Server{
		cfg: cfg.withDefaults(), conns: make(map[*conn]bool), origins: make(map[string]*origin),
		incoming: make(chan *submission, 2*batchSize), kept: make(chan struct{}),
	}
	s.store = s.cfg.Store
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.SetFaults(cfg.Faults)
	go func() {
		defer close(s.kept)
		s.keeper()
	}()
	return s
}

// Close stores and answers what clients have sent, tells them that it goes, and
// returns when all connections have ended. It waits a second for a client that
// does not answer.
func (s *Server) Close() error {
	s.closing.Lock()
	first := s.closed.CompareAndSwap(false, true)
	s.closing.Unlock()
	if first {
		close(s.incoming)
	}
	<-s.kept
	s.mu.Lock()
	for c := range s.conns {
		c.finish()
	}
	s.mu.Unlock()
	grace := time.AfterFunc(closeGrace, s.cancel)
	defer grace.Stop()
	s.wg.Wait()
	s.cancel()
	return nil
}

// Disconnect ends all connections; clients may come back.
func (s *Server) Disconnect() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.cancel()
	}
}

// Conns returns how many clients are connected.
func (s *Server) Conns() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Events returns the stored events, newest first, the expired ones too. The
// slice is the caller's; the events are shared and must not be changed.
func (s *Server) Events() []*nostr.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	const all = 1<<31 - 1
	out, _, err := s.store.Query(&nostr.Filter{}, Scope{All: true}, all, all)
	if err != nil {
		s.cfg.Log.Error("the events could not be read", "error", err)
	}
	return out
}

func (s *Server) now() nostr.Timestamp { return nostr.Timestamp(s.cfg.Now().Unix()) }

// ServeHTTP answers a WebSocket handshake, a request for the NIP-11 document, or
// a browser.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		s.servePage(w, r)
		return
	}
	// A relay is for every web page: events prove themselves, and a login is the
	// client's signature, not a cookie. So the origin does not matter.
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return
	}
	ws.SetReadLimit(s.cfg.MaxFrame)
	c := newConn(s, ws, s.addresses(r))
	if !s.enter(c, s.addressOf(r)) {
		s.stats.turned.Add(1)
		ws.Close(websocket.StatusTryAgainLater, "no more connections")
		return
	}
	defer s.leave(c)
	s.stats.connected.Add(1)
	c.run()
}

func (s *Server) enter(c *conn, address string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.origins[address]
	if o == nil {
		o = &origin{}
	}
	if s.closed.Load() || len(s.conns) >= s.cfg.MaxConns || s.cfg.MaxConnsPerAddress > 0 && o.conns >= s.cfg.MaxConnsPerAddress {
		return false
	}
	s.forgetOrigins()
	o.conns++
	c.address, c.origin = address, o
	s.origins[address] = o
	s.conns[c] = true
	s.wg.Add(1)
	return true
}

func (s *Server) leave(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	c.origin.conns--
	s.wg.Done()
}

// maxOrigins is how many addresses are remembered before those without
// connections and debts are forgotten.
const maxOrigins = 10_000

// forgetOrigins holds s.mu. An address is remembered after it has left, or it
// could come back with a full bucket each time.
func (s *Server) forgetOrigins() {
	if len(s.origins) < maxOrigins {
		return
	}
	now := time.Now()
	for address, o := range s.origins {
		if o.conns == 0 && o.idle(now) {
			delete(s.origins, address)
		}
	}
	for address, o := range s.origins {
		if o.conns == 0 && len(s.origins) >= maxOrigins {
			delete(s.origins, address)
		}
	}
}

// addresses are the relay URLs a NIP-42 answer on this connection may name.
func (s *Server) addresses(r *http.Request) []string {
	if s.cfg.URL != "" {
		return []string{s.cfg.URL}
	}
	return []string{"ws://" + r.Host + r.URL.Path, "wss://" + r.Host + r.URL.Path}
}
