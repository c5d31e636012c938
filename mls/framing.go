package mls

import (
	"encoding/binary"
	"fmt"

	"github.com/marmotgo/marmot/mls/internal/wire"
)

// WireFormat says what an MLSMessage holds (RFC 9420, Section 6).
type WireFormat uint16

// The wire formats.
const (
	WirePublicMessage  WireFormat = 1
	WirePrivateMessage WireFormat = 2
	WireWelcome        WireFormat = 3
	WireGroupInfo      WireFormat = 4
	WireKeyPackage     WireFormat = 5
)

// ContentType says what a framed message carries.
type ContentType uint8

// The content types.
const (
	ContentApplication ContentType = 1
	ContentProposal    ContentType = 2
	ContentCommit      ContentType = 3
)

// SenderType says in what role a message was sent.
type SenderType uint8

// The sender types.
const (
	SenderMember            SenderType = 1
	SenderExternal          SenderType = 2
	SenderNewMemberProposal SenderType = 3
	SenderNewMemberCommit   SenderType = 4
)

// Sender is who sent a message.
type Sender struct {
	Type SenderType
	Leaf LeafIndex // of a member, or the index of an external sender
}

func (s Sender) append(b []byte) []byte {
	b = append(b, byte(s.Type))
	if s.Type == SenderMember || s.Type == SenderExternal {
		b = binary.BigEndian.AppendUint32(b, uint32(s.Leaf))
	}
	return b
}

func decodeSender(r *wire.Reader) Sender {
	s := Sender{Type: SenderType(r.Uint8())}
	switch s.Type {
	case SenderMember, SenderExternal:
		s.Leaf = LeafIndex(r.Uint32())
	case SenderNewMemberProposal, SenderNewMemberCommit:
	default:
		r.Fail(fmt.Errorf("%w: sender type %d", ErrMalformed, s.Type))
	}
	return s
}

// signsContext reports whether the sender's signature covers the GroupContext
// (Section 6.1).
func (s Sender) signsContext() bool {
	return s.Type == SenderMember || s.Type == SenderNewMemberCommit
}

func appendMessageHeader(b []byte, f WireFormat) []byte {
	b = binary.BigEndian.AppendUint16(b, version10)
	return binary.BigEndian.AppendUint16(b, uint16(f))
}

// authenticatedContent is a FramedContent with its FramedContentAuthData. Its
// bytes are kept once, in the order in which every signature, tag and hash
// needs a part of them:
//
//	version | wire format | FramedContent | signature | confirmation tag
type authenticatedContent struct {
	raw          []byte
	bodyStart    int // content without its header
	contentEnd   int
	signatureEnd int

	groupID     []byte
	epoch       uint64
	sender      Sender
	aad         []byte
	contentType ContentType
	application []byte   // of ContentApplication
	proposal    Proposal // of ContentProposal
	commit      *commit  // of ContentCommit

	signature       []byte
	confirmationTag []byte // of ContentCommit

	padding int // zeros to be encrypted behind a private message
}

// appendContentHeader appends the FramedContent up to the content type.
func appendContentHeader(b, groupID []byte, epoch uint64, sender Sender, aad []byte, t ContentType) []byte {
	b = wire.AppendOpaque(b, groupID)
	b = binary.BigEndian.AppendUint64(b, epoch)
	b = sender.append(b)
	b = wire.AppendOpaque(b, aad)
	return append(b, byte(t))
}

// readContent reads the FramedContent and auth data that follow in r, whose
// input is raw from its first byte, into c.
func (x *Config) readContent(c *authenticatedContent, raw []byte, r *wire.Reader) {
	*c = authenticatedContent{groupID: r.Opaque(), epoch: r.Uint64(), sender: decodeSender(r), aad: r.Opaque(),
		contentType: ContentType(r.Uint8())}
	c.bodyStart = r.Offset()
	switch c.contentType {
	case ContentApplication:
		c.application = r.Opaque()
	case ContentProposal:
		c.proposal = x.decodeProposal(r)
	case ContentCommit:
		c.commit = x.decodeCommit(r)
	default:
		r.Fail(fmt.Errorf("%w: content type %d", ErrMalformed, c.contentType))
	}
	c.contentEnd = r.Offset()
	c.signature = r.Opaque()
	c.signatureEnd = r.Offset()
	if c.contentType == ContentCommit {
		c.confirmationTag = r.Opaque()
	}
	c.raw = raw[:r.Offset()]
}

// transcriptInput is the ConfirmedTranscriptHashInput (Section 8.2).
func (c *authenticatedContent) transcriptInput() []byte { return c.raw[2:c.signatureEnd] }

// verifySignature checks the signature over FramedContentTBS (Section 6.1). known may
// be nil.
func (c *authenticatedContent) verifySignature(s *cipherSuite, key, groupContext []byte, known *verifiedSignatures) error {
	signed := c.signedContent(groupContext)
	if known.take(key, signed, c.signature) || s.signature.Verify(key, signed, c.signature) {
		return nil
	}
	return ErrSignature
}

func (c *authenticatedContent) signedContent(groupContext []byte) []byte {
	if !c.sender.signsContext() {
		groupContext = nil
	}
	return signContent("FramedContentTBS", c.raw[:c.contentEnd], groupContext)
}

// membershipTag is the MAC over AuthenticatedContentTBM (Section 6.2).
func (c *authenticatedContent) membershipTag(s *cipherSuite, key, groupContext []byte) []byte {
	return s.mac(key, c.raw[:c.contentEnd], groupContext, c.raw[c.contentEnd:])
}

// proposalRef is the ProposalRef of a proposal (Section 5.2).
func (c *authenticatedContent) proposalRef(s *cipherSuite) ProposalRef {
	return ProposalRef(s.refHash("MLS 1.0 Proposal Reference", c.raw[2:]))
}

// commit is the content of a commit (Section 12.4). Its list is only scanned
// before the sender is known: a few bytes make a proposal whose decoded form
// takes many.
type commit struct {
	list  []byte // ProposalOrRef structs, one after the other
	count int
	path  *updatePath // nil: none
}

type proposalOrRef struct {
	proposal Proposal // nil: by reference
	ref      ProposalRef
}

const (
	proposalByValue     uint8 = 1
	proposalByReference uint8 = 2
)

func appendCommit(b []byte, proposals []proposalOrRef, path []byte) []byte {
	b = wire.AppendVector(b, func(b []byte) []byte {
		for _, p := range proposals {
			if p.proposal == nil {
				b = wire.AppendOpaque(append(b, proposalByReference), []byte(p.ref))
			} else {
				b = appendProposal(append(b, proposalByValue), p.proposal)
			}
		}
		return b
	})
	if path == nil {
		return append(b, 0)
	}
	return append(append(b, 1), path...)
}

func (x *Config) decodeCommit(r *wire.Reader) *commit {
	c := &commit{list: r.Opaque()}
	if c.count = x.scanProposals(r, c.list); r.Err() != nil {
		return nil
	}
	if r.Optional() {
		path, err := decodeUpdatePath(r)
		if err != nil {
			r.Fail(err)
			return nil
		}
		c.path = path
	}
	return c
}

// scanProposals counts the proposals of a list, the content of r's last vector,
// and checks that each has an end.
func (x *Config) scanProposals(r *wire.Reader, data []byte) (n int) {
	list := wire.NewReader(data)
	for ; !list.Empty(); n++ {
		if n == maxProposals {
			list.Fail(fmt.Errorf("%w: more than %d proposals", ErrMalformed, maxProposals))
		}
		switch kind := list.Uint8(); kind {
		case proposalByValue:
			x.scanProposal(list)
		case proposalByReference:
			if ref := list.Opaque(); list.Err() == nil && (len(ref) < minHashBytes || len(ref) > maxNh) {
				list.Fail(fmt.Errorf("%w: reference of %d bytes", ErrMalformed, len(ref)))
			}
		default:
			list.Fail(fmt.Errorf("%w: proposal kind %d", ErrMalformed, kind))
		}
	}
	if list.Err() != nil {
		r.Fail(list.Err())
	}
	return n
}

// proposals decodes the list, in order. Proposals and references are copies or
// alias the message as decodeProposal says.
func (x *Config) proposals(c *commit) ([]proposalOrRef, error) {
	r := wire.NewReader(c.list)
	list := make([]proposalOrRef, 0, c.count)
	for !r.Empty() {
		if r.Uint8() == proposalByValue {
			list = append(list, proposalOrRef{proposal: x.decodeProposal(r)})
		} else {
			list = append(list, proposalOrRef{ref: ProposalRef(r.Opaque())})
		}
	}
	return list, r.Finish()
}
