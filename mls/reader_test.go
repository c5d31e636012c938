package mls

import (
	"errors"
	"fmt"
	"slices"
	"testing"
)

// TestReader lets a reader check messages first, in any order: their signatures are
// verified once, by it, and opening them gives what it gives otherwise.
func TestReader(t *testing.T) {
	crowd := newCrowdOf(t, 16, countingSuite, countingConfig, newPaperSigner).fillFast(t)
	near, far, plain := crowd.member(1), crowd.member(15), crowd.member(15)
	var sent []*Message
	for i := range 300 {
		sealed := must(near.Protect(crowd.signers[1], fmt.Append(nil, i), nil))(t)
		sent = append(sent, must(countingConfig.DecodeMessage(sealed.Message))(t))
	}
	reader := far.Reader()
	early := slices.Clone(sent[:250])
	slices.Reverse(early)
	if n := tallyOf(func() { reader.Check(early, nil) }).verify; n != 250 {
		t.Errorf("%d signatures were verified ahead", n)
	}
	open := func(g *Group, m *Message) Received { return must(g.Unprotect(m))(t) }
	for i, m := range sent {
		var got Received
		want := 0
		if i >= 250 {
			want = 1
		}
		if n := tallyOf(func() { got = open(far, m) }).verify; n != want {
			t.Errorf("message %d: %d signatures were verified, want %d", i, n, want)
		}
		if other := open(plain, m); string(got.Plaintext) != fmt.Sprint(i) || got.Generation != other.Generation || got.Lost != other.Lost || got.Leaf == nil {
			t.Errorf("message %d: %+v, without a reader %+v", i, got, other)
		}
	}
	if _, err := far.Unprotect(sent[3]); !errors.Is(err, ErrConsumed) && !errors.Is(err, ErrTooOld) {
		t.Errorf("a message for the second time: %v", err)
	}
	reader.Erase()
	if n := tallyOf(func() { reader.Check(sent, nil) }).verify; n != 0 {
		t.Errorf("an erased reader verifies %d signatures", n)
	}
}

// TestReaderRefuses has a reader look at what is not good: the group finds out.
func TestReaderRefuses(t *testing.T) {
	members := newTesters(t, testSuite, 2)
	a, b := members[0], members[1]
	reader := b.group.Reader()
	defer reader.Erase()
	good := a.send("good")
	elsewhere := *a.group
	elsewhere.contextBytes = flip(elsewhere.contextBytes) // is what it signs
	forged := decode(t, must(elsewhere.Protect(a.signer, []byte("forged"), nil))(t).Message)
	own := b.send("own")
	cut := *a.send("cut").private
	cut.ciphertext = flip(cut.ciphertext)
	reader.Check([]*Message{forged, own, {private: &cut}, decode(t, a.propose(SelfRemove{})), good}, nil)
	if n := len(b.group.verified.good); n != 1 {
		t.Errorf("%d of them are good", n)
	}
	if _, err := b.group.Unprotect(forged); !errors.Is(err, ErrAuthentication) {
		t.Errorf("a message with a wrong signature: %v", err)
	}
	if _, err := b.group.Unprotect(own); !errors.Is(err, ErrOwnMessage) {
		t.Errorf("an own message: %v", err)
	}
	b.reads(good, "good")
	// The reader has copies: what it used up is there for the group, and the group's
	// erasure does not reach it.
	late := a.send("late")
	b.group.Erase(UseMessages)
	reader.Check([]*Message{late}, nil)
	if n := len(b.group.verified.good); n != 1 {
		t.Errorf("%d are good after the group's keys are erased", n)
	}
	if _, err := b.group.Unprotect(late); !errors.Is(err, ErrErased) {
		t.Errorf("what was checked ahead opens without keys: %v", err)
	}
}
