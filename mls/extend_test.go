package mls

import (
	"bytes"
	"errors"
	"testing"
)

// note is a proposal type of an application: one length octet, then text.
const note ProposalType = 0xf00d

func noteConfig(path, external bool) *Config {
	return &Config{Suites: testSuites.Suites, Proposals: []ProposalKind{{Type: note, PathRequired: path, External: external,
		Scan: func(b []byte) (int, bool) {
			if len(b) == 0 || len(b) < 1+int(b[0]) {
				return 0, false
			}
			return 1 + int(b[0]), true
		}}}}
}

// noteGroup is a group of two whose members support the type.
func noteGroup(t *testing.T, config *Config) (a, b *tester) {
	t.Helper()
	capabilities := testCapabilities(testSuite)
	capabilities.Proposals = append(capabilities.Proposals, note)
	a = &tester{t: t, signer: newSigner(t, testSuite)}
	a.group = must(Create(a.signer, GroupConfig{Suite: testSuite, Credential: BasicCredential([]byte("a")),
		Capabilities: capabilities, Lifetime: testLifetime, Config: config}))(t)
	b = &tester{t: t, signer: newSigner(t, testSuite)}
	var err error
	b.kp, b.keys, err = NewKeyPackage(b.signer, KeyPackageConfig{Suite: testSuite, Credential: BasicCredential([]byte("b")),
		Capabilities: capabilities, Lifetime: testLifetime, Config: config})
	if err != nil {
		t.Fatal(err)
	}
	staged := a.commit(CommitConfig{Proposals: []Proposal{Add{KeyPackage: b.kp}}})
	a.group = staged.Next
	w, _ := decode(t, staged.Welcome).Welcome()
	b.group = must(Join(w, b.kp, b.keys, JoinConfig{Config: config}))(t).Group
	return a, b
}

func TestOtherProposal(t *testing.T) {
	config := noteConfig(false, false)
	a, b := noteGroup(t, config)
	p := OtherProposal{Kind: note, Body: []byte("\x05hello")}
	read := func(m []byte) *Message { return must(config.DecodeMessage(m))(t) }

	for _, private := range []bool{false, true} {
		sent := must(a.group.Propose(a.signer, p, FrameConfig{Private: private}))(t)
		v := must(b.group.Verify(read(sent)))(t).(*VerifiedProposal)
		if got := v.Proposal().(OtherProposal); got.Kind != note || !bytes.Equal(got.Body, p.Body) {
			t.Fatalf("read %v", got)
		}
		staged := must(a.group.Commit(a.signer, CommitConfig{Proposals: []Proposal{p, p}, Private: private}))(t)
		c := must(b.group.Verify(read(staged.Message)))(t).(*VerifiedCommit)
		if _, path := c.Path(); path {
			t.Error("a path although the type needs none")
		}
		list := must(c.Proposals(nil))(t)
		if len(list) != 2 || list[0].Proposal.Type() != note {
			t.Fatalf("read %v", list)
		}
		next := must(b.group.Apply(c, ApplyInput{}))(t)
		same(t, "tag", next.ConfirmationTag(), staged.Next.ConfirmationTag())
		if next.config != config || must(config.DecodeState(next.AppendState(nil), nil, nil))(t).config != config {
			t.Error("the next epoch does not know the type")
		}
		if !private {
			if _, err := DecodeMessage(staged.Message); !errors.Is(err, ErrUnsupportedProposal) {
				t.Errorf("without the config: %v", err)
			}
		}
	}
	// By reference.
	sent := must(b.group.Propose(b.signer, p, FrameConfig{}))(t)
	staged := must(a.group.Commit(a.signer, CommitConfig{References: []*VerifiedProposal{must(a.group.Verify(read(sent)))(t).(*VerifiedProposal)}}))(t)
	own := must(b.group.Verify(read(sent)))(t).(*VerifiedProposal)
	if _, err := b.apply(staged.Message, own); err != nil {
		t.Error(err)
	}
	for name, bad := range map[string]Proposal{
		"body cut":      OtherProposal{Kind: note, Body: []byte("\x05hell")},
		"body too long": OtherProposal{Kind: note, Body: []byte("\x05hello!")},
		"other type":    OtherProposal{Kind: 0xf00e, Body: nil},
		"known type":    OtherProposal{Kind: ProposalRemove, Body: make([]byte, 4)},
	} {
		unchanged(t, a.group, ErrInvalidConfig, func() error {
			_, err := a.group.Commit(a.signer, CommitConfig{Proposals: []Proposal{bad}})
			if err == nil {
				t.Errorf("%s is sent", name)
			}
			return err
		})
	}
	// A member that does not list the type keeps it out of commits.
	plain := newTester(t, testSuite, "plain")
	a.group = must(a.group.Commit(a.signer, CommitConfig{Proposals: []Proposal{Add{KeyPackage: plain.kp}}}))(t).Next
	unchanged(t, a.group, ErrInvalidProposals, func() error {
		_, err := a.group.Commit(a.signer, CommitConfig{Proposals: []Proposal{p}})
		return err
	})
}

func TestOtherProposalRequiringPath(t *testing.T) {
	config := noteConfig(true, true)
	a, b := noteGroup(t, config)
	p := OtherProposal{Kind: note, Body: []byte{0}}
	staged := must(a.group.Commit(a.signer, CommitConfig{Proposals: []Proposal{p}}))(t)
	c := must(b.group.Verify(must(config.DecodeMessage(staged.Message))(t)))(t).(*VerifiedCommit)
	if _, path := c.Path(); !path {
		t.Error("no path")
	}
	b.group.config = config
	m := must(config.DecodeMessage(a.forgeBytes(nil, values(p)...)))(t)
	unchanged(t, b.group, ErrInvalidPath, func() error {
		_, err := b.group.Apply(must(b.group.Verify(m))(t).(*VerifiedCommit), ApplyInput{})
		return err
	})
	// External commits may contain this one.
	info := must(a.group.Info(a.signer, InfoConfig{ExternalPub: true}))(t)
	capabilities := testCapabilities(testSuite)
	capabilities.Proposals = append(capabilities.Proposals, note)
	external := ExternalConfig{Credential: BasicCredential([]byte("c")), Capabilities: capabilities,
		Proposals: []Proposal{p}, Config: config}
	staged = must(JoinExternal(info, newSigner(t, testSuite), external))(t)
	c = must(b.group.Verify(must(config.DecodeMessage(staged.Message))(t)))(t).(*VerifiedCommit)
	if _, err := b.group.Apply(c, ApplyInput{}); err != nil {
		t.Error(err)
	}
	external.Config = noteConfig(true, false)
	if _, err := JoinExternal(info, newSigner(t, testSuite), external); !errors.Is(err, ErrInvalidProposals) {
		t.Errorf("type that outsiders may not send: %v", err)
	}
}

// TestGrease: values that nobody knows stand in every place where the RFC
// allows them, and a group lives with them.
func TestGrease(t *testing.T) {
	const grease = 0x0a0a
	capabilities := testCapabilities(testSuite)
	capabilities.Versions = append(capabilities.Versions, grease)
	capabilities.Suites = append([]Suite{grease}, capabilities.Suites...)
	capabilities.Extensions = append(capabilities.Extensions, grease, 0x1a1a)
	capabilities.Proposals = append(capabilities.Proposals, grease)
	capabilities.Credentials = append(capabilities.Credentials, grease)
	junk := Extensions{{Type: grease, Data: []byte("anything")}, {Type: 0x1a1a}}
	c := &tester{t: t, signer: newSigner(t, testSuite)}
	var err error
	c.kp, c.keys, err = NewKeyPackage(c.signer, KeyPackageConfig{Suite: testSuite, Credential: BasicCredential([]byte("g")),
		Capabilities: capabilities, Lifetime: testLifetime, LeafExtensions: junk, Extensions: junk})
	if err != nil {
		t.Fatal(err)
	}
	members := newTesters(t, testSuite, 2)
	staged := advance(t, members, 0, CommitConfig{Proposals: []Proposal{Add{KeyPackage: c.kp}}, Info: InfoConfig{Extensions: junk}})
	c.join(staged.Welcome)
	members = append(members, c)
	agree(t, members)
	advance(t, members, 2, CommitConfig{Path: PathAlways})
	if leaf, _ := members[0].group.Leaf(2); !leaf.Extensions.Equal(junk) {
		t.Error("the path lost unknown extensions")
	}
	c.group = reload2(t, c.group)
	// In the GroupContext an unknown extension needs everybody's support.
	with := GroupContextExtensions{Extensions: append(testExtensions(), Extension{Type: grease})}
	unchanged(t, members[0].group, ErrInvalidProposals, func() error {
		_, err := members[0].group.Commit(members[0].signer, CommitConfig{Proposals: []Proposal{with}})
		return err
	})
}

// TestOpaqueCredentials: X.509 chains and unknown types are carried and
// compared as bytes; only their framing is checked.
func TestOpaqueCredentials(t *testing.T) {
	chain := Credential{Type: CredentialX509, Raw: []byte{3, 'a', 'b', 'c', 2, 'd', 'e'}}
	unknown := Credential{Type: 0xf123, Raw: []byte("anything")}
	capabilities := testCapabilities(testSuite)
	capabilities.Credentials = []CredentialType{CredentialBasic, CredentialX509, 0xf123}
	a := &tester{t: t, signer: newSigner(t, testSuite)}
	a.group = must(Create(a.signer, GroupConfig{Suite: testSuite, Credential: chain, Capabilities: capabilities, Lifetime: testLifetime}))(t)
	b := &tester{t: t, signer: newSigner(t, testSuite)}
	var err error
	b.kp, b.keys, err = NewKeyPackage(b.signer, KeyPackageConfig{Suite: testSuite, Credential: unknown, Capabilities: capabilities, Lifetime: testLifetime})
	if err != nil {
		t.Fatal(err)
	}
	staged := a.commit(CommitConfig{Proposals: []Proposal{Add{KeyPackage: b.kp}}})
	b.join(staged.Welcome)
	a.group = staged.Next
	for i, want := range []Credential{chain, unknown} {
		if leaf, _ := b.group.Leaf(LeafIndex(i)); !leaf.Credential.Equal(want) {
			t.Errorf("leaf %d has %v", i, leaf.Credential)
		}
	}
	// Who does not list a type in use cannot be added.
	unchanged(t, a.group, ErrInvalidProposals, func() error {
		_, err := a.group.Commit(a.signer, CommitConfig{Proposals: []Proposal{Add{KeyPackage: newTester(t, testSuite, "basic").kp}}})
		return err
	})
	for name, bad := range map[string]Credential{
		"certificates cut":  {Type: CredentialX509, Raw: []byte{3, 'a'}},
		"type 0":            {Type: 0, Raw: []byte{}},
		"own type unlisted": {Type: 0xf124, Raw: []byte{}},
	} {
		if _, _, err := NewKeyPackage(b.signer, KeyPackageConfig{Suite: testSuite, Credential: bad, Capabilities: capabilities}); !errors.Is(err, ErrInvalidConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestProposeExternal(t *testing.T) {
	server := newTester(t, testSuite, "server")
	senders := []ExternalSender{{SignatureKey: newTester(t, testSuite, "other").kp.Leaf.SignatureKey, Credential: BasicCredential([]byte("o"))},
		{SignatureKey: server.kp.Leaf.SignatureKey, Credential: server.kp.Leaf.Credential}}
	c := newTester(t, testSuite, "creator").create(append(testExtensions(), Extension{Type: ExtExternalSenders, Data: AppendExternalSenders(nil, senders)}))
	again := must(DecodeExternalSenders(AppendExternalSenders(nil, senders)))(t)
	same(t, "external senders", AppendExternalSenders(nil, again), AppendExternalSenders(nil, senders))
	added, victim := newTester(t, testSuite, "added"), newTester(t, testSuite, "victim")
	staged := c.commit(CommitConfig{Proposals: []Proposal{Add{KeyPackage: victim.kp}}})
	c.group = staged.Next
	victim.join(staged.Welcome)
	info := must(c.group.Info(c.signer, InfoConfig{}))(t)
	psk := PSKID{Type: PSKExternal, ID: []byte("p")}

	var refs []*VerifiedProposal
	for _, p := range []Proposal{Add{KeyPackage: added.kp}, Remove{Removed: 1}, PreSharedKey{ID: psk},
		AppDataUpdate{Component: 0x8001, Data: []byte("new")}, AppEphemeral{Component: 0x8002}} {
		v := c.verifyProposal(must(ProposeExternal(info, server.signer, p, nil))(t))
		if v.Sender() != (Sender{Type: SenderExternal, Leaf: 1}) {
			t.Fatalf("sender %v", v.Sender())
		}
		refs = append(refs, v)
	}
	cfg := CommitConfig{References: refs, PSKs: map[string][]byte{psk.Key(): []byte("secret")}}
	staged = c.commit(cfg)
	w, _ := decode(t, staged.Welcome).Welcome()
	joined := must(Join(w, added.kp, added.keys, JoinConfig{PSKs: cfg.PSKs}))(t).Group
	same(t, "tag", joined.ConfirmationTag(), staged.Next.ConfirmationTag())
	if _, err := victim.apply(staged.Message, setAsList(t, victim, refs)...); !errors.Is(err, ErrRemoved) {
		t.Errorf("the removed member: %v", err)
	}
	for _, p := range []Proposal{ReInit{Version: 1, Suite: testSuite}, GroupContextExtensions{Extensions: info.Context.Extensions}} {
		c.commit(CommitConfig{References: []*VerifiedProposal{c.verifyProposal(must(ProposeExternal(info, server.signer, p, nil))(t))}})
	}

	// A newcomer may ask for itself only.
	self := c.verifyProposal(must(ProposeJoin(info, added.signer, added.kp, nil))(t))
	if self.Sender().Type != SenderNewMemberProposal {
		t.Errorf("sender %v", self.Sender())
	}
	c.commit(CommitConfig{References: []*VerifiedProposal{self}})
	for name, bad := range map[string]struct {
		by   *tester
		p    Proposal
		want error
	}{
		"newcomer's Remove": {added, Remove{Removed: 1}, ErrInvalidConfig},
		"SelfRemove":        {server, SelfRemove{}, ErrInvalidProposals},
		"Update":            {server, Update{Leaf: added.kp.Leaf}, ErrInvalidProposals},
		"ExternalInit":      {server, ExternalInit{KEMOutput: []byte{1}}, ErrInvalidProposals},
		"Add of nothing":    {server, Add{}, ErrInvalidConfig},
	} {
		if _, err := ProposeExternal(info, bad.by.signer, bad.p, nil); !errors.Is(err, bad.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// setAsList verifies the messages of proposals again as another member.
func setAsList(t *testing.T, c *tester, refs []*VerifiedProposal) []*VerifiedProposal {
	t.Helper()
	var list []*VerifiedProposal
	for _, v := range refs {
		list = append(list, must(c.group.Verify(&Message{format: WirePublicMessage, public: &publicMessage{content: v.content}}))(t).(*VerifiedProposal))
	}
	return list
}
