// Package relay keeps connections to Nostr relays: one for each relay and
// purpose, so that a login made for one purpose never covers another, and so
// that a slow relay delays nobody else.
//
// Ids and signatures of delivered events are not verified here; who keeps track
// of many relays does that once for each event id.
package relay

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/marmotgo/marmot/nostr"
)

// Errors of this package.
var (
	ErrClosed       = errors.New("relay: pool is closed")
	ErrDisconnected = errors.New("relay: connection was lost")
	ErrRefused      = errors.New("relay: subscription was refused")
	ErrTooMany      = errors.New("relay: more events than were asked for")
	ErrTooLarge     = errors.New("relay: more bytes than one answer may have")
)

// maxAnswer is the most bytes of frames that one REQ of a Fetch or Backfill may
// bring: 64 of the largest frames, or 500 events of 128 kB.
const maxAnswer = 64 << 20

// Purpose separates connections to the same relay. Callers may use their own,
// such as "inbox:" and an account's key.
type Purpose string

// The usual purposes.
const (
	PurposeGroup  Purpose = "group"  // group messages, under fresh keys
	PurposeInbox  Purpose = "inbox"  // an account's gift wraps, logged in
	PurposePublic Purpose = "public" // profiles, relay lists, KeyPackages
)

// Config sets up a [Pool]. A zero field is its documented default.
type Config struct {
	// Auth signs the answer to a relay's challenge (NIP-42), a kind 22242 event
	// with its tags and time set. It is called only after the relay refused
	// something with auth-required, in a goroutine of its own, and returns when
	// ctx ends. Nil, or an error, means no login.
	Auth func(ctx context.Context, purpose Purpose, ev *nostr.Event) error

	// Dial opens network connections, for a proxy say. Not used with HTTPClient.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// HTTPClient does the handshakes and reads NIP-11 documents. The default
	// follows no redirects: a relay does not choose who we talk to.
	HTTPClient *http.Client

	Log *slog.Logger // default: none

	BackoffMin, BackoffMax time.Duration // between attempts; default 1 s and 1 min
	DialTimeout            time.Duration // default 10 s
	WriteTimeout           time.Duration // of one frame; default 10 s
	PublishTimeout         time.Duration // of one Publish; default 12 s
	FetchTimeout           time.Duration // of one Fetch or page; default 15 s
	PingInterval           time.Duration // after silence; default 30 s
	IdleTimeout            time.Duration // of a connection without use; default 1 min

	MaxFrame int64 // longest frame in bytes; default 1 MiB
	PageSize int   // events asked for in one page of a Backfill; default 500
	MaxFetch int   // most events of one Fetch; default 5,000

	Now func() time.Time // of auth events and coverage; default time.Now

	answer int // for tests: in place of maxAnswer
}

func (c Config) withDefaults() Config {
	setDefault(&c.BackoffMin, time.Second)
	setDefault(&c.BackoffMax, time.Minute)
	setDefault(&c.DialTimeout, 10*time.Second)
	setDefault(&c.WriteTimeout, 10*time.Second)
	setDefault(&c.PublishTimeout, 12*time.Second)
	setDefault(&c.FetchTimeout, 15*time.Second)
	setDefault(&c.PingInterval, 30*time.Second)
	setDefault(&c.IdleTimeout, time.Minute)
	setDefault(&c.MaxFrame, nostr.MaxEventSize)
	setDefault(&c.PageSize, 500)
	setDefault(&c.MaxFetch, 5000)
	setDefault(&c.answer, maxAnswer)
	if c.HTTPClient == nil {
		c.HTTPClient = httpClient(c.Dial)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

func setDefault[T int | int64 | time.Duration](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}

func httpClient(dial func(context.Context, string, string) (net.Conn, error)) *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableKeepAlives = true // nothing of ours is left when a pool closes
	if dial != nil {
		transport.DialContext, transport.Proxy = dial, nil
	}
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
