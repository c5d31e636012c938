package mls

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/marmotgo/marmot/mls/internal/wire"
)

// maxPathNodes bounds the nodes of an UpdatePath and of a member's path: leaf
// indices have 32 bits.
const maxPathNodes = 32

// usualPathNodes are those of a group with some thousand members.
const usualPathNodes = 12

const pathLabel = "UpdatePathNode"

// updatePath is a decoded UpdatePath (RFC 9420, Section 7.6). Except for the
// leaf it aliases the message and serves only while that is processed.
type updatePath struct {
	leaf  *LeafNode
	nodes []updatePathNode
}

type updatePathNode struct {
	encryptionKey []byte
	ciphertexts   []byte // HPKECiphertext structs, one after the other
	count         int
}

// decodeUpdatePath reads an UpdatePath. The ciphertexts are counted and not
// decoded: a member opens one of them.
func decodeUpdatePath(r *wire.Reader) (*updatePath, error) {
	leaf, err := decodeLeafNode(r)
	if err != nil {
		return nil, err
	}
	p := &updatePath{leaf: leaf}
	nodes := r.Vector()
	if !nodes.Empty() {
		p.nodes = make([]updatePathNode, 0, usualPathNodes)
	}
	for !nodes.Empty() {
		if len(p.nodes) == maxPathNodes {
			nodes.Fail(fmt.Errorf("%w: more than %d path nodes", ErrMalformed, maxPathNodes))
			break
		}
		n := updatePathNode{encryptionKey: nodes.Opaque(), ciphertexts: nodes.Opaque()}
		checkKeySize(nodes, n.encryptionKey)
		list := wire.NewReader(n.ciphertexts)
		for ; !list.Empty(); n.count++ {
			list.Opaque()
			list.Opaque()
		}
		if list.Err() != nil {
			nodes.Fail(list.Err())
		}
		p.nodes = append(p.nodes, n)
	}
	if r.Err() != nil {
		return nil, r.Err()
	}
	return p, nil
}

// ciphertext returns the ciphertext at an index below count.
func (n *updatePathNode) ciphertext(index int) (kemOutput, ciphertext []byte) {
	r := wire.NewReader(n.ciphertexts)
	for range index {
		r.Opaque()
		r.Opaque()
	}
	return r.Opaque(), r.Opaque()
}

// pathStep is a node of a filtered direct path (Section 4.1.2).
type pathStep struct {
	height     uint8
	copath     *treeNode // the child that is not on the path
	copathBase uint32
}

// recipients is the number of ciphertexts for this node: new members get the
// path secret in the Welcome instead.
func (s pathStep) recipients(exclude []LeafIndex) int {
	return int(s.copath.resolution) - len(within(exclude, s.copathBase, s.copath.height))
}

// filteredPath returns the filtered direct path of a leaf, bottom up. The leaf
// may be blank.
func (t *ratchetTree) filteredPath(i LeafIndex) []pathStep {
	steps := make([]pathStep, 0, t.root.height)
	for n := t.root; n.left != nil; n = n.toward(i) {
		if copath := n.away(i); copath.resolution > 0 {
			base := uint32(i) >> copath.height << copath.height
			steps = append(steps, pathStep{n.height, copath, base ^ 1<<copath.height})
		}
	}
	slices.Reverse(steps)
	return steps
}

// pathParents returns the parent nodes of a new path with the given public
// keys, by height-1, and the parent hash of its leaf (Section 7.9).
func (t *ratchetTree) pathParents(steps []pathStep, keys [][]byte) (parents []*parentNode, leafHash []byte) {
	h := treeHasher{suite: t.suite}
	parents = make([]*parentNode, t.root.height)
	nodes := make([]parentNode, len(steps))
	for k := len(steps) - 1; k >= 0; k-- {
		nodes[k] = parentNode{encryptionKey: keys[k], parentHash: leafHash}
		parents[steps[k].height-1] = &nodes[k]
		leafHash = h.parentHashOf(&nodes[k], steps[k].copath.hash())
	}
	return parents, leafHash
}

// mergePath checks the public part of a received path against the tree after
// the commit's proposals, and returns the tree with the path in it (Section
// 7.5 and 12.4.2). exclude, ascending, are the leaves that the commit added.
// The leaf's signature, credential and capabilities are the caller's.
func (t *ratchetTree) mergePath(sender LeafIndex, p *updatePath, exclude []LeafIndex) (*ratchetTree, error) {
	if uint32(sender) >= t.leafWidth() {
		return nil, fmt.Errorf("%w: leaf %d is beyond the tree", ErrInvalidPath, sender)
	}
	steps := t.filteredPath(sender)
	if len(p.nodes) != len(steps) {
		return nil, fmt.Errorf("%w: %d nodes where leaf %d has %d", ErrInvalidPath, len(p.nodes), sender, len(steps))
	}
	for k, n := range p.nodes {
		if want := steps[k].recipients(exclude); n.count != want {
			return nil, fmt.Errorf("%w: %d ciphertexts for node %d, want %d", ErrInvalidPath, n.count, k, want)
		}
	}
	keys, err := t.checkPathKeys(sender, p)
	if err != nil {
		return nil, err
	}
	parents, leafHash := t.pathParents(steps, keys)
	if p.leaf.Source != LeafSourceCommit || !bytes.Equal(p.leaf.ParentHash, leafHash) {
		return nil, fmt.Errorf("%w: parent hash of leaf %d", ErrInvalidPath, sender)
	}
	return t.changed([]leafChange{{index: sender, leaf: p.leaf}}, parents), nil
}

// checkPathKeys checks that the keys of a path can be keys and occur nowhere
// else (Sections 7.3 and 12.4.2), and returns the nodes' keys.
func (t *ratchetTree) checkPathKeys(sender LeafIndex, p *updatePath) ([][]byte, error) {
	if err := p.leaf.checkKeys(t.suite); err != nil {
		return nil, err
	}
	keys := make([][]byte, 0, len(p.nodes)+1)
	for k, n := range p.nodes {
		if err := t.suite.publicKeyOK(n.encryptionKey); err != nil {
			return nil, fmt.Errorf("%w: node %d: %w", ErrInvalidPath, k, err)
		}
		keys = append(keys, n.encryptionKey)
	}
	all := append(keys, p.leaf.EncryptionKey)
	if !distinct(all) {
		return nil, fmt.Errorf("%w: key occurs twice in the path", ErrInvalidPath)
	}
	if t.hasEncryptionKey(all...) {
		return nil, fmt.Errorf("%w: key is in the tree already", ErrInvalidPath)
	}
	if t.hasSignatureKey(sender, p.leaf.SignatureKey) {
		return nil, fmt.Errorf("%w: signature key of another member", ErrInvalidLeaf)
	}
	return keys, nil
}

// openPath opens the one ciphertext of a path that is for this member and
// derives the keys above it (Section 7.5). t is the tree before the path was
// merged, p has passed mergePath, and groupContext is the encoded provisional
// context with the merged tree's hash.
func (t *ratchetTree) openPath(merged *ratchetTree, sender, self LeafIndex, p *updatePath, exclude []LeafIndex, keys *pathKeys, groupContext []byte, par Parallel) (next *pathKeys, commitSecret []byte, err error) {
	common := uint8(commonHeight(self, sender))
	steps := t.filteredPath(sender)
	at := slices.IndexFunc(steps, func(s pathStep) bool { return s.height == common })
	if at < 0 || len(p.nodes) != len(steps) {
		return nil, nil, fmt.Errorf("%w: no node for leaf %d", ErrInvalidPath, self)
	}
	position, priv, err := ownPosition(steps[at], self, exclude, keys)
	if err != nil {
		return nil, nil, err
	}
	kemOutput, ciphertext := p.nodes[at].ciphertext(position)
	pathSecret, err := t.suite.decryptWithLabel(priv, pathLabel, groupContext, kemOutput, ciphertext)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: ciphertext for leaf %d does not open", ErrInvalidPath, self)
	}
	defer clear(pathSecret)
	rungs := merged.rungsAbove(self, common)
	next = keys.choose(merged.heightsKept(self, keys, common) | heightsOf(rungs))
	commitSecret, err = climb(t.suite, pathSecret, rungs, next, par)
	if err != nil {
		next.erase()
		return nil, nil, err
	}
	return next, commitSecret, nil
}

// ownPosition returns this member's place in the resolution of a copath node
// above it, new members left out, with the private key for it.
func ownPosition(s pathStep, self LeafIndex, exclude []LeafIndex, keys *pathKeys) (position int, priv secret, err error) {
	n, base := s.copath, s.copathBase
	for ; n.left != nil && !n.isParent(); n = n.toward(self) {
		half := uint32(1) << (n.height - 1)
		if n.isRight(self) {
			position += int(n.left.resolution) - len(within(exclude, base, n.height-1))
			base += half
		}
	}
	height := n.height
	if n.hasUnmerged(self) {
		at := n.unmergedBefore(self)
		before := within(exclude, base, n.height)
		out, _ := slices.BinarySearch(before, self)
		position += 1 + at - out
		height = 0
	}
	if priv = keys.at(height); !n.used() || priv == nil {
		return 0, nil, fmt.Errorf("%w: leaf %d has no key at height %d", ErrInvalidPath, self, height)
	}
	return position, priv, nil
}
