package mls

import (
	"encoding/binary"
	"testing"

	"github.com/marmotgo/marmot/mls/internal/wire"
)

// The functions here write decoded objects from their fields, where the
// package itself keeps the received bytes. Reading must lose nothing.

func reencodeLeaf(l *LeafNode) []byte { return wire.AppendOpaque(l.appendUnsigned(nil), l.Signature) }

func reencodeKeyPackage(k *KeyPackage) []byte {
	b := binary.BigEndian.AppendUint16(nil, k.Version)
	b = binary.BigEndian.AppendUint16(b, uint16(k.Suite))
	b = wire.AppendOpaque(b, k.InitKey)
	b = append(b, reencodeLeaf(k.Leaf)...)
	return wire.AppendOpaque(k.Extensions.append(b), k.Signature)
}

func reencodeGroupInfo(i *GroupInfo) []byte {
	b := i.Extensions.append(i.Context.append(nil))
	b = binary.BigEndian.AppendUint32(wire.AppendOpaque(b, i.ConfirmationTag), uint32(i.Signer))
	return wire.AppendOpaque(b, i.Signature)
}

func reencodeProposal(p Proposal) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(p.Type()))
	switch p := p.(type) {
	case Add:
		return append(b, reencodeKeyPackage(p.KeyPackage)...)
	case Update:
		return append(b, reencodeLeaf(p.Leaf)...)
	}
	return p.appendBody(b)
}

func reencodeCommit(c *commit) []byte {
	b := wire.AppendVector(nil, func(b []byte) []byte {
		list, err := testSuites.proposals(c)
		if err != nil {
			return append(b, c.list...) // scanned, and refused later
		}
		for _, p := range list {
			if p.proposal == nil {
				b = wire.AppendOpaque(append(b, proposalByReference), []byte(p.ref))
			} else {
				b = append(append(b, proposalByValue), reencodeProposal(p.proposal)...)
			}
		}
		return b
	})
	if c.path == nil {
		return append(b, 0)
	}
	b = append(append(b, 1), reencodeLeaf(c.path.leaf)...)
	return wire.AppendVector(b, func(b []byte) []byte {
		for _, n := range c.path.nodes {
			b = wire.AppendOpaque(wire.AppendOpaque(b, n.encryptionKey), n.ciphertexts)
		}
		return b
	})
}

func reencodeContent(c *authenticatedContent) []byte {
	b := appendContentHeader(nil, c.groupID, c.epoch, c.sender, c.aad, c.contentType)
	switch c.contentType {
	case ContentApplication:
		b = wire.AppendOpaque(b, c.application)
	case ContentProposal:
		b = append(b, reencodeProposal(c.proposal)...)
	case ContentCommit:
		b = append(b, reencodeCommit(c.commit)...)
	}
	b = wire.AppendOpaque(b, c.signature)
	if c.contentType == ContentCommit {
		b = wire.AppendOpaque(b, c.confirmationTag)
	}
	return b
}

func reencodeMessage(m *Message) []byte {
	b := appendMessageHeader(nil, m.format)
	switch {
	case m.public != nil:
		b = append(b, reencodeContent(m.public.content)...)
		if m.public.content.sender.Type == SenderMember {
			b = wire.AppendOpaque(b, m.public.membershipTag)
		}
	case m.private != nil:
		p := m.private
		b = wire.AppendOpaque(b, p.groupID)
		b = append(binary.BigEndian.AppendUint64(b, p.epoch), byte(p.contentType))
		b = wire.AppendOpaque(wire.AppendOpaque(b, p.aad), p.senderData)
		b = wire.AppendOpaque(b, p.ciphertext)
	case m.welcome != nil:
		b = m.welcome.append(b)
	case m.groupInfo != nil:
		b = append(b, reencodeGroupInfo(m.groupInfo)...)
	case m.keyPackage != nil:
		b = append(b, reencodeKeyPackage(m.keyPackage)...)
	}
	return b
}

type messagesVector struct {
	Welcome           hexBytes `json:"mls_welcome"`
	GroupInfo         hexBytes `json:"mls_group_info"`
	KeyPackage        hexBytes `json:"mls_key_package"`
	RatchetTree       hexBytes `json:"ratchet_tree"`
	GroupSecrets      hexBytes `json:"group_secrets"`
	Add               hexBytes `json:"add_proposal"`
	Update            hexBytes `json:"update_proposal"`
	Remove            hexBytes `json:"remove_proposal"`
	PSK               hexBytes `json:"pre_shared_key_proposal"`
	ReInit            hexBytes `json:"re_init_proposal"`
	ExternalInit      hexBytes `json:"external_init_proposal"`
	ContextExtensions hexBytes `json:"group_context_extensions_proposal"`
	Commit            hexBytes
	PublicApplication hexBytes `json:"public_message_application"`
	PublicProposal    hexBytes `json:"public_message_proposal"`
	PublicCommit      hexBytes `json:"public_message_commit"`
	PrivateMessage    hexBytes `json:"private_message"`
}

func (v *messagesVector) messages() map[WireFormat][]hexBytes {
	return map[WireFormat][]hexBytes{
		WireWelcome: {v.Welcome}, WireGroupInfo: {v.GroupInfo}, WireKeyPackage: {v.KeyPackage},
		WirePublicMessage:  {v.PublicApplication, v.PublicProposal, v.PublicCommit},
		WirePrivateMessage: {v.PrivateMessage},
	}
}

func (v *messagesVector) proposals() map[ProposalType]hexBytes {
	return map[ProposalType]hexBytes{
		ProposalAdd: v.Add, ProposalUpdate: v.Update, ProposalRemove: v.Remove, ProposalPSK: v.PSK,
		ProposalReInit: v.ReInit, ProposalExternalInit: v.ExternalInit, ProposalGroupContextExtensions: v.ContextExtensions,
	}
}

func TestVectorsMessages(t *testing.T) {
	list := readVectors[messagesVector](t, "messages")
	for i := range list {
		v := &list[i]
		for format, encodings := range v.messages() {
			for _, b := range encodings {
				m := must(DecodeMessage(b))(t)
				if m.WireFormat() != format {
					t.Fatalf("entry %d: wire format %d, want %d", i, m.WireFormat(), format)
				}
				same(t, "message", reencodeMessage(m), b)
			}
		}
		for typ, body := range v.proposals() {
			b := append(binary.BigEndian.AppendUint16(nil, uint16(typ)), body...)
			r := wire.NewReader(b)
			p := noConfig.decodeProposal(r)
			if err := r.Finish(); err != nil {
				t.Fatalf("entry %d, proposal %d: %v", i, typ, err)
			}
			same(t, "proposal", reencodeProposal(p), b)
		}
		r := wire.NewReader(v.Commit)
		c := noConfig.decodeCommit(r)
		if err := r.Finish(); err != nil {
			t.Fatalf("entry %d: commit: %v", i, err)
		}
		same(t, "commit", reencodeCommit(c), v.Commit)
		secrets := must(decodeGroupSecrets(v.GroupSecrets))(t)
		same(t, "group secrets", secrets.append(nil), v.GroupSecrets)
		// The file does not say of which suite the tree is.
		read := false
		for _, s := range allSuites() {
			if tree, err := decodeTree(s, v.RatchetTree, Limits{}); err == nil {
				same(t, "tree", tree.appendTree(nil), v.RatchetTree)
				read = true
			}
		}
		if !read {
			t.Fatalf("entry %d: tree refused", i)
		}
	}
	if len(list) != 300 {
		t.Fatalf("%d entries ran, want 300", len(list))
	}
}
