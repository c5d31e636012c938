package mls

import (
	"bytes"
	"errors"
	"testing"
)

// TestStagedVerified compares a staged private commit as its maker has it with
// what another member opens.
func TestStagedVerified(t *testing.T) {
	members := newTesters(t, testSuite, 3)
	for _, private := range []bool{false, true} {
		staged := must(members[0].group.Commit(members[0].signer, CommitConfig{
			Proposals: []Proposal{Remove{Removed: 2}}, Path: PathAlways, Private: private,
		}))(t)
		own := must(staged.Verified())(t)
		theirs := must(members[1].group.Verify(decode(t, staged.Message)))(t).(*VerifiedCommit)
		if own.Sender() != theirs.Sender() || !bytes.Equal(own.content.raw, theirs.content.raw) {
			t.Fatalf("private %v: the two differ", private)
		}
		list := must(own.Proposals(nil))(t)
		if len(list) != 1 || list[0].Proposal != (Remove{Removed: 2}) {
			t.Fatalf("proposals %v", list)
		}
		if leaf, ok := own.Path(); !ok || len(leaf.SignatureKey) == 0 {
			t.Fatal("no path")
		}
		if _, err := members[0].group.Apply(own, ApplyInput{}); !errors.Is(err, ErrOwnMessage) {
			t.Fatalf("own commit applied: %v", err)
		}
	}
}

// TestRestoreProposal stores a private proposal that only its maker knows in
// the clear, and reads it again.
func TestRestoreProposal(t *testing.T) {
	members := newTesters(t, testSuite, 3)
	g := members[1].group
	message, own, err := g.ProposeVerified(members[1].signer, Remove{Removed: 1}, FrameConfig{Private: true})
	if err != nil {
		t.Fatal(err)
	}
	stored := own.Append(nil)
	again := must(g.RestoreProposal(stored))(t)
	theirs := must(members[0].group.Verify(decode(t, message)))(t).(*VerifiedProposal)
	if again.Ref() != theirs.Ref() || again.Proposal() != theirs.Proposal() || again.Sender() != theirs.Sender() {
		t.Fatal("another proposal came back")
	}
	staged := must(members[0].group.Commit(members[0].signer, CommitConfig{References: []*VerifiedProposal{theirs}, Path: PathAlways}))(t)
	commit := must(g.Verify(decode(t, staged.Message)))(t).(*VerifiedCommit)
	if _, err := g.Apply(commit, ApplyInput{Proposals: ProposalSet{again.Ref(): again}}); !errors.Is(err, ErrRemoved) {
		t.Fatalf("the commit that takes it up: %v", err)
	}
	for i := range stored {
		bad := bytes.Clone(stored)
		bad[i] ^= 1
		if _, err := g.RestoreProposal(bad); err == nil {
			t.Fatalf("accepted with byte %d changed", i)
		}
	}
	if _, err := staged.Next.RestoreProposal(stored); !errors.Is(err, ErrWrongEpoch) {
		t.Fatalf("in the next epoch: %v", err)
	}
	if _, err := newTesters(t, testSuite, 2)[0].group.RestoreProposal(stored); !errors.Is(err, ErrAuthentication) {
		t.Fatalf("in another group: %v", err)
	}
}

func FuzzRestoreProposal(f *testing.F) {
	members := newTesters(f, testSuite, 3)
	g := members[1].group
	for _, private := range []bool{false, true} {
		_, own, err := g.ProposeVerified(members[1].signer, Remove{Removed: 1}, FrameConfig{Private: private})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(own.Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := g.RestoreProposal(b)
		if err == nil && !bytes.Equal(p.Append(nil), b) {
			t.Fatal("another encoding")
		}
	})
}

// TestPathOptional takes commits without the path that the RFC demands only when
// the caller says so, and an empty commit without one never. What gets through
// all checks ends in [ErrConfirmation], since nothing made these.
func TestPathOptional(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		name     string
		list     []Proposal
		optional bool
		want     error
	}{
		{"a Remove", []Proposal{Remove{Removed: 3}}, false, ErrInvalidPath},
		{"a Remove, optional", []Proposal{Remove{Removed: 3}}, true, ErrConfirmation},
		{"extensions, optional", []Proposal{GroupContextExtensions{Extensions: w.b.group.Context().Extensions}}, true, ErrConfirmation},
		{"nothing, optional", nil, true, ErrInvalidPath},
	} {
		commit := w.b.verifyCommit(w.commit(nil, values(c.list...)...))
		in := w.input()
		in.PathOptional = c.optional
		if _, err := w.b.group.Apply(commit, in); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}
