package group

import "testing"

// TestWinnerNeedsNoPass delivers at once what is said on the canonical branch
// while a branch that lost is still eligible: it can only confirm the choice.
func TestWinnerNeedsNoPass(t *testing.T) {
	w, alice, bob, carol := rivals(t)
	w.flood()
	w.sameTip("alice", "bob", "carol")
	if !carol.g.contested() {
		t.Fatal("the branch that lost is not eligible any more")
	}
	before := len(alice.sent)
	alice.say("right away")
	for _, c := range []*client{bob, carol} {
		c.receive(alice.sent[before:]...)
		if c.g.meta.Pass != nil {
			t.Errorf("%s opened a pass", c.name)
		}
		equalTexts(t, c.name, c.shown(), "on A", "on B", "right away")
	}
}
