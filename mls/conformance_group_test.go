package mls

var groupRows = []requirement{
	{section: "11", rule: "the creator compares the capabilities of those it will add, against downgrades", duty: "Caller, who picks the suite"},
	{section: "11", rule: "a group starts as the RFC says", tests: "TestLifecycle TestGolden TestVectorsPassiveWelcome"},
	{section: "11.1", rule: "required capabilities are supported by all current members", broken: "GroupContextExtensions requires what nobody lists", want: ErrInvalidProposals,
		violate: func(w *world) error {
			ext := w.a.group.context.Extensions.Clone()
			ext[0].Data = RequiredCapabilities{Extensions: []ExtensionType{ExtAppDataDictionary, 0xf999}, Proposals: []ProposalType{8, 10}}.Append(nil)
			return w.list(GroupContextExtensions{Extensions: ext})
		}},
	{section: "11.1", rule: "credential types are never required by default", broken: "GroupContextExtensions requires X.509", want: ErrInvalidProposals,
		violate: func(w *world) error {
			ext := w.a.group.context.Extensions.Clone()
			ext[0].Data = RequiredCapabilities{Extensions: []ExtensionType{ExtAppDataDictionary}, Proposals: []ProposalType{8, 10},
				Credentials: []CredentialType{CredentialX509}}.Append(nil)
			return w.list(GroupContextExtensions{Extensions: ext})
		}},
	{section: "11.2", rule: "a reinitialized group has version, suite, id and extensions of the ReInit, starts in epoch 1 and names the old group's PSK",
		tests: "TestReInit TestContinuationViolations"},
	{section: "11.2", rule: "a PSK with usage reinit is for nothing else", broken: "proposal with usage reinit", want: ErrInvalidProposals,
		violate: func(w *world) error {
			return w.list(pskProposal(func(id *PSKID) { id.Type, id.Usage, id.ID = PSKResumption, ResumptionReInit, nil }))
		}},
	{section: "11.3", rule: "a branch has the old group's version and suite, starts in epoch 1 and has only its members", tests: "TestBranch TestContinuationViolations"},
	{section: "11.3", rule: "a PSK with usage branch is for nothing else", broken: "proposal with usage branch", want: ErrInvalidProposals,
		violate: func(w *world) error {
			return w.list(pskProposal(func(id *PSKID) { id.Type, id.Usage, id.ID = PSKResumption, ResumptionBranch, nil }))
		}},

	{section: "12.1", rule: "a proposal is of the current epoch", broken: "proposal of the next epoch", want: ErrWrongEpoch,
		violate: func(w *world) error {
			m, err := DecodeMessage(must(w.honest.Next.Propose(w.a.signer, Remove{Removed: 2}, FrameConfig{}))(w.t))
			if err != nil {
				return err
			}
			_, err = w.b.group.Verify(m)
			return err
		}},
	{section: "12.1", rule: "a proposal is of this group", broken: "proposal of another group", want: ErrWrongGroup,
		violate: func(w *world) error {
			g := *w.a.group
			g.context.GroupID = []byte("other")
			g.contextBytes = g.context.encode()
			return w.answer(must(g.Propose(w.a.signer, Remove{Removed: 2}, FrameConfig{}))(w.t))
		}},
	{section: "12.1.1", rule: "an Add has a valid KeyPackage", broken: "Add of a broken KeyPackage", want: ErrInvalidProposals,
		violate: func(w *world) error {
			return w.added(func(k *KeyPackage, _ *LeafNode) { k.InitKey = make([]byte, 32) })
		}},
	{section: "12.1.2", rule: "an Update has a valid leaf", broken: "Update with a key of low order", want: ErrInvalidProposals,
		violate: func(w *world) error {
			return w.updateOf(w.members[2].signer, 2, func(l *LeafNode) { l.EncryptionKey = make([]byte, 32) })
		}},
	{section: "12.1.2", rule: "only a member updates", broken: "Update by an external sender", want: ErrInvalidProposals,
		violate: func(w *world) error {
			return w.answer(w.frame(Sender{Type: SenderExternal}, w.server.signer, ContentProposal, proposalBody(w.updated.Proposal())))
		}},
	{section: "12.1.3", rule: "a Remove names a member", broken: "Remove of a blank leaf", want: ErrInvalidProposals,
		violate: func(w *world) error { return w.list(Remove{Removed: 6}) }},
	{section: "12.1.3", rule: "a Remove names a member", broken: "Remove beyond the tree", want: ErrInvalidProposals,
		violate: func(w *world) error { return w.list(Remove{Removed: 1<<32 - 1}) }},
	{section: "12.1.4", rule: "a PSK is known", broken: "unknown PSK", want: ErrMissingPSK,
		violate: func(w *world) error { return w.list(pskProposal(func(id *PSKID) { id.ID = []byte("unknown") })) }},
	{section: "12.1.5", rule: "a ReInit does not lower the version", broken: "ReInit to version 0", want: ErrInvalidProposals,
		violate: func(w *world) error { return w.list(ReInit{Suite: testSuite}) }},
	{section: "12.1.6", rule: "ExternalInit is for external commits", broken: "ExternalInit proposed by a member", want: ErrInvalidProposals,
		violate: func(w *world) error {
			return w.answer(w.frame(w.member(), w.a.signer, ContentProposal, proposalBody(ExternalInit{KEMOutput: make([]byte, 32)})))
		}},
	{section: "12.1.7", rule: "new extensions are supported by all, members added in the same commit too", broken: "extension that nobody lists", want: ErrInvalidProposals,
		violate: func(w *world) error {
			ext := append(w.a.group.context.Extensions.Clone(), Extension{Type: 0xf999})
			return w.list(GroupContextExtensions{Extensions: ext})
		}},
	{section: "12.1.8", rule: "an external proposal is a PublicMessage", tests: "TestProposeExternal TestVectorsMessageProtection"},
	{section: "12.1.8", rule: "an external sender sends add, remove, psk, reinit and group_context_extensions only", broken: "ExternalInit by an external sender", want: ErrInvalidProposals,
		violate: func(w *world) error {
			return w.answer(w.frame(Sender{Type: SenderExternal}, w.server.signer, ContentProposal, proposalBody(ExternalInit{KEMOutput: make([]byte, 32)})))
		}},
	{section: "12.1.8", rule: "an external sender sends add, remove, psk, reinit and group_context_extensions only", broken: "SelfRemove by an external sender", want: ErrInvalidProposals,
		violate: func(w *world) error {
			return w.answer(w.frame(Sender{Type: SenderExternal}, w.server.signer, ContentProposal, proposalBody(SelfRemove{})))
		}},
	{section: "12.1.8", rule: "external proposals that are not authorized are invalid", duty: "Caller: `VerifiedProposal.Sender` says who sent it; the rest of the check is here"},
}

func byValue(p Proposal) ProposalFrom { return ProposalFrom{Proposal: p} }

func byRef(v *VerifiedProposal) ProposalFrom {
	return ProposalFrom{Proposal: v.Proposal(), Sender: v.Sender(), ByReference: true}
}

// mixed commits references and values with a good path.
func (w *world) mixed(list ...proposalOrRef) error {
	w.t.Helper()
	return w.answer(w.commit(w.path(pathHooks{}), list...))
}

var listRows = []requirement{
	{section: "12.2", rule: "both who creates and who processes a commit check the list", broken: "own commit of an invalid list", want: ErrInvalidProposals,
		violate: func(w *world) error {
			_, err := w.a.group.Commit(w.a.signer, CommitConfig{Proposals: []Proposal{Remove{Removed: 2}, Remove{Removed: 2}}})
			return err
		}},
	{section: "12.2", rule: "no Update of the committer", broken: "Update by value", want: ErrInvalidProposals,
		violate: func(w *world) error { return w.list(must2(w.a.group.NewUpdate(w.a.signer, nil))(w.t)) }},
	{section: "12.2", rule: "no Update of the committer", broken: "own Update by reference", want: ErrInvalidProposals,
		violate: func(w *world) error {
			v := w.b.verifyProposal(w.a.propose(must2(w.a.group.NewUpdate(w.a.signer, nil))(w.t)))
			in := w.input()
			in.Proposals[v.Ref()] = v
			_, err := w.b.group.Apply(w.b.verifyCommit(w.commit(w.path(pathHooks{}), w.ref(v))), in)
			return err
		}},
	{section: "12.2", rule: "no Remove of the committer", broken: "committer removes itself", want: ErrInvalidProposals,
		violate: func(w *world) error { return w.list(Remove{Removed: 0}) }},
	{section: "12.2", rule: "one Update or Remove for a leaf", broken: "two Removes", want: ErrInvalidProposals,
		violate: func(w *world) error { return w.list(Remove{Removed: 2}, Remove{Removed: 2}) }},
	{section: "12.2", rule: "one Update or Remove for a leaf", broken: "Update and Remove", want: ErrInvalidProposals,
		violate: func(w *world) error { return w.mixed(w.ref(w.updated), values(Remove{Removed: 2})[0]) }},
	{section: "12.2", rule: "one Update or Remove for a leaf", broken: "two Updates", want: ErrInvalidProposals,
		violate: func(w *world) error { return w.mixed(w.ref(w.updated), w.ref(w.updated)) }},
	{section: "12.2", rule: "no client is added twice", broken: "one KeyPackage twice", want: ErrInvalidProposals,
		violate: func(w *world) error { return w.list(Add{KeyPackage: w.outsider.kp}, Add{KeyPackage: w.outsider.kp}) }},
	{section: "12.2", rule: "no client is added twice", broken: "two KeyPackages of one signer", want: ErrInvalidProposals,
		violate: func(w *world) error {
			other := w.keyPackage(func(k *KeyPackage, l *LeafNode) {
				_, k.InitKey, _ = w.s.generateKeyPair()
				_, l.EncryptionKey, _ = w.s.generateKeyPair()
			})
			return w.list(Add{KeyPackage: w.outsider.kp}, Add{KeyPackage: other})
		}},
	{section: "12.2", rule: "no member is added again, unless it is removed", broken: "Add of a member", want: ErrInvalidProposals,
		violate: func(w *world) error { return w.list(Add{KeyPackage: w.members[3].kp}) }},
	{section: "12.2", rule: "no client is added twice, by the application's measure", duty: "Caller, beyond equal keys: `VerifiedCommit.Proposals` shows the KeyPackages"},
	{section: "12.2", rule: "no PSK occurs twice", broken: "the same PreSharedKeyID twice", want: ErrInvalidProposals,
		violate: func(w *world) error {
			p := pskProposal(func(*PSKID) {})
			return w.list(p, p)
		}},
	{section: "12.2", rule: "one GroupContextExtensions", broken: "two GroupContextExtensions", want: ErrInvalidProposals,
		violate: func(w *world) error {
			p := GroupContextExtensions{Extensions: w.a.group.context.Extensions}
			return w.list(p, p)
		}},
	{section: "12.2", rule: "a ReInit is alone", broken: "ReInit and Add", want: ErrInvalidProposals,
		violate: func(w *world) error {
			return w.list(ReInit{Version: 1, Suite: testSuite}, Add{KeyPackage: w.outsider.kp})
		}},
	{section: "12.2", rule: "a ReInit is alone", broken: "two ReInits", want: ErrInvalidProposals,
		violate: func(w *world) error {
			return w.list(ReInit{Version: 1, Suite: testSuite}, ReInit{Version: 1, Suite: testSuite, GroupID: []byte("x")})
		}},
	{section: "12.2", rule: "no ExternalInit in a member's commit", broken: "ExternalInit by value", want: ErrInvalidProposals,
		violate: func(w *world) error { return w.list(ExternalInit{KEMOutput: make([]byte, 32)}) }},
	{section: "12.2", rule: "a type beyond the defaults is supported by all who process the commit", tests: "TestProposalSupport TestBugRemovedMemberMustSupportProposals TestOtherProposal"},
	{section: "12.2", rule: "the resulting tree is valid", tests: "TestConformance TestApplyChangesRefuses"},
	{section: "12.2", rule: "the proposals are known", broken: "reference to an unknown proposal", want: ErrUnknownProposal,
		violate: func(w *world) error { return w.mixed(proposalOrRef{ref: ProposalRef(make([]byte, 32))}) }},
	{section: "12.2", rule: "the proposals are known", broken: "reference to a proposal of another epoch", want: ErrUnknownProposal,
		violate: func(w *world) error {
			stale := *w.updated
			stale.state = flip(stale.state)
			in := w.input()
			in.Proposals[stale.Ref()] = &stale
			_, err := w.b.group.Apply(w.b.verifyCommit(w.commit(w.path(pathHooks{}), w.ref(w.updated))), in)
			return err
		}},

	{section: "12.2", rule: "an external commit has one ExternalInit", broken: "no ExternalInit", want: ErrInvalidProposals,
		violate: func(w *world) error {
			m, _ := externalCommit(w.t, w.a.group, w.outsider.signer, 0, nil, nil)
			return w.answer(m)
		}},
	{section: "12.2", rule: "an external commit has one ExternalInit", broken: "two ExternalInits", want: ErrInvalidProposals,
		violate: func(w *world) error {
			m, _ := externalCommit(w.t, w.a.group, w.outsider.signer, 2, nil, nil)
			return w.answer(m)
		}},
	{section: "12.2", rule: "an external commit has one Remove at most", broken: "two Removes in an external commit", want: ErrInvalidProposals,
		violate: func(w *world) error {
			return w.answer(w.externally(nil, byValue(Remove{Removed: 2}), byValue(Remove{Removed: 3})))
		}},
	{section: "12.2", rule: "a rejoining leaf meets what an Update must", broken: "rejoin with the old encryption key", want: ErrInvalidPath,
		violate: func(w *world) error {
			return w.answer(w.externally(func(l *LeafNode) { l.EncryptionKey = leafOfMember(w, 2).EncryptionKey }, byValue(Remove{Removed: 2})))
		}},
	{section: "12.2", rule: "who rejoins is the member that it removes", duty: "Caller: compares `VerifiedCommit.Path` with the leaf that the Remove names"},
	{section: "12.2", rule: "an external commit has nothing else", broken: "Add in an external commit", want: ErrInvalidProposals,
		violate: func(w *world) error { return w.answer(w.externally(nil, byValue(Add{KeyPackage: w.joiner.kp}))) }},
	{section: "12.2", rule: "an external commit has nothing else", broken: "Update in an external commit", want: ErrInvalidProposals,
		violate: func(w *world) error { return w.answer(w.externally(nil, byValue(w.updated.Proposal()))) }},
	{section: "12.2", rule: "an external commit has nothing else", broken: "ReInit in an external commit", want: ErrInvalidProposals,
		violate: func(w *world) error {
			return w.answer(w.externally(nil, byValue(ReInit{Version: 1, Suite: testSuite})))
		}},
	{section: "12.2", rule: "an external commit has nothing else", broken: "GroupContextExtensions in an external commit", want: ErrInvalidProposals,
		violate: func(w *world) error {
			return w.answer(w.externally(nil, byValue(GroupContextExtensions{Extensions: w.a.group.context.Extensions})))
		}},

	{section: "12.3", rule: "GroupContextExtensions apply before what is added is judged", broken: "Add lacks what the same commit requires", want: ErrInvalidProposals,
		violate: func(w *world) error {
			ext := w.a.group.context.Extensions.Clone()
			ext[0].Data = RequiredCapabilities{Extensions: []ExtensionType{ExtAppDataDictionary, 0xf2d1}, Proposals: []ProposalType{8, 10}}.Append(nil)
			k := w.keyPackage(func(_ *KeyPackage, l *LeafNode) { l.Capabilities.Extensions = []ExtensionType{ExtAppDataDictionary} })
			return w.list(Add{KeyPackage: k}, GroupContextExtensions{Extensions: ext})
		}},
	{section: "12.3", rule: "Updates, Removes and Adds apply in this order", tests: "TestBugTruncation TestTreeAgainstModel TestVectorsPassiveRandom"},
}
