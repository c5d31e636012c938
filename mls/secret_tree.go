package mls

import (
	"fmt"
	"maps"
	"math/bits"
	"slices"
)

// frontier is a tree of secrets of which only the highest unused nodes are
// kept (RFC 9420, Sections 9 and 9.2). Taking a leaf derives the nodes above
// it, keeps the siblings and erases the path, so a leaf can be taken once.
// Nodes are numbered as in a heap: 1 is the root, 2i and 2i+1 are below i.
type frontier struct {
	redactedValue
	width uint32 // leaves, a power of two; 0 once erased
	nodes map[uint32]secret
}

func newFrontier(width uint32, root secret) *frontier {
	return &frontier{width: width, nodes: map[uint32]secret{1: root}}
}

// frontierStep is a leaf derived but not yet taken.
type frontierStep struct {
	redactedValue
	from     uint32 // the held node it was derived from
	siblings []frontierNode
	leaf     secret
}

type frontierNode struct {
	redactedValue
	index uint32
	value secret
}

// derive computes a leaf's secret and changes nothing.
func (f *frontier) derive(s *cipherSuite, leaf uint32) (*frontierStep, error) {
	if f.width == 0 {
		return nil, ErrErased
	}
	if leaf >= f.width {
		return nil, fmt.Errorf("%w: leaf %d of a secret tree of %d", ErrMalformed, leaf, f.width)
	}
	target := f.width + leaf
	depth := 0
	for f.nodes[target>>depth] == nil {
		if depth++; target>>depth == 0 {
			return nil, ErrConsumed
		}
	}
	step := &frontierStep{from: target >> depth, siblings: make([]frontierNode, 0, depth)}
	node := slices.Clone(f.nodes[step.from])
	for ; depth > 0; depth-- {
		child := target >> (depth - 1)
		left := s.expandWithLabel(node, "tree", []byte("left"), s.nh)
		right := s.expandWithLabel(node, "tree", []byte("right"), s.nh)
		node.erase()
		if child&1 == 1 {
			left, right = right, left
		}
		node = left
		step.siblings = append(step.siblings, frontierNode{index: child ^ 1, value: right})
	}
	step.leaf = node
	return step, nil
}

// take makes a derived leaf the only copy of its secret.
func (f *frontier) take(step *frontierStep) {
	f.nodes[step.from].erase()
	delete(f.nodes, step.from)
	for _, n := range step.siblings {
		f.nodes[n.index] = n.value
	}
}

// drop erases a derived leaf that was not taken.
func (step *frontierStep) drop() {
	step.leaf.erase()
	for _, n := range step.siblings {
		n.value.erase()
	}
}

func (f *frontier) erase() {
	for _, n := range f.nodes {
		n.erase()
	}
	f.width, f.nodes = 0, nil
}

// indices returns the numbers of the held nodes, ascending.
func (f *frontier) indices() []uint32 { return slices.Sorted(maps.Keys(f.nodes)) }

// valid reports whether no held node is outside the tree or above another.
func (f *frontier) valid() bool {
	if f.width == 0 {
		return len(f.nodes) == 0
	}
	if bits.OnesCount32(f.width) != 1 || f.width > maxLeafIndex {
		return false
	}
	for i := range f.nodes {
		if i == 0 || i >= 2*f.width {
			return false
		}
		for up := i >> 1; up > 0; up >>= 1 {
			if f.nodes[up] != nil {
				return false
			}
		}
	}
	return true
}

// secretTree holds the message keys of one epoch: the frontier for members
// that were silent so far, and two ratchets for each of the others.
type secretTree struct {
	redactedValue
	frontier *frontier
	ratchets map[LeafIndex]*leafRatchets
}

// leafRatchets are one sender's ratchets.
type leafRatchets struct {
	redactedValue
	handshake, application ratchet
}

func newSecretTree(width uint32, root secret) *secretTree {
	return &secretTree{frontier: newFrontier(width, root), ratchets: map[LeafIndex]*leafRatchets{}}
}

// sender returns the ratchets of a leaf. If they are new, step is what must be
// kept with them by [secretTree.keep]; until then nothing is changed.
func (t *secretTree) sender(s *cipherSuite, leaf LeafIndex) (*leafRatchets, *frontierStep, error) {
	if l := t.ratchets[leaf]; l != nil {
		return l, nil, nil
	}
	step, err := t.frontier.derive(s, uint32(leaf))
	if err != nil {
		return nil, nil, err
	}
	l := &leafRatchets{
		handshake:   ratchet{secret: s.deriveSecret(step.leaf, "handshake")},
		application: ratchet{secret: s.deriveSecret(step.leaf, "application")},
	}
	step.leaf.erase()
	return l, step, nil
}

// keep records ratchets that sender returned with a step.
func (t *secretTree) keep(leaf LeafIndex, l *leafRatchets, step *frontierStep) {
	if step != nil {
		t.frontier.take(step)
		t.ratchets[leaf] = l
	}
}

// discard erases ratchets that sender returned with a step.
func (t *secretTree) discard(l *leafRatchets, step *frontierStep) {
	if step != nil {
		step.drop()
		l.erase()
	}
}

func (l *leafRatchets) of(t ContentType) *ratchet {
	if t == ContentApplication {
		return &l.application
	}
	return &l.handshake
}

func (l *leafRatchets) erase() {
	l.handshake.erase()
	l.application.erase()
}

func (t *secretTree) erase() {
	t.frontier.erase()
	for _, l := range t.ratchets {
		l.erase()
	}
	clear(t.ratchets)
}
