package relayd

import (
	"strings"
	"sync"
	"sync/atomic"
)

// Stats is what a [Server] does and has done since it was made: counts, nothing
// of what events say or who sent them.
type Stats struct {
	Conns, Subs  int              // at the moment
	Events       int              // stored
	Bytes        int64            // of their JSON
	Connected    uint64           // connections so far
	Turned       uint64           // connections refused: too many
	Frames       uint64           // received
	FrameBytes   uint64           // received
	Malformed    uint64           // frames that are no message
	Messages     map[string]int64 // received, by type: EVENT, REQ, COUNT, CLOSE, AUTH
	Answers      map[string]int64 // to EVENT: "accepted", or the prefix of the refusal
	Delivered    uint64           // events sent to subscribers
	RateLimited  uint64           // messages refused for their rate
	Slow         uint64           // clients disconnected because they did not keep up
	Dropped      uint64           // events dropped to make room
	FailedWrites uint64           // events that could not be stored
}

type counters struct {
	connected, turned, frames, frameBytes, malformed, delivered, limited, slow, dropped, failed atomic.Uint64

	mu                sync.Mutex
	messages, answers map[string]int64
}

// answerKinds are the prefixes of NIP-01 and NIP-42; others count as "other", so
// that nobody outside chooses what is counted.
var answerKinds = []string{"duplicate", "pow", "blocked", "rate-limited", "invalid", "restricted", "mute", "error", "auth-required"}

func (c *counters) message(typ string) { c.add(&c.messages, typ) }

func (c *counters) answer(ok bool, reason string) {
	kind := "other"
	if ok && reason == "" {
		kind = "accepted"
	}
	prefix, _, _ := strings.Cut(reason, ":")
	for _, k := range answerKinds {
		if k == prefix {
			kind = k
		}
	}
	c.add(&c.answers, kind)
}

func (c *counters) add(m *map[string]int64, key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if *m == nil {
		*m = map[string]int64{}
	}
	(*m)[key]++
}

// Stats returns the counts as they are now.
func (s *Server) Stats() Stats {
	c := &s.stats
	out := Stats{
		Connected: c.connected.Load(), Turned: c.turned.Load(), Frames: c.frames.Load(), FrameBytes: c.frameBytes.Load(),
		Malformed: c.malformed.Load(), Delivered: c.delivered.Load(), RateLimited: c.limited.Load(), Slow: c.slow.Load(),
		Dropped: c.dropped.Load(), FailedWrites: c.failed.Load(), Messages: map[string]int64{}, Answers: map[string]int64{},
	}
	c.mu.Lock()
	for k, n := range c.messages {
		out.Messages[k] = n
	}
	for k, n := range c.answers {
		out.Answers[k] = n
	}
	c.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	out.Conns = len(s.conns)
	out.Events, out.Bytes = s.store.Size()
	for conn := range s.conns {
		conn.mu.Lock()
		out.Subs += len(conn.subs)
		conn.mu.Unlock()
	}
	return out
}
