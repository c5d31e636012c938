package mls

import (
	"bytes"
	"crypto"
	"fmt"
	"iter"

	"github.com/marmotgo/marmot/mls/internal/wire"
)

// ExternalSender may send proposals without being a member (RFC 9420, Section
// 12.1.8.1). The external_senders extension of the GroupContext lists them.
type ExternalSender struct {
	SignatureKey []byte // as the suite encodes it
	Credential   Credential
}

// Append appends the encoding of one ExternalSender to b.
func (s ExternalSender) Append(b []byte) []byte {
	return s.Credential.append(wire.AppendOpaque(b, s.SignatureKey))
}

// AppendExternalSenders appends the content of an external_senders extension.
func AppendExternalSenders(b []byte, senders []ExternalSender) []byte {
	return wire.AppendVector(b, func(b []byte) []byte {
		for _, s := range senders {
			b = s.Append(b)
		}
		return b
	})
}

// DecodeExternalSenders reads the content of an external_senders extension.
// The result aliases data.
func DecodeExternalSenders(data []byte) ([]ExternalSender, error) {
	r := wire.NewReader(data)
	senders := readExternalSenders(r)
	return senders, r.Finish()
}

func readExternalSenders(r *wire.Reader) []ExternalSender {
	list := r.Vector()
	var senders []ExternalSender
	for !list.Empty() {
		s := ExternalSender{SignatureKey: list.Opaque(), Credential: decodeCredential(list)}
		checkKeySize(list, s.SignatureKey)
		senders = append(senders, s)
	}
	return senders
}

func (c *GroupContext) externalSenders() []ExternalSender {
	data, ok := c.Extensions.Find(ExtExternalSenders)
	if !ok {
		return nil
	}
	senders, err := DecodeExternalSenders(data)
	if err != nil {
		panic("mls: unchecked external_senders")
	}
	return senders
}

// ProposeExternal returns an MLSMessage with a proposal to the group and epoch
// of info by one of its external senders, the one whose key is signer's. It is
// always a PublicMessage. info is taken as it is: whether it is the group's is
// the caller's trust.
func ProposeExternal(info *GroupInfo, signer crypto.Signer, p Proposal, aad []byte) ([]byte, error) {
	g, pub, err := outside(info, signer)
	if err != nil {
		return nil, err
	}
	for i, s := range info.Context.externalSenders() {
		if bytes.Equal(s.SignatureKey, pub) {
			return g.proposeOutside(Sender{Type: SenderExternal, Leaf: LeafIndex(i)}, signer, p, aad)
		}
	}
	return nil, fmt.Errorf("%w: signer is no external sender of the group", ErrInvalidConfig)
}

// ProposeJoin returns an MLSMessage, a PublicMessage, in which the owner of kp
// asks to be added to the group and epoch of info. signer is kp's.
func ProposeJoin(info *GroupInfo, signer crypto.Signer, kp *KeyPackage, aad []byte) ([]byte, error) {
	g, pub, err := outside(info, signer)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(pub, kp.Leaf.SignatureKey) || kp.Suite != g.suite.id {
		return nil, fmt.Errorf("%w: signer or suite is not that of the key package", ErrInvalidConfig)
	}
	return g.proposeOutside(Sender{Type: SenderNewMemberProposal}, signer, Add{KeyPackage: kp}, aad)
}

// outside returns as much of a group as it takes to address it.
func outside(info *GroupInfo, signer crypto.Signer) (*Group, []byte, error) {
	s, err := info.config.suiteOf(info.Context.Suite)
	if err != nil {
		return nil, nil, err
	}
	pub, err := s.signaturePublicKey(signer)
	return &Group{suite: s, config: info.config, context: info.Context}, pub, err
}

func (g *Group) proposeOutside(sender Sender, signer crypto.Signer, p Proposal, aad []byte) ([]byte, error) {
	c, err := g.proposalContent(sender, signer, p, FrameConfig{AAD: aad})
	if err != nil {
		return nil, err
	}
	return c.raw, nil
}

// Leaves yields the members, ascending, after comparing the tree's hash and the
// signature of the GroupInfo. tree is the content of a ratchet_tree extension
// if the GroupInfo lacks it. It is for choosing a leaf to name in a proposal:
// who joins checks the tree as a whole.
func (i *GroupInfo) Leaves(tree []byte, limits Limits) (iter.Seq2[LeafIndex, *LeafNode], error) {
	s, err := i.config.suiteOf(i.Context.Suite)
	if err != nil {
		return nil, err
	}
	j := &joiner{s: s, info: i, cfg: JoinConfig{Tree: tree, Limits: limits}}
	if err := j.readTree(); err != nil {
		return nil, err
	}
	return j.tree.leaves(), nil
}
