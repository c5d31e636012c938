package mls

import (
	"encoding/binary"
	"sort"
)

// treeNode is one node and all below it. It is a leaf (leaf set), an inner
// node (left and right set), or a blank subtree of any height, for which one
// node stands. Every state that is held has a path of its own, so a node has
// 64 bytes and its data are one string of bytes.
type treeNode struct {
	left, right *treeNode
	leaf        *LeafNode
	// data has the tree hash (Section 7.8) and, for an inner node that is not
	// blank, the content of the node (Section 7.1): key, parent hash and
	// unmerged leaves of 4 bytes each.
	data []byte

	members    uint32 // non-blank leaves
	resolution uint32 // length of the resolution (Section 4.1.1)
	keyLen     uint16 // bytes of the key of an inner node; 0 if that is blank
	keyBits    uint16 // filterBits of the key of a leaf or inner node
	hashLen    uint8  // bytes of the tree hash
	height     uint8  // 0 for leaves
	top        bool   // of a used inner node: its parent hash is empty
}

// parentNode is the content of a used inner node, apart from the tree.
type parentNode struct {
	encryptionKey []byte
	parentHash    []byte      // Nh bytes or none
	unmerged      []LeafIndex // ascending
}

// Nodes of the suites with short keys have room for their data beside them.
type (
	roomyLeaf struct {
		treeNode
		room [32]byte
	}
	roomyInner struct {
		treeNode
		room [96]byte
	}
)

// newTreeNode returns a node with room for size bytes of data, the first of
// them for the hash.
func newTreeNode(hashLen, size int) *treeNode {
	var n *treeNode
	switch {
	case size <= 32:
		r := &roomyLeaf{}
		n, r.data = &r.treeNode, r.room[:size:size]
	case size <= 96 && size > 64:
		r := &roomyInner{}
		n, r.data = &r.treeNode, r.room[:size:size]
	default:
		n = &treeNode{data: make([]byte, size)}
	}
	n.hashLen = uint8(hashLen)
	return n
}

// newLeaf returns the node of a used leaf without its hash.
func newLeaf(hashLen int, leaf *LeafNode) *treeNode {
	n := newTreeNode(hashLen, hashLen)
	n.leaf, n.members, n.resolution, n.keyBits = leaf, 1, 1, filterBits(leaf.EncryptionKey)
	return n
}

// newBlank returns a blank subtree without its hash.
func newBlank(hashLen int, height uint8) *treeNode {
	n := newTreeNode(hashLen, hashLen)
	n.height = height
	return n
}

// newInner returns an inner node without its hash; a nil parent is a blank one.
func newInner(hashLen int, parent *parentNode, left, right *treeNode) *treeNode {
	size := hashLen
	if parent != nil {
		size += len(parent.encryptionKey) + len(parent.parentHash) + 4*len(parent.unmerged)
	}
	n := newTreeNode(hashLen, size)
	n.left, n.right, n.height = left, right, left.height+1
	n.members, n.resolution = left.members+right.members, left.resolution+right.resolution
	if parent == nil {
		return n
	}
	n.resolution = 1 + uint32(len(parent.unmerged))
	n.keyLen, n.keyBits = uint16(len(parent.encryptionKey)), filterBits(parent.encryptionKey)
	n.top = len(parent.parentHash) == 0
	b := append(n.data[:hashLen], parent.encryptionKey...)
	b = append(b, parent.parentHash...)
	for _, i := range parent.unmerged {
		b = binary.BigEndian.AppendUint32(b, uint32(i))
	}
	return n
}

// hash returns the tree hash, not to be changed.
func (n *treeNode) hash() []byte { return n.data[:n.hashLen:n.hashLen] }

func (n *treeNode) isBlankSubtree() bool { return n.leaf == nil && n.left == nil }

// isParent reports whether n is an inner node that is not blank.
func (n *treeNode) isParent() bool { return n.keyLen > 0 }

// used reports whether the node itself, leaf or parent, is not blank.
func (n *treeNode) used() bool { return n.leaf != nil || n.isParent() }

// parent returns the content of a used inner node, or nil. Key and hash are
// those of the node, not to be changed.
func (n *treeNode) parent() *parentNode {
	if !n.isParent() {
		return nil
	}
	p := &parentNode{encryptionKey: n.encryptionKey(), parentHash: n.parentHash()}
	for k := range n.unmergedCount() {
		p.unmerged = append(p.unmerged, n.unmergedAt(k))
	}
	return p
}

// encryptionKey returns the node's own key, or nil if it is blank.
func (n *treeNode) encryptionKey() []byte {
	switch {
	case n.leaf != nil:
		return n.leaf.EncryptionKey
	case n.isParent():
		end := n.keyEnd()
		return n.data[n.hashLen:end:end]
	}
	return nil
}

func (n *treeNode) keyEnd() int { return int(n.hashLen) + int(n.keyLen) }

// parentHash returns the parent hash that a used leaf or inner node carries.
func (n *treeNode) parentHash() []byte {
	if n.leaf != nil {
		return n.leaf.ParentHash
	}
	from, to := n.keyEnd(), n.unmergedStart()
	return n.data[from:to:to]
}

func (n *treeNode) unmergedStart() int {
	if n.top {
		return n.keyEnd()
	}
	return n.keyEnd() + int(n.hashLen)
}

// unmergedCount returns the number of unmerged leaves of a used inner node.
func (n *treeNode) unmergedCount() int {
	if !n.isParent() {
		return 0
	}
	return (len(n.data) - n.unmergedStart()) / 4
}

// unmergedAt returns the unmerged leaf number k.
func (n *treeNode) unmergedAt(k int) LeafIndex {
	return LeafIndex(binary.BigEndian.Uint32(n.data[n.unmergedStart()+4*k:]))
}

// unmergedBefore returns how many unmerged leaves are below i.
func (n *treeNode) unmergedBefore(i LeafIndex) int {
	return sort.Search(n.unmergedCount(), func(k int) bool { return n.unmergedAt(k) >= i })
}

// hasUnmerged reports whether leaf i is unmerged in a used inner node.
func (n *treeNode) hasUnmerged(i LeafIndex) bool {
	k := n.unmergedBefore(i)
	return k < n.unmergedCount() && n.unmergedAt(k) == i
}
