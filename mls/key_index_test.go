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
	const all = 2 * (2*indexFrom - 1) // key and hash of every node
	if x == nil || len(x.seen) != all {
		t.Fatalf("%d entries in the index", len(x.seen))
	}
	one, two := c.commit(t, 0).Next.tree, c.commit(t, LeafIndex(indexFrom-1)).Next.tree
	if len(x.seen) != all {
		t.Error("a tree is in the index before anybody commits on it")
	}
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
	for i := uint64(0); len(x.seen) <= indexWear*entries(indexFrom); i++ {
		x.seen[i] = struct{}{}
	}
	if one.indexed() == x || two.index != x || len(one.index.seen) != all {
		t.Error("a worn index stays, or goes for a relative too")
	}
}
