package relayd

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"
)

const (
	// maxWait is the longest that a message over the rate waits to be read.
	maxWait = 2 * time.Second
	// burst is for how long a limit can be saved up, and for one message at least.
	burst = 5 * time.Second
)

// bucket lets rate messages a second through, and more after a silence. The
// zero value is full. It is safe for concurrent use.
type bucket struct {
	mu   sync.Mutex
	free time.Time // when the bucket is full again
}

// take returns how long the next message has to wait; false when that is too
// long, and then the message does not count.
func (b *bucket) take(rate float64, now time.Time) (time.Duration, bool) {
	if rate <= 0 {
		return 0, true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	free := b.free
	if free.Before(now) {
		free = now
	}
	each := time.Duration(float64(time.Second) / rate)
	free = free.Add(each)
	wait := free.Sub(now) - max(burst, each)
	if wait > maxWait {
		return 0, false
	}
	b.free = free
	return max(wait, 0), true
}

// idle reports whether nothing of the bucket is used.
func (b *bucket) idle(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.free.After(now)
}

// origin is what connections of one address share.
type origin struct {
	bucket
	conns int // guarded by the server's mu
}

// addressOf is where a client counts as coming from: an IPv4 address, or the
// /64 that one subscriber of IPv6 has to themselves.
func (s *Server) addressOf(r *http.Request) string {
	text := r.RemoteAddr
	if host, _, err := net.SplitHostPort(text); err == nil {
		text = host
	}
	if s.cfg.BehindProxy {
		all := r.Header.Values("X-Forwarded-For")
		list := strings.Split(strings.Join(all, ","), ",")
		if last := strings.TrimSpace(list[len(list)-1]); last != "" {
			text = last
		}
	}
	ip, err := netip.ParseAddr(text)
	if err != nil {
		return ""
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is6() {
		if p, err := ip.Prefix(64); err == nil {
			return p.String()
		}
	}
	return ip.String()
}

// throttle waits for the client's turn. It reports false when the message is
// over the limits.
func (c *conn) throttle() bool {
	now := time.Now()
	wait, ok := c.rate.take(c.server.cfg.ConnRate, now)
	if ok {
		var other time.Duration
		other, ok = c.origin.take(c.server.cfg.AddressRate, now)
		wait = max(wait, other)
	}
	if !ok {
		wait = maxWait / 2 // or being refused would be the faster way
		c.server.stats.limited.Add(1)
	}
	c.sleep(wait)
	return ok
}
