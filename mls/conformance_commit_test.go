package mls

import (
	"slices"
)

var commitRows = []requirement{
	{section: "12.4", rule: "pending proposals are committed before application data are sent", duty: "Caller, who holds the proposals"},
	{section: "12.4", rule: "a commit without proposals has a path", broken: "nothing at all", want: ErrInvalidPath,
		violate: func(w *world) error { return w.answer(w.commit(nil)) }},
	{section: "12.4", rule: "a proposal may require a path", broken: "Update without a path", want: ErrInvalidPath,
		violate: func(w *world) error { return w.answer(w.commit(nil, w.ref(w.updated))) }},
	{section: "12.4", rule: "a proposal may require a path", broken: "Remove without a path", want: ErrInvalidPath,
		violate: func(w *world) error { return w.answer(w.commit(nil, values(Remove{Removed: 2})...)) }},
	{section: "12.4", rule: "a proposal may require a path", broken: "GroupContextExtensions without a path", want: ErrInvalidPath,
		violate: func(w *world) error {
			return w.answer(w.commit(nil, values(GroupContextExtensions{Extensions: w.a.group.context.Extensions})...))
		}},
	{section: "12.4", rule: "a proposal may require a path", broken: "Add and Remove without a path", want: ErrInvalidPath,
		violate: func(w *world) error {
			return w.answer(w.commit(nil, values(Add{KeyPackage: w.outsider.kp}, Remove{Removed: 2})...))
		}},
	{section: "12.4", rule: "add, psk and reinit require no path", tests: "TestPathIsRequired"},
	{section: "12.4.1", rule: "the Welcome covers every new member and names the PSKs in the commit's order", tests: "TestPSK TestGroupProperties TestVectorsPassiveWelcome"},
	{section: "12.4.1", rule: "a commit changes nothing of who makes it", tests: "TestGroupProperties TestBugDroppedCommitKeepsKeys"},
	{section: "12.4.2", rule: "a commit is of the current epoch", broken: "commit of the next epoch", want: ErrWrongEpoch,
		violate: func(w *world) error {
			return w.answer(must(w.honest.Next.Commit(w.a.signer, CommitConfig{Path: PathAlways}))(w.t).Message)
		}},
	{section: "12.4.2", rule: "a commit is of this very state", broken: "commit on a rival epoch of the same number", want: ErrMembership,
		violate: func(w *world) error {
			rival := w.members[3].commit(CommitConfig{Path: PathAlways})
			m := decode(w.t, must(w.honest.Next.Commit(w.a.signer, CommitConfig{Path: PathAlways}))(w.t).Message)
			_, err := rival.Next.Verify(m)
			return err
		}},
	{section: "12.4.2", rule: "the path's leaf has a new encryption key", broken: "path keeps the leaf's key", want: ErrInvalidPath,
		violate: func(w *world) error {
			return w.pathed(pathHooks{leaf: func(l *LeafNode) { l.EncryptionKey = leafOfMember(w, 0).EncryptionKey }})
		}},
	{section: "12.4.2", rule: "no key of the path is in the tree", broken: "a node of the path has the key of a leaf", want: ErrInvalidPath,
		violate: func(w *world) error {
			return w.pathed(pathHooks{keys: func(keys [][]byte) { keys[0] = leafOfMember(w, 3).EncryptionKey }})
		}},
	{section: "12.4.2", rule: "no key of the path is in the tree", broken: "a node of the path has its old key", want: ErrInvalidPath,
		violate: func(w *world) error {
			return w.pathed(pathHooks{keys: func(keys [][]byte) { keys[len(keys)-1] = w.a.group.tree.root.encryptionKey() }})
		}},
	{section: "12.4.2", rule: "no key of the path is in the tree", broken: "two nodes of the path have one key", want: ErrInvalidPath,
		violate: func(w *world) error { return w.pathed(pathHooks{keys: func(keys [][]byte) { keys[1] = keys[0] }}) }},
	{section: "12.4.2", rule: "no key of the path is in the tree", broken: "a node of the path has the key of its leaf", want: ErrInvalidPath,
		violate: func(w *world) error {
			key := w.outsider.kp.InitKey
			return w.pathed(pathHooks{keys: func(keys [][]byte) { keys[0] = key }, leaf: func(l *LeafNode) { l.EncryptionKey = key }})
		}},
	{section: "12.4.2", rule: "every PSK is available", broken: "a PSK is not there", want: ErrMissingPSK,
		violate: func(w *world) error {
			_, err := w.b.group.Apply(w.b.verifyCommit(w.honest.Message), ApplyInput{Now: testTime})
			return err
		}},
	{section: "12.4.2", rule: "the confirmation tag is what the next epoch gives", broken: "another confirmation tag", want: ErrConfirmation,
		violate: func(w *world) error { return w.pathed(pathHooks{}) }},
	{section: "12.4.2", rule: "the confirmation tag is what the next epoch gives", broken: "another PSK of the same name", want: ErrConfirmation,
		violate: func(w *world) error {
			in := w.input()
			in.PSKs = map[string][]byte{}
			for name := range w.psks {
				in.PSKs[name] = []byte("wrong")
			}
			_, err := w.b.group.Apply(w.b.verifyCommit(w.honest.Message), in)
			return err
		}},
	{section: "12.4.2", rule: "the last epoch of a group with a ReInit sends nothing", tests: "TestReInitEndsTheGroup"},
}

var joinRows = []requirement{
	{section: "12.4.3", rule: "unknown extensions of a GroupInfo are ignored", tests: "TestGrease"},
	{section: "12.4.3", rule: "who joins supports every extension of the GroupContext", broken: "GroupContext with an extension that the joiner lacks", want: ErrInvalidLeaf,
		violate: func(w *world) error {
			return w.welcomed(welcomeHooks{info: func(i *GroupInfo) {
				i.Context.Extensions = append(i.Context.Extensions.Clone(), Extension{Type: 0xf999})
			}})
		}},
	{section: "12.4.3", rule: "who joins supports what is required", broken: "GroupContext that requires what the joiner lacks", want: ErrInvalidLeaf,
		violate: func(w *world) error {
			return w.welcomed(welcomeHooks{info: func(i *GroupInfo) {
				i.Context.Extensions = i.Context.Extensions.Clone()
				i.Context.Extensions[0].Data = RequiredCapabilities{Proposals: []ProposalType{0xf999}}.Append(nil)
			}})
		}},
	{section: "12.4.3", rule: "the group id is not one that the client is in", duty: "Caller: `GroupInfo.Context.GroupID`"},
	{section: "12.4.3", rule: "the GroupInfo is signed by the leaf that it names", broken: "GroupInfo signed by another member", want: ErrInvalidGroupInfo,
		violate: func(w *world) error { return w.welcomed(welcomeHooks{signer: w.members[2].signer}) }},
	{section: "12.4.3", rule: "the GroupInfo is signed by the leaf that it names", broken: "signer is a blank leaf", want: ErrInvalidGroupInfo,
		violate: func(w *world) error { return w.welcomed(welcomeHooks{info: func(i *GroupInfo) { i.Signer = 7 }}) }},
	{section: "12.4.3", rule: "the GroupInfo is signed by the leaf that it names", broken: "GroupInfo from outside signed by another member", want: ErrInvalidGroupInfo,
		violate: func(w *world) error {
			_, err := JoinExternal(w.signInfo(w.info(nil), w.members[2].signer), w.outsider.signer, w.externalConfig())
			return err
		}},
	{section: "12.4.3", rule: "no extension is in a GroupInfo twice", broken: "extension twice", want: ErrMalformed,
		violate: func(w *world) error {
			i := w.info(nil)
			i.Extensions = append(i.Extensions, Extension{Type: 0xf999}, Extension{Type: 0xf999})
			_, err := DecodeMessage(append(appendMessageHeader(nil, WireGroupInfo), reencodeGroupInfo(i)...))
			return err
		}},

	{section: "12.4.3.1", rule: "a Welcome names the KeyPackage", broken: "Welcome for somebody else", want: ErrNotForUs,
		violate: func(w *world) error {
			return w.welcomed(welcomeHooks{sealed: func(x *Welcome) { x.secrets[0].ref = w.outsider.kp.Ref() }})
		}},
	{section: "12.4.3.1", rule: "suites of Welcome, KeyPackage and GroupInfo agree", broken: "Welcome of another suite", want: ErrNotForUs,
		violate: func(w *world) error {
			return w.welcomed(welcomeHooks{sealed: func(x *Welcome) { x.suite = X25519_CHACHA20POLY1305_SHA256_Ed25519 }})
		}},
	{section: "12.4.3.1", rule: "suites of Welcome, KeyPackage and GroupInfo agree", broken: "GroupInfo of another suite", want: ErrInvalidGroupInfo,
		violate: func(w *world) error {
			return w.welcomed(welcomeHooks{info: func(i *GroupInfo) { i.Context.Suite = X25519_CHACHA20POLY1305_SHA256_Ed25519 }})
		}},
	{section: "12.4.3.1", rule: "the group secrets are for this Welcome", broken: "ciphertext changed", want: ErrAuthentication,
		violate: func(w *world) error {
			return w.welcomed(welcomeHooks{sealed: func(x *Welcome) { x.secrets[0].ciphertext = flip(x.secrets[0].ciphertext) }})
		}},
	{section: "12.4.3.1", rule: "the group secrets are for this Welcome", broken: "GroupInfo exchanged", want: ErrAuthentication,
		violate: func(w *world) error {
			return w.welcomed(welcomeHooks{sealed: func(x *Welcome) { x.groupInfo = flip(x.groupInfo) }})
		}},
	{section: "12.4.3.1", rule: "every PSK is available", broken: "unknown PSK in a Welcome", want: ErrMissingPSK,
		violate: func(w *world) error {
			return w.welcomed(welcomeHooks{secrets: func(s *groupSecrets) {
				s.psks = append(slices.Clone(s.psks), pskProposal(func(id *PSKID) { id.ID = []byte("unknown") }).ID)
			}})
		}},
	{section: "12.4.3.1", rule: "no PSK occurs twice", broken: "the same PSK twice in a Welcome", want: ErrMalformed,
		violate: func(w *world) error {
			return w.welcomed(welcomeHooks{secrets: func(s *groupSecrets) { s.psks = append(slices.Clone(s.psks), s.psks[0]) }})
		}},
	{section: "12.4.3.1", rule: "a Welcome that continues a group names one PSK for it, and epoch 1", tests: "TestContinuationViolations"},
	{section: "12.4.3.1", rule: "the tree has the GroupInfo's hash", broken: "tree hash changed", want: ErrInvalidTree,
		violate: func(w *world) error {
			return w.welcomed(welcomeHooks{info: func(i *GroupInfo) { i.Context.TreeHash = flip(i.Context.TreeHash) }})
		}},
	{section: "12.4.3.1", rule: "the tree has the GroupInfo's hash", broken: "tree hash changed in a GroupInfo from outside", want: ErrInvalidTree,
		violate: func(w *world) error {
			return w.joinFrom(func(i *GroupInfo) { i.Context.TreeHash = flip(i.Context.TreeHash) })
		}},
	{section: "12.4.3.1", rule: "unmerged leaves are members below, noted all the way", broken: "unmerged leaf that is noted above only", want: ErrInvalidTree,
		violate: func(w *world) error {
			return w.welcomed(welcomeHooks{tree: func(m *treeModel) { m.nodes[3].parent.unmerged = []LeafIndex{3} }})
		}},
	{section: "12.4.3.1", rule: "unmerged leaves are members below, noted all the way", broken: "unmerged leaf beside the node", want: ErrInvalidTree,
		violate: func(w *world) error {
			return w.welcomed(welcomeHooks{tree: func(m *treeModel) { m.nodes[1].parent.unmerged = []LeafIndex{3} }})
		}},
	{section: "12.4.3.1", rule: "unmerged leaves ascend", broken: "unmerged leaves out of order", want: ErrInvalidTree,
		violate: func(w *world) error {
			return w.welcomed(welcomeHooks{tree: func(m *treeModel) {
				m.nodes[1].parent.unmerged, m.nodes[3].parent.unmerged = []LeafIndex{1, 0}, []LeafIndex{1, 0}
			}})
		}},
	{section: "12.4.3.1", rule: "a parent node's key occurs once", tests: "TestKeysUnique"},
	{section: "12.4.3.1", rule: "the own leaf is in the tree", broken: "tree without the joiner", want: ErrInvalidTree,
		violate: func(w *world) error {
			return w.welcomed(welcomeHooks{tree: func(m *treeModel) { m.nodes[2*w.honest.Next.tree.root.lastUsed(0)].leaf = w.outsider.kp.Leaf }})
		}},
	{section: "12.4.3.1", rule: "the path secret gives the keys that the tree shows", broken: "another path secret", want: ErrInvalidPath,
		violate: func(w *world) error {
			return w.welcomed(welcomeHooks{secrets: func(s *groupSecrets) { s.pathSecret = flip(s.pathSecret) }})
		}},
	{section: "12.4.3.1", rule: "the path secret gives the keys that the tree shows", broken: "no path secret where the path has a node", want: ErrInvalidTree,
		violate: func(w *world) error {
			return w.welcomed(welcomeHooks{secrets: func(s *groupSecrets) { s.pathSecret = nil }})
		}},
	{section: "12.4.3.1", rule: "the confirmation tag is what the secrets give", broken: "confirmation tag changed", want: ErrConfirmation,
		violate: func(w *world) error {
			return w.welcomed(welcomeHooks{keepTag: true, info: func(i *GroupInfo) { i.ConfirmationTag = flip(i.ConfirmationTag) }})
		}},
	{section: "12.4.3.1", rule: "the confirmation tag is what the secrets give", broken: "epoch changed", want: ErrConfirmation,
		violate: func(w *world) error {
			return w.welcomed(welcomeHooks{keepTag: true, info: func(i *GroupInfo) { i.Context.Epoch++ }})
		}},

	{section: "12.4.3.2", rule: "an external commit has a path", broken: "external commit without a path", want: ErrAuthentication,
		violate: func(w *world) error {
			c := decode(w.t, w.external.Message).public.content
			body := appendCommit(nil, must(noConfig.proposals(c.commit))(w.t), nil)
			return w.answer(w.frame(Sender{Type: SenderNewMemberCommit}, w.outsider.signer, ContentCommit, body))
		}},
	{section: "12.4.3.2", rule: "an external commit refers to no proposals, but SelfRemoves", broken: "Update by reference in an external commit", want: ErrInvalidProposals,
		violate: func(w *world) error { return w.answer(w.externally(nil, byRef(w.updated))) }},
	{section: "12.4.3.2", rule: "an external commit is signed by the new member", broken: "external commit signed by a member", want: ErrSignature,
		violate: func(w *world) error { return w.answer(w.resigned(w.external.Message, w.members[2].signer)) }},
	{section: "12.4.3.2", rule: "both sides use the external init secret", broken: "KEM output changed", want: ErrConfirmation,
		violate: func(w *world) error {
			c := decode(w.t, w.external.Message).public.content
			list := must(noConfig.proposals(c.commit))(w.t)
			init := list[0].proposal.(ExternalInit)
			list[0].proposal = ExternalInit{KEMOutput: flip(init.KEMOutput)}
			body := appendCommit(nil, list, reencodeCommit(&commit{path: c.commit.path})[2:])
			return w.answer(w.frame(Sender{Type: SenderNewMemberCommit}, w.outsider.signer, ContentCommit, body))
		}},
	{section: "12.4.3.2", rule: "the sender type is new_member_commit", broken: "external commit of a member", want: ErrInvalidProposals,
		violate: func(w *world) error { return w.list(ExternalInit{KEMOutput: make([]byte, 32)}) }},
	{section: "12.4.3.2", rule: "a GroupInfo for it has the external key", broken: "no external_pub", want: ErrInvalidGroupInfo,
		violate: func(w *world) error {
			return w.joinFrom(func(i *GroupInfo) {
				i.Extensions = slices.DeleteFunc(i.Extensions, func(e Extension) bool { return e.Type == ExtExternalPub })
			})
		}},
	{section: "12.4.3.3", rule: "the last node of a ratchet_tree is not blank", broken: "a blank node at the end", want: ErrInvalidTree,
		violate: func(w *world) error {
			return w.welcomed(welcomeHooks{info: func(i *GroupInfo) {
				at := slices.IndexFunc(i.Extensions, func(e Extension) bool { return e.Type == ExtRatchetTree })
				_, tree := splitOpaque(i.Extensions[at].Data)
				i.Extensions[at].Data = appendOpaque(nil, append(slices.Clone(tree), 0, 0))
			}})
		}},
	{section: "12.4.3.3", rule: "the number of nodes is odd", broken: "a parent node at the end", want: ErrInvalidTree,
		violate: func(w *world) error {
			return w.welcomed(welcomeHooks{info: func(i *GroupInfo) {
				at := slices.IndexFunc(i.Extensions, func(e Extension) bool { return e.Type == ExtRatchetTree })
				_, tree := splitOpaque(i.Extensions[at].Data)
				last := (&parentNode{encryptionKey: w.outsider.kp.InitKey}).append([]byte{1, 2})
				i.Extensions[at].Data = appendOpaque(nil, slices.Concat(tree, last))
			}})
		}},
}
