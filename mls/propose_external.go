package mls

import (
	"bytes"
	"crypto"
	"fmt"

	"github.com/marmotgo/marmot/mls/internal/wire"
)

// ExternalSender may send proposals to a group without being a member (RFC
// 9420, Section 12.1.8.1).
type ExternalSender struct {
	SignatureKey []byte // as the suite encodes it
	Credential   Credential
}

// ExternalSenders is the content of the external_senders extension. Their
// order gives each its index.
type ExternalSenders []ExternalSender

// Append appends the extension's data to b.
func (e ExternalSenders) Append(b []byte) []byte {
	return wire.AppendVector(b, func(b []byte) []byte {
		for _, s := range e {
			b = s.Credential.append(wire.AppendOpaque(b, s.SignatureKey))
		}
		return b
	})
}

// DecodeExternalSenders reads the extension's data and nothing after it. The
// result holds copies. The error is [ErrMalformed].
func DecodeExternalSenders(b []byte) (ExternalSenders, error) {
	r := wire.NewReader(bytes.Clone(b))
	senders := decodeExternalSenders(r)
	return senders, r.Finish()
}

func decodeExternalSenders(r *wire.Reader) ExternalSenders {
	list := r.Vector()
	var senders ExternalSenders
	for !list.Empty() {
		s := ExternalSender{SignatureKey: list.Opaque(), Credential: decodeCredential(list)}
		if len(s.SignatureKey) > maxKeyBytes {
			r.Fail(fmt.Errorf("%w: key of %d bytes", ErrMalformed, len(s.SignatureKey)))
		}
		senders = append(senders, s)
	}
	return senders
}

// ProposeExternal returns an MLSMessage with a proposal of somebody outside the
// group (Section 12.1.8). Either signer's key is in the external_senders
// extension of context; or p is an [Add] of signer's own KeyPackage, by which a
// client asks to be let in. context is the current one of the group, as a
// GroupInfo shows it. aad may be nil, and so may config. The members pass the
// message through [Group.Verify]. The error is [ErrInvalidConfig], or
// [ErrInvalidProposals] for a type that the sender may not propose.
func ProposeExternal(signer crypto.Signer, context *GroupContext, p Proposal, aad []byte, config *Config) ([]byte, error) {
	s, err := config.suiteOf(context.Suite)
	if err != nil {
		return nil, err
	}
	if err := config.encodable(p); err != nil {
		return nil, err
	}
	c := &authenticatedContent{proposal: p}
	if c.sender, err = outsider(s, signer, context, p); err != nil {
		return nil, err
	}
	if err := config.checkProposer(WirePublicMessage, c); err != nil {
		return nil, err
	}
	if aad, err = context.ownAAD(aad); err != nil {
		return nil, err
	}
	b := appendMessageHeader(nil, WirePublicMessage)
	b = appendContentHeader(b, context.GroupID, context.Epoch, c.sender, aad, ContentProposal)
	b = appendProposal(b, p)
	// The signature of an outsider does not cover the GroupContext.
	sig, err := s.signParts(signer, "FramedContentTBS", b)
	if err != nil {
		return nil, err
	}
	return wire.AppendOpaque(b, sig), nil
}

// outsider returns as whom signer may propose p.
func outsider(s *cipherSuite, signer crypto.Signer, context *GroupContext, p Proposal) (Sender, error) {
	pub, err := s.signaturePublicKey(signer)
	if err != nil {
		return Sender{}, err
	}
	data, _ := context.Extensions.Find(ExtExternalSenders)
	for i, e := range decodeExternalSenders(wire.NewReader(data)) {
		if bytes.Equal(e.SignatureKey, pub) {
			return Sender{Type: SenderExternal, Leaf: LeafIndex(i)}, nil
		}
	}
	if add, ok := p.(Add); ok && bytes.Equal(add.KeyPackage.Leaf.SignatureKey, pub) {
		return Sender{Type: SenderNewMemberProposal}, nil
	}
	return Sender{}, fmt.Errorf("%w: signer is no external sender", ErrInvalidConfig)
}
