package mls

import "slices"

// Changes to a leaf that make it unfit for the group, whatever brings it in.
var (
	dropsRequired = func(l *LeafNode) {
		l.Capabilities.Proposals = slices.DeleteFunc(slices.Clone(l.Capabilities.Proposals), func(t ProposalType) bool { return t == ProposalSelfRemove })
	}
	dropsContextExtension = func(l *LeafNode) { l.Capabilities.Extensions = []ExtensionType{0xf2d1} }
	bringsCredential      = func(l *LeafNode) {
		l.Credential = Credential{Type: 0xf000, Raw: []byte{1}}
		l.Capabilities.Credentials = []CredentialType{CredentialBasic, 0xf000}
	}
	dropsCredential   = func(l *LeafNode) { l.Capabilities.Credentials = []CredentialType{CredentialX509} }
	lacksOwnExtension = func(l *LeafNode) { l.Extensions = Extensions{{Type: 0xf00d}} }
	isFromUpdate      = func(l *LeafNode) { l.Source, l.ParentHash = LeafSourceUpdate, nil }
	isFromKeyPackage  = func(l *LeafNode) { l.Source, l.ParentHash, l.Lifetime = LeafSourceKeyPackage, nil, testLifetime }
)

func ofLeaf(change func(l *LeafNode)) func(k *KeyPackage, l *LeafNode) {
	return func(_ *KeyPackage, l *LeafNode) { change(l) }
}

func leafOfMember(w *world, i LeafIndex) *LeafNode {
	l, ok := w.a.group.Leaf(i)
	if !ok {
		w.t.Fatal("no such leaf")
	}
	return l
}

// inTree changes a leaf in the tree of a Welcome, signed by its owner.
func (w *world) inTree(i LeafIndex, change func(l *LeafNode)) error {
	w.t.Helper()
	return w.welcomed(welcomeHooks{tree: func(m *treeModel) {
		l := *m.nodes[2*i].leaf
		change(&l)
		m.nodes[2*i].leaf = must(newLeafNode(w.s, w.members[i].signer, l, w.a.group.context.GroupID, i))(w.t)
	}})
}

// aloneInTree is inTree of a group in which nothing but leaves is left, so
// that no parent hash depends on the changed one.
func (w *world) aloneInTree(i LeafIndex, signedBy *tester, change func(l *LeafNode)) error {
	w.t.Helper()
	return w.welcomed(welcomeHooks{secrets: func(s *groupSecrets) { s.pathSecret = nil }, tree: func(m *treeModel) {
		for x := range m.nodes {
			m.nodes[x].parent = nil
		}
		l := *m.nodes[2*i].leaf
		change(&l)
		m.nodes[2*i].leaf = must(newLeafNode(w.s, signedBy.signer, l, w.a.group.context.GroupID, i))(w.t)
	}})
}

var leafRows = []requirement{
	{section: "7.1", rule: "unmerged leaves ascend", tests: "TestDecodeTreeRefuses"},
	{section: "7.2", rule: "default types are not listed in capabilities", duty: "Caller, who writes the list; listing one harms nothing and is not refused (Marmot lists extension 3 as its peers do)"},
	{section: "7.2", rule: "capabilities list all that is supported", duty: "Caller"},
	{section: "7.2", rule: "unknown values in capabilities are ignored", tests: "TestGrease"},
	{section: "7.2", rule: "an application has a longest lifetime", duty: "Caller: `LeafNode.Lifetime` and `KeyPackage.Leaf.Lifetime` show it"},
	{section: "7.2", rule: "a changed leaf has a new signature", broken: "path's leaf changed after it was signed", want: ErrInvalidPath,
		violate: func(w *world) error {
			return w.pathed(pathHooks{sealed: func(l *LeafNode) { l.Credential = BasicCredential([]byte("somebody else")) }})
		}},

	{section: "7.3", rule: "the signature of a leaf is valid", broken: "Add", want: ErrInvalidProposals,
		violate: func(w *world) error {
			k := *w.outsider.kp
			k.Leaf = must(leafNodeIn(reencodeLeaf(&LeafNode{EncryptionKey: k.Leaf.EncryptionKey, SignatureKey: k.Leaf.SignatureKey,
				Credential: k.Leaf.Credential, Capabilities: k.Leaf.Capabilities, Source: k.Leaf.Source, Lifetime: k.Leaf.Lifetime,
				Signature: flip(k.Leaf.Signature)})))(w.t)
			b := reencodeKeyPackage(&k)
			b = b[:len(b)-len(k.Signature)-2]
			signed := must(w.s.signWithLabel(w.outsider.signer, "KeyPackageTBS", b))(w.t)
			again := must(DecodeKeyPackage(appendOpaque(b, signed)))(w.t)
			return w.answer(w.commit(nil, values(Add{KeyPackage: again})...))
		}},
	{section: "7.3", rule: "the signature of a leaf is valid", broken: "Update signed for another leaf", want: ErrInvalidProposals,
		violate: func(w *world) error { return w.updateOf(w.members[2].signer, 3, func(*LeafNode) {}) }},
	{section: "7.3", rule: "the signature of a leaf is valid", broken: "path's leaf signed for another group", want: ErrInvalidPath,
		violate: func(w *world) error { return w.pathed(pathHooks{group: []byte("other")}) }},
	{section: "7.3", rule: "the signature of a leaf is valid", broken: "path's leaf signed for another place", want: ErrInvalidPath,
		violate: func(w *world) error { return w.pathed(pathHooks{index: 1}) }},
	{section: "7.3", rule: "the source of a path's leaf is commit", broken: "external commit with a leaf of a KeyPackage", want: ErrInvalidPath,
		violate: func(w *world) error {
			return w.answer(w.externally(func(l *LeafNode) { l.Source = LeafSourceKeyPackage }))
		}},
	{section: "7.3", rule: "the signature of a leaf is valid", broken: "leaf in the tree of a Welcome", want: ErrInvalidLeaf,
		violate: func(w *world) error {
			return w.welcomed(welcomeHooks{secrets: func(s *groupSecrets) { s.pathSecret = nil }, tree: func(m *treeModel) {
				for x := range m.nodes {
					m.nodes[x].parent = nil
				}
				l := *m.nodes[6].leaf
				l.Signature = flip(l.Signature)
				m.nodes[6].leaf = must(leafNodeIn(reencodeLeaf(&l)))(w.t)
			}})
		}},

	{section: "7.3", rule: "a leaf lists the required capabilities", broken: "Add without a required proposal", want: ErrInvalidProposals,
		violate: func(w *world) error { return w.added(ofLeaf(dropsRequired)) }},
	{section: "7.3", rule: "a leaf lists the required capabilities", broken: "Update without a required proposal", want: ErrInvalidProposals,
		violate: func(w *world) error { return w.updateOf(w.members[2].signer, 2, dropsRequired) }},
	{section: "7.3", rule: "a leaf lists the required capabilities", broken: "path without a required proposal", want: ErrInvalidPath,
		violate: func(w *world) error { return w.pathed(pathHooks{leaf: dropsRequired}) }},
	{section: "7.3", rule: "a leaf lists the required capabilities", broken: "external commit without a required proposal", want: ErrInvalidPath,
		violate: func(w *world) error { return w.answer(w.externally(dropsRequired)) }},
	{section: "7.3", rule: "a leaf lists the required capabilities", broken: "tree of a Welcome without a required proposal", want: ErrInvalidLeaf,
		violate: func(w *world) error { return w.aloneInTree(2, w.members[2], dropsRequired) }},

	{section: "7.3", rule: "every member supports every credential type in use", broken: "Add brings a type", want: ErrInvalidProposals,
		violate: func(w *world) error { return w.added(ofLeaf(bringsCredential)) }},
	{section: "7.3", rule: "every member supports every credential type in use", broken: "Update brings a type", want: ErrInvalidProposals,
		violate: func(w *world) error { return w.updateOf(w.members[2].signer, 2, bringsCredential) }},
	{section: "7.3", rule: "every member supports every credential type in use", broken: "path brings a type", want: ErrInvalidPath,
		violate: func(w *world) error { return w.pathed(pathHooks{leaf: bringsCredential}) }},
	{section: "7.3", rule: "every member supports every credential type in use", broken: "external commit brings a type", want: ErrInvalidPath,
		violate: func(w *world) error { return w.answer(w.externally(bringsCredential)) }},
	{section: "7.3", rule: "every member supports every credential type in use", broken: "tree of a Welcome has a type", want: ErrInvalidLeaf,
		violate: func(w *world) error { return w.aloneInTree(2, w.members[2], bringsCredential) }},
	{section: "7.3", rule: "a leaf's own credential type is listed", broken: "Add drops the type in use", want: ErrInvalidProposals,
		violate: func(w *world) error { return w.added(ofLeaf(dropsCredential)) }},
	{section: "7.3", rule: "a leaf's own credential type is listed", broken: "Update drops the type in use", want: ErrInvalidProposals,
		violate: func(w *world) error { return w.updateOf(w.members[2].signer, 2, dropsCredential) }},
	{section: "7.3", rule: "a leaf's own credential type is listed", broken: "path drops the type in use", want: ErrInvalidPath,
		violate: func(w *world) error { return w.pathed(pathHooks{leaf: dropsCredential}) }},

	{section: "7.3", rule: "what is sent is within its lifetime", broken: "own commit with an expired Add", want: ErrInvalidProposals,
		violate: func(w *world) error {
			k := w.keyPackage(func(_ *KeyPackage, l *LeafNode) { l.Lifetime = Lifetime{NotBefore: 1, NotAfter: 2} })
			_, err := w.a.group.Commit(w.a.signer, CommitConfig{Proposals: []Proposal{Add{KeyPackage: k}}, Now: testTime})
			return err
		}},
	{section: "7.3", rule: "what is received is within its lifetime, if the caller gives the time", broken: "expired Add", want: ErrInvalidProposals,
		violate: func(w *world) error {
			return w.added(func(_ *KeyPackage, l *LeafNode) { l.Lifetime = Lifetime{NotBefore: 1, NotAfter: 2} })
		}},
	{section: "7.3", rule: "what is received is within its lifetime, if the caller gives the time", broken: "Add that is not valid yet", want: ErrInvalidProposals,
		violate: func(w *world) error {
			return w.added(func(_ *KeyPackage, l *LeafNode) {
				l.Lifetime = Lifetime{NotBefore: uint64(testTime.Unix()) + 1, NotAfter: 1<<64 - 1}
			})
		}},

	{section: "7.3", rule: "a leaf lists its own extensions", broken: "Add with an unlisted extension", want: ErrInvalidProposals,
		violate: func(w *world) error { return w.added(ofLeaf(lacksOwnExtension)) }},
	{section: "7.3", rule: "a leaf lists its own extensions", broken: "Update with an unlisted extension", want: ErrInvalidProposals,
		violate: func(w *world) error { return w.updateOf(w.members[2].signer, 2, lacksOwnExtension) }},
	{section: "7.3", rule: "a leaf lists its own extensions", broken: "path with an unlisted extension", want: ErrInvalidPath,
		violate: func(w *world) error { return w.pathed(pathHooks{leaf: lacksOwnExtension}) }},
	{section: "7.3", rule: "a leaf lists its own extensions", broken: "tree of a Welcome with an unlisted extension", want: ErrInvalidLeaf,
		violate: func(w *world) error { return w.aloneInTree(2, w.members[2], lacksOwnExtension) }},

	{section: "7.3", rule: "the source of a KeyPackage's leaf is key_package", broken: "KeyPackage with a leaf of an Update", want: ErrInvalidProposals,
		violate: func(w *world) error { return w.added(ofLeaf(isFromUpdate)) }},
	{section: "7.3", rule: "the source of an Update's leaf is update", broken: "Update with a leaf of a KeyPackage", want: ErrInvalidProposals,
		violate: func(w *world) error { return w.updateOf(w.members[2].signer, 2, isFromKeyPackage) }},
	{section: "7.3", rule: "the source of an Update's leaf is update", broken: "Update with a leaf of a commit", want: ErrInvalidProposals,
		violate: func(w *world) error {
			return w.updateOf(w.members[2].signer, 2, func(l *LeafNode) { l.Source, l.ParentHash = LeafSourceCommit, make([]byte, 32) })
		}},
	{section: "7.3", rule: "the source of a path's leaf is commit", broken: "path with a leaf of an Update", want: ErrInvalidPath,
		violate: func(w *world) error { return w.pathed(pathHooks{leaf: isFromUpdate}) }},
	{section: "7.3", rule: "the source of a path's leaf is commit", broken: "path with a leaf of a KeyPackage", want: ErrInvalidPath,
		violate: func(w *world) error { return w.pathed(pathHooks{leaf: isFromKeyPackage}) }},
	{section: "7.3", rule: "an Update has a new encryption key", broken: "Update keeps its key", want: ErrInvalidProposals,
		violate: func(w *world) error {
			return w.updateOf(w.members[2].signer, 2, func(l *LeafNode) { l.EncryptionKey = leafOfMember(w, 2).EncryptionKey })
		}},

	{section: "7.3", rule: "signature keys are unique", broken: "Add with a member's key", want: ErrInvalidProposals,
		violate: func(w *world) error {
			k := forgeKeyPackage(w.t, &tester{t: w.t, signer: w.members[3].signer, kp: w.outsider.kp}, func(*KeyPackage, *LeafNode) {})
			return w.answer(w.commit(nil, values(Add{KeyPackage: k})...))
		}},
	{section: "7.3", rule: "signature keys are unique", broken: "Update to another member's key", want: ErrInvalidProposals,
		violate: func(w *world) error { return w.updateOf(w.members[3].signer, 2, func(*LeafNode) {}) }},
	{section: "7.3", rule: "signature keys are unique", broken: "path to another member's key", want: ErrInvalidLeaf,
		violate: func(w *world) error { return w.pathed(pathHooks{signer: w.members[3].signer}) }},
	{section: "7.3", rule: "signature keys are unique", broken: "tree of a Welcome with a key twice", want: ErrInvalidTree,
		violate: func(w *world) error { return w.aloneInTree(2, w.members[3], func(*LeafNode) {}) }},
	{section: "7.3", rule: "encryption keys are unique", broken: "Add with a member's encryption key", want: ErrInvalidProposals,
		violate: func(w *world) error {
			return w.added(ofLeaf(func(l *LeafNode) { l.EncryptionKey = leafOfMember(w, 3).EncryptionKey }))
		}},
	{section: "7.3", rule: "encryption keys are unique", broken: "Add with the key of a parent node", want: ErrInvalidProposals,
		violate: func(w *world) error {
			return w.added(ofLeaf(func(l *LeafNode) { l.EncryptionKey = w.a.group.tree.root.encryptionKey() }))
		}},
	{section: "7.3", rule: "encryption keys are unique", broken: "Update to another member's encryption key", want: ErrInvalidProposals,
		violate: func(w *world) error {
			return w.updateOf(w.members[2].signer, 2, func(l *LeafNode) { l.EncryptionKey = leafOfMember(w, 3).EncryptionKey })
		}},
	{section: "7.3", rule: "encryption keys are unique", broken: "path's leaf with another member's encryption key", want: ErrInvalidPath,
		violate: func(w *world) error {
			return w.pathed(pathHooks{leaf: func(l *LeafNode) { l.EncryptionKey = leafOfMember(w, 3).EncryptionKey }})
		}},
	{section: "7.3", rule: "encryption keys are unique", broken: "tree of a Welcome with an encryption key twice", want: ErrInvalidTree,
		violate: func(w *world) error {
			return w.aloneInTree(2, w.members[2], func(l *LeafNode) { l.EncryptionKey = leafOfMember(w, 3).EncryptionKey })
		}},
	{section: "7.3", rule: "a key is one of the suite", broken: "path's leaf with a key of low order", want: ErrInvalidPath,
		violate: func(w *world) error {
			return w.pathed(pathHooks{leaf: func(l *LeafNode) { l.EncryptionKey = make([]byte, 32) }})
		}},
}
