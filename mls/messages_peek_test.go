package mls

import (
	"errors"
	"testing"
)

// TestPeek looks at messages before they are opened, in any order.
func TestPeek(t *testing.T) {
	members := newTesters(t, testSuite, 2)
	a, b := members[0], members[1]
	var sent []*Message
	for range 251 {
		sent = append(sent, a.send("x"))
	}
	for _, i := range []int{3, 0, 4} {
		leaf, generation, err := b.group.Peek(sent[i])
		if err != nil || leaf != a.group.Self() || generation != uint32(i) {
			t.Errorf("message %d: leaf %d, generation %d, %v", i, leaf, generation, err)
		}
	}
	for _, step := range []struct {
		open         int
		oldest, lost uint32
	}{{1, 0, 0}, {0, 2, 0}, {3, 2, 0}, {2, 4, 0}, {103, 4, 0}, {104, 5, 1}, {106, 7, 2}, {250, 151, 97 + 44}} {
		got, err := b.group.Unprotect(sent[step.open])
		if err != nil {
			t.Fatalf("message %d: %v", step.open, err)
		}
		if got.Lost != step.lost {
			t.Errorf("message %d loses %d, not %d", step.open, got.Lost, step.lost)
		}
		if got := b.group.Oldest(a.group.Self()); got != step.oldest {
			t.Errorf("after message %d the oldest is %d, not %d", step.open, got, step.oldest)
		}
	}
	if _, err := b.group.Unprotect(sent[4]); !errors.Is(err, ErrTooOld) {
		t.Errorf("what the last one has erased: %v", err)
	}
	if _, _, err := b.group.Peek(decode(t, a.propose(SelfRemove{}))); !errors.Is(err, ErrMalformed) {
		t.Errorf("a look at something else: %v", err)
	}
	b.group.Erase(UseAll)
	if _, _, err := b.group.Peek(sent[4]); !errors.Is(err, ErrErased) {
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
