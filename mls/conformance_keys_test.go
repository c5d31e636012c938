package mls

import (
	"slices"
)

func pskProposal(change func(id *PSKID)) PreSharedKey {
	id := PSKID{Type: PSKExternal, ID: []byte("1"), Nonce: randomBytes(32)}
	change(&id)
	return PreSharedKey{ID: id}
}

// validated is what is wrong with a KeyPackage by itself.
func (w *world) validated(change func(k *KeyPackage, l *LeafNode)) error {
	w.t.Helper()
	return w.keyPackage(change).Validate(testTime)
}

var keyRows = []requirement{
	{section: "8.4", rule: "commit and Welcome name the same PSKs in the same order", broken: "the order in the Welcome differs", want: ErrAuthentication,
		violate: func(w *world) error {
			return w.welcomed(welcomeHooks{unkeyed: func(s *groupSecrets) { s.psks = slices.Clone(s.psks); slices.Reverse(s.psks) }})
		}},
	{section: "8.4", rule: "commit and Welcome name the same PSKs in the same order", broken: "the Welcome lacks one", want: ErrAuthentication,
		violate: func(w *world) error {
			return w.welcomed(welcomeHooks{unkeyed: func(s *groupSecrets) { s.psks = s.psks[:1] }})
		}},
	{section: "8.4", rule: "a nonce has Nh bytes", broken: "33 bytes in a proposal", want: ErrInvalidProposals,
		violate: func(w *world) error { return w.list(pskProposal(func(id *PSKID) { id.Nonce = make([]byte, 33) })) }},
	{section: "8.4", rule: "a nonce has Nh bytes", broken: "31 bytes in a proposal", want: ErrMalformed,
		violate: func(w *world) error { return w.list(pskProposal(func(id *PSKID) { id.Nonce = make([]byte, 31) })) }},
	{section: "8.4", rule: "a nonce has Nh bytes", broken: "33 bytes in a Welcome", want: ErrMalformed,
		violate: func(w *world) error {
			return w.welcomed(welcomeHooks{secrets: func(s *groupSecrets) {
				s.psks = slices.Clone(s.psks)
				s.psks[0].Nonce = make([]byte, 33)
			}})
		}},
	{section: "8.4", rule: "a nonce is fresh and random", tests: "TestProposeExternal TestPSKNonces"},

	{section: "9", rule: "a key and nonce encrypt one message", tests: "TestProtectAfterRestart TestReserve TestReuseGuard"},
	{section: "9", rule: "a key opens one message", broken: "the same message twice", want: ErrConsumed,
		violate: func(w *world) error {
			g := save(w.b.group).load(w.t)
			m := decode(w.t, w.text)
			if _, err := g.Unprotect(m); err != nil {
				return err
			}
			_, err := g.Unprotect(m)
			return err
		}},
	{section: "9", rule: "a key opens one message", broken: "the same message after a restart", want: ErrConsumed,
		violate: func(w *world) error {
			g := save(w.b.group).load(w.t)
			m := decode(w.t, w.text)
			if _, err := g.Unprotect(m); err != nil {
				return err
			}
			_, err := save(g).load(w.t).Unprotect(m)
			return err
		}},
	{section: "9.2", rule: "what was consumed is deleted at once", tests: "TestUsedKeysAreForgotten TestNoKeyIsReachable TestExportComponentOnce"},
	{section: "9.2", rule: "what an epoch no longer needs is deleted", tests: "TestErase TestErasedGroupHoldsNoSecret"},
	{section: "9.2", rule: "the key of a handshake message is deleted when it was read", duty: "Caller: it stays with its epoch, since of rival commits the one that counts may come late; `Group.Erase(UseMessages)` ends it"},
	{section: "9.2", rule: "the init secret goes when the next epoch is there", duty: "Caller: rival branches need it; `Group.Erase(UseAdvance)` ends it"},

	{section: "10", rule: "init_key is a key of the suite", broken: "init_key of another length", want: ErrInvalidKeyPackage,
		violate: func(w *world) error {
			return w.validated(func(k *KeyPackage, _ *LeafNode) { k.InitKey = make([]byte, 33) })
		}},
	{section: "10", rule: "init_key is a key of the suite", broken: "init_key of low order", want: ErrInvalidKeyPackage,
		violate: func(w *world) error {
			return w.validated(func(k *KeyPackage, _ *LeafNode) { k.InitKey = make([]byte, 32) })
		}},
	{section: "10", rule: "init_key is unique", tests: "TestKeyPackageKeysAreFresh"},
	{section: "10", rule: "the leaf's keys are of the suite", broken: "encryption key of another length", want: ErrInvalidKeyPackage,
		violate: func(w *world) error {
			return w.validated(func(_ *KeyPackage, l *LeafNode) { l.EncryptionKey = make([]byte, 33) })
		}},
	{section: "10", rule: "a KeyPackage has a valid signature", broken: "extension added after signing", want: ErrInvalidKeyPackage,
		violate: func(w *world) error {
			k := *w.outsider.kp
			k.Extensions = Extensions{{Type: 0xf2d1}}
			return must(DecodeKeyPackage(reencodeKeyPackage(&k)))(w.t).Validate(testTime)
		}},
	{section: "10", rule: "version is that of the MLSMessage", broken: "KeyPackage of version 2 in a message of version 1", want: ErrUnsupportedVersion,
		violate: func(w *world) error {
			_, err := DecodeMessage(w.keyPackage(func(k *KeyPackage, _ *LeafNode) { k.Version = 2 }).Message())
			return err
		}},
	{section: "10", rule: "the leaf's source is key_package", broken: "leaf of an Update", want: ErrInvalidKeyPackage,
		violate: func(w *world) error { return w.validated(ofLeaf(isFromUpdate)) }},
	{section: "10", rule: "extensions are listed in the leaf's capabilities, those of the leaf", broken: "unlisted leaf extension", want: ErrInvalidKeyPackage,
		violate: func(w *world) error { return w.validated(ofLeaf(lacksOwnExtension)) }},
	{section: "10", rule: "extensions are listed in the leaf's capabilities, those of the KeyPackage", broken: "own KeyPackage with an unlisted extension", want: ErrInvalidConfig,
		violate: func(w *world) error {
			_, _, err := NewKeyPackage(w.outsider.signer, KeyPackageConfig{Suite: testSuite, Credential: w.outsider.kp.Leaf.Credential,
				Capabilities: testCapabilities(testSuite), Extensions: Extensions{{Type: 0xf00d}}})
			return err
		}},
	{section: "10", rule: "unknown extensions of others are ignored", tests: "TestGrease"},

	{section: "10.1", rule: "suite and version are the group's", broken: "Add of another suite", want: ErrInvalidProposals,
		violate: func(w *world) error {
			return w.added(func(k *KeyPackage, _ *LeafNode) { k.Suite = X25519_CHACHA20POLY1305_SHA256_Ed25519 })
		}},
	{section: "10.1", rule: "suite and version are the group's", broken: "Add of another version", want: ErrInvalidProposals,
		violate: func(w *world) error { return w.added(func(k *KeyPackage, _ *LeafNode) { k.Version = 2 }) }},
	{section: "10.1", rule: "the signature is valid", broken: "Add of a KeyPackage signed by another", want: ErrInvalidProposals,
		violate: func(w *world) error {
			b := bytesWithout(w.outsider.kp)
			sig := must(w.s.signWithLabel(w.server.signer, "KeyPackageTBS", b))(w.t)
			return w.answer(w.commit(nil, values(Add{KeyPackage: must(DecodeKeyPackage(appendOpaque(b, sig)))(w.t)})...))
		}},
	{section: "10.1", rule: "encryption key and init_key differ", broken: "Add with one key for both", want: ErrInvalidProposals,
		violate: func(w *world) error { return w.added(func(k *KeyPackage, l *LeafNode) { k.InitKey = l.EncryptionKey }) }},
}

// bytesWithout returns the signed part of a KeyPackage.
func bytesWithout(k *KeyPackage) []byte { return slices.Clone(k.raw[:k.signed]) }
