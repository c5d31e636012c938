package mls

import (
	"crypto"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"

	"github.com/marmotgo/marmot/mls/internal/wire"
)

// treeHasher builds nodes with their tree hashes (RFC 9420, Section 7.8). It
// keeps one buffer for the hash inputs of an operation.
type treeHasher struct {
	suite *cipherSuite
	input []byte
}

func (h *treeHasher) sum() []byte {
	out := make([]byte, h.suite.nh)
	h.sumInto(out)
	return out
}

// sumInto hashes the input, without allocating for the hashes of our suites.
func (h *treeHasher) sumInto(out []byte) {
	switch h.suite.hashID {
	case crypto.SHA256:
		digest := sha256.Sum256(h.input)
		copy(out, digest[:])
	case crypto.SHA384:
		digest := sha512.Sum384(h.input)
		copy(out, digest[:])
	case crypto.SHA512:
		digest := sha512.Sum512(h.input)
		copy(out, digest[:])
	default:
		copy(out, h.suite.hash(h.input))
	}
}

// Node types of TreeHashInput and of Node in a ratchet_tree extension.
const (
	nodeTypeLeaf   = 1
	nodeTypeParent = 2
)

// setLeafInput makes TreeHashInput of a leaf; nil is a blank one.
func (h *treeHasher) setLeafInput(base uint32, leaf *LeafNode) {
	b := binary.BigEndian.AppendUint32(append(h.input[:0], nodeTypeLeaf), base)
	if leaf == nil {
		h.input = append(b, 0)
		return
	}
	h.input = append(append(b, 1), leaf.encoded()...)
}

// setInnerInput makes TreeHashInput of an inner node.
func (h *treeHasher) setInnerInput(parent *parentNode, left, right []byte) {
	b := append(h.input[:0], nodeTypeParent)
	if parent == nil {
		b = append(b, 0)
	} else {
		b = parent.append(append(b, 1))
	}
	h.input = wire.AppendOpaque(wire.AppendOpaque(b, left), right)
}

// appendParent appends the content of a used inner node.
func (n *treeNode) appendParent(b []byte) []byte {
	b = wire.AppendOpaque(b, n.encryptionKey())
	b = wire.AppendOpaque(b, n.parentHash())
	return wire.AppendOpaque(b, n.data[n.unmergedStart():])
}

func (p *parentNode) append(b []byte) []byte {
	b = wire.AppendOpaque(b, p.encryptionKey)
	b = wire.AppendOpaque(b, p.parentHash)
	b = wire.AppendVarint(b, 4*len(p.unmerged))
	for _, i := range p.unmerged {
		b = binary.BigEndian.AppendUint32(b, uint32(i))
	}
	return b
}

// leafNode makes the node of a leaf; nil is a blank one.
func (h *treeHasher) leafNode(base uint32, leaf *LeafNode) *treeNode {
	if leaf == nil {
		return h.blank(base, 0)
	}
	n := newLeaf(h.suite.nh, leaf)
	h.setLeafInput(base, leaf)
	h.sumInto(n.hash())
	return n
}

// inner makes an inner node. Two blank halves under a blank parent become one
// blank subtree.
func (h *treeHasher) inner(parent *parentNode, left, right *treeNode) *treeNode {
	var n *treeNode
	if parent == nil && left.isBlankSubtree() && right.isBlankSubtree() {
		n = newBlank(h.suite.nh, left.height+1)
	} else {
		n = newInner(h.suite.nh, parent, left, right)
	}
	h.setInnerInput(parent, left.hash(), right.hash())
	h.sumInto(n.hash())
	return n
}

// blank makes a blank subtree. Its hash covers leaf indices, so it costs a
// hash for every node in it; Add fills blank leaves from the left, which makes
// that a constant per added member.
func (h *treeHasher) blank(base uint32, height uint8) *treeNode {
	n := newBlank(h.suite.nh, height)
	h.blankHash(n.hash(), base, height)
	return n
}

func (h *treeHasher) blankHash(out []byte, base uint32, height uint8) {
	if height == 0 {
		h.setLeafInput(base, nil)
	} else {
		var left, right [maxNh]byte
		nh := len(out)
		h.blankHash(left[:nh], base, height-1)
		h.blankHash(right[:nh], base+1<<(height-1), height-1)
		h.setInnerInput(nil, left[:nh], right[:nh])
	}
	h.sumInto(out)
}
