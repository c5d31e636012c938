package mls

import (
	"errors"
	"testing"
)

// A server and a newcomer propose from outside, knowing only the GroupInfo.
func TestProposeFromOutside(t *testing.T) {
	server, other := newTester(t, testSuite, "server"), newTester(t, testSuite, "other")
	senders := []ExternalSender{{SignatureKey: other.kp.Leaf.EncryptionKey, Credential: BasicCredential([]byte("other"))},
		{SignatureKey: server.kp.Leaf.SignatureKey, Credential: server.kp.Leaf.Credential}}
	data := AppendExternalSenders(nil, senders)
	if back := must(DecodeExternalSenders(data))(t); len(back) != 2 || string(back[1].SignatureKey) != string(senders[1].SignatureKey) {
		t.Fatalf("read back %v", back)
	}
	c := newTester(t, testSuite, "creator").create(Extensions{{Type: ExtExternalSenders, Data: data}})
	first, second := newTester(t, testSuite, "first"), newTester(t, testSuite, "second")
	info := must(c.group.Info(c.signer, InfoConfig{}))(t)

	add := must(ProposeExternal(info, server.signer, Add{KeyPackage: first.kp}, []byte("aad")))(t)
	join := must(ProposeJoin(info, second.signer, second.kp, nil))(t)
	v := c.verifyProposal(add)
	if v.Sender() != (Sender{Type: SenderExternal, Leaf: 1}) || string(v.AAD()) != "aad" {
		t.Errorf("sender %v, AAD %q", v.Sender(), v.AAD())
	}
	w := c.verifyProposal(join)
	if w.Sender() != (Sender{Type: SenderNewMemberProposal}) {
		t.Errorf("sender %v", w.Sender())
	}
	staged := c.commit(CommitConfig{References: []*VerifiedProposal{v, w}})
	c.group = staged.Next
	first.join(staged.Welcome)
	second.join(staged.Welcome)
	agree(t, []*tester{c, first, second})

	for name, err := range map[string]error{
		"not a sender":           errorOf(ProposeExternal(info, other.signer, Remove{}, nil)),
		"a Remove by a newcomer": errorOf(ProposeJoin(info, other.signer, second.kp, nil)),
		"an Update":              errorOf(ProposeExternal(info, server.signer, Update{}, nil)),
	} {
		if !errors.Is(err, ErrInvalidConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ProposeExternal(info, server.signer, SelfRemove{}, nil); !errors.Is(err, ErrInvalidProposals) {
		t.Errorf("a SelfRemove: %v", err)
	}
}

func errorOf[T any](_ T, err error) error { return err }

func TestGroupInfoLeaves(t *testing.T) {
	members := newTesters(t, testSuite, 3)
	g := members[1].group
	full := must(g.Info(members[1].signer, InfoConfig{}))(t)
	tree, _ := full.Extensions.Find(ExtRatchetTree)
	bare := must(g.Info(members[1].signer, InfoConfig{NoTree: true}))(t)
	if _, err := bare.Leaves(nil, Limits{}); !errors.Is(err, ErrMissingTree) {
		t.Errorf("without a tree: %v", err)
	}
	if _, err := full.Leaves(nil, Limits{TreeLeaves: 2}); !errors.Is(err, ErrInvalidTree) {
		t.Errorf("with more leaves than allowed: %v", err)
	}
	for _, leaves := range []func() int{
		func() int { return count(t, full, nil) },
		func() int { return count(t, bare, tree) },
	} {
		if n := leaves(); n != 3 {
			t.Errorf("%d leaves", n)
		}
	}
	forged := *full
	forged.Signature = append([]byte(nil), full.Signature...)
	forged.Signature[3] ^= 1
	if _, err := forged.Leaves(nil, Limits{}); !errors.Is(err, ErrSignature) {
		t.Errorf("forged: %v", err)
	}
}

func count(t *testing.T, i *GroupInfo, tree []byte) (n int) {
	t.Helper()
	for at := range must(i.Leaves(tree, Limits{}))(t) {
		if at != LeafIndex(n) {
			t.Errorf("leaf %d is number %d", at, n)
		}
		n++
	}
	return n
}

// A private proposal cannot be read back by its sender, who gets it on making
// it.
func TestProposeVerified(t *testing.T) {
	members := newTesters(t, testSuite, 3)
	message, own, err := members[1].group.ProposeVerified(members[1].signer, AppEphemeral{Component: 7, Data: []byte("x")},
		FrameConfig{Private: true, AAD: []byte("aad")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := members[1].group.Verify(decode(t, message)); !errors.Is(err, ErrOwnMessage) {
		t.Errorf("reading it back: %v", err)
	}
	theirs := members[0].verifyProposal(message)
	if theirs.Ref() != own.Ref() || string(own.AAD()) != "aad" || own.Sender() != theirs.Sender() {
		t.Errorf("sender has %v %q, others %v", own.Sender(), own.AAD(), theirs.Sender())
	}
	staged := members[0].commit(CommitConfig{References: []*VerifiedProposal{theirs}, Private: true})
	members[1].group = must(members[1].apply(staged.Message, own))(t)
	members[2].group = must(members[2].apply(staged.Message, members[2].verifyProposal(message)))(t)
	members[0].group = staged.Next
	agree(t, members)
}
