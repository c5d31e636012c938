// Package nostr holds the values of Nostr: events, keys, filters, relay
// messages and the NIPs that Marmot needs. It does no I/O, reads no clock and
// starts no goroutine; its one ambient input is crypto/rand.
//
// Everything that parses takes bytes from strangers: it returns an error that
// wraps [ErrMalformed] or another sentinel of this package, never panics, and
// uses memory in proportion to its input.
package nostr
