package nostr

import (
	"encoding/hex"
	"strconv"
)

// RelayMessage is what a relay sends (NIP-01, NIP-42, NIP-45). Which fields are
// set follows from Type.
type RelayMessage struct {
	Type  string // EVENT, OK, EOSE, CLOSED, NOTICE, AUTH, COUNT; others are noise
	SubID string // EVENT, EOSE, CLOSED, COUNT
	Event *Event // EVENT
	ID    ID     // OK: the event answered
	OK    bool   // OK: whether it was accepted
	Text  string // OK and CLOSED: reason; NOTICE: text; AUTH: challenge

	Count       uint64 // COUNT
	Approximate bool   // COUNT: the relay did not count to the end
}

// ClientMessage is what a client sends (NIP-01, NIP-42, NIP-45).
type ClientMessage struct {
	Type    string // EVENT, REQ, CLOSE, AUTH, COUNT
	SubID   string // REQ, CLOSE, COUNT
	Event   *Event // EVENT, AUTH
	Filters []Filter
}

// ParseRelayMessage reads one frame from a relay. A message of a type it does
// not know comes back with its Type alone. Elements after those NIP-01 names
// are passed over.
func ParseRelayMessage(b []byte) (RelayMessage, error) {
	var m RelayMessage
	s := newScanner(b)
	s.expect('[')
	m.Type = s.str()
	switch m.Type {
	case "EVENT":
		m.SubID = s.nextString()
		s.expect(',')
		m.Event = s.event()
	case "OK":
		s.expect(',')
		s.hex(m.ID[:])
		s.expect(',')
		m.OK = s.bool()
		m.Text = s.optionalString()
	case "EOSE":
		m.SubID = s.nextString()
	case "CLOSED":
		m.SubID = s.nextString()
		m.Text = s.optionalString()
	case "NOTICE", "AUTH":
		m.Text = s.nextString()
	case "COUNT":
		m.SubID = s.nextString()
		s.expect(',')
		s.count(&m)
	}
	s.rest()
	if err := s.end(); err != nil {
		return RelayMessage{}, err
	}
	return m, nil
}

// ParseClientMessage reads one frame from a client. Unlike a relay's, a message
// of unknown type is [ErrMalformed]. A subscription id has 1 to 64 bytes.
func ParseClientMessage(b []byte) (ClientMessage, error) {
	var m ClientMessage
	s := newScanner(b)
	s.expect('[')
	m.Type = s.str()
	switch m.Type {
	case "EVENT", "AUTH":
		s.expect(',')
		m.Event = s.event()
	case "REQ", "COUNT":
		m.SubID = s.subID()
		for s.accept(',') {
			m.Filters = append(m.Filters, s.filter())
		}
		if len(m.Filters) == 0 {
			s.fail("request without a filter")
		}
	case "CLOSE":
		m.SubID = s.subID()
	default:
		s.fail("unknown message")
	}
	s.expect(']')
	if err := s.end(); err != nil {
		return ClientMessage{}, err
	}
	return m, nil
}

// count reads the object of a COUNT answer. Other members, such as hll, are
// passed over.
func (s *scanner) count(m *RelayMessage) {
	s.object(func(key string) {
		switch key {
		case "count":
			m.Count = s.uint(MaxTimestamp)
		case "approximate":
			m.Approximate = s.bool()
		default:
			s.skip(1)
		}
	})
}

func (s *scanner) nextString() string {
	s.expect(',')
	return s.str()
}

// optionalString is for reasons, which some relays leave out.
func (s *scanner) optionalString() string {
	if !s.accept(',') {
		return ""
	}
	return s.str()
}

func (s *scanner) subID() string {
	id := s.nextString()
	if s.err == nil && (id == "" || len(id) > MaxSubID) {
		s.fail("subscription id has 1 to 64 characters")
	}
	return id
}

// rest passes over the remaining elements of an array and its end.
func (s *scanner) rest() {
	for s.accept(',') {
		s.skip(1)
	}
	s.expect(']')
}

// AppendJSON appends the message as a client sends it.
func (m *ClientMessage) AppendJSON(b []byte) []byte {
	b = appendString(append(b, '['), m.Type)
	if m.Event != nil {
		b = m.Event.AppendJSON(append(b, ','))
	}
	if m.SubID != "" {
		b = appendString(append(b, ','), m.SubID)
	}
	for i := range m.Filters {
		b = m.Filters[i].AppendJSON(append(b, ','))
	}
	return append(b, ']')
}

// AppendJSON appends the message as a relay sends it.
func (m *RelayMessage) AppendJSON(b []byte) []byte {
	b = appendString(append(b, '['), m.Type)
	if m.Type == "OK" {
		b = append(b, `,"`...)
		b = hex.AppendEncode(b, m.ID[:])
		b = append(b, `",`...)
		b = strconv.AppendBool(b, m.OK)
	}
	if m.Type == "EVENT" || m.Type == "EOSE" || m.Type == "CLOSED" || m.Type == "COUNT" {
		b = appendString(append(b, ','), m.SubID)
	}
	switch m.Type {
	case "EVENT":
		b = m.Event.AppendJSON(append(b, ','))
	case "COUNT":
		b = m.appendCount(append(b, ','))
	case "EOSE":
	default:
		b = appendString(append(b, ','), m.Text)
	}
	return append(b, ']')
}

func (m *RelayMessage) appendCount(b []byte) []byte {
	b = strconv.AppendUint(append(b, `{"count":`...), m.Count, 10)
	if m.Approximate {
		b = append(b, `,"approximate":true`...)
	}
	return append(b, '}')
}
