package relayd

import (
	"bytes"
	"cmp"
	"slices"
	"strconv"

	"github.com/marmotgo/marmot/nostr"
)

// Store keeps the events of a [Server], which knows the rules: what replaces,
// deletes and expires what. The server makes one call at a time. The events are
// shared and must not be changed.
type Store interface {
	// Batch runs f, whose writes are durable when Batch returns nil. After an
	// error none of them is there.
	Batch(f func() error) error

	// Event returns an event, nil without an error if there is none.
	Event(id nostr.ID) (*nostr.Event, error)
	// Current returns the event at an [Address], nil if there is none.
	Current(address string) (*nostr.Event, error)
	// Deleters returns who has asked to delete an event (NIP-09): the authors of
	// the stored kind 5 events that name its id.
	Deleters(id nostr.ID) ([]nostr.PubKey, error)
	// DeletedUntil returns the newest time of the stored kind 5 events of author
	// that name an address, 0 for none.
	DeletedUntil(author nostr.PubKey, address string) (nostr.Timestamp, error)

	// Insert keeps an event that is not there yet.
	Insert(e *nostr.Event) error
	// Remove forgets an event, if it is there.
	Remove(id nostr.ID) error
	// Expired returns up to limit events that [Expired] holds for.
	Expired(now nostr.Timestamp, limit int) ([]nostr.ID, error)
	// Oldest returns the oldest event that is neither a deletion nor has an
	// address, nil if there is none.
	Oldest() (*nostr.Event, error)

	// Query returns what a filter selects, newest first and the lower id first at
	// the same second, as far as s allows and up to limit events or maxBytes of
	// JSON, and how many bytes they have.
	Query(f *nostr.Filter, s Scope, limit, maxBytes int) ([]*nostr.Event, int, error)
	// Count returns how many events the filters select together, up to limit.
	Count(filters []nostr.Filter, s Scope, limit int) (int, error)
	// Size returns how many events are kept, and their bytes of JSON.
	Size() (events int, bytes int64)
}

// Scope is what a client may see: nothing that has expired, and only gift wraps
// that are addressed to one of its keys (NIP-59).
type Scope struct {
	Now     nostr.Timestamp
	Readers []nostr.PubKey
	All     bool // everything, for the relay itself
}

func (s *Scope) allows(e *nostr.Event) bool {
	return s.All || !Expired(e, s.Now) && mayRead(e, s.Readers)
}

// NewestFirst is the order of answers (NIP-01): the lower id first at the same
// second.
func NewestFirst(a, b *nostr.Event) int {
	return cmp.Or(cmp.Compare(b.CreatedAt, a.CreatedAt), bytes.Compare(a.ID[:], b.ID[:]))
}

// Address is the key under which one event replaces another, "" for none.
func Address(e *nostr.Event) string {
	switch {
	case e.Kind.Replaceable():
		return addressOf(e.Kind, e.PubKey.String(), "")
	case e.Kind.Addressable():
		d, _ := e.Tags.Find("d")
		return addressOf(e.Kind, e.PubKey.String(), d.Value())
	}
	return ""
}

func addressOf(kind nostr.Kind, pubkey, d string) string {
	return strconv.Itoa(int(kind)) + ":" + pubkey + ":" + d
}

// Expired is NIP-40. A deletion does not expire: what it deleted stays away.
func Expired(e *nostr.Event, now nostr.Timestamp) bool {
	at, ok := nostr.Expiration(e)
	return ok && at <= now && e.Kind != nostr.KindDeletion
}

// IsWrap reports whether the kind is a gift wrap, stored or ephemeral (NIP-59).
func IsWrap(k nostr.Kind) bool { return k == nostr.KindGiftWrap || k == 21059 }

// mayRead holds gift wraps back from all but their recipient (NIP-59).
func mayRead(e *nostr.Event, readers []nostr.PubKey) bool {
	return !IsWrap(e.Kind) || slices.ContainsFunc(readers, func(p nostr.PubKey) bool { return addressedTo(e, p) })
}

func addressedTo(e *nostr.Event, p nostr.PubKey) bool {
	for t := range e.Tags.All("p") {
		if t.Value() == p.String() {
			return true
		}
	}
	return false
}
