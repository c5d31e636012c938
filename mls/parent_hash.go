package mls

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/marmotgo/marmot/mls/internal/wire"
)

// parentHashOf computes the parent hash of a parent node with a copath child
// whose original tree hash is given (RFC 9420, Section 7.9).
func (h *treeHasher) parentHashOf(p *parentNode, siblingHash []byte) []byte {
	b := wire.AppendOpaque(h.input[:0], p.encryptionKey)
	b = wire.AppendOpaque(b, p.parentHash)
	h.input = wire.AppendOpaque(b, siblingHash)
	return h.sum()
}

// checkParentHashes checks that every parent node of a received tree is
// parent-hash valid (Section 7.9.2): one node below it was set by the same
// UpdatePath. That node is parent-hash valid too or a leaf, so all of them
// chain down to signed leaves.
func (t *ratchetTree) checkParentHashes() error {
	h := treeHasher{suite: t.suite}
	return h.checkParents(t.root, 0)
}

func (h *treeHasher) checkParents(n *treeNode, base uint32) error {
	if n.left == nil {
		return nil
	}
	middle := base + 1<<(n.height-1)
	if p := n.parent(); p != nil && !h.chained(p, n.left, base, n.right, middle) && !h.chained(p, n.right, middle, n.left, base) {
		return fmt.Errorf("%w: parent hash at height %d above leaf %d", ErrInvalidTree, n.height, base)
	}
	if err := h.checkParents(n.left, base); err != nil {
		return err
	}
	return h.checkParents(n.right, middle)
}

// chained reports whether a node in the resolution of child c has the parent
// hash of p with copath child s.
func (h *treeHasher) chained(p *parentNode, c *treeNode, cBase uint32, s *treeNode, sBase uint32) bool {
	d := candidate(p, c, cBase)
	if d == nil || len(d.parentHash()) == 0 {
		return false
	}
	sibling := h.originalHash(s, sBase, within(p.unmerged, sBase, s.height))
	return bytes.Equal(d.parentHash(), h.parentHashOf(p, sibling))
}

// candidate returns the one node that, left out of the resolution of c, leaves
// exactly p's unmerged leaves below c, or nil.
func candidate(p *parentNode, c *treeNode, base uint32) *treeNode {
	// The structure check made p's unmerged leaves part of the resolution,
	// so comparing the lengths compares the sets.
	unmerged := within(p.unmerged, base, c.height)
	if int(c.resolution) != len(unmerged)+1 {
		return nil
	}
	return leftOver(c, base, unmerged)
}

// leftOver returns the node of the resolution that is not in unmerged, where
// there is only one; all others are leaves.
func leftOver(n *treeNode, base uint32, unmerged []LeafIndex) *treeNode {
	switch {
	case n.resolution == 0:
		return nil
	case n.leaf != nil:
		if _, known := slices.BinarySearch(unmerged, LeafIndex(base)); known {
			return nil
		}
		return n
	case n.isParent():
		return n
	}
	if d := leftOver(n.left, base, unmerged); d != nil {
		return d
	}
	return leftOver(n.right, base+1<<(n.height-1), unmerged)
}

// originalHash returns the tree hash that n had before the leaves in left,
// which are ascending and below n, were added.
func (h *treeHasher) originalHash(n *treeNode, base uint32, left []LeafIndex) []byte {
	if len(left) == 0 {
		return n.hash()
	}
	if n.height == 0 {
		h.setLeafInput(base, nil)
		return h.sum()
	}
	middle := base + 1<<(n.height-1)
	l := h.originalHash(n.left, base, within(left, base, n.height-1))
	r := h.originalHash(n.right, middle, within(left, middle, n.height-1))
	parent := n.parent()
	if parent != nil {
		parent.unmerged = without(parent.unmerged, left)
	}
	h.setInnerInput(parent, l, r)
	return h.sum()
}

// without returns the ascending list without the members of the other one.
func without(list, other []LeafIndex) []LeafIndex {
	rest := make([]LeafIndex, 0, len(list))
	for _, i := range list {
		if _, out := slices.BinarySearch(other, i); !out {
			rest = append(rest, i)
		}
	}
	return rest
}
