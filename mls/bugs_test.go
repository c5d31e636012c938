package mls

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// bugs lists what other implementations had wrong, with the tests that hold us
// to better.
var bugs = []struct{ bug, tests string }{
	{"commit with one Remove or Update accepted without a path", "TestBugCommitWithoutRequiredPath TestPathIsRequired"},
	{"external commit carries GroupContextExtensions or Add, or removes somebody else", "TestBugExternalCommitLists TestExternalCommitRules"},
	{"state changed before the confirmation tag is checked", "TestFailuresChangeNothing TestGroupProperties FuzzApply"},
	{"a discarded commit leaves new path keys; a pending one confuses a foreign one", "TestBugDroppedCommitKeepsKeys TestRivalCommits"},
	{"confirmation tag not checked", "TestFailuresChangeNothing TestConformance"},
	{"MAC or tag compared up to the shorter length", "TestBugTagsComparedByPrefix"},
	{"out-of-bounds panic in a decoder", "TestCodecs FuzzMessage"},
	{"allocation sized by a peer's number", "TestHostileAllocations TestDecodeTreeMemory TestCodecs"},
	{"bytes after extension data, extension types twice, varint at its boundaries", "TestBugExtensionData TestVarintBoundaries"},
	{"two grammars for one structure", "TestBugTwoGrammars"},
	{"parent-hash check ends early, skips blank nodes, ignores unmerged leaves, takes a null hash", "TestBugParentHashes TestTreeAgainstModel"},
	{"unmerged leaves unsorted, ratchet tree with trailing blanks", "TestDecodeTreeRefuses TestConformance"},
	{"leaf or node index overflow, commits from invalid senders", "TestBugIndexBeyondTree TestConformance"},
	{"default types in capabilities, version checked too late", "TestBugDefaultTypesInCapabilities TestBugVersionFirst"},
	{"members being removed had to support the proposals, Update kept beside Remove", "TestBugRemovedMemberMustSupportProposals TestBugUpdateBesideRemove"},
	{"tree truncated at the wrong moment, hashes or sender index without SelfRemove", "TestBugTruncation TestBugExternalCommitLists TestExternalCommitWithSelfRemoves"},
	{"credentials of a past epoch looked up in the current tree", "TestBugCredentialOfPastEpoch TestGroupProperties"},
	{"secret tree not saved, root kept, generations replayable after restart", "TestUsedKeysAreForgotten TestNoKeyIsReachable TestProtectAfterRestart TestRestarts"},
	{"the same ciphertext twice deletes the ratchet, out-of-order message corrupts it", "TestMessageOrder FuzzUnprotect"},
	{"unlimited forward ratchet", "TestMessageOrder"},
	{"encryption reuses a generation", "TestReserve TestProtectAfterRestart"},
	{"GroupInfo of a commit with a new signer signed with the old, new signer ignored without a path", "TestNewSignatureKey"},
	{"external pub from the old key schedule", "TestBugExternalPubOfOldEpoch"},
	{"external_pub without its own length", "TestBugExtensionData TestVectorsMessages"},
	{"GroupContextExtensions rewrites the dictionary past AppDataUpdate", "TestBugDictionaryByGroupContextExtensions"},
	{"path keys not unique against the tree and among themselves", "TestBugPathKeysNotUnique TestConformance"},
	{"required capabilities or credential support not checked again after an update", "TestBugSupportNotCheckedAgain TestConformance"},
	{"PSK twice, order, nonce length", "TestBugDuplicatePSK TestConformance TestVectorsPSKSecret"},
	{"last-resort key package's key deleted at first use", "TestBugLastResortKeyDeleted"},
	{"secrets in debug output or errors", "TestSecretsDoNotPrint TestConformance"},
	{"private key padding of P-521, KEM seed sizes", "TestBugPrivateKeySizes TestVectorsPassiveWelcome TestVectorsTreeKEM"},
	{"lifetimes of old leaves enforced, int64 wrap of 2^64-1", "TestBugLifetimes"},
	{"own commit applied again after restart", "TestBugOwnCommitAfterRestart TestOwnMessages"},
	{"commit_secret one derivation short, HPKE context with the wrong hash, new leaves not left out", "TestVectorsTreeKEM TestVectorsPassiveRandom TestConformance"},
	{"X.509 constraints not validated", "TestOpaqueCredentials"},
}

func TestBugsHaveTests(t *testing.T) {
	known := testNames(t)
	for _, b := range bugs {
		for _, name := range strings.Fields(b.tests) {
			if !known[name] {
				t.Errorf("%s: there is no %s", b.bug, name)
			}
		}
	}
	if len(bugs) != 35 {
		t.Errorf("%d bugs are listed", len(bugs))
	}
}

// TestBugTwoGrammars: what is read in one form is not read in the other, and
// optional parts are not guessed.
func TestBugTwoGrammars(t *testing.T) {
	members := newTesters(t, testSuite, 2)
	k := newTester(t, testSuite, "x").kp
	staged := members[0].commit(CommitConfig{Proposals: []Proposal{Add{KeyPackage: k}}})
	info := must(members[0].group.Info(members[0].signer, InfoConfig{}))(t)
	for name, err := range map[string]error{
		"KeyPackage in a message, read bare":   errorOf(DecodeKeyPackage(k.Message())),
		"bare KeyPackage, read as a message":   errorOf(DecodeMessage(k.Bytes())),
		"Welcome in a message, read bare":      errorOf(DecodeWelcome(staged.Welcome)),
		"bare Welcome, read as a message":      errorOf(DecodeMessage(staged.Welcome[4:])),
		"bare GroupInfo, read as a message":    errorOf(DecodeMessage(info.Bytes())),
		"content without a message":            errorOf(DecodeMessage(staged.Message[2:])),
		"message behind another":               errorOf(DecodeMessage(append(bytes.Clone(staged.Message), staged.Message...))),
		"tree without its length":              errorOf(decodeTree(members[0].group.suite, members[0].group.tree.appendTree(nil)[2:], Limits{})),
		"KeyPackage in hexadecimal, as a text": errorOf(DecodeKeyPackage([]byte("0001000120"))),
	} {
		if err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

// TestBugVersionFirst: what is of another version is refused for that, whatever
// follows.
func TestBugVersionFirst(t *testing.T) {
	for _, b := range [][]byte{{0, 2}, {0, 2, 0, 1}, {0, 2, 0xff, 0xff, 1, 2, 3}, {0, 0, 0, 5}, {0xff, 0xff, 0, 3}} {
		if _, err := DecodeMessage(b); !errors.Is(err, ErrUnsupportedVersion) {
			t.Errorf("%x: %v", b, err)
		}
	}
	if _, err := DecodeMessage([]byte{0, 1, 0, 9}); !errors.Is(err, ErrMalformed) {
		t.Errorf("unknown wire format: %v", err)
	}
	members := newTesters(t, testSuite, 2)
	info := must(members[0].group.Info(members[0].signer, InfoConfig{}))(t)
	b := info.Message()
	b[5] = 2
	if _, err := DecodeMessage(b); !errors.Is(err, ErrUnsupportedVersion) {
		t.Errorf("GroupContext of version 2: %v", err)
	}
}

// TestBugPrivateKeySizes: keys with leading zeros keep their length, in every
// suite.
func TestBugPrivateKeySizes(t *testing.T) {
	for _, s := range allSuites() {
		size := 0
		for i := range 300 {
			priv, pub, err := s.deriveKeyPair(append(bytes.Repeat([]byte{byte(s.id)}, s.nh-2), byte(i>>8), byte(i)))
			if err != nil {
				t.Fatal(err)
			}
			if size == 0 {
				size = len(priv)
			}
			if len(priv) != size || len(pub) != s.pubLen {
				t.Fatalf("suite %d: keys of %d and %d bytes", s.id, len(priv), len(pub))
			}
			if again := must(s.publicOf(priv))(t); i < 5 && !bytes.Equal(again, pub) {
				t.Fatalf("suite %d: another public key", s.id)
			}
			if s.publicKeyOK(pub) != nil {
				t.Fatalf("suite %d: own key refused", s.id)
			}
			if s.nh > 32 && i == 20 {
				break // P-384, P-521 and X448 are slow
			}
		}
	}
}

// TestBugOwnCommitAfterRestart: the parent knows its own commit again when it
// comes back from the network, also from storage.
func TestBugOwnCommitAfterRestart(t *testing.T) {
	members := newTesters(t, testSuite, 2)
	a := members[0]
	for _, private := range []bool{false, true} {
		staged := a.commit(CommitConfig{Path: PathAlways, Private: private})
		restarted := save(a.group).load(t)
		m := decode(t, staged.Message)
		v, err := restarted.Verify(m)
		if err == nil {
			_, err = restarted.Apply(v.(*VerifiedCommit), ApplyInput{})
		}
		if !errors.Is(err, ErrOwnMessage) {
			t.Errorf("private %v: %v", private, err)
		}
		if _, err := staged.Next.Verify(m); !errors.Is(err, ErrWrongEpoch) {
			t.Errorf("after it was taken: %v", err)
		}
	}
}

// TestOversizedMessages: what no receiver would decode is not sent, and costs
// no key.
func TestOversizedMessages(t *testing.T) {
	members := newTesters(t, testSuite, 2)
	a := members[0]
	huge := make([]byte, maxMessageBytes)
	unchanged(t, a.group, ErrInvalidConfig, func() error { _, err := a.group.Protect(a.signer, huge, nil); return err })
	unchanged(t, a.group, ErrInvalidConfig, func() error { _, err := a.group.Protect(a.signer, nil, huge); return err })
	unchanged(t, a.group, ErrInvalidConfig, func() error {
		_, err := a.group.Commit(a.signer, CommitConfig{AAD: huge, Private: true})
		return err
	})
	unchanged(t, a.group, ErrInvalidConfig, func() error {
		_, err := a.group.Propose(a.signer, AppEphemeral{Data: huge}, FrameConfig{Private: true})
		return err
	})
	fits := make([]byte, maxMessageBytes-2*maxFraming)
	m := decode(t, must(a.group.Protect(a.signer, fits, nil))(t).Message)
	if r := must(members[1].group.Unprotect(m))(t); len(r.Plaintext) != len(fits) {
		t.Error("the largest message is cut")
	}
	if _, err := DecodeMessage(make([]byte, maxMessageBytes+1)); !errors.Is(err, ErrMalformed) {
		t.Errorf("oversized message: %v", err)
	}
}
