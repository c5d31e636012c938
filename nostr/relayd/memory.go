package relayd

import (
	"iter"
	"slices"

	"github.com/marmotgo/marmot/nostr"
)

// memory is a [Store] that ends with the process.
type memory struct {
	order   []*nostr.Event // newest first
	byID    map[nostr.ID]*nostr.Event
	index   index
	current map[string]*nostr.Event // replaceable and addressable, by address
	bytes   int64

	// What kind 5 events name.
	deletedIDs   map[nostr.ID][]nostr.PubKey
	deletedAddrs map[deletedAddr]nostr.Timestamp
}

type deletedAddr struct {
	author  nostr.PubKey
	address string
}

func newMemory() *memory {
	return &memory{
		byID:         make(map[nostr.ID]*nostr.Event),
		index:        make(index),
		current:      make(map[string]*nostr.Event),
		deletedIDs:   make(map[nostr.ID][]nostr.PubKey),
		deletedAddrs: make(map[deletedAddr]nostr.Timestamp),
	}
}

func (m *memory) Batch(f func() error) error { return f() }

func (m *memory) Event(id nostr.ID) (*nostr.Event, error) { return m.byID[id], nil }

func (m *memory) Current(address string) (*nostr.Event, error) { return m.current[address], nil }

func (m *memory) Deleters(id nostr.ID) ([]nostr.PubKey, error) { return m.deletedIDs[id], nil }

func (m *memory) DeletedUntil(author nostr.PubKey, address string) (nostr.Timestamp, error) {
	return m.deletedAddrs[deletedAddr{author, address}], nil
}

func (m *memory) Size() (events int, bytes int64) { return len(m.order), m.bytes }

func (m *memory) Insert(e *nostr.Event) error {
	m.order = inserted(m.order, e)
	m.index.add(e)
	m.byID[e.ID] = e
	m.bytes += int64(len(e.AppendJSON(nil)))
	if addr := Address(e); addr != "" {
		m.current[addr] = e
	}
	if e.Kind == nostr.KindDeletion {
		m.noteDeletion(e)
	}
	return nil
}

func (m *memory) noteDeletion(e *nostr.Event) {
	for t := range e.Tags.All("e") {
		if id, err := nostr.ParseID(t.Value()); err == nil && !slices.Contains(m.deletedIDs[id], e.PubKey) {
			m.deletedIDs[id] = append(m.deletedIDs[id], e.PubKey)
		}
	}
	for t := range e.Tags.All("a") {
		k := deletedAddr{e.PubKey, t.Value()}
		m.deletedAddrs[k] = max(m.deletedAddrs[k], e.CreatedAt)
	}
}

func (m *memory) Remove(id nostr.ID) error {
	e := m.byID[id]
	if e == nil {
		return nil
	}
	m.order = removed(m.order, e)
	m.index.remove(e)
	delete(m.byID, id)
	m.bytes -= int64(len(e.AppendJSON(nil)))
	if addr := Address(e); addr != "" && m.current[addr] == e {
		delete(m.current, addr)
	}
	return nil
}

func (m *memory) Expired(now nostr.Timestamp, limit int) (out []nostr.ID, err error) {
	for _, e := range m.order {
		if len(out) < limit && Expired(e, now) {
			out = append(out, e.ID)
		}
	}
	return out, nil
}

func (m *memory) Oldest() (*nostr.Event, error) {
	for _, e := range slices.Backward(m.order) {
		if e.Kind != nostr.KindDeletion && Address(e) == "" {
			return e, nil
		}
	}
	return nil, nil
}

func (m *memory) Query(f *nostr.Filter, s Scope, limit, maxBytes int) (out []*nostr.Event, size int, err error) {
	for e := range m.candidates(f) {
		if len(out) >= limit || f.Since != nil && e.CreatedAt < *f.Since {
			break
		}
		if !f.Matches(e) || !s.allows(e) {
			continue
		}
		n := len(e.AppendJSON(nil))
		if len(out) > 0 && size+n > maxBytes {
			break
		}
		out, size = append(out, e), size+n
	}
	return out, size, nil
}

// candidates are events among which all that a filter selects is, newest first. None
// is newer than it wants.
func (m *memory) candidates(f *nostr.Filter) iter.Seq[*nostr.Event] {
	var lists [][]*nostr.Event
	if f.IDs != nil {
		for _, id := range f.IDs {
			if e := m.byID[id]; e != nil {
				lists = append(lists, []*nostr.Event{e})
			}
		}
	} else if lists = m.index.lists(f); lists == nil {
		lists = [][]*nostr.Event{m.order}
	}
	for i, l := range lists {
		lists[i] = l[start(l, f):]
	}
	return merged(lists)
}

// start is the place of the first event that is not newer than the filter wants.
func start(list []*nostr.Event, f *nostr.Filter) int {
	if f.Until == nil {
		return 0
	}
	i, _ := slices.BinarySearchFunc(list, *f.Until, func(e *nostr.Event, t nostr.Timestamp) int {
		if e.CreatedAt > t {
			return -1
		}
		return 1
	})
	return i
}

func (m *memory) Count(filters []nostr.Filter, s Scope, limit int) (n int, err error) {
	seen := map[nostr.ID]bool{}
	for i := range filters {
		f := &filters[i]
		for e := range m.candidates(f) {
			if len(seen) >= limit || f.Since != nil && e.CreatedAt < *f.Since {
				break
			}
			if f.Matches(e) && s.allows(e) {
				seen[e.ID] = true
			}
		}
	}
	return len(seen), nil
}
