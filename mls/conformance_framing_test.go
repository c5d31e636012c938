package mls

import (
	"bytes"

	"github.com/marmotgo/marmot/mls/internal/wire"
)

var framingRows = []requirement{
	{section: "2.1", rule: "the presence octet of an optional is 0 or 1", tests: "TestVarintBoundaries TestCodecs TestErrorSticks"},
	{section: "2.1", rule: "a length has the shortest encoding, and none starts with the bits 11", tests: "TestVarintBoundaries TestCodecs TestErrorSticks"},
	{section: "5.3", rule: "a credential that comes in is validated with the AS; a new one fits the old one's identity; an X.509 key is the leaf's",
		duty: "Caller: every credential is returned before anything is kept (`VerifiedCommit.Proposals`, `Path`, `Group.Leaves`, `GroupInfo.Leaves`); X.509 chains are opaque bytes"},
	{section: "5.3.3", rule: "an application_id is not taken for authenticated", duty: "Caller"},

	{section: "6", rule: "application messages are PrivateMessages", broken: "application content in a PublicMessage", want: ErrMalformed,
		violate: func(w *world) error {
			return w.answer(w.frame(w.member(), w.a.signer, ContentApplication, wire.AppendOpaque(nil, []byte("x"))))
		}},
	{section: "6", rule: "application messages are PrivateMessages", broken: "the same, given as an application message", want: ErrMalformed,
		violate: func(w *world) error {
			return w.read(w.frame(w.member(), w.a.signer, ContentApplication, wire.AppendOpaque(nil, []byte("x"))))
		}},

	{section: "6.1", rule: "a member's message is signed with the key of its leaf", broken: "commit signed by another member", want: ErrSignature,
		violate: func(w *world) error {
			return w.answer(w.frame(w.member(), w.members[2].signer, ContentCommit, appendCommit(nil, nil, w.path(pathHooks{}))))
		}},
	{section: "6.1", rule: "a member's message is signed with the key of its leaf", broken: "proposal signed by another member", want: ErrSignature,
		violate: func(w *world) error {
			return w.answer(w.frame(w.member(), w.members[2].signer, ContentProposal, proposalBody(Remove{Removed: 2})))
		}},
	{section: "6.1", rule: "a member's message is signed with the key of its leaf", broken: "sender is no member", want: ErrAuthentication,
		violate: func(w *world) error {
			return w.answer(w.frame(Sender{Type: SenderMember, Leaf: 6}, w.a.signer, ContentProposal, proposalBody(Remove{Removed: 2})))
		}},
	{section: "6.1", rule: "the signature of a member covers the GroupContext", broken: "signature over another context", want: ErrSignature,
		violate: func(w *world) error {
			g := *w.a.group
			g.contextBytes = flip(g.contextBytes)
			content := must(g.newContent(w.a.signer, WirePublicMessage, ContentProposal, nil, proposalBody(Remove{Removed: 2})))(w.t)
			return w.answer(must(w.a.group.frame(content, false))(w.t))
		}},
	{section: "6.1", rule: "an external sender sends proposals only", broken: "commit by an external sender", want: ErrAuthentication,
		violate: func(w *world) error {
			return w.answer(w.frame(Sender{Type: SenderExternal}, w.server.signer, ContentCommit, appendCommit(nil, nil, w.path(pathHooks{}))))
		}},
	{section: "6.1", rule: "an external sender is listed in external_senders", broken: "index beyond the list", want: ErrAuthentication,
		violate: func(w *world) error {
			return w.answer(w.frame(Sender{Type: SenderExternal, Leaf: 1}, w.server.signer, ContentProposal, proposalBody(Remove{Removed: 2})))
		}},
	{section: "6.1", rule: "an external proposal is signed with the listed key", broken: "external proposal signed by another", want: ErrSignature,
		violate: func(w *world) error {
			return w.answer(w.frame(Sender{Type: SenderExternal}, w.outsider.signer, ContentProposal, proposalBody(Remove{Removed: 2})))
		}},
	{section: "6.1", rule: "an external commit is a commit", broken: "proposal by a new_member_commit sender", want: ErrAuthentication,
		violate: func(w *world) error {
			return w.answer(w.frame(Sender{Type: SenderNewMemberCommit}, w.outsider.signer, ContentProposal, proposalBody(Add{KeyPackage: w.outsider.kp})))
		}},
	{section: "6.1", rule: "an external commit is signed with the key of its path's leaf", broken: "external commit signed by another", want: ErrSignature,
		violate: func(w *world) error { return w.answer(w.resigned(w.externally(nil), w.server.signer)) }},
	{section: "6.1", rule: "a new_member_proposal is an Add", broken: "newcomer proposes a Remove", want: ErrAuthentication,
		violate: func(w *world) error {
			return w.answer(w.frame(Sender{Type: SenderNewMemberProposal}, w.outsider.signer, ContentProposal, proposalBody(Remove{Removed: 2})))
		}},
	{section: "6.1", rule: "a new_member_proposal is a proposal", broken: "newcomer commits as a proposer", want: ErrAuthentication,
		violate: func(w *world) error {
			return w.answer(w.frame(Sender{Type: SenderNewMemberProposal}, w.outsider.signer, ContentCommit, appendCommit(nil, nil, w.path(pathHooks{}))))
		}},
	{section: "6.1", rule: "a new_member_proposal is signed with the key of its KeyPackage", broken: "Add of a newcomer signed by another", want: ErrSignature,
		violate: func(w *world) error {
			return w.answer(w.frame(Sender{Type: SenderNewMemberProposal}, w.server.signer, ContentProposal, proposalBody(Add{KeyPackage: w.outsider.kp})))
		}},

	{section: "6.2", rule: "a member's PublicMessage has the membership tag", broken: "tag of another key", want: ErrMembership,
		violate: func(w *world) error {
			c := decode(w.t, w.honest.Message).public.content
			tag := c.membershipTag(w.s, make([]byte, w.s.nh), w.a.group.contextBytes)
			return w.answer(wire.AppendOpaque(bytes.Clone(c.raw), tag))
		}},
	{section: "6.2", rule: "a member's PublicMessage has the membership tag", broken: "tag cut short", want: ErrMembership,
		violate: func(w *world) error {
			p := decode(w.t, w.honest.Message).public
			return w.answer(wire.AppendOpaque(bytes.Clone(p.content.raw), p.membershipTag[:16]))
		}},
	{section: "6.2", rule: "a member's PublicMessage has the membership tag", broken: "no tag", want: ErrMalformed,
		violate: func(w *world) error { return w.answer(decode(w.t, w.honest.Message).public.content.raw) }},
	{section: "6.2", rule: "the confirmation tag is there in a commit and nowhere else", broken: "proposal with a confirmation tag", want: ErrMalformed,
		violate: func(w *world) error {
			content := must(w.a.group.newContent(w.a.signer, WirePublicMessage, ContentProposal, nil, proposalBody(Remove{Removed: 2})))(w.t)
			content.confirm(make([]byte, 32))
			return w.answer(must(w.a.group.frame(content, false))(w.t))
		}},

	{section: "6.3.1", rule: "padding is zero", broken: "padding of an application message", want: ErrMalformed,
		violate: func(w *world) error {
			return w.read(w.private(w.a.signer, 0, ContentApplication, wire.AppendOpaque(nil, []byte("x")), []byte{0, 0, 1}))
		}},
	{section: "6.3.1", rule: "padding is zero", broken: "padding of a proposal", want: ErrMalformed,
		violate: func(w *world) error {
			return w.answer(w.private(w.a.signer, 0, ContentProposal, proposalBody(Remove{Removed: 2}), []byte{1}))
		}},
	{section: "6.3.1", rule: "the signature in a PrivateMessage is checked", broken: "application message signed by another", want: ErrSignature,
		violate: func(w *world) error {
			return w.read(w.private(w.members[2].signer, 0, ContentApplication, wire.AppendOpaque(nil, []byte("x")), nil))
		}},
	{section: "6.3.1", rule: "the signature in a PrivateMessage is checked", broken: "private commit signed by another", want: ErrSignature,
		violate: func(w *world) error {
			return w.answer(w.private(w.members[2].signer, 0, ContentCommit, appendCommit(nil, nil, w.path(pathHooks{})), nil))
		}},
	{section: "6.3.1", rule: "the reuse guard is fresh and random", tests: "TestReuseGuard"},
	{section: "6.3.1", rule: "the position in the ratchets is kept over restarts", tests: "TestProtectAfterRestart TestReserve"},
	{section: "6.3.1", rule: "sizes stay within the limits of the AEAD",
		duty: "Caller: `Sealed.Generation` counts messages and a group that sends as much commits in time; the last generation is never used"},
	{section: "6.3.2", rule: "the sender of a PrivateMessage is a member", tests: "TestVectorsMessageProtection"},
	{section: "6.3.2", rule: "the leaf of the sender data is not blank", broken: "sender data of a blank leaf", want: ErrAuthentication,
		violate: func(w *world) error {
			return w.read(w.private(w.a.signer, 6, ContentApplication, wire.AppendOpaque(nil, []byte("x")), nil))
		}},
	{section: "6.3.2", rule: "the leaf of the sender data is not blank", broken: "sender data of a leaf beyond the tree", want: ErrAuthentication,
		violate: func(w *world) error {
			return w.read(w.private(w.a.signer, 1<<31, ContentApplication, wire.AppendOpaque(nil, []byte("x")), nil))
		}},
}
