package mls

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"
)

// frontier is a tree of secrets of which only the highest unused nodes are
// kept (RFC 9420, Sections 9 and 9.2). Taking a leaf derives the nodes above
// it, keeps the siblings and erases the path, so a leaf can be taken once.
// Nodes are numbered as in a heap: 1 is the root, 2i and 2i+1 are below i.
type frontier struct {
	redactedValue
	width uint32         // leaves, a power of two; 0 once erased
	nodes []frontierNode // held, ascending
}

type frontierNode struct {
	redactedValue
	index uint32
	value secret
}

func newFrontier(width uint32, root secret) *frontier {
	return &frontier{width: width, nodes: []frontierNode{{index: 1, value: root}}}
}

// find returns the place of a node in the list and whether it is held.
func (f *frontier) find(index uint32) (int, bool) {
	return slices.BinarySearchFunc(f.nodes, index, func(n frontierNode, i uint32) int { return cmp.Compare(n.index, i) })
}

// frontierStep is a leaf derived but not yet taken.
type frontierStep struct {
	redactedValue
	from     uint32 // the held node it was derived from
	siblings []frontierNode
	leaf     secret
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
	at, held := f.find(target)
	for !held {
		if depth++; target>>depth == 0 {
			return nil, ErrConsumed
		}
		at, held = f.find(target >> depth)
	}
	step := &frontierStep{from: target >> depth, siblings: make([]frontierNode, 0, depth)}
	node := slices.Clone(f.nodes[at].value)
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
	if at, held := f.find(step.from); held {
		f.nodes[at].value.erase()
		f.nodes = slices.Delete(f.nodes, at, at+1)
	}
	for _, n := range step.siblings {
		at, _ := f.find(n.index)
		f.nodes = slices.Insert(f.nodes, at, n)
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
		n.value.erase()
	}
	f.width, f.nodes = 0, nil
}

// valid reports whether no held node is outside the tree or above another.
func (f *frontier) valid() bool {
	if f.width == 0 {
		return len(f.nodes) == 0
	}
	if bits.OnesCount32(f.width) != 1 || f.width > maxLeafIndex {
		return false
	}
	for _, n := range f.nodes {
		if n.index == 0 || n.index >= 2*f.width {
			return false
		}
		for up := n.index >> 1; up > 0; up >>= 1 {
			if _, above := f.find(up); above {
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
	ratchets map[LeafIndex]*leafRatchets // nil until somebody sent
}

// leafRatchets are one sender's ratchets.
type leafRatchets struct {
	redactedValue
	handshake, application ratchet
	reserved               uint32 // of an own leaf: application generations counted as used when saved
}

func newSecretTree(width uint32, root secret) *secretTree {
	return &secretTree{frontier: newFrontier(width, root)}
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

// oldest returns the first generation of a sender's application ratchet that
// was not used and is not erased.
func (t *secretTree) oldest(leaf LeafIndex) uint32 {
	l := t.ratchets[leaf]
	switch {
	case l == nil:
		return 0
	case len(l.application.skipped) > 0:
		return l.application.skipped[0].generation
	}
	return l.application.next
}

// keep records ratchets that sender returned with a step.
func (t *secretTree) keep(leaf LeafIndex, l *leafRatchets, step *frontierStep) {
	if step != nil {
		t.frontier.take(step)
		if t.ratchets == nil {
			t.ratchets = map[LeafIndex]*leafRatchets{}
		}
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
	l.reserved = 0
}

func (t *secretTree) erase() {
	t.frontier.erase()
	for _, l := range t.ratchets {
		l.erase()
	}
	t.ratchets = nil
}
