package mls

import (
	"iter"
	"math/bits"
	"slices"
)

// ratchetTree is the public ratchet tree of one epoch (RFC 9420, Section 7).
// It never changes: an operation returns another tree, which shares every
// subtree that stayed the same. The width is always the smallest power of two
// that holds the rightmost used leaf.
type ratchetTree struct {
	suite *cipherSuite
	root  *treeNode

	// Distinct capability lists and credential types with the number of
	// leaves that have them, sorted. Almost all members run the same few
	// clients, so checks over all members cost a handful of comparisons.
	capabilities []counted[*Capabilities]
	credentials  []counted[CredentialType]

	index *keyIndex // nil until it is wanted
}

// children returns the nodes below the place of a given height that n fills.
// Either result is nil where nothing exists: under a blank subtree, and beside
// a tree that is being widened.
func children(n *treeNode, height uint8) (left, right *treeNode) {
	switch {
	case n == nil:
		return nil, nil
	case n.height < height:
		return n, nil
	}
	return n.left, n.right
}

// newTree returns the tree of a group with one member.
func newTree(s *cipherSuite, leaf *LeafNode) *ratchetTree {
	h := treeHasher{suite: s}
	t := &ratchetTree{suite: s, root: h.leafNode(0, leaf)}
	t.count(leaf, 1)
	return t
}

// leafWidth returns the number of leaf slots, a power of two.
func (t *ratchetTree) leafWidth() uint32 { return 1 << t.root.height }

// members returns the number of non-blank leaves.
func (t *ratchetTree) members() int { return int(t.root.members) }

// treeHash returns the tree hash, not to be changed.
func (t *ratchetTree) treeHash() []byte { return t.root.hash() }

// leaf returns the leaf node at index i; ok is false if it is blank or beyond
// the tree.
func (t *ratchetTree) leaf(i LeafIndex) (leaf *LeafNode, ok bool) {
	if uint32(i) >= t.leafWidth() {
		return nil, false
	}
	n := t.root
	for n.left != nil {
		n = n.toward(i)
	}
	return n.leaf, n.leaf != nil
}

// toward returns the child of an inner node on the way to a leaf.
func (n *treeNode) toward(i LeafIndex) *treeNode {
	if n.isRight(i) {
		return n.right
	}
	return n.left
}

// away returns the other child.
func (n *treeNode) away(i LeafIndex) *treeNode {
	if n.isRight(i) {
		return n.left
	}
	return n.right
}

func (n *treeNode) isRight(i LeafIndex) bool { return uint32(i)>>(n.height-1)&1 == 1 }

// leaves yields the members in ascending order.
func (t *ratchetTree) leaves() iter.Seq2[LeafIndex, *LeafNode] {
	return func(yield func(LeafIndex, *LeafNode) bool) { t.root.eachLeaf(0, yield) }
}

func (n *treeNode) eachLeaf(base uint32, yield func(LeafIndex, *LeafNode) bool) bool {
	switch {
	case n.members == 0:
		return true
	case n.height == 0:
		return yield(LeafIndex(base), n.leaf)
	}
	return n.left.eachLeaf(base, yield) && n.right.eachLeaf(base+1<<(n.height-1), yield)
}

// eachUsed calls f for every non-blank node.
func (n *treeNode) eachUsed(f func(n *treeNode)) {
	if n.used() {
		f(n)
	}
	if n.left != nil {
		n.left.eachUsed(f)
		n.right.eachUsed(f)
	}
}

// appendResolution appends the public keys of the resolution of n, which
// starts at leaf base, leaving out the leaves in exclude, which is sorted.
func (t *ratchetTree) appendResolution(keys [][]byte, n *treeNode, base uint32, exclude []LeafIndex) [][]byte {
	switch {
	case n.resolution == 0:
		return keys
	case n.leaf != nil:
		if _, out := slices.BinarySearch(exclude, LeafIndex(base)); out {
			return keys
		}
		return append(keys, n.leaf.EncryptionKey)
	case !n.isParent():
		keys = t.appendResolution(keys, n.left, base, exclude)
		return t.appendResolution(keys, n.right, base+1<<(n.height-1), exclude)
	}
	keys = append(keys, n.encryptionKey())
	for k := range n.unmergedCount() {
		i := n.unmergedAt(k)
		if _, out := slices.BinarySearch(exclude, i); out {
			continue
		}
		if leaf, ok := t.leaf(i); ok {
			keys = append(keys, leaf.EncryptionKey)
		}
	}
	return keys
}

// lastUsed returns the rightmost used leaf of n, which has one and starts at
// leaf base.
func (n *treeNode) lastUsed(base uint32) uint32 {
	for n.left != nil {
		if n.right.members == 0 {
			n = n.left
		} else {
			n, base = n.right, base+1<<(n.height-1)
		}
	}
	return base
}

// within returns the part of the ascending list that lies in the subtree of
// the given height that starts at leaf base.
func within(list []LeafIndex, base uint32, height uint8) []LeafIndex {
	if len(list) == 0 {
		return nil
	}
	from, _ := slices.BinarySearch(list, LeafIndex(base))
	to, _ := slices.BinarySearch(list[from:], LeafIndex(base)+1<<height)
	return list[from : from+to]
}

// commonHeight is the height of the lowest common ancestor of two leaves.
func commonHeight(a, b LeafIndex) int { return bits.Len32(uint32(a ^ b)) }
