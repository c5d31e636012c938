package mls

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestLifecycle(t *testing.T) {
	for _, s := range allSuites() {
		t.Run(fmt.Sprintf("suite %d", s.id), func(t *testing.T) {
			members := newTesters(t, s.id, 5)
			agree(t, members)
			m := members[1].send("hello")
			for i, c := range members {
				if i != 1 {
					c.reads(m, "hello")
				}
			}
			for i := range members { // everyone updates, which fills the tree
				advance(t, members, i, CommitConfig{Path: PathAlways})
			}
			sixth := newTester(t, s.id, "sixth")
			staged := advance(t, members, 2, CommitConfig{Proposals: []Proposal{Add{KeyPackage: sixth.kp}}})
			sixth.join(staged.Welcome)
			members = append(members, sixth)
			agree(t, members)
			advance(t, members, 5, CommitConfig{Path: PathAlways})

			removed := members[3]
			staged = members[0].commit(CommitConfig{Proposals: []Proposal{Remove{Removed: removed.group.Self()}}})
			var gone *RemovedError
			if _, err := removed.apply(staged.Message); !errors.As(err, &gone) || !errors.Is(err, ErrRemoved) {
				t.Fatalf("removed member got %v", err)
			}
			if gone.Committer != members[0].group.Self() || gone.Epoch != removed.group.Epoch()+1 {
				t.Fatalf("wrong evidence: %v", gone)
			}
			members = append(members[:3], members[4:]...)
			for _, c := range members[1:] {
				c.group = must(c.apply(staged.Message))(t)
			}
			members[0].group = staged.Next
			agree(t, members)
			if n := members[0].group.Size(); n != 5 {
				t.Fatalf("%d members", n)
			}
			advance(t, members, 4, CommitConfig{Path: PathAlways, Private: true})
		})
	}
}

func TestUpdateByReference(t *testing.T) {
	members := newTesters(t, testSuite, 4)
	update, key, err := members[1].group.NewUpdate(members[1].signer, nil)
	if err != nil {
		t.Fatal(err)
	}
	encoded := members[1].propose(update)
	key = must(DecodeLeafKey(key.AppendSecret(nil)))(t)
	staged := members[0].commit(CommitConfig{References: []*VerifiedProposal{members[0].verifyProposal(encoded)}})
	for _, c := range members[1:] {
		set := setOf([]*VerifiedProposal{c.verifyProposal(encoded)})
		v := c.verifyCommit(staged.Message)
		if _, err := c.group.Apply(v, ApplyInput{}); !errors.Is(err, ErrUnknownProposal) {
			t.Fatalf("without the proposal: %v", err)
		}
		in := ApplyInput{Proposals: set}
		if c == members[1] {
			if _, err := c.group.Apply(v, in); !errors.Is(err, ErrInvalidConfig) {
				t.Fatalf("without the own key: %v", err)
			}
			in.LeafKey = key
		}
		c.group = must(c.group.Apply(v, in))(t)
	}
	members[0].group = staged.Next
	agree(t, members)
	advance(t, members, 2, CommitConfig{Path: PathAlways})
	advance(t, members, 1, CommitConfig{Path: PathAlways})
}

func TestSelfRemove(t *testing.T) {
	members := newTesters(t, testSuite, 4)
	leaver := members[2]
	encoded := leaver.propose(SelfRemove{})
	if want := []byte{0, 10}; !bytes.Equal(decode(t, encoded).public.content.raw[decode(t, encoded).public.content.bodyStart:][:2], want) {
		t.Fatal("SelfRemove is not two bytes")
	}
	if _, err := leaver.group.Propose(leaver.signer, SelfRemove{}, FrameConfig{Private: true}); !errors.Is(err, ErrInvalidProposals) {
		t.Fatalf("private SelfRemove: %v", err)
	}
	if _, err := members[0].group.Commit(members[0].signer, CommitConfig{Proposals: []Proposal{SelfRemove{}}}); !errors.Is(err, ErrInvalidProposals) {
		t.Fatalf("SelfRemove by value: %v", err)
	}
	ref := leaver.verifyProposal(encoded)
	if _, err := leaver.group.Commit(leaver.signer, CommitConfig{References: []*VerifiedProposal{ref}}); !errors.Is(err, ErrInvalidProposals) {
		t.Fatalf("committing the own SelfRemove: %v", err)
	}
	p := members[0].verifyProposal(encoded)
	_, err := members[0].group.Commit(members[0].signer, CommitConfig{References: []*VerifiedProposal{p},
		Proposals: []Proposal{Remove{Removed: leaver.group.Self()}}})
	if !errors.Is(err, ErrInvalidProposals) {
		t.Fatalf("SelfRemove beside Remove: %v", err)
	}
	staged := members[0].commit(CommitConfig{References: []*VerifiedProposal{p}})
	if v := members[1].verifyCommit(staged.Message); len(v.Refs()) != 1 || v.Refs()[0] != p.Ref() {
		t.Fatal("commit does not refer to the proposal")
	} else if _, ok := v.Path(); !ok {
		t.Fatal("SelfRemove was committed without a path")
	}
	if _, err := leaver.apply(staged.Message, ref); !errors.Is(err, ErrRemoved) {
		t.Fatalf("leaver got %v", err)
	}
	for _, i := range []int{1, 3} {
		members[i].group = must(members[i].apply(staged.Message, members[i].verifyProposal(encoded)))(t)
	}
	members[0].group = staged.Next
	agree(t, []*tester{members[0], members[1], members[3]})
	if _, ok := members[1].group.Leaf(2); ok {
		t.Fatal("leaf is still there")
	}
}

func TestAppDataUpdate(t *testing.T) {
	members := newTesters(t, testSuite, 3)
	staged := advance(t, members, 1, CommitConfig{Proposals: []Proposal{
		AppDataUpdate{Component: 0x8001, Data: []byte("new name")},
		AppDataUpdate{Component: 0x8003, Remove: true},
		AppDataUpdate{Component: 0x8002, Data: []byte{}},
		AppEphemeral{Component: 0x8004, Data: []byte("gone")},
	}})
	if _, ok := members[0].verifyOld(staged.Message); ok {
		t.Fatal("commit verified in its own next epoch")
	}
	want := AppDataDictionary{{ID: 0x8001, Data: []byte("new name")}, {ID: 0x8002, Data: []byte{}}}
	got := members[2].group.Context().AppData()
	if !bytes.Equal(got.Append(nil), want.Append(nil)) {
		t.Fatalf("dictionary is %v", got)
	}
	// The caller's results replace the default.
	cfg := CommitConfig{Proposals: []Proposal{AppDataUpdate{Component: 0x8001, Data: []byte("diff")}},
		AppData: map[ComponentID][]byte{0x8001: []byte("result")}}
	staged = members[0].commit(cfg)
	v := members[1].verifyCommit(staged.Message)
	for name, results := range map[string]map[ComponentID][]byte{
		"missing": {}, "too many": {0x8001: {1}, 0x8002: {2}}, "removed": {0x8001: nil}, "other": {0x8002: {1}},
	} {
		if _, err := members[1].group.Apply(v, ApplyInput{AppData: results}); !errors.Is(err, ErrInvalidProposals) {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if _, err := members[1].group.Apply(v, ApplyInput{AppData: map[ComponentID][]byte{0x8001: []byte("else")}}); err == nil {
		t.Fatal("another result gave the same epoch")
	}
	next := must(members[1].group.Apply(v, ApplyInput{AppData: cfg.AppData}))(t)
	if data, _ := next.Context().AppData().Get(0x8001); string(data) != "result" {
		t.Fatalf("component is %q", data)
	}
	if _, ok := v.Path(); ok {
		t.Fatal("AppDataUpdate got a path")
	}
	for name, list := range map[string][]Proposal{
		"update twice":       {AppDataUpdate{Component: 1, Data: []byte{1}}, AppDataUpdate{Component: 1, Data: []byte{2}}},
		"update and remove":  {AppDataUpdate{Component: 0x8001, Data: []byte{1}}, AppDataUpdate{Component: 0x8001, Remove: true}},
		"remove absent":      {AppDataUpdate{Component: 7, Remove: true}},
		"context extensions": {GroupContextExtensions{Extensions: testExtensions()}},
	} {
		if _, err := members[0].group.Commit(members[0].signer, CommitConfig{Proposals: list}); !errors.Is(err, ErrInvalidProposals) {
			t.Fatalf("%s: %v", name, err)
		}
	}
}

func (c *tester) verifyOld(b []byte) (Verified, bool) {
	v, err := c.group.Verify(decode(c.t, b))
	return v, !errors.Is(err, ErrWrongEpoch)
}

func TestDictionaryPosition(t *testing.T) {
	first := Extensions{{Type: ExtAppDataDictionary, Data: AppDataDictionary{{ID: 1}}.Append(nil)}, {Type: 0xf2d1}}
	changed := AppDataDictionary{{ID: 1, Data: []byte{9}}}
	if e := first.withAppData(changed, true); e[0].Type != 0xf2d1 || e[1].Type != ExtAppDataDictionary {
		t.Fatalf("dictionary did not move to the end: %v", e)
	}
	if e := first.withAppData(changed, false); e[0].Type != ExtAppDataDictionary || e[1].Type != 0xf2d1 {
		t.Fatalf("dictionary moved: %v", e)
	}
	for _, move := range []bool{false, true} {
		if e := first[1:].withAppData(changed, move); len(e) != 2 || e[1].Type != ExtAppDataDictionary {
			t.Fatalf("new dictionary is not at the end: %v", e)
		}
	}
	// What a group does, end to end.
	c := newTester(t, testSuite, "alone").create(first)
	staged := c.commit(CommitConfig{Proposals: []Proposal{AppDataUpdate{Component: 1, Data: []byte{9}}}})
	e := staged.Next.Context().Extensions
	if e[1].Type != ExtAppDataDictionary || !bytes.Equal(e[1].Data, changed.Append(nil)) {
		t.Fatalf("extensions after an update: %v", e)
	}
}

func TestRivalCommits(t *testing.T) {
	members := newTesters(t, testSuite, 4)
	a := members[0].commit(CommitConfig{Path: PathAlways})
	b := members[1].commit(CommitConfig{Proposals: []Proposal{AppDataUpdate{Component: 0x8001, Data: []byte("b")}}})
	c := members[2]
	before := c.group.AppendState(nil)
	onA, onB := must(c.apply(a.Message))(t), must(c.apply(b.Message))(t)
	again := must(c.apply(a.Message))(t)
	same(t, "applying twice", again.AppendState(nil), onA.AppendState(nil))
	same(t, "secrets", again.AppendSecrets(nil), onA.AppendSecrets(nil))
	same(t, "parent", c.group.AppendState(nil), before)
	if bytes.Equal(onA.ConfirmationTag(), onB.ConfirmationTag()) {
		t.Fatal("rivals have one name")
	}
	// Each committer drops its own and follows the other.
	members[0].group = must(members[0].apply(b.Message))(t)
	members[1].group, c.group = b.Next, onB
	members[3].group = must(members[3].apply(b.Message))(t)
	agree(t, members)
	// The losing branch lives as long as somebody holds it.
	m := decode(t, must(a.Next.Protect(members[0].signer, []byte("on a"), nil))(t).Message)
	if r := must(onA.Unprotect(m))(t); string(r.Plaintext) != "on a" {
		t.Fatal("branch a is unreadable")
	}
	if _, err := onB.Unprotect(m); !errors.Is(err, ErrAuthentication) {
		t.Fatalf("message of a rival epoch: %v", err)
	}
	onA.Erase(UseAll)
	advance(t, members, 3, CommitConfig{Path: PathAlways})
}

func TestOwnMessages(t *testing.T) {
	members := newTesters(t, testSuite, 2)
	c := members[0]
	if _, err := c.group.Unprotect(c.send("x")); !errors.Is(err, ErrOwnMessage) {
		t.Fatalf("own message: %v", err)
	}
	staged := c.commit(CommitConfig{Path: PathAlways})
	if _, err := c.apply(staged.Message); !errors.Is(err, ErrOwnMessage) {
		t.Fatalf("own commit: %v", err)
	}
	private := c.commit(CommitConfig{Path: PathAlways, Private: true})
	if _, err := c.group.Verify(decode(t, private.Message)); !errors.Is(err, ErrOwnMessage) {
		t.Fatalf("own private commit: %v", err)
	}
	members[1].group = must(members[1].apply(private.Message))(t)
	same(t, "private commit", members[1].group.ConfirmationTag(), private.Next.ConfirmationTag())
}

func TestNewSignatureKey(t *testing.T) {
	members := newTesters(t, testSuite, 3)
	c := members[1]
	old := c.signer
	signer := newSigner(t, testSuite)
	credential := BasicCredential([]byte("renamed"))
	joiner := newTester(t, testSuite, "new")
	staged := advance(t, members, 1, CommitConfig{Leaf: &LeafChange{Signer: signer, Credential: &credential},
		Proposals: []Proposal{Add{KeyPackage: joiner.kp}}})
	c.signer = signer
	joiner.join(staged.Welcome) // the GroupInfo is signed with the new key
	members = append(members, joiner)
	agree(t, members)
	leaf, _ := members[0].group.Leaf(1)
	if !leaf.Credential.Equal(credential) {
		t.Fatal("credential did not change")
	}
	if _, err := c.group.Protect(old, nil, nil); !errors.Is(err, ErrInvalidConfig) {
		t.Fatalf("old signer: %v", err)
	}
	members[0].reads(c.send("signed anew"), "signed anew")
	taken := members[0].signer
	if _, err := c.group.Commit(c.signer, CommitConfig{Leaf: &LeafChange{Signer: taken}}); err == nil {
		t.Fatal("another member's signature key was taken")
	}
}

func TestPSK(t *testing.T) {
	members := newTesters(t, testSuite, 3)
	id, psk, err := members[0].group.ResumptionPSK(ResumptionApplication)
	if err != nil {
		t.Fatal(err)
	}
	id.Nonce = randomBytes(32)
	external := PSKID{Type: PSKExternal, ID: []byte("shared"), Nonce: randomBytes(32)}
	psks := map[string][]byte{id.Key(): psk, external.Key(): []byte("value")}
	joiner := newTester(t, testSuite, "new")
	cfg := CommitConfig{Proposals: []Proposal{PreSharedKey{ID: id}, Add{KeyPackage: joiner.kp}, PreSharedKey{ID: external}}, PSKs: psks}
	staged := members[0].commit(cfg)
	c := members[1]
	v := c.verifyCommit(staged.Message)
	if _, err := c.group.Apply(v, ApplyInput{}); !errors.Is(err, ErrMissingPSK) {
		t.Fatalf("without PSKs: %v", err)
	}
	wrong := map[string][]byte{id.Key(): psk, external.Key(): []byte("other")}
	if _, err := c.group.Apply(v, ApplyInput{PSKs: wrong}); !errors.Is(err, ErrConfirmation) {
		t.Fatalf("with a wrong PSK: %v", err)
	}
	next := must(c.group.Apply(v, ApplyInput{PSKs: psks}))(t)
	same(t, "tag", next.ConfirmationTag(), staged.Next.ConfirmationTag())
	w, _ := decode(t, staged.Welcome).Welcome()
	if _, err := Join(w, joiner.kp, joiner.keys, JoinConfig{}); !errors.Is(err, ErrMissingPSK) {
		t.Fatalf("joining without PSKs: %v", err)
	}
	joined := must(Join(w, joiner.kp, joiner.keys, JoinConfig{PSKs: psks}))(t)
	same(t, "joiner's tag", joined.Group.ConfirmationTag(), staged.Next.ConfirmationTag())
	id.Nonce = id.Nonce[1:]
	if _, err := members[0].group.Commit(members[0].signer, CommitConfig{Proposals: []Proposal{PreSharedKey{ID: id}}, PSKs: psks}); !errors.Is(err, ErrInvalidConfig) {
		t.Fatalf("short nonce: %v", err)
	}
}

func TestGroupContextExtensions(t *testing.T) {
	members := newTesters(t, testSuite, 3)
	next := append(Extensions{{Type: 0xf2d1, Data: []byte("x")}}, testExtensions()...)
	advance(t, members, 0, CommitConfig{Proposals: []Proposal{GroupContextExtensions{Extensions: next},
		AppDataUpdate{Component: 0x8001, Data: []byte("too")}}})
	if e := members[2].group.Context().Extensions; e[0].Type != 0xf2d1 || len(e) != 3 {
		t.Fatalf("order was not kept: %v", e)
	}
	unsupported := append(Extensions{{Type: 0xf00d}}, testExtensions()...)
	unsupported[2].Data, _ = members[0].group.context.Extensions.Find(ExtAppDataDictionary)
	if _, err := members[0].group.Commit(members[0].signer, CommitConfig{Proposals: []Proposal{GroupContextExtensions{Extensions: unsupported}}}); !errors.Is(err, ErrInvalidProposals) {
		t.Fatalf("unsupported extension: %v", err)
	}
}

func TestOutOfBandTree(t *testing.T) {
	alice := newTester(t, testSuite, "alice").create(nil)
	bob := newTester(t, testSuite, "bob")
	staged := alice.commit(CommitConfig{Proposals: []Proposal{Add{KeyPackage: bob.kp}}, Path: PathAlways,
		Info: InfoConfig{NoTree: true, ExternalPub: true}})
	w, _ := decode(t, staged.Welcome).Welcome()
	if _, err := Join(w, bob.kp, bob.keys, JoinConfig{}); !errors.Is(err, ErrMissingTree) {
		t.Fatalf("without a tree: %v", err)
	}
	info := must(staged.Next.Info(alice.signer, InfoConfig{}))(t)
	tree, _ := info.Extensions.Find(ExtRatchetTree)
	joined := must(Join(w, bob.kp, bob.keys, JoinConfig{Tree: tree}))(t)
	if _, ok := joined.Info.Extensions.Find(ExtExternalPub); !ok || joined.Info.Signer != 0 {
		t.Fatal("GroupInfo lacks what was asked for")
	}
	other := newTester(t, testSuite, "other")
	if _, err := Join(w, other.kp, other.keys, JoinConfig{Tree: tree}); !errors.Is(err, ErrNotForUs) {
		t.Fatalf("another's key package: %v", err)
	}
	if _, err := Join(w, bob.kp, other.keys, JoinConfig{Tree: tree}); !errors.Is(err, ErrAuthentication) {
		t.Fatalf("wrong keys: %v", err)
	}
	if _, err := Join(w, bob.kp, bob.keys, JoinConfig{Tree: tree, Signer: other.signer}); !errors.Is(err, ErrInvalidConfig) {
		t.Fatalf("wrong signer: %v", err)
	}
	if _, err := Join(w, bob.kp, bob.keys, JoinConfig{Tree: tree, Now: time.Unix(1, 0)}); !errors.Is(err, ErrInvalidKeyPackage) {
		t.Fatalf("out of its lifetime: %v", err)
	}
}

func TestWrongGroupAndEpoch(t *testing.T) {
	members := newTesters(t, testSuite, 2)
	other := newTesters(t, testSuite, 2)
	b := members[0].propose(AppEphemeral{Component: 1})
	// Same id and epoch, another group: only the tag tells.
	if _, err := other[1].group.Verify(decode(t, b)); !errors.Is(err, ErrMembership) || !errors.Is(err, ErrAuthentication) {
		t.Fatalf("another group's proposal: %v", err)
	}
	staged := members[0].commit(CommitConfig{Path: PathAlways})
	_, err := staged.Next.Verify(decode(t, b))
	var epoch *EpochError
	if !errors.As(err, &epoch) || epoch.Epoch != 1 || epoch.Group != 2 || !errors.Is(err, ErrWrongEpoch) {
		t.Fatalf("old proposal: %v", err)
	}
	v := members[1].verifyCommit(staged.Message)
	if _, err := other[1].group.Apply(v, ApplyInput{}); !errors.Is(err, ErrWrongEpoch) {
		t.Fatalf("commit verified elsewhere: %v", err)
	}
	if _, err := members[1].group.Verify(members[0].send("x")); !errors.Is(err, ErrMalformed) {
		t.Fatalf("application message verified: %v", err)
	}
	if _, err := members[1].group.Unprotect(decode(t, b)); !errors.Is(err, ErrMalformed) {
		t.Fatalf("proposal unprotected: %v", err)
	}
}
