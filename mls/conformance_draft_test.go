package mls

import (
	"github.com/marmotgo/marmot/mls/internal/wire"
)

// splitOpaque returns the length and the content of an opaque vector.
func splitOpaque(b []byte) (prefix, content []byte) {
	r := wire.NewReader(b)
	content = r.Opaque()
	return b[:len(b)-len(content)], content
}

// rawProposal commits the bytes of a proposal by value.
func (w *world) rawProposal(p ...byte) error {
	w.t.Helper()
	body := wire.AppendOpaque(nil, append([]byte{proposalByValue}, p...))
	return w.answer(w.frame(w.member(), w.a.signer, ContentCommit, append(append(body, 1), w.path(pathHooks{})...)))
}

var draftRows = []requirement{
	{section: "13", rule: "a proposal type beyond the defaults is supported by all", tests: "TestProposalSupport"},
	{section: "13", rule: "a commit with a type that nobody knows is refused as such", broken: "proposal type 0x0a0a", want: ErrUnsupportedProposal,
		violate: func(w *world) error { return w.rawProposal(0x0a, 0x0a, 0) }},
	{section: "13.4", rule: "a client supports what its KeyPackage advertises", duty: "Caller, who writes the capabilities"},
	{section: "13.4", rule: "unknown values in KeyPackages and GroupInfos are ignored", tests: "TestGrease"},
	{section: "13.4", rule: "no list has an extension twice", broken: "GroupContextExtensions", want: ErrMalformed,
		violate: func(w *world) error {
			return w.list(GroupContextExtensions{Extensions: append(w.a.group.context.Extensions.Clone(), Extension{Type: ExtApplicationID, Data: []byte{0}},
				Extension{Type: ExtApplicationID, Data: []byte{0}})})
		}},
	{section: "13.4", rule: "no list has an extension twice", broken: "KeyPackage", want: ErrMalformed,
		violate: func(w *world) error {
			k := *w.outsider.kp
			k.Extensions = Extensions{{Type: 0xf2d1}, {Type: 0xf2d1}}
			_, err := DecodeKeyPackage(reencodeKeyPackage(&k))
			return err
		}},
	{section: "13.4", rule: "no list has an extension twice", broken: "leaf", want: ErrMalformed,
		violate: func(w *world) error {
			k := *w.outsider.kp
			l := *k.Leaf
			l.Extensions = Extensions{{Type: 0xf2d1}, {Type: 0xf2d1}}
			k.Leaf = &l
			_, err := DecodeKeyPackage(reencodeKeyPackage(&k))
			return err
		}},
	{section: "13.4", rule: "a new member supports every extension of the GroupContext", broken: "Add of one that lacks one", want: ErrInvalidProposals,
		violate: func(w *world) error { return w.added(ofLeaf(dropsContextExtension)) }},
	{section: "13.4", rule: "a new member supports every extension of the GroupContext", broken: "external commit of one that lacks one", want: ErrInvalidPath,
		violate: func(w *world) error { return w.answer(w.externally(dropsContextExtension)) }},
	{section: "13.4", rule: "a member goes on supporting them", broken: "Update that drops one", want: ErrInvalidProposals,
		violate: func(w *world) error { return w.updateOf(w.members[2].signer, 2, dropsContextExtension) }},
	{section: "13.4", rule: "a member goes on supporting them", broken: "path that drops one", want: ErrInvalidPath,
		violate: func(w *world) error { return w.pathed(pathHooks{leaf: dropsContextExtension}) }},
	{section: "13.5", rule: "GREASE is handled as any unknown value and not sent where it would be refused", tests: "TestGrease"},
	{section: "14", rule: "making a commit changes no state", tests: "TestGroupProperties TestBugDroppedCommitKeepsKeys"},
	{section: "14", rule: "rival commits have one winner, old states are deleted, a Welcome waits for its commit", duty: "Caller: states are values, `Group.Erase` ends one"},
	{section: "15.1", rule: "no more is encrypted than the AEAD allows; a change is applied before more is sent", duty: "Caller: `Sealed.Generation`; a new epoch is a new `Group`"},
	{section: "15.2", rule: "a new suite has an AE1-secure AEAD", duty: "All suites here use AES-GCM or ChaCha20-Poly1305"},
	{section: "16.8", rule: "encryption and signature keys in a tree are distinct", tests: "TestKeysUnique TestConformance"},

	{section: "draft safe exporter", rule: "a component's secret is given once and its tree deleted along", tests: "TestExportComponentOnce TestExportedComponentsDiffer"},
	{section: "draft app_data_dictionary", rule: "entries are sorted and unique", broken: "dictionary out of order", want: ErrMalformed,
		violate: func(w *world) error {
			ext := w.a.group.context.Extensions.Clone()
			ext[2].Data = []byte{6, 0, 9, 0, 0, 8, 0}
			return w.list(GroupContextExtensions{Extensions: ext})
		}},
	{section: "draft app_data_dictionary", rule: "entries are sorted and unique", broken: "component twice", want: ErrMalformed,
		violate: func(w *world) error {
			ext := w.a.group.context.Extensions.Clone()
			ext[2].Data = []byte{6, 0, 9, 0, 0, 9, 0}
			return w.list(GroupContextExtensions{Extensions: ext})
		}},
	{section: "draft app_data_dictionary", rule: "who advertises it lists app_components and understands safe_aad", duty: "Caller for the list; `TestSafeAAD` for the rest"},
	{section: "draft AppDataUpdate", rule: "the operation is update or remove", broken: "operation 0", want: ErrMalformed,
		violate: func(w *world) error { return w.rawProposal(0, 8, 0x80, 1, 0) }},
	{section: "draft AppDataUpdate", rule: "the operation is update or remove", broken: "operation 3", want: ErrMalformed,
		violate: func(w *world) error { return w.rawProposal(0, 8, 0x80, 1, 3) }},
	{section: "draft AppDataUpdate", rule: "what is removed is there", broken: "removal of an absent component", want: ErrInvalidProposals,
		violate: func(w *world) error { return w.list(AppDataUpdate{Component: 0x9999, Remove: true}) }},
	{section: "draft AppDataUpdate", rule: "a component is removed once, or updated", broken: "two removals", want: ErrInvalidProposals,
		violate: func(w *world) error {
			return w.list(AppDataUpdate{Component: 0x8001, Remove: true}, AppDataUpdate{Component: 0x8001, Remove: true})
		}},
	{section: "draft AppDataUpdate", rule: "a component is removed once, or updated", broken: "update and removal", want: ErrInvalidProposals,
		violate: func(w *world) error {
			return w.list(AppDataUpdate{Component: 0x8001, Data: []byte{1}}, AppDataUpdate{Component: 0x8001, Remove: true})
		}},
	{section: "draft AppDataUpdate", rule: "several updates are the component's to combine", broken: "two updates without a result", want: ErrInvalidProposals,
		violate: func(w *world) error {
			return w.list(AppDataUpdate{Component: 0x8001, Data: []byte{1}}, AppDataUpdate{Component: 0x8001, Data: []byte{2}})
		}},
	{section: "draft AppDataUpdate", rule: "the named components change and no other", broken: "a result for another component", want: ErrInvalidProposals,
		violate: func(w *world) error {
			in := w.input()
			in.AppData = map[ComponentID][]byte{0x8001: []byte("new"), 0x8002: []byte("more")}
			_, err := w.b.group.Apply(w.b.verifyCommit(w.honest.Message), in)
			return err
		}},
	{section: "draft AppDataUpdate", rule: "an unknown component or a value that it rejects makes the list invalid", duty: "Caller, who computes `ApplyInput.AppData` and drops the commit"},
	{section: "draft AppDataUpdate", rule: "where it is required, GroupContextExtensions leave the dictionary alone", broken: "dictionary changed", want: ErrInvalidProposals,
		violate: func(w *world) error {
			ext := w.a.group.context.Extensions.Clone()
			ext[2].Data = AppDataDictionary{{ID: 1}}.Append(nil)
			return w.list(GroupContextExtensions{Extensions: ext})
		}},
	{section: "draft AppDataUpdate", rule: "where it is required, GroupContextExtensions leave the dictionary alone", broken: "dictionary dropped", want: ErrInvalidProposals,
		violate: func(w *world) error {
			return w.list(GroupContextExtensions{Extensions: w.a.group.context.Extensions.Clone()[:2]})
		}},
	{section: "draft AppEphemeral", rule: "processed after the defaults, in commit order, before AppDataUpdates", duty: "Caller: `VerifiedCommit.Proposals` is in commit order; nothing of it changes the group"},
	{section: "draft SafeAAD", rule: "where the GroupContext asks for it, authenticated data are one SafeAAD and nothing else", tests: "TestSafeAAD TestSafeAADEncoding"},
	{section: "draft negotiation", rule: "unknown components are ignored", tests: "TestGrease TestAppDataUpdate"},
	{section: "draft SelfRemove", rule: "sent as a PublicMessage", broken: "private SelfRemove", want: ErrInvalidProposals,
		violate: func(w *world) error {
			return w.answer(w.private(w.a.signer, 0, ContentProposal, proposalBody(SelfRemove{}), nil))
		}},
	{section: "draft SelfRemove", rule: "committed by reference", broken: "SelfRemove by value", want: ErrInvalidProposals,
		violate: func(w *world) error { return w.list(SelfRemove{}) }},
	{section: "draft SelfRemove", rule: "not the committer's own", broken: "committer leaves by itself", want: ErrInvalidProposals,
		violate: func(w *world) error {
			v := w.b.verifyProposal(w.a.propose(SelfRemove{}))
			in := w.input()
			in.Proposals[v.Ref()] = v
			_, err := w.b.group.Apply(w.b.verifyCommit(w.commit(w.path(pathHooks{}), w.ref(v))), in)
			return err
		}},
	{section: "draft SelfRemove", rule: "requires a path", broken: "SelfRemove without a path", want: ErrInvalidPath,
		violate: func(w *world) error { return w.answer(w.commit(nil, w.ref(w.left))) }},
	{section: "draft SelfRemove", rule: "makes a Remove of the same leaf invalid", broken: "SelfRemove and Remove", want: ErrInvalidProposals,
		violate: func(w *world) error { return w.mixed(w.ref(w.left), values(Remove{Removed: 3})[0]) }},
	{section: "draft SelfRemove", rule: "a new joiner validates what it takes along", tests: "TestExternalCommitWithSelfRemoves"},
	{section: "draft SelfRemove", rule: "one for each client and epoch", duty: "Caller, who proposes; a second one is refused in the list"},
	{section: "draft last resort", rule: "the component has no data", broken: "mark with data", want: ErrInvalidKeyPackage,
		violate: func(w *world) error {
			return w.validated(func(k *KeyPackage, _ *LeafNode) {
				k.Extensions = Extensions{{Type: ExtAppDataDictionary, Data: AppDataDictionary{{ID: ComponentLastResort, Data: []byte{1}}}.Append(nil)}}
			})
		}},
}
