package mls

import (
	"errors"
	"testing"
)

func (c *tester) joinExternal(info *GroupInfo, cfg ExternalConfig) *Staged {
	c.t.Helper()
	cfg.Credential, cfg.Capabilities = BasicCredential([]byte("external")), testCapabilities(testSuite)
	return must(JoinExternal(info, c.signer, cfg))(c.t)
}

func TestJoinExternal(t *testing.T) {
	for _, n := range []int{1, 2, 3, 4, 5} { // with and without a blank leaf
		members := newTesters(t, testSuite, n)
		info := must(members[0].group.Info(members[0].signer, InfoConfig{ExternalPub: true}))(t)
		joiner := newTester(t, testSuite, "external")
		staged := joiner.joinExternal(info, ExternalConfig{Proposals: []Proposal{AppDataUpdate{Component: 0x8001, Data: []byte("x")}}})
		for _, c := range members {
			c.group = must(c.apply(staged.Message))(t)
		}
		joiner.group = staged.Next
		members = append(members, joiner)
		agree(t, members)
		if joiner.group.Self() != LeafIndex(n) || joiner.group.Size() != n+1 {
			t.Fatalf("joined at leaf %d of %d", joiner.group.Self(), joiner.group.Size())
		}
		advance(t, members, n, CommitConfig{Path: PathAlways})
		advance(t, members, 0, CommitConfig{Path: PathAlways})
	}
}

func TestRejoinExternal(t *testing.T) {
	members := newTesters(t, testSuite, 4)
	info := must(members[0].group.Info(members[0].signer, InfoConfig{ExternalPub: true}))(t)
	lost := members[2]
	self := lost.group.Self()
	staged := lost.joinExternal(info, ExternalConfig{Remove: &self})
	if _, err := lost.apply(staged.Message); !errors.Is(err, ErrRemoved) {
		t.Fatalf("the replaced state got %v", err)
	}
	for _, i := range []int{0, 1, 3} {
		members[i].group = must(members[i].apply(staged.Message))(t)
	}
	lost.group = staged.Next
	agree(t, members)
	if lost.group.Self() != self {
		t.Fatalf("came back at leaf %d", lost.group.Self())
	}
	advance(t, members, 2, CommitConfig{Path: PathAlways})
}

// TestExternalCommitRules: a newcomer who signs a commit with any other list
// is refused by every member.
func TestExternalCommitRules(t *testing.T) {
	members := newTesters(t, testSuite, 4)
	g := members[0].group
	added := newTester(t, testSuite, "added")
	init := ProposalFrom{Proposal: ExternalInit{KEMOutput: make([]byte, 32)}}
	sender := Sender{Type: SenderNewMemberCommit}
	leave := members[2].verifyProposal(members[2].propose(SelfRemove{}))
	selfRemove := ProposalFrom{Proposal: leave.Proposal(), Sender: leave.Sender(), ByReference: true}
	value := func(p Proposal) ProposalFrom { return ProposalFrom{Proposal: p, Sender: sender} }
	for name, c := range map[string]struct {
		list []ProposalFrom
		ok   bool
	}{
		"init alone":               {[]ProposalFrom{init}, true},
		"with Remove":              {[]ProposalFrom{init, value(Remove{Removed: 1})}, true},
		"with SelfRemove":          {[]ProposalFrom{selfRemove, init}, true},
		"with AppEphemeral":        {[]ProposalFrom{init, value(AppEphemeral{})}, true},
		"empty":                    {nil, false},
		"no init":                  {[]ProposalFrom{value(Remove{Removed: 1})}, false},
		"two init":                 {[]ProposalFrom{init, init}, false},
		"two Removes":              {[]ProposalFrom{init, value(Remove{Removed: 1}), value(Remove{Removed: 2})}, false},
		"Add":                      {[]ProposalFrom{init, value(Add{KeyPackage: added.kp})}, false},
		"GroupContextExtensions":   {[]ProposalFrom{init, value(GroupContextExtensions{Extensions: testExtensions()})}, false},
		"ReInit":                   {[]ProposalFrom{init, value(ReInit{Version: 1})}, false},
		"Update":                   {[]ProposalFrom{init, value(Update{Leaf: added.kp.Leaf})}, false},
		"SelfRemove by value":      {[]ProposalFrom{init, value(SelfRemove{})}, false},
		"Remove by reference":      {[]ProposalFrom{init, {Proposal: Remove{Removed: 1}, Sender: Sender{Type: SenderMember}, ByReference: true}}, false},
		"SelfRemove and Remove":    {[]ProposalFrom{init, selfRemove, value(Remove{Removed: 2})}, false},
		"Remove of a blank leaf":   {[]ProposalFrom{init, value(Remove{Removed: 9})}, false},
		"init in a member's":       {[]ProposalFrom{init}, false},
		"AppDataUpdate for absent": {[]ProposalFrom{init, value(AppDataUpdate{Component: 9, Remove: true})}, false},
	} {
		from := sender
		if name == "init in a member's" {
			from = Sender{Type: SenderMember, Leaf: 1}
		}
		_, err := g.planCommit(c.list, from, nil, testTime)
		if (err == nil) != c.ok || err != nil && !errors.Is(err, ErrInvalidProposals) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestExternalNeedsKey(t *testing.T) {
	members := newTesters(t, testSuite, 2)
	joiner := newTester(t, testSuite, "external")
	info := must(members[0].group.Info(members[0].signer, InfoConfig{}))(t)
	if _, err := JoinExternal(info, joiner.signer, ExternalConfig{}); !errors.Is(err, ErrInvalidGroupInfo) {
		t.Fatalf("without external_pub: %v", err)
	}
	info = must(members[0].group.Info(members[0].signer, InfoConfig{ExternalPub: true, NoTree: true}))(t)
	if _, err := JoinExternal(info, joiner.signer, ExternalConfig{}); !errors.Is(err, ErrMissingTree) {
		t.Fatalf("without a tree: %v", err)
	}
}

func TestExternalProposals(t *testing.T) {
	outside := newTester(t, testSuite, "server")
	pub := must(must(testSuites.suiteOf(testSuite))(t).signaturePublicKey(outside.signer))(t)
	senders := externalSendersData(pub, outside.kp.Leaf.Credential)
	c := newTester(t, testSuite, "creator").create(Extensions{{Type: ExtExternalSenders, Data: senders}})
	g := c.group
	added := newTester(t, testSuite, "added")
	frame := func(sender Sender, by *tester, p Proposal) *Message {
		content := must(g.newContentUnbound(sender, by, p))(t)
		return decode(t, content.raw)
	}
	server := Sender{Type: SenderExternal}
	p := must(g.Verify(frame(server, outside, Add{KeyPackage: added.kp})))(t).(*VerifiedProposal)
	staged := c.commit(CommitConfig{References: []*VerifiedProposal{p}})
	added.join(staged.Welcome)
	same(t, "tag", added.group.ConfirmationTag(), staged.Next.ConfirmationTag())
	self := must(g.Verify(frame(Sender{Type: SenderNewMemberProposal}, added, Add{KeyPackage: added.kp})))(t).(*VerifiedProposal)
	c.commit(CommitConfig{References: []*VerifiedProposal{self}})

	for name, bad := range map[string]struct {
		m    *Message
		want error
	}{
		"SelfRemove from outside":    {frame(server, outside, SelfRemove{}), ErrInvalidProposals},
		"Update from outside":        {frame(server, outside, Update{Leaf: added.kp.Leaf}), ErrInvalidProposals},
		"wrong key":                  {frame(server, added, AppEphemeral{}), ErrSignature},
		"unknown server":             {frame(Sender{Type: SenderExternal, Leaf: 1}, outside, AppEphemeral{}), ErrAuthentication},
		"newcomer proposes a Remove": {frame(Sender{Type: SenderNewMemberProposal}, added, Remove{}), ErrAuthentication},
		"newcomer's Add by another":  {frame(Sender{Type: SenderNewMemberProposal}, outside, Add{KeyPackage: added.kp}), ErrSignature},
	} {
		if _, err := g.Verify(bad.m); !errors.Is(err, bad.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
