package mls

import "hash/maphash"

// keyIndex answers for a tree and all that come from it that none of them has
// an encryption key. It may have keys that a tree does not have, those of
// relatives and of commits that came to nothing: then the tree is looked
// through. A walk over a large tree is a cache miss for every node, so from
// indexFrom members on it costs more than all else of processing a commit.
//
// The index is the one thing that the trees of relatives share and change. It
// changes no answer.
type keyIndex struct {
	seed maphash.Seed
	seen map[uint64]struct{} // of keys, hashed so that nobody can pick ones that collide
}

const (
	indexFrom = 512 // members of a tree that gets an index
	indexWear = 4   // times the used nodes of a tree at which it gets another one
)

// newKeyIndex returns the index of a tree alone.
func newKeyIndex(t *ratchetTree) *keyIndex {
	x := &keyIndex{seed: maphash.MakeSeed(), seen: make(map[uint64]struct{}, 2*t.members())}
	t.root.eachUsed(func(n *treeNode) { x.add(n.encryptionKey()) })
	return x
}

func (x *keyIndex) add(key []byte) { x.seen[maphash.Bytes(x.seed, key)] = struct{}{} }

// lacks reports whether surely none of the keys is in a tree.
func (x *keyIndex) lacks(keys [][]byte) bool {
	for _, k := range keys {
		if _, may := x.seen[maphash.Bytes(x.seed, k)]; may {
			return false
		}
	}
	return true
}

// indexed returns the tree's index, or nil if it needs none.
func (t *ratchetTree) indexed() *keyIndex {
	if t.members() < indexFrom {
		return nil
	}
	if t.index == nil || len(t.index.seen) > indexWear*2*t.members() {
		t.index = newKeyIndex(t)
	}
	return t.index
}

// noteKeys adds what a change brings into the tree to the index, if there is
// one yet.
func (x *keyIndex) noteKeys(changes []leafChange, path []*parentNode) {
	if x == nil {
		return
	}
	for _, c := range changes {
		if c.leaf != nil {
			x.add(c.leaf.EncryptionKey)
		}
	}
	for _, p := range path {
		if p != nil {
			x.add(p.encryptionKey)
		}
	}
}
