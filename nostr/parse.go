package nostr

import "slices"

// The members of an event as bits, to find which are missing or repeated.
const (
	hasID = 1 << iota
	hasPubKey
	hasCreatedAt
	hasKind
	hasTags
	hasContent
	hasSig

	rumorMembers = hasSig - 1
	eventMembers = rumorMembers | hasSig
)

// ParseEvent reads a signed event: all seven members with exactly their types,
// hex in lowercase, no member twice. Members it does not know are passed over.
// The id and the signature are not checked; see [Event.Verify].
func ParseEvent(b []byte) (*Event, error) {
	s := newScanner(b)
	e := s.event()
	if err := s.end(); err != nil {
		return nil, err
	}
	return e, nil
}

// ParseRumor reads an unsigned event that has exactly id, pubkey, created_at,
// kind, tags and content: no sig, no other member, none twice. The id must be
// the recomputed one, else [ErrBadID].
func ParseRumor(b []byte) (*Event, error) {
	s := newScanner(b)
	e, seen := s.members(rumorMembers, 0)
	if s.err == nil && seen != rumorMembers {
		s.fail("a rumor lacks a member")
	}
	if err := s.end(); err != nil {
		return nil, err
	}
	if e.ComputeID() != e.ID {
		return nil, ErrBadID
	}
	return e, nil
}

func (s *scanner) event() *Event {
	e, seen := s.members(eventMembers, maxUnknown)
	if s.err == nil && seen != eventMembers {
		s.fail("an event lacks a member")
	}
	return e
}

// members reads an object of the allowed members and at most unknown others.
func (s *scanner) members(allowed, unknown int) (e *Event, seen int) {
	e = new(Event)
	var others []string
	s.object(func(key string) {
		bit := memberBit(key) & allowed
		switch {
		case bit&seen != 0 || slices.Contains(others, key):
			s.fail("member given twice")
		case bit != 0:
			seen |= bit
			s.member(e, bit)
		case len(others) >= unknown:
			s.fail("unknown member")
		default:
			others = append(others, key)
			s.skip(1)
		}
	})
	return e, seen
}

func memberBit(key string) int {
	switch key {
	case "id":
		return hasID
	case "pubkey":
		return hasPubKey
	case "created_at":
		return hasCreatedAt
	case "kind":
		return hasKind
	case "tags":
		return hasTags
	case "content":
		return hasContent
	case "sig":
		return hasSig
	}
	return 0
}

func (s *scanner) member(e *Event, bit int) {
	switch bit {
	case hasID:
		s.hex(e.ID[:])
	case hasPubKey:
		s.hex(e.PubKey[:])
	case hasCreatedAt:
		e.CreatedAt = Timestamp(s.uint(MaxTimestamp))
	case hasKind:
		e.Kind = Kind(s.uint(MaxKind))
	case hasTags:
		e.Tags = Tags{}
		s.array(func() { e.Tags = append(e.Tags, s.strings()) })
	case hasContent:
		e.Content = s.str()
	case hasSig:
		s.hex(e.Sig[:])
	}
}

func (s *scanner) hex(dst []byte) {
	v := s.str()
	if s.err == nil && decodeHex(dst, v, "hex") != nil {
		s.fail("want lowercase hex of the right length")
	}
}

// strings reads an array of strings; the result is not nil.
func (s *scanner) strings() []string {
	list := []string{}
	s.array(func() { list = append(list, s.str()) })
	return list
}
