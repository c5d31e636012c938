package mls

import (
	"bytes"
	"fmt"

	"github.com/marmotgo/marmot/mls/internal/wire"
)

// Message is one decoded MLSMessage (RFC 9420, Section 6). Nothing in it is
// verified; see [Group.Verify], [Group.Unprotect] and [Join].
type Message struct {
	format     WireFormat
	raw        []byte
	public     *publicMessage
	private    *privateMessage
	welcome    *Welcome
	groupInfo  *GroupInfo
	keyPackage *KeyPackage
}

type publicMessage struct {
	content       *authenticatedContent
	membershipTag []byte // of a member's message
}

// DecodeMessage reads one MLSMessage and nothing after it. The message holds
// a copy of b. A commit or proposal of a type this package does not know gives
// [ErrUnsupportedProposal]; what else does not parse gives [ErrMalformed].
func DecodeMessage(b []byte) (*Message, error) { return decodeMessage(b, nil) }

func decodeMessage(b []byte, x *Config) (*Message, error) {
	if len(b) > maxMessageBytes {
		return nil, fmt.Errorf("%w: message of %d bytes", ErrMalformed, len(b))
	}
	// One object for both: readers of vectors refer to theirs.
	d := &struct {
		message Message
		reader  wire.Reader
	}{message: Message{raw: bytes.Clone(b)}}
	m, r := &d.message, &d.reader
	*r = *wire.NewReader(m.raw)
	if v := r.Uint16(); r.Err() == nil && v != version10 {
		return nil, fmt.Errorf("%w: %d", ErrUnsupportedVersion, v)
	}
	m.format = WireFormat(r.Uint16())
	switch m.format {
	case WirePublicMessage:
		m.public = x.readPublicMessage(m.raw, r)
	case WirePrivateMessage:
		m.private = readPrivateMessage(m.raw, r)
	case WireWelcome:
		m.welcome = readWelcome(r)
	case WireGroupInfo:
		m.groupInfo = x.readGroupInfo(r)
	case WireKeyPackage:
		m.keyPackage = x.readKeyPackage(r)
		if k := m.keyPackage; k != nil && k.Version != version10 {
			r.Fail(fmt.Errorf("%w: key package with %d", ErrUnsupportedVersion, k.Version))
		}
	default:
		r.Fail(fmt.Errorf("%w: wire format %d", ErrMalformed, m.format))
	}
	if err := r.Finish(); err != nil {
		return nil, fmt.Errorf("message: %w", err)
	}
	return m, nil
}

func (x *Config) readPublicMessage(raw []byte, r *wire.Reader) *publicMessage {
	p := &publicMessage{content: &authenticatedContent{}}
	x.readContent(p.content, raw, r)
	if p.content.sender.Type == SenderMember {
		p.membershipTag = r.Opaque()
	}
	return p
}

// WireFormat returns what the message holds.
func (m *Message) WireFormat() WireFormat { return m.format }

// GroupID returns the group of a PublicMessage or PrivateMessage, else nil.
func (m *Message) GroupID() []byte {
	switch {
	case m.public != nil:
		return bytes.Clone(m.public.content.groupID)
	case m.private != nil:
		return bytes.Clone(m.private.groupID)
	}
	return nil
}

// Epoch returns the epoch in which a PublicMessage or PrivateMessage was sent.
func (m *Message) Epoch() uint64 {
	switch {
	case m.public != nil:
		return m.public.content.epoch
	case m.private != nil:
		return m.private.epoch
	}
	return 0
}

// ContentType returns the content type of a PublicMessage or PrivateMessage,
// which both show in the clear, else 0.
func (m *Message) ContentType() ContentType {
	switch {
	case m.public != nil:
		return m.public.content.contentType
	case m.private != nil:
		return m.private.contentType
	}
	return 0
}

// Sender returns the sender that a PublicMessage claims, else a zero value.
func (m *Message) Sender() Sender {
	if m.public != nil {
		return m.public.content.sender
	}
	return Sender{}
}

// AAD returns the authenticated data of a PublicMessage or PrivateMessage.
func (m *Message) AAD() []byte {
	switch {
	case m.public != nil:
		return bytes.Clone(m.public.content.aad)
	case m.private != nil:
		return bytes.Clone(m.private.aad)
	}
	return nil
}

// Welcome returns the Welcome that the message holds.
func (m *Message) Welcome() (*Welcome, bool) { return m.welcome, m.welcome != nil }

// KeyPackage returns the KeyPackage that the message holds.
func (m *Message) KeyPackage() (*KeyPackage, bool) { return m.keyPackage, m.keyPackage != nil }

// GroupInfo returns the GroupInfo that the message holds.
func (m *Message) GroupInfo() (*GroupInfo, bool) { return m.groupInfo, m.groupInfo != nil }
