package relayd

import (
	"bytes"
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/marmotgo/marmot/nostr"
)

// store keeps events newest first, the lower id first at the same second, which
// is the order NIP-01 answers in. It is not safe for concurrent use.
type store struct {
	limit   int
	order   []*nostr.Event
	byID    map[nostr.ID]*nostr.Event
	current map[string]*nostr.Event // replaceable and addressable, by address

	// What kind 5 events asked to delete, so that it stays away (NIP-09).
	deletedIDs   map[nostr.ID][]nostr.PubKey
	deletedAddrs map[string]nostr.Timestamp
}

func newStore(limit int) *store {
	return &store{
		limit:        limit,
		byID:         make(map[nostr.ID]*nostr.Event),
		current:      make(map[string]*nostr.Event),
		deletedIDs:   make(map[nostr.ID][]nostr.PubKey),
		deletedAddrs: make(map[string]nostr.Timestamp),
	}
}

func newestFirst(a, b *nostr.Event) int {
	return cmp.Or(cmp.Compare(b.CreatedAt, a.CreatedAt), bytes.Compare(a.ID[:], b.ID[:]))
}

// address is the key under which one event replaces another, "" for none.
func address(e *nostr.Event) string {
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

// add keeps a verified event. What it returns is the reason of the OK message;
// fresh tells whether subscribers are to hear of the event.
func (s *store) add(e *nostr.Event, now nostr.Timestamp) (fresh bool, reason string) {
	if s.byID[e.ID] != nil {
		return false, "duplicate: already have this event"
	}
	if s.isDeleted(e) {
		return false, "blocked: deleted by its author"
	}
	addr := address(e)
	if old := s.current[addr]; addr != "" && old != nil {
		if newestFirst(old, e) < 0 {
			return false, "duplicate: have a newer event"
		}
		s.remove(old)
	}
	if len(s.order) >= s.limit {
		s.expire(now)
	}
	if len(s.order) >= s.limit {
		return false, "error: relay is full"
	}
	i, _ := slices.BinarySearchFunc(s.order, e, newestFirst)
	s.order = slices.Insert(s.order, i, e)
	s.byID[e.ID] = e
	if addr != "" {
		s.current[addr] = e
	}
	if e.Kind == nostr.KindDeletion {
		s.applyDeletion(e)
	}
	return true, ""
}

func (s *store) remove(e *nostr.Event) {
	if i, ok := slices.BinarySearchFunc(s.order, e, newestFirst); ok {
		s.order = slices.Delete(s.order, i, i+1)
	}
	delete(s.byID, e.ID)
	if addr := address(e); addr != "" && s.current[addr] == e {
		delete(s.current, addr)
	}
}

func (s *store) expire(now nostr.Timestamp) {
	for _, e := range slices.Clone(s.order) {
		if expired(e, now) {
			s.remove(e)
		}
	}
}

// expired is NIP-40. A deletion does not expire: what it deleted stays away, and
// so the memory for that is bounded by the events kept.
func expired(e *nostr.Event, now nostr.Timestamp) bool {
	at, ok := nostr.Expiration(e)
	return ok && at <= now && e.Kind != nostr.KindDeletion
}

// query returns what one filter selects, newest first, at most limit events.
func (s *store) query(f *nostr.Filter, limit int, visible func(*nostr.Event) bool) []*nostr.Event {
	if f.Limit != 0 {
		limit = min(limit, max(f.Limit, 0))
	}
	start := 0
	if f.Until != nil { // the first event that is not newer
		start, _ = slices.BinarySearchFunc(s.order, *f.Until, func(e *nostr.Event, t nostr.Timestamp) int {
			if e.CreatedAt > t {
				return -1
			}
			return 1
		})
	}
	var out []*nostr.Event
	for _, e := range s.order[start:] {
		if len(out) >= limit || f.Since != nil && e.CreatedAt < *f.Since {
			break
		}
		if f.Matches(e) && visible(e) {
			out = append(out, e)
		}
	}
	return out
}

// applyDeletion removes what a kind 5 event names and may delete: its author's
// own events, and gift wraps to its author (NIP-59). A deletion stays.
func (s *store) applyDeletion(del *nostr.Event) {
	for t := range del.Tags.All("e") {
		id, err := nostr.ParseID(t.Value())
		if err != nil || slices.Contains(s.deletedIDs[id], del.PubKey) {
			continue
		}
		s.deletedIDs[id] = append(s.deletedIDs[id], del.PubKey)
		if e := s.byID[id]; e != nil && s.isDeleted(e) {
			s.remove(e)
		}
	}
	for t := range del.Tags.All("a") {
		if parts := strings.SplitN(t.Value(), ":", 3); len(parts) != 3 || parts[1] != del.PubKey.String() {
			continue
		}
		s.deletedAddrs[t.Value()] = max(s.deletedAddrs[t.Value()], del.CreatedAt)
		if e := s.current[t.Value()]; e != nil && s.isDeleted(e) {
			s.remove(e)
		}
	}
}

func (s *store) isDeleted(e *nostr.Event) bool {
	if e.Kind == nostr.KindDeletion {
		return false
	}
	for _, by := range s.deletedIDs[e.ID] {
		if by == e.PubKey || isWrap(e.Kind) && addressedTo(e, by) {
			return true
		}
	}
	until, ok := s.deletedAddrs[address(e)]
	return ok && e.CreatedAt <= until
}

// isWrap reports whether the kind is a gift wrap, stored or ephemeral (NIP-59).
func isWrap(k nostr.Kind) bool { return k == nostr.KindGiftWrap || k == 21059 }

func addressedTo(e *nostr.Event, p nostr.PubKey) bool {
	for t := range e.Tags.All("p") {
		if t.Value() == p.String() {
			return true
		}
	}
	return false
}
