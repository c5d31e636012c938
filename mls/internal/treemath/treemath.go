// Package treemath computes node indices of the perfect binary trees of
// RFC 9420, Appendix C: leaves have even indices, a parent at level k has k
// trailing one bits, and the tree is read in order.
package treemath

import "math/bits"

// MaxLeaves is the largest number of leaves the index arithmetic covers:
// every node index then fits into 32 bits.
const MaxLeaves = 1 << 31

// Width returns the number of nodes of a tree with the given number of
// leaves, a power of two.
func Width(leaves uint32) uint32 {
	if leaves == 0 {
		return 0
	}
	return leaves - 1 + leaves
}

// Root returns the index of the root of a tree with the given number of
// leaves, a power of two.
func Root(leaves uint32) uint32 { return leaves - 1 }

// Level returns the height of a node above the leaves.
func Level(node uint32) int { return bits.TrailingZeros32(^node) }

// Left returns the left child; ok is false for a leaf.
func Left(node uint32) (child uint32, ok bool) {
	k := Level(node)
	if k == 0 {
		return 0, false
	}
	return node ^ 1<<(k-1), true
}

// Right returns the right child; ok is false for a leaf.
func Right(node uint32) (child uint32, ok bool) {
	k := Level(node)
	if k == 0 {
		return 0, false
	}
	return node ^ 3<<(k-1), true
}

// Parent returns the parent; ok is false for the root.
func Parent(node, leaves uint32) (parent uint32, ok bool) {
	if node == Root(leaves) {
		return 0, false
	}
	k := Level(node)
	return (node | 1<<k) &^ (1 << (k + 1)), true
}

// Sibling returns the other child of the node's parent; ok is false for the
// root.
func Sibling(node, leaves uint32) (sibling uint32, ok bool) {
	parent, ok := Parent(node, leaves)
	if !ok {
		return 0, false
	}
	if node < parent {
		return Right(parent)
	}
	return Left(parent)
}

// WidthFor returns the smallest power of two that is not below leaves, which
// must not exceed [MaxLeaves]: the number of leaf slots a tree needs for that
// many leaves.
func WidthFor(leaves uint32) uint32 {
	if leaves <= 1 {
		return 1
	}
	return 1 << bits.Len32(leaves-1)
}

// CommonLevel returns the level of the lowest common ancestor of two leaves
// given by leaf index: 0 if they are the same leaf.
func CommonLevel(a, b uint32) int { return bits.Len32(a ^ b) }
