package mls

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/marmotgo/marmot/mls/internal/treemath"
	"github.com/marmotgo/marmot/mls/internal/wire"
)

// treeModel is the ratchet tree written down literally as the array of RFC
// 9420, Appendix C, with the operations of Section 7 on it. It is slow,
// changes in place and serves as the oracle of the real one.
type treeModel struct {
	suite *cipherSuite
	nodes []modelNode
}

type modelNode struct {
	leaf   *LeafNode
	parent *parentNode
}

func (n modelNode) blank() bool { return n.leaf == nil && n.parent == nil }

func modelOf(t *ratchetTree) *treeModel {
	m := &treeModel{suite: t.suite, nodes: make([]modelNode, treemath.Width(t.leafWidth()))}
	for i := range m.nodes {
		n, _ := t.nodeAt(uint32(i))
		if n == nil {
			continue
		}
		m.nodes[i].leaf = n.leaf
		if p := n.parent(); p != nil {
			p.encryptionKey, p.parentHash = bytes.Clone(p.encryptionKey), bytes.Clone(p.parentHash)
			m.nodes[i].parent = p
		}
	}
	return m
}

func (m *treeModel) leaves() uint32 { return uint32(len(m.nodes)+1) / 2 }

func (m *treeModel) directPath(leaf LeafIndex) []uint32 {
	var path []uint32
	x := 2 * uint32(leaf)
	for {
		p, ok := treemath.Parent(x, m.leaves())
		if !ok {
			return path
		}
		path = append(path, p)
		x = p
	}
}

func (m *treeModel) blankPath(leaf LeafIndex) {
	for _, x := range m.directPath(leaf) {
		m.nodes[x].parent = nil
	}
}

func (m *treeModel) add(leaf *LeafNode) LeafIndex {
	at := uint32(0)
	for at < m.leaves() && m.nodes[2*at].leaf != nil {
		at++
	}
	if at == m.leaves() {
		m.nodes = append(m.nodes, make([]modelNode, len(m.nodes)+1)...)
	}
	m.nodes[2*at].leaf = leaf
	for _, x := range m.directPath(LeafIndex(at)) {
		if p := m.nodes[x].parent; p != nil {
			p.unmerged = append(p.unmerged, LeafIndex(at))
			slices.Sort(p.unmerged)
		}
	}
	return LeafIndex(at)
}

func (m *treeModel) update(i LeafIndex, leaf *LeafNode) {
	m.nodes[2*i].leaf = leaf
	m.blankPath(i)
}

func (m *treeModel) remove(i LeafIndex) {
	m.nodes[2*i].leaf = nil
	m.blankPath(i)
	for len(m.nodes) > 1 {
		right := m.nodes[len(m.nodes)/2+1:]
		if slices.ContainsFunc(right, func(n modelNode) bool { return n.leaf != nil }) {
			return
		}
		m.nodes = m.nodes[:len(m.nodes)/2]
	}
}

// merge puts a path into the tree, nodes by index.
func (m *treeModel) merge(sender LeafIndex, leaf *LeafNode, parents map[uint32]*parentNode) {
	m.blankPath(sender)
	m.nodes[2*sender].leaf = leaf
	for x, p := range parents {
		m.nodes[x].parent = p
	}
}

func (m *treeModel) resolution(x uint32) []uint32 {
	switch n := m.nodes[x]; {
	case n.leaf != nil:
		return []uint32{x}
	case n.parent != nil:
		list := []uint32{x}
		for _, i := range n.parent.unmerged {
			list = append(list, 2*uint32(i))
		}
		return list
	}
	left, ok := treemath.Left(x)
	if !ok {
		return nil
	}
	right, _ := treemath.Right(x)
	return append(m.resolution(left), m.resolution(right)...)
}

// hash is the tree hash of x with the given leaves left out (Sections 7.8 and
// 7.9: the original tree hash).
func (m *treeModel) hash(x uint32, out []LeafIndex) []byte {
	n := m.nodes[x]
	if treemath.Level(x) == 0 {
		b := append([]byte{1}, binary.BigEndian.AppendUint32(nil, x/2)...)
		if n.leaf == nil || slices.Contains(out, LeafIndex(x/2)) {
			return m.suite.hash(append(b, 0))
		}
		return m.suite.hash(append(b, 1), n.leaf.encoded())
	}
	left, _ := treemath.Left(x)
	right, _ := treemath.Right(x)
	b := []byte{2, 0}
	if p := n.parent; p != nil {
		b[1] = 1
		b = wire.AppendOpaque(b, p.encryptionKey)
		b = wire.AppendOpaque(b, p.parentHash)
		b = wire.AppendVector(b, func(b []byte) []byte {
			for _, i := range p.unmerged {
				if !slices.Contains(out, i) {
					b = binary.BigEndian.AppendUint32(b, uint32(i))
				}
			}
			return b
		})
	}
	b = wire.AppendOpaque(b, m.hash(left, out))
	return m.suite.hash(wire.AppendOpaque(b, m.hash(right, out)))
}

// parentHash is that of p with copath child s.
func (m *treeModel) parentHash(p, s uint32) []byte {
	n := m.nodes[p].parent
	b := wire.AppendOpaque(nil, n.encryptionKey)
	b = wire.AppendOpaque(b, n.parentHash)
	return m.suite.hash(wire.AppendOpaque(b, m.hash(s, n.unmerged)))
}

func below(x, top uint32) bool {
	half := uint32(1)<<treemath.Level(top) - 1
	return x >= top-half && x <= top+half
}

// validLink reads Section 7.9.2: the parent hash of d is valid with respect to
// p.
func (m *treeModel) validLink(d, p uint32) bool {
	if d == p || !below(d, p) || m.nodes[d].blank() {
		return false
	}
	c, _ := treemath.Left(p)
	s, _ := treemath.Right(p)
	if !below(d, c) {
		c, s = s, c
	}
	rest := m.resolution(c)
	at := slices.Index(rest, d)
	if at < 0 {
		return false
	}
	rest = slices.Delete(rest, at, at+1)
	var unmerged []uint32
	for _, i := range m.nodes[p].parent.unmerged {
		if below(2*uint32(i), c) {
			unmerged = append(unmerged, 2*uint32(i))
		}
	}
	slices.Sort(rest)
	if !slices.Equal(rest, unmerged) {
		return false
	}
	var have []byte
	if leaf := m.nodes[d].leaf; leaf != nil {
		have = leaf.ParentHash
	} else {
		have = m.nodes[d].parent.parentHash
	}
	return bytes.Equal(have, m.parentHash(p, s))
}

// parentHashesValid reports whether every parent chains down to a leaf.
func (m *treeModel) parentHashesValid() bool {
	valid := make(map[uint32]bool)
	for level := 0; 1<<level <= len(m.nodes); level++ {
		for x := range uint32(len(m.nodes)) {
			if treemath.Level(x) != level || m.nodes[x].blank() {
				continue
			}
			if level == 0 {
				valid[x] = true
				continue
			}
			for d := range uint32(len(m.nodes)) {
				valid[x] = valid[x] || valid[d] && m.validLink(d, x)
			}
			if !valid[x] {
				return false
			}
		}
	}
	return true
}

func (m *treeModel) encode() []byte {
	return wire.AppendVector(nil, func(b []byte) []byte {
		last := len(m.nodes)
		for m.nodes[last-1].blank() {
			last--
		}
		for _, n := range m.nodes[:last] {
			switch {
			case n.leaf != nil:
				b = append(append(b, 1, 1), n.leaf.encoded()...)
			case n.parent != nil:
				b = n.parent.append(append(b, 1, 2))
			default:
				b = append(b, 0)
			}
		}
		return b
	})
}

// summary counts what the real tree keeps for a node or finds in it.
type summary struct{ members, resolution, lastUsed uint32 }

func (m *treeModel) summary(x uint32) summary {
	half := uint32(1)<<treemath.Level(x) - 1
	s := summary{resolution: uint32(len(m.resolution(x)))}
	for leaf := (x - half) / 2; leaf <= (x+half)/2; leaf++ {
		if m.nodes[2*leaf].leaf != nil {
			s.members++
			s.lastUsed = leaf
		}
	}
	return s
}

// compare fails unless the tree is the model's, in every cached value.
func (m *treeModel) compare(t testing.TB, tree *ratchetTree) {
	t.Helper()
	if err := m.difference(tree); err != nil {
		t.Fatal(err)
	}
}

func (m *treeModel) difference(tree *ratchetTree) error {
	if tree.leafWidth() != m.leaves() {
		return fmt.Errorf("%d leaf slots, want %d", tree.leafWidth(), m.leaves())
	}
	for x := range uint32(len(m.nodes)) {
		n, base := tree.nodeAt(x)
		if n == nil {
			if len(m.resolution(x)) > 0 {
				return fmt.Errorf("node %d missing", x)
			}
			continue
		}
		if n.isBlankSubtree() != (len(m.resolution(x)) == 0) {
			return fmt.Errorf("node %d: blank subtree not folded", x)
		}
		if !bytes.Equal(n.hash(), m.hash(x, nil)) {
			return fmt.Errorf("node %d: tree hash differs", x)
		}
		got := summary{members: n.members, resolution: n.resolution}
		if n.members > 0 {
			got.lastUsed = n.lastUsed(base)
		}
		if got != m.summary(x) {
			return fmt.Errorf("node %d: summary %+v, want %+v", x, got, m.summary(x))
		}
		if !slices.Equal(resolutionIndices(n, base), m.resolution(x)) {
			return fmt.Errorf("node %d: resolution %v, want %v", x, resolutionIndices(n, base), m.resolution(x))
		}
	}
	encoded := m.encode()
	if !bytes.Equal(tree.appendTree(nil), encoded) {
		return fmt.Errorf("encoding differs")
	}
	decoded, err := decodeTree(tree.suite, encoded, Limits{})
	if err != nil {
		return fmt.Errorf("own encoding: %w", err)
	}
	if !bytes.Equal(decoded.treeHash(), tree.treeHash()) {
		return fmt.Errorf("decoded tree has another hash")
	}
	if (tree.checkParentHashes() == nil) != m.parentHashesValid() {
		return fmt.Errorf("parent hashes: got %v, want valid %v", tree.checkParentHashes(), m.parentHashesValid())
	}
	return sameCounts(tree, decoded)
}

// sameCounts compares the counts that a tree kept over its changes with those
// of a freshly decoded one.
func sameCounts(a, b *ratchetTree) error {
	capabilities := func(x, y counted[*Capabilities]) bool {
		return x.leaves == y.leaves && compareCapabilities(x.value, y.value) == 0
	}
	if !slices.EqualFunc(a.capabilities, b.capabilities, capabilities) || !slices.Equal(a.credentials, b.credentials) {
		return fmt.Errorf("counts of capabilities or credentials differ")
	}
	return nil
}

func checkAgainstModel(t testing.TB, tree *ratchetTree) {
	t.Helper()
	modelOf(tree).compare(t, tree)
}
