package mls

import (
	"fmt"

	"github.com/marmotgo/marmot/mls/internal/treemath"
	"github.com/marmotgo/marmot/mls/internal/wire"
)

// Tags of a delta's nodes. A delta lists the nodes of a tree from the root
// down, left before right, and ends where the parent state has the same
// subtree.
const (
	deltaSame   = 0 // the subtree that the parent state has in this place
	deltaBlank  = 1 // a blank subtree
	deltaLeaf   = 2 // a leaf node follows
	deltaInner  = 3 // a blank inner node; its halves follow
	deltaParent = 4 // a parent node follows, then its halves
)

// appendDelta appends what of t the tree of the parent state does not share
// with it, found by comparing pointers.
func (t *ratchetTree) appendDelta(b []byte, parent *ratchetTree) []byte {
	b = append(b, t.root.height)
	return appendDeltaNode(b, t.root, parent.root.at(t.root.height), t.root.height)
}

// at returns what n has in the place of a root of the given height.
func (n *treeNode) at(height uint8) *treeNode {
	for n != nil && n.height > height {
		n = n.left
	}
	return n
}

func appendDeltaNode(b []byte, n, old *treeNode, height uint8) []byte {
	switch {
	case n == old:
		return append(b, deltaSame)
	case n.leaf != nil:
		return append(append(b, deltaLeaf), n.leaf.encoded()...)
	case n.left == nil:
		return append(b, deltaBlank)
	case !n.isParent():
		b = append(b, deltaInner)
	default:
		b = n.appendParent(append(b, deltaParent))
	}
	oldLeft, oldRight := children(old, height)
	b = appendDeltaNode(b, n.left, oldLeft, height-1)
	return appendDeltaNode(b, n.right, oldRight, height-1)
}

// applyDelta reads a delta written against t and returns the tree it leads
// to, with its structure checked and its hashes computed.
func (t *ratchetTree) applyDelta(s *cipherSuite, r *wire.Reader, lim Limits) (*ratchetTree, error) {
	height := r.Uint8()
	if r.Err() != nil {
		return nil, r.Err()
	}
	if widest := treemath.WidthFor(lim.withDefaults().TreeLeaves); height > 31 || uint32(1)<<height > widest {
		return nil, fmt.Errorf("%w: tree of height %d", ErrInvalidTree, height)
	}
	d := deltaDecoder{treeHasher: treeHasher{suite: s}, r: r}
	old := t.root.at(height)
	root, err := d.node(old, 0, height)
	if err != nil {
		return nil, err
	}
	if root.members == 0 || height > 0 && root.right.members == 0 {
		return nil, fmt.Errorf("%w: empty right half", ErrInvalidTree)
	}
	next := &ratchetTree{suite: s, root: root, capabilities: t.capabilities, credentials: t.credentials}
	if err := next.checkUnmerged(); err != nil {
		return nil, err
	}
	top := max(height, t.root.height)
	eachChangedLeaf(root, t.root, top, func(leaf *LeafNode, delta int) { next.count(leaf, delta) })
	return next, nil
}

type deltaDecoder struct {
	treeHasher
	r *wire.Reader
}

func (d *deltaDecoder) node(old *treeNode, base uint32, height uint8) (*treeNode, error) {
	tag := d.r.Uint8()
	switch {
	case d.r.Err() != nil:
		return nil, d.r.Err()
	case tag == deltaSame && old != nil && old.height == height:
		return old, nil
	case tag == deltaBlank:
		return d.blank(base, height), nil
	case tag == deltaLeaf && height == 0:
		leaf, err := decodeLeafNode(d.r)
		if err == nil {
			err = leaf.checkKeys(d.suite)
		}
		if err != nil {
			return nil, err
		}
		return d.leafNode(base, leaf), nil
	case tag == deltaInner && height > 0:
		return d.halves(nil, old, base, height)
	case tag == deltaParent && height > 0:
		parent, err := decodeParentNode(d.r, d.suite)
		if err != nil {
			return nil, err
		}
		return d.halves(parent, old, base, height)
	}
	return nil, fmt.Errorf("%w: tree delta tag %d at height %d", ErrMalformed, tag, height)
}

func (d *deltaDecoder) halves(parent *parentNode, old *treeNode, base uint32, height uint8) (*treeNode, error) {
	oldLeft, oldRight := children(old, height)
	left, err := d.node(oldLeft, base, height-1)
	if err != nil {
		return nil, err
	}
	right, err := d.node(oldRight, base+1<<(height-1), height-1)
	if err != nil {
		return nil, err
	}
	n := d.inner(parent, left, right)
	if n.left == nil {
		return nil, fmt.Errorf("%w: blank subtree written as two halves", ErrMalformed)
	}
	return n, nil
}

// eachChangedLeaf calls f with -1 for every leaf of old and +1 for every leaf
// of n in the subtrees that they do not share.
func eachChangedLeaf(n, old *treeNode, height uint8, f func(leaf *LeafNode, delta int)) {
	if n == old {
		return
	}
	if height > 0 {
		left, right := children(n, height)
		oldLeft, oldRight := children(old, height)
		eachChangedLeaf(left, oldLeft, height-1, f)
		eachChangedLeaf(right, oldRight, height-1, f)
		return
	}
	if old != nil && old.leaf != nil {
		f(old.leaf, -1)
	}
	if n != nil && n.leaf != nil {
		f(n.leaf, 1)
	}
}
