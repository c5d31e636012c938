package relayd

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/marmotgo/marmot/nostr"
)

// Server is a relay. It is an [http.Handler] for its WebSocket and its NIP-11
// document.
type Server struct {
	cfg    Config
	faults faultState
	ctx    context.Context // ends with Close
	cancel context.CancelFunc

	mu     sync.Mutex // guards what follows
	events *store
	conns  map[*conn]bool
	closed bool
	wg     sync.WaitGroup // one for each connection
}

// New returns a relay that listens nowhere yet; see [Start].
func New(cfg Config) *Server {
	s := &Server{cfg: cfg.withDefaults(), conns: make(map[*conn]bool)}
	s.events = newStore(s.cfg.MaxEvents)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.SetFaults(cfg.Faults)
	return s
}

// Close ends all connections and waits for them.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.wg.Wait()
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
	return slices.Clone(s.events.order)
}

// Add stores an event as if a client that may publish it had sent it, and tells
// subscribers. It reports the answer a client would get.
func (s *Server) Add(e *nostr.Event) (accepted bool, reason string) {
	return s.publish(e, func(nostr.PubKey) bool { return true })
}

// publish checks, stores and passes on an event.
func (s *Server) publish(e *nostr.Event, authed func(nostr.PubKey) bool) (accepted bool, reason string) {
	now := s.now()
	switch {
	case e.Kind == nostr.KindAuth:
		return false, "invalid: an auth event is not published"
	case len(e.AppendJSON(nil)) > s.cfg.MaxEventSize:
		return false, "invalid: event is too large"
	case e.Verify() != nil:
		return false, "invalid: bad id or signature"
	case expired(e, now):
		return false, "invalid: event has expired"
	case nostr.Protected(e) && !authed(e.PubKey):
		return false, "auth-required: only its author may publish this event"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.Kind.Ephemeral() {
		s.broadcast(e)
		return true, ""
	}
	fresh, reason := s.events.add(e, now)
	if fresh {
		s.broadcast(e)
	}
	return fresh || strings.HasPrefix(reason, "duplicate:"), reason
}

// broadcast hands e to the subscriptions it matches. It holds s.mu, so it
// never waits for a client: one that does not keep up is disconnected.
func (s *Server) broadcast(e *nostr.Event) {
	for c := range s.conns {
		c.offer(e)
	}
}

func (s *Server) now() nostr.Timestamp { return nostr.Timestamp(s.cfg.Now().Unix()) }

// ServeHTTP answers a WebSocket handshake or a request for the NIP-11 document.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		s.serveDocument(w, r)
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
	if !s.enter(c) {
		ws.Close(websocket.StatusTryAgainLater, "no more connections")
		return
	}
	defer s.leave(c)
	c.run()
}

func (s *Server) enter(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.conns) >= s.cfg.MaxConns {
		return false
	}
	s.conns[c] = true
	s.wg.Add(1)
	return true
}

func (s *Server) leave(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.wg.Done()
}

// addresses are the relay URLs a NIP-42 answer on this connection may name.
func (s *Server) addresses(r *http.Request) []string {
	if s.cfg.URL != "" {
		return []string{s.cfg.URL}
	}
	return []string{"ws://" + r.Host + r.URL.Path, "wss://" + r.Host + r.URL.Path}
}

func (s *Server) serveDocument(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("Access-Control-Allow-Headers", "*")
	w.Header().Set("Access-Control-Allow-Methods", "GET, OPTIONS")
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if !strings.Contains(r.Header.Get("Accept"), "application/nostr+json") {
		fmt.Fprintln(w, s.cfg.Name+": a Nostr relay. Connect with a Nostr client.")
		return
	}
	w.Header().Set("Content-Type", "application/nostr+json")
	json.NewEncoder(w).Encode(map[string]any{
		"name":           s.cfg.Name,
		"description":    s.cfg.Description,
		"supported_nips": []int{1, 9, 11, 40, 42, 59, 70},
		"software":       "https://github.com/marmotgo/marmot",
		"limitation": map[string]any{
			"max_message_length": s.cfg.MaxFrame,
			"max_subscriptions":  s.cfg.MaxSubs,
			"max_subid_length":   nostr.MaxSubID,
			"max_limit":          s.cfg.MaxLimit,
			"default_limit":      s.cfg.MaxLimit,
			"auth_required":      s.cfg.RequireAuth,
			"payment_required":   false,
			"restricted_writes":  s.cfg.RequireAuth,
		},
	})
}

// Running is a [Server] that listens on an address.
type Running struct {
	*Server
	url  string
	http *http.Server
	done chan struct{}
}

// Start listens on addr and serves until Close. Without a host, as in ":0" for
// any free port, it listens on loopback only.
func Start(addr string, cfg Config) (*Running, error) {
	if strings.HasPrefix(addr, ":") {
		addr = "127.0.0.1" + addr
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("relayd: %w", err)
	}
	r := &Running{Server: New(cfg), url: "ws://" + l.Addr().String(), done: make(chan struct{})}
	r.http = &http.Server{Handler: r.Server, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		defer close(r.done)
		r.http.Serve(l)
	}()
	return r, nil
}

// URL returns the relay's address, such as ws://127.0.0.1:43210.
func (r *Running) URL() string { return r.url }

// Close stops listening, ends all connections and waits for them.
func (r *Running) Close() error {
	err := r.http.Close()
	<-r.done
	r.Server.Close()
	return err
}
