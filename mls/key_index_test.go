package mls

import "testing"

// A tree with an index gives the answers of one without, whatever its
// relatives put into the index.
func TestKeyIndex(t *testing.T) {
	c := newCrowdOf(t, indexFrom, countingSuite, countingConfig, newPaperSigner).fillFast(t)
	small := newCrowdOf(t, indexFrom-1, countingSuite, countingConfig, newPaperSigner)
	if small.group.tree.indexed() != nil {
		t.Error("a small tree has an index")
	}
	first := c.group.tree
	x := first.indexed()
	if x == nil || len(x.seen) != 2*indexFrom-1 {
		t.Fatalf("%d keys in the index", len(x.seen))
	}
	one, two := c.commit(t, 0).Next.tree, c.commit(t, LeafIndex(indexFrom-1)).Next.tree
	for name, tree := range map[string]*ratchetTree{"parent": first, "one": one, "two": two} {
		if tree.index != x {
			t.Fatalf("%s has another index", name)
		}
		for other, from := range map[string]*ratchetTree{"parent": first, "one": one, "two": two} {
			from.root.eachUsed(func(n *treeNode) {
				key := n.encryptionKey()
				want := newKeySet([][]byte{key}).count(tree.root) > 0
				if got := tree.hasEncryptionKey(key); got != want || from == tree && !got {
					t.Fatalf("%s has a key of %s: %t, want %t", name, other, got, want)
				}
			})
		}
		if tree.hasEncryptionKey(randomBytes(32)) {
			t.Errorf("%s has a new key", name)
		}
	}
	// One that is worn out is replaced, for this tree and what follows.
	for len(x.seen) <= indexWear*2*indexFrom {
		x.add(randomBytes(32))
	}
	if one.indexed() == x || two.index != x || len(one.index.seen) != 2*indexFrom-1 {
		t.Error("a worn index stays, or goes for a relative too")
	}
}
