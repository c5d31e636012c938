// Package relayd is a Nostr relay for a laptop, a LAN, a small server and tests.
// It speaks NIP-01, 09, 11, 40, 42, 45, 59 and 70, and keeps its events in
// memory or in a [Store] on disk. For tests it can be made to fail and to lie;
// see [Faults].
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

	// Store keeps the events. It stays the caller's, who closes it after the
	// server. Default: memory.
	Store Store

	// RequireAuth refuses everything before the client has logged in (NIP-42).
	// Gift wraps need a login without it too: only their recipient reads them.
	RequireAuth bool

	// MaxEvents and MaxBytes are how many events and bytes of JSON are kept. A
	// full relay drops what has expired, then refuses new events, or with
	// DropOldest drops its oldest ones. Default 100,000 and 1 GiB.
	MaxEvents  int
	MaxBytes   int64
	DropOldest bool

	// MaxEventSize is the longest event in bytes of JSON. Default 512 KiB.
	MaxEventSize int
	// MaxFrame is the longest frame in bytes. Default 1 MiB.
	MaxFrame int64
	// MaxLimit is the most stored events one filter is answered with. Default 5,000:
	// what a busy group has in one second fits, and NIP-01 cannot ask for less at once.
	MaxLimit int
	// MaxAnswer is the most bytes of stored events one REQ is answered with, if
	// that is more than one event. Default 32 MiB.
	MaxAnswer int
	// MaxCount is how far a COUNT counts. Default 100,000.
	MaxCount int
	// MaxFilters is the most filters of one REQ. Default 20.
	MaxFilters int
	// MaxValues is the most values in the lists of one filter. Default 5,000.
	MaxValues int
	// MaxSubs is the most subscriptions of one connection, and MaxSubBytes what
	// their requests may have in bytes, all together. Default 200 and 2 MiB.
	MaxSubs     int
	MaxSubBytes int
	// MaxConns is the most connections, MaxConnsPerAddress of one address.
	// Default 1,000; 0 for no limit of an address.
	MaxConns, MaxConnsPerAddress int

	// ConnRate and AddressRate limit the messages of one connection and of all
	// connections of one address, in messages a second. Who sends more is read
	// more slowly; what would wait longer than two seconds is refused as
	// rate-limited. Default 0: no limit.
	ConnRate, AddressRate float64
	// BehindProxy takes a client's address from the last X-Forwarded-For entry.
	// Only for a relay that nobody reaches but through the proxy.
	BehindProxy bool

	Name, Description string           // for NIP-11
	Now               func() time.Time // default time.Now
	Log               *slog.Logger     // default: none
	Faults            Faults           // default: none; see [Server.SetFaults]
}

func (c Config) withDefaults() Config {
	setDefault(&c.MaxEvents, 100_000)
	setDefault(&c.MaxBytes, 1<<30)
	setDefault(&c.MaxEventSize, 512<<10)
	setDefault(&c.MaxFrame, nostr.MaxEventSize)
	setDefault(&c.MaxLimit, 5000)
	setDefault(&c.MaxAnswer, 32<<20)
	setDefault(&c.MaxCount, 100_000)
	setDefault(&c.MaxFilters, 20)
	setDefault(&c.MaxValues, 5000)
	setDefault(&c.MaxSubs, 200)
	setDefault(&c.MaxSubBytes, 2<<20)
	setDefault(&c.MaxConns, 1000)
	setDefault(&c.Name, "marmot relay")
	if c.Store == nil {
		c.Store = newMemory()
	}
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
