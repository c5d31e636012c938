package mls

import (
	"errors"
	"testing"
)

// TestGap looks at messages before they are opened, in any order.
func TestGap(t *testing.T) {
	members := newTesters(t, testSuite, 2)
	a, b := members[0], members[1]
	var sent []*Message
	for range 5 {
		sent = append(sent, a.send("x"))
	}
	look := func(i int) (gap, generation uint32) {
		t.Helper()
		gap, generation, err := b.group.Gap(sent[i])
		if err != nil {
			t.Fatal(err)
		}
		return gap, generation
	}
	if gap, generation := look(3); gap != 3 || generation != 3 {
		t.Errorf("the fourth message: gap %d, generation %d", gap, generation)
	}
	if _, err := b.group.Unprotect(sent[1]); err != nil {
		t.Fatal(err)
	}
	if gap, _ := look(3); gap != 1 {
		t.Errorf("after the second: gap %d", gap)
	}
	if gap, _ := look(0); gap != 0 {
		t.Errorf("one that was passed over: gap %d", gap)
	}
	if _, _, err := b.group.Gap(decode(t, a.propose(SelfRemove{}))); !errors.Is(err, ErrMalformed) {
		t.Errorf("a gap of something else: %v", err)
	}
	b.group.Erase(UseAll)
	if _, _, err := b.group.Gap(sent[4]); !errors.Is(err, ErrErased) {
		t.Errorf("after erasing: %v", err)
	}
}

// TestOwnCopy tells a message of another copy of this member's state from an
// echo of its own.
func TestOwnCopy(t *testing.T) {
	members := newTesters(t, testSuite, 2)
	a := members[0]
	state, secrets, ratchets := a.group.AppendState(nil), a.group.AppendSecrets(nil), a.group.AppendRatchets(nil)
	own := a.send("x")
	if _, err := a.group.Unprotect(own); !errors.Is(err, ErrOwnMessage) || errors.Is(err, ErrOwnCopy) {
		t.Errorf("an echo: %v", err)
	}
	restored, err := DecodeState(state, secrets, ratchets)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := restored.Unprotect(own); !errors.Is(err, ErrOwnCopy) {
		t.Errorf("a message of another copy: %v", err)
	}
}
