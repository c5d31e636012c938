package relayd

import (
	"strings"
	"time"

	"github.com/marmotgo/marmot/nostr"
)

// batchSize is how many events share one transaction of the store at most, and
// so one sync of its disk.
const batchSize = 128

// submission is an event on its way to the store.
type submission struct {
	event *nostr.Event
	done  func(accepted bool, reason string) // told once it is durable; must not wait

	fresh  bool
	reason string
}

// Add stores an event as if a client that may publish it had sent it, and tells
// subscribers. It reports the answer a client would get.
func (s *Server) Add(e *nostr.Event) (accepted bool, reason string) {
	type answer struct {
		accepted bool
		reason   string
	}
	answers := make(chan answer, 1)
	s.publish(e, func(nostr.PubKey) bool { return true }, func(ok bool, why string) { answers <- answer{ok, why} })
	a := <-answers
	return a.accepted, a.reason
}

// publish checks an event, and hands it over to be stored and passed on. It
// waits while much is under way, and done is called once, from any goroutine.
func (s *Server) publish(e *nostr.Event, authed func(nostr.PubKey) bool, done func(accepted bool, reason string)) {
	if reason := s.objection(e, authed); reason != "" {
		done(false, reason)
		return
	}
	s.closing.RLock()
	defer s.closing.RUnlock()
	if s.closed.Load() {
		done(false, "error: relay is stopping")
		return
	}
	s.incoming <- &submission{event: e, done: done}
}

// objection returns why an event is not taken, whatever is stored.
func (s *Server) objection(e *nostr.Event, authed func(nostr.PubKey) bool) string {
	switch {
	case e.Kind == nostr.KindAuth:
		return "invalid: an auth event is not published"
	case len(e.AppendJSON(nil)) > s.cfg.MaxEventSize:
		return "invalid: event is too large"
	case e.Verify() != nil:
		return "invalid: bad id or signature"
	case Expired(e, s.now()):
		return "invalid: event has expired"
	case nostr.Protected(e) && !authed(e.PubKey):
		return "auth-required: only its author may publish this event"
	}
	return ""
}

// sweepInterval is how often what has expired is dropped.
const sweepInterval = 10 * time.Minute

// keeper takes what was handed over, as many events at once as there are, until
// the server closes.
func (s *Server) keeper() {
	sweep := time.NewTicker(sweepInterval)
	defer sweep.Stop()
	for {
		select {
		case first, ok := <-s.incoming:
			if !ok {
				return
			}
			s.keepBatch(s.gather(first))
		case <-sweep.C:
			s.sweep()
		}
	}
}

// gather adds to first what has come meanwhile.
func (s *Server) gather(first *submission) []*submission {
	batch := []*submission{first}
	for len(batch) < batchSize {
		select {
		case next, ok := <-s.incoming:
			if !ok {
				return batch
			}
			batch = append(batch, next)
		default:
			return batch
		}
	}
	return batch
}

func (s *Server) sweep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.store.Batch(func() error { return s.dropExpired(s.now()) }); err != nil {
		s.cfg.Log.Error("expired events could not be dropped", "error", err)
	}
}

// keepBatch makes events durable, and only then passes them on and answers. A
// batch that cannot be stored is taken apart: one bad event spoils no other.
func (s *Server) keepBatch(batch []*submission) {
	s.mu.Lock()
	err := s.storeBatch(batch)
	if err == nil {
		for _, sub := range batch {
			if sub.fresh {
				s.broadcast(sub.event)
			}
		}
	}
	s.mu.Unlock()
	switch {
	case err == nil:
		for _, sub := range batch {
			accepted := sub.fresh || strings.HasPrefix(sub.reason, "duplicate:")
			sub.done(accepted, sub.reason)
		}
	case len(batch) == 1:
		s.stats.failed.Add(1)
		s.cfg.Log.Error("an event could not be stored", "error", err)
		batch[0].done(false, "error: the event could not be stored")
	default:
		for _, sub := range batch {
			s.keepBatch([]*submission{sub})
		}
	}
}

func (s *Server) storeBatch(batch []*submission) error {
	now := s.now()
	return s.store.Batch(func() error {
		for _, sub := range batch {
			if sub.event.Kind.Ephemeral() {
				sub.fresh, sub.reason = true, ""
				continue
			}
			var err error
			if sub.fresh, sub.reason, err = s.keep(sub.event, now); err != nil {
				return err
			}
		}
		return nil
	})
}

// broadcast hands e to the subscriptions it matches. It holds s.mu, so it
// never waits for a client: one that does not keep up is disconnected.
func (s *Server) broadcast(e *nostr.Event) {
	size := len(e.AppendJSON(nil))
	for c := range s.conns {
		c.offer(e, size)
	}
}
