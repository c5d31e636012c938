package mls

import "hash/maphash"

// keyIndex answers for a tree and its relatives that none of them has an
// encryption key. It may have keys that a tree does not have, those of
// relatives: then the tree is looked through. A walk over a large tree is a
// cache miss for every node, so from indexFrom members on it costs more than
// all else of processing a commit.
//
// The index is the one thing that the trees of relatives share and change. It
// changes no answer.
type keyIndex struct {
	seed maphash.Seed
	// seen has the keys and, for every subtree whose keys it has, the tree
	// hash; both hashed so that nobody can pick ones that collide.
	seen map[uint64]struct{}
}

const (
	indexFrom = 512 // members of a tree that gets an index
	indexWear = 4   // times what is in a tree at which it gets another one
)

// entries is what a full tree of n members takes: a key and a hash for each
// node.
func entries(members int) int { return 4 * members }

// note adds the keys of a subtree.
func (x *keyIndex) note(n *treeNode) {
	before := len(x.seen)
	x.seen[maphash.Bytes(x.seed, n.hash())] = struct{}{}
	if len(x.seen) == before {
		return // and so are all below it
	}
	if n.used() {
		x.seen[maphash.Bytes(x.seed, n.encryptionKey())] = struct{}{}
	}
	if n.left != nil {
		x.note(n.left)
		x.note(n.right)
	}
}

// lacks reports whether surely none of the keys is in a tree.
func (x *keyIndex) lacks(keys [][]byte) bool {
	for _, k := range keys {
		if _, may := x.seen[maphash.Bytes(x.seed, k)]; may {
			return false
		}
	}
	return true
}

// indexed returns an index that has the tree's keys, or nil if it needs none.
// A tree that nobody commits on is never added.
func (t *ratchetTree) indexed() *keyIndex {
	if t.members() < indexFrom {
		return nil
	}
	if t.index == nil || len(t.index.seen) > indexWear*entries(t.members()) {
		t.index = &keyIndex{seed: maphash.MakeSeed(), seen: make(map[uint64]struct{}, entries(t.members()))}
	}
	t.index.note(t.root)
	return t.index
}
