// Package relayd is a Nostr relay that keeps its events in memory: for a
// laptop, a LAN and tests. It speaks NIP-01, 09, 11, 40, 42, 59 and 70. For
// tests it can be made to fail and to lie; see [Faults].
package relayd

import (
	"log/slog"
	"time"

	"github.com/marmotgo/marmot/nostr"
)

// Config sets up a [Server]. A zero field is its documented default.
type Config struct {
	// URL is the relay's public address, which NIP-42 answers must name. Without
	// it the host of the client's HTTP request counts, as ws or wss.
	URL string

	// RequireAuth refuses everything before the client has logged in (NIP-42).
	// Gift wraps need a login without it too: only their recipient reads them.
	RequireAuth bool

	// MaxEvents is how many events are kept; more are refused. Default 100,000.
	MaxEvents int
	// MaxEventSize is the longest event in bytes of JSON. Default 512 KiB.
	MaxEventSize int
	// MaxFrame is the longest frame in bytes. Default 1 MiB.
	MaxFrame int64
	// MaxLimit is the most stored events one filter is answered with. Default 500.
	MaxLimit int
	// MaxFilters is the most filters of one REQ. Default 20.
	MaxFilters int
	// MaxSubs is the most subscriptions of one connection. Default 200.
	MaxSubs int
	// MaxConns is the most connections. Default 1,000.
	MaxConns int

	Name, Description string           // for NIP-11
	Now               func() time.Time // default time.Now
	Log               *slog.Logger     // default: none
	Faults            Faults           // default: none; see [Server.SetFaults]
}

func (c Config) withDefaults() Config {
	setDefault(&c.MaxEvents, 100_000)
	setDefault(&c.MaxEventSize, 512<<10)
	setDefault(&c.MaxFrame, nostr.MaxEventSize)
	setDefault(&c.MaxLimit, 500)
	setDefault(&c.MaxFilters, 20)
	setDefault(&c.MaxSubs, 200)
	setDefault(&c.MaxConns, 1000)
	setDefault(&c.Name, "marmot relay")
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
