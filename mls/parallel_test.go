package mls

import (
	"bytes"
	"testing"
)

// What runs on several cores gives what runs on one.
func TestParallel(t *testing.T) {
	c := newCrowd(t, 40).fill(t)
	joiner := newTester(t, testSuite, "new")
	staged := must(c.member(0).Commit(c.signers[0], CommitConfig{Path: PathAlways, Parallel: cores,
		Proposals: []Proposal{Add{KeyPackage: joiner.kp}}}))(t)
	want := staged.Next.ConfirmationTag()
	for _, par := range []Parallel{nil, cores} {
		w, _ := must(DecodeMessage(staged.Welcome))(t).Welcome()
		joined := must(Join(w, joiner.kp, joiner.keys, JoinConfig{Parallel: par}))(t).Group
		if !bytes.Equal(joined.ConfirmationTag(), want) {
			t.Fatal("the joiner is in another epoch")
		}
		for _, i := range []LeafIndex{1, 2, 17, 39} {
			g := c.member(i)
			v := must(g.Verify(must(DecodeMessage(staged.Message))(t)))(t)
			next := must(g.Apply(v.(*VerifiedCommit), ApplyInput{Parallel: par}))(t)
			if !bytes.Equal(next.ConfirmationTag(), want) {
				t.Fatalf("leaf %d is in another epoch", i)
			}
		}
	}
}

// An error of one of several jobs is the one that a single core would find.
func TestParallelRefuses(t *testing.T) {
	c := newCrowd(t, 40).fill(t)
	g := c.member(1)
	before := g.secrets.get(epochInit)
	message := c.commit(t, 0).Message
	v := must(g.Verify(must(DecodeMessage(message))(t)))(t).(*VerifiedCommit)
	v.content.confirmationTag[0] ^= 1
	if _, err := g.Apply(v, ApplyInput{Parallel: cores}); err != ErrConfirmation {
		t.Fatalf("got %v", err)
	}
	// What the refusal erased was the refused epoch's, not the group's.
	if bytes.Equal(before, make([]byte, len(before))) || g.keys.at(0) == nil {
		t.Fatal("the group lost secrets")
	}
	v.content.confirmationTag[0] ^= 1
	must(g.Apply(v, ApplyInput{Parallel: cores}))(t)
}
