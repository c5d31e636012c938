package mls

import (
	"encoding/binary"
	"fmt"

	"github.com/marmotgo/marmot/mls/internal/treemath"
	"github.com/marmotgo/marmot/mls/internal/wire"
)

// decodeTree reads the data of a ratchet_tree extension (RFC 9420, Section
// 12.4.3.3) and checks its structure: types by position, the last node a
// used leaf, unmerged leaves in order and in every node between. Hashes,
// keys and signatures are left to the caller.
func decodeTree(s *cipherSuite, data []byte, lim Limits) (*ratchetTree, error) {
	outer := wire.NewReader(data)
	nodes := outer.Vector()
	d := treeDecoder{treeHasher: treeHasher{suite: s}, maxNodes: treemath.Width(lim.withDefaults().TreeLeaves)}
	for !nodes.Empty() {
		if err := d.next(nodes); err != nil {
			return nil, err
		}
	}
	if err := outer.Finish(); err != nil {
		return nil, err
	}
	root, err := d.finish()
	if err != nil {
		return nil, err
	}
	t := &ratchetTree{suite: s, root: root}
	if err := t.checkUnmerged(); err != nil {
		return nil, err
	}
	t.countAll()
	return t, nil
}

// treeDecoder builds the tree from nodes in order, as they are read: open
// holds the left halves that wait for their right ones. It needs no array of
// nodes, so its memory follows what is in the tree and not its width.
type treeDecoder struct {
	treeHasher
	maxNodes uint32
	count    uint32 // nodes read
	lastUsed bool   // the last node was not blank
	done     *treeNode
	doneBase uint32
	open     []openNode
}

type openNode struct {
	left   *treeNode // nil while it is a blank subtree of height-1
	parent *parentNode
	base   uint32
	height uint8
}

func (d *treeDecoder) next(r *wire.Reader) error {
	if d.count >= d.maxNodes {
		return fmt.Errorf("%w: more than %d nodes", ErrInvalidTree, d.maxNodes)
	}
	index := d.count
	d.count++
	leaf, parent, err := d.node(r, index)
	if err != nil {
		return err
	}
	d.lastUsed = leaf != nil || parent != nil
	if level := treemath.Level(index); level > 0 {
		d.open = append(d.open, openNode{left: d.done, parent: parent, base: d.doneBase, height: uint8(level)})
		d.done = nil
		return nil
	}
	d.doneBase, d.done = index/2, nil
	if leaf != nil {
		d.done = d.leafNode(d.doneBase, leaf)
	}
	d.close(0)
	return nil
}

// node reads optional<Node> at an index of the array.
func (d *treeDecoder) node(r *wire.Reader, index uint32) (*LeafNode, *parentNode, error) {
	if !r.Optional() {
		return nil, nil, r.Err()
	}
	kind := r.Uint8()
	switch {
	case r.Err() != nil:
		return nil, nil, r.Err()
	case kind == nodeTypeLeaf && index%2 == 0:
		leaf, err := decodeLeafNode(r)
		if err == nil {
			err = leaf.checkKeys(d.suite)
		}
		return leaf, nil, err
	case kind == nodeTypeParent && index%2 == 1:
		parent, err := decodeParentNode(r, d.suite)
		return nil, parent, err
	}
	return nil, nil, fmt.Errorf("%w: node %d has type %d", ErrInvalidTree, index, kind)
}

// close joins done, of the given height, with the left halves that wait for
// it. While a whole subtree is blank it stays nil, and costs nothing.
func (d *treeDecoder) close(height uint8) {
	for len(d.open) > 0 && d.open[len(d.open)-1].height == height+1 {
		o := d.open[len(d.open)-1]
		d.open = d.open[:len(d.open)-1]
		right, rightBase := d.done, d.doneBase
		d.doneBase = o.base
		height++
		if o.left == nil && right == nil && o.parent == nil {
			continue
		}
		if o.left == nil {
			o.left = d.blank(o.base, height-1)
		}
		if right == nil {
			right = d.blank(rightBase, height-1)
		}
		d.done = d.inner(o.parent, o.left, right)
	}
}

// finish fills the right side with blanks up to a power of two.
func (d *treeDecoder) finish() (*treeNode, error) {
	if d.count%2 == 0 || !d.lastUsed {
		return nil, fmt.Errorf("%w: %d nodes, the last not a used leaf", ErrInvalidTree, d.count)
	}
	for len(d.open) > 0 {
		top := d.open[len(d.open)-1]
		for d.done.height+1 < top.height {
			h := d.done.height
			d.done = d.inner(nil, d.done, d.blank(d.doneBase+1<<h, h))
		}
		d.close(d.done.height)
	}
	return d.done, nil
}

// decodeParentNode reads a parent node that aliases the input.
func decodeParentNode(r *wire.Reader, s *cipherSuite) (*parentNode, error) {
	key, hash, list := r.Opaque(), r.Opaque(), r.Opaque()
	if r.Err() != nil {
		return nil, r.Err()
	}
	if err := s.publicKeyOK(key); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidTree, err)
	}
	if len(hash) != 0 && len(hash) != s.nh {
		return nil, fmt.Errorf("%w: parent hash of %d bytes", ErrInvalidTree, len(hash))
	}
	if len(list)%4 != 0 {
		return nil, fmt.Errorf("%w: unmerged leaves of %d bytes", ErrMalformed, len(list))
	}
	p := &parentNode{encryptionKey: key, parentHash: hash}
	if len(list) > 0 {
		p.unmerged = make([]LeafIndex, len(list)/4)
	}
	for i := range p.unmerged {
		p.unmerged[i] = LeafIndex(binary.BigEndian.Uint32(list[4*i:]))
	}
	return p, nil
}

// checkUnmerged holds unmerged_leaves to Section 12.4.3.1: ascending used
// leaves below the node, each listed in every used node in between.
func (t *ratchetTree) checkUnmerged() error { return t.root.checkUnmerged(0) }

func (n *treeNode) checkUnmerged(base uint32) error {
	if n.left == nil {
		return nil
	}
	if p := n.parent(); p != nil && len(p.unmerged) > 0 {
		list := p.unmerged
		if len(within(list, base, n.height)) != len(list) {
			return fmt.Errorf("%w: unmerged leaf outside its subtree", ErrInvalidTree)
		}
		for k, i := range list {
			if k > 0 && list[k-1] >= i {
				return fmt.Errorf("%w: unmerged leaves not in order", ErrInvalidTree)
			}
			if !n.notesUnmerged(i) {
				return fmt.Errorf("%w: unmerged leaf %d is blank or not noted below", ErrInvalidTree, i)
			}
		}
	}
	if err := n.left.checkUnmerged(base); err != nil {
		return err
	}
	return n.right.checkUnmerged(base + 1<<(n.height-1))
}

// notesUnmerged reports whether leaf i below n is used and listed in every
// used inner node down to it.
func (n *treeNode) notesUnmerged(i LeafIndex) bool {
	for n.left != nil {
		if n.isParent() && !n.hasUnmerged(i) {
			return false
		}
		n = n.toward(i)
	}
	return n.leaf != nil
}

// encodedSize returns at least the length of the encoded tree.
func (t *ratchetTree) encodedSize() int {
	size := 8 + 2*int(t.leafWidth()) // lengths, presence octets
	t.root.eachUsed(func(n *treeNode) {
		if n.leaf != nil {
			size += 1 + len(n.leaf.encoded())
		} else {
			size += 8 + len(n.data)
		}
	})
	return size
}

// appendTree appends the data of a ratchet_tree extension, which ends with
// the last used leaf.
func (t *ratchetTree) appendTree(b []byte) []byte {
	return wire.AppendVector(b, func(b []byte) []byte {
		if t.root.members == 0 {
			return b
		}
		return t.root.appendNodes(b, 0, t.root.lastUsed(0))
	})
}

// appendNodes appends the nodes of a subtree up to the leaf last.
func (n *treeNode) appendNodes(b []byte, base, last uint32) []byte {
	switch {
	case base > last:
		return b
	case n.leaf != nil:
		return append(append(b, 1, nodeTypeLeaf), n.leaf.encoded()...)
	case n.left == nil:
		leaves := min(uint32(1)<<n.height, last-base+1)
		return append(b, make([]byte, treemath.Width(leaves))...)
	}
	b = n.left.appendNodes(b, base, last)
	middle := base + 1<<(n.height-1)
	if middle > last {
		return b
	}
	if n.isParent() {
		b = n.appendParent(append(b, 1, nodeTypeParent))
	} else {
		b = append(b, 0)
	}
	return n.right.appendNodes(b, middle, last)
}
