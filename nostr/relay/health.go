package relay

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/marmotgo/marmot/nostr"
)

// Health is how a relay has done, over all its connections. It names no event and
// no account.
type Health struct {
	URL        string        `json:"url"`                  // in normal form
	Answers    int           `json:"answers"`              // requests and events that it answered
	Failures   int           `json:"failures"`             // in a row, since its last answer
	Refused    int           `json:"refused"`              // answers that were a refusal
	Bad        int           `json:"bad"`                  // events that nobody signed or asked for
	Latency    time.Duration `json:"latency"`              // until it answers, smoothed; 0 when it never has
	LastAnswer time.Time     `json:"last_answer,omitzero"` //
	LastError  ErrorKind     `json:"last_error,omitempty"` // the last time it did not do what was asked
}

// Failing reports whether the relay did not answer the last time: nobody needs to
// wait for it while another one answers.
func (h *Health) Failing() bool { return h.Failures > 0 }

// ErrorKind says in a word what went wrong, without a text of the relay's.
type ErrorKind string

// The kinds of errors.
const (
	Unreachable   ErrorKind = "unreachable" // no connection
	TimedOut      ErrorKind = "timed_out"   // connected, and no answer in time
	Slow          ErrorKind = "slow"        // others had answered long before
	Lost          ErrorKind = "lost"        // the connection, before an answer
	RefusedKind   ErrorKind = "refused"     // it answered, and did not do it
	TooMuch       ErrorKind = "too_much"    // more than was asked for, or than one answer may have
	NotHonest     ErrorKind = "not_honest"  // events that nobody signed or asked for
	maxRemembered           = 256           // relays
)

// fairTime is what a relay has at least before not answering counts against it.
const fairTime = time.Second

// ledger is the health of all relays.
type ledger struct {
	mu  sync.Mutex
	of  map[string]*Health // by URL
	now func() time.Time
}

// note changes what is known of a relay.
func (l *ledger) note(url string, change func(*Health)) {
	url, err := nostr.NormalizeRelayURL(url)
	if err != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.of[url]
	if h == nil {
		if len(l.of) >= maxRemembered {
			l.forgetOne()
		}
		h = &Health{URL: url}
		l.of[url] = h
	}
	change(h)
}

// forgetOne forgets the relay that answered longest ago. It holds l.mu.
func (l *ledger) forgetOne() {
	oldest := ""
	for url, h := range l.of {
		if oldest == "" || h.LastAnswer.Before(l.of[oldest].LastAnswer) {
			oldest = url
		}
	}
	delete(l.of, oldest)
}

func (l *ledger) answered(url string, took time.Duration, refused bool) {
	l.note(url, func(h *Health) {
		h.Answers, h.Failures, h.LastAnswer = h.Answers+1, 0, l.now()
		if h.Latency == 0 {
			h.Latency = took
		}
		h.Latency += (took - h.Latency) / 4
		if refused {
			h.Refused, h.LastError = h.Refused+1, RefusedKind
		}
	})
}

func (l *ledger) failed(url string, kind ErrorKind) {
	l.note(url, func(h *Health) { h.Failures, h.LastError = h.Failures+1, kind })
}

// asked notes how a request ended that began at some time. One that its caller
// gave up says nothing.
func (l *ledger) asked(url string, began time.Time, err error) {
	switch {
	case err == nil:
		l.answered(url, time.Since(began), false)
	case errors.Is(err, ErrRefused):
		l.answered(url, time.Since(began), true)
	case errors.Is(err, ErrTooMany), errors.Is(err, ErrTooLarge):
		l.failed(url, TooMuch)
	case errors.Is(err, ErrDisconnected):
		l.failed(url, Lost)
	case errors.Is(err, context.DeadlineExceeded) && time.Since(began) > fairTime: // its caller's time may have been short
		l.failed(url, TimedOut)
	}
}

// Health returns what is known of the relays, sorted by URL.
func (p *Pool) Health() []Health {
	p.health.mu.Lock()
	defer p.health.mu.Unlock()
	out := make([]Health, 0, len(p.health.of))
	for _, h := range p.health.of {
		out = append(out, *h)
	}
	slices.SortFunc(out, func(a, b Health) int { return strings.Compare(a.URL, b.URL) })
	return out
}

// Remember takes over what an earlier pool knew.
func (p *Pool) Remember(all []Health) {
	for _, old := range all {
		p.health.note(old.URL, func(h *Health) { url := h.URL; *h = old; h.URL = url })
	}
}

// Failing reports whether the relay did not answer the last time. One that is not
// known is not failing.
func (p *Pool) Failing(url string) bool {
	url, err := nostr.NormalizeRelayURL(url)
	if err != nil {
		return true
	}
	p.health.mu.Lock()
	defer p.health.mu.Unlock()
	h := p.health.of[url]
	return h != nil && h.Failing()
}

// NoteSlow notes that the relay had not answered when others long had.
func (p *Pool) NoteSlow(url string) { p.health.failed(url, Slow) }

// NoteBad notes an event of the relay that nobody signed or asked for.
func (p *Pool) NoteBad(url string) {
	p.health.note(url, func(h *Health) { h.Bad, h.LastError = h.Bad+1, NotHonest })
}
