package nostr

import (
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
)

// Filter selects events (NIP-01). A nil list is no condition, an empty one that
// is not nil matches nothing. Tags has the single letters without '#'. Limit
// is the most stored events wanted: 0 for no limit, negative for none at all
// (limit 0 on the wire), which asks for new events only.
type Filter struct {
	IDs          []ID
	Authors      []PubKey
	Kinds        []Kind
	Tags         map[string][]string
	Since, Until *Timestamp
	Limit        int
}

// Matches reports whether e meets every condition of the filter; Limit is none.
func (f *Filter) Matches(e *Event) bool {
	switch {
	case f.IDs != nil && !slices.Contains(f.IDs, e.ID),
		f.Authors != nil && !slices.Contains(f.Authors, e.PubKey),
		f.Kinds != nil && !slices.Contains(f.Kinds, e.Kind),
		f.Since != nil && e.CreatedAt < *f.Since,
		f.Until != nil && e.CreatedAt > *f.Until:
		return false
	}
	for name, values := range f.Tags {
		if !hasValue(e.Tags, name, values) {
			return false
		}
	}
	return true
}

func hasValue(tags Tags, name string, values []string) bool {
	for t := range tags.All(name) {
		if len(t) > 1 && slices.Contains(values, t[1]) {
			return true
		}
	}
	return false
}

// MarshalJSON writes the filter as NIP-01 does, in a fixed order.
func (f Filter) MarshalJSON() ([]byte, error) { return f.AppendJSON(nil), nil }

// AppendJSON appends what [Filter.MarshalJSON] returns.
func (f *Filter) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	start := len(b)
	key := func(k string) {
		if len(b) > start {
			b = append(b, ',')
		}
		b = append(appendString(b, k), ':')
	}
	if f.IDs != nil {
		key("ids")
		b = appendHexList(b, f.IDs)
	}
	if f.Authors != nil {
		key("authors")
		b = appendHexList(b, f.Authors)
	}
	if f.Kinds != nil {
		key("kinds")
		b = appendKinds(b, f.Kinds)
	}
	for _, name := range slices.Sorted(maps.Keys(f.Tags)) {
		key("#" + name)
		b = appendStrings(b, f.Tags[name])
	}
	if f.Since != nil {
		key("since")
		b = strconv.AppendInt(b, int64(*f.Since), 10)
	}
	if f.Until != nil {
		key("until")
		b = strconv.AppendInt(b, int64(*f.Until), 10)
	}
	if f.Limit != 0 {
		key("limit")
		b = strconv.AppendInt(b, int64(max(f.Limit, 0)), 10)
	}
	return append(b, '}')
}

func appendHexList[T ID | PubKey](b []byte, list []T) []byte {
	b = append(b, '[')
	for i, v := range list {
		if i > 0 {
			b = append(b, ',')
		}
		raw := [32]byte(v)
		b = append(b, '"')
		b = hex.AppendEncode(b, raw[:])
		b = append(b, '"')
	}
	return append(b, ']')
}

func appendKinds(b []byte, kinds []Kind) []byte {
	b = append(b, '[')
	for i, k := range kinds {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(k), 10)
	}
	return append(b, ']')
}

// UnmarshalJSON reads a filter strictly: no member twice, none unknown, and the
// values of ids, authors, #e and #p 64 lowercase hex digits.
func (f *Filter) UnmarshalJSON(b []byte) error {
	s := newScanner(b)
	got := s.filter()
	if err := s.end(); err != nil {
		return err
	}
	*f = got
	return nil
}

func (s *scanner) filter() (f Filter) {
	seen := make(map[string]bool)
	s.object(func(key string) {
		if seen[key] {
			s.fail("member given twice")
			return
		}
		seen[key] = true
		s.filterMember(&f, key)
	})
	return f
}

func (s *scanner) filterMember(f *Filter, key string) {
	switch key {
	case "ids":
		f.IDs = []ID{}
		s.array(func() {
			var id ID
			s.hex(id[:])
			f.IDs = append(f.IDs, id)
		})
	case "authors":
		f.Authors = []PubKey{}
		s.array(func() {
			var p PubKey
			s.hex(p[:])
			f.Authors = append(f.Authors, p)
		})
	case "kinds":
		f.Kinds = []Kind{}
		s.array(func() { f.Kinds = append(f.Kinds, Kind(s.uint(MaxKind))) })
	case "since":
		t := Timestamp(s.uint(MaxTimestamp))
		f.Since = &t
	case "until":
		t := Timestamp(s.uint(MaxTimestamp))
		f.Until = &t
	case "limit":
		if f.Limit = int(s.uint(1<<31 - 1)); f.Limit == 0 {
			f.Limit = -1
		}
	default:
		s.filterTag(f, key)
	}
}

func (s *scanner) filterTag(f *Filter, key string) {
	if len(key) != 2 || key[0] != '#' || !isLetter(key[1]) {
		s.fail("unknown member of a filter")
		return
	}
	name := key[1:]
	values := []string{}
	s.array(func() {
		v := s.str()
		var id ID
		if (name == "e" || name == "p") && decodeHex(id[:], v, name) != nil {
			s.fail("#e and #p want lowercase hex")
		}
		values = append(values, v)
	})
	if f.Tags == nil {
		f.Tags = make(map[string][]string)
	}
	f.Tags[name] = values
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
