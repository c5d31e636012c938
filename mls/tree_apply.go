package mls

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"github.com/marmotgo/marmot/mls/internal/treemath"
)

// leafUpdate puts a new leaf node in the place of an existing one.
type leafUpdate struct {
	index LeafIndex
	leaf  *LeafNode
}

// leafChange is what an operation does to one leaf. A change that does not
// merge blanks the inner nodes above the leaf; one that does (Add) leaves them
// and notes the leaf in them as unmerged.
type leafChange struct {
	index LeafIndex
	leaf  *LeafNode // nil blanks it
	add   bool
}

// applyChanges applies Updates, Removes and Adds in that order (RFC 9420,
// Section 12.3) and returns the tree and the leaves of the added members. New
// keys must not occur anywhere else in the resulting tree (Section 7.3).
func (t *ratchetTree) applyChanges(updates []leafUpdate, removes []LeafIndex, adds []*LeafNode, lim Limits) (next *ratchetTree, added []LeafIndex, err error) {
	changes, err := t.replacements(updates, removes)
	if err != nil {
		return nil, nil, err
	}
	added, err = t.slots(removes, len(adds), lim)
	if err != nil {
		return nil, nil, err
	}
	for i, leaf := range adds {
		at, again := slices.BinarySearchFunc(changes, added[i], byIndex)
		if again { // the slot of a member removed just now: its path is blank
			changes[at].leaf = leaf
			continue
		}
		changes = slices.Insert(changes, at, leafChange{index: added[i], leaf: leaf, add: true})
	}
	if len(changes) == 0 {
		return t, nil, nil
	}
	next = t.changed(changes, nil)
	if err := next.newLeavesUnique(changes); err != nil {
		return nil, nil, err
	}
	return next, added, nil
}

func byIndex(c leafChange, i LeafIndex) int { return cmp.Compare(c.index, i) }

// replacements returns the changes of Updates and Removes, ascending.
func (t *ratchetTree) replacements(updates []leafUpdate, removes []LeafIndex) ([]leafChange, error) {
	changes := make([]leafChange, 0, len(updates)+len(removes))
	for _, u := range updates {
		old, ok := t.leaf(u.index)
		if !ok {
			return nil, fmt.Errorf("%w: update of blank leaf %d", ErrInvalidProposals, u.index)
		}
		if bytes.Equal(old.EncryptionKey, u.leaf.EncryptionKey) {
			return nil, fmt.Errorf("%w: leaf %d keeps its encryption key", ErrInvalidLeaf, u.index)
		}
		changes = append(changes, leafChange{index: u.index, leaf: u.leaf})
	}
	for _, i := range removes {
		if _, ok := t.leaf(i); !ok {
			return nil, fmt.Errorf("%w: remove of blank leaf %d", ErrInvalidProposals, i)
		}
		changes = append(changes, leafChange{index: i})
	}
	slices.SortFunc(changes, func(a, b leafChange) int { return cmp.Compare(a.index, b.index) })
	for i := 1; i < len(changes); i++ {
		if changes[i].index == changes[i-1].index {
			return nil, fmt.Errorf("%w: leaf %d changed twice", ErrInvalidProposals, changes[i].index)
		}
	}
	return changes, nil
}

// slots returns the leftmost n leaves that are blank after removes, and then
// those to the right of the tree, ascending.
func (t *ratchetTree) slots(removes []LeafIndex, n int, lim Limits) ([]LeafIndex, error) {
	if n == 0 {
		return nil, nil
	}
	free := t.root.appendBlanks(make([]LeafIndex, 0, n+len(removes)), 0, n)
	free = append(free, removes...)
	slices.Sort(free)
	for next := t.leafWidth(); len(free) < n; next++ {
		free = append(free, LeafIndex(next))
	}
	free = free[:n]
	if uint32(free[n-1]) >= lim.withDefaults().TreeLeaves {
		return nil, fmt.Errorf("%w: more than %d leaves", ErrInvalidProposals, lim.withDefaults().TreeLeaves)
	}
	return free, nil
}

// appendBlanks appends blank leaves of n until there are limit.
func (n *treeNode) appendBlanks(out []LeafIndex, base uint32, limit int) []LeafIndex {
	switch {
	case n.members == 1<<n.height: // none
		return out
	case n.isBlankSubtree():
		for i := base; i < base+1<<n.height && len(out) < limit; i++ {
			out = append(out, LeafIndex(i))
		}
		return out
	}
	out = n.left.appendBlanks(out, base, limit)
	if len(out) < limit {
		out = n.right.appendBlanks(out, base+1<<(n.height-1), limit)
	}
	return out
}

// joinerSlot returns the leaf of a member who joins by an external commit: the
// leftmost blank one (Section 12.4.3.2). The tree returned has room for it.
func (t *ratchetTree) joinerSlot(lim Limits) (*ratchetTree, LeafIndex, error) {
	slot, err := t.slots(nil, 1, lim)
	if err != nil {
		return nil, 0, err
	}
	if uint32(slot[0]) < t.leafWidth() {
		return t, slot[0], nil
	}
	h := treeHasher{suite: t.suite}
	wide := *t
	wide.root = h.inner(nil, t.root, h.blank(t.leafWidth(), t.root.height))
	return &wide, slot[0], nil
}

// changed returns the tree after changes, which are ascending: every node on a
// changed path is built and hashed once. If path is not nil, there is one
// change, and path holds the nodes above it by height-1.
func (t *ratchetTree) changed(changes []leafChange, path []*parentNode) *ratchetTree {
	next := &ratchetTree{suite: t.suite, capabilities: t.capabilities, credentials: t.credentials, index: t.index}
	for _, c := range changes {
		old, ok := t.leaf(c.index)
		if ok && c.leaf != nil && countAlike(old, c.leaf) {
			c.leaf.Capabilities = old.Capabilities // equal; one copy is enough
			continue
		}
		if ok {
			next.count(old, -1)
		}
		if c.leaf != nil {
			next.count(c.leaf, 1)
		}
	}
	width := max(t.leafWidth(), treemath.WidthFor(uint32(changes[len(changes)-1].index)+1))
	b := treeBuilder{treeHasher: treeHasher{suite: t.suite}, path: path}
	root := b.rebuild(t.root, 0, uint8(treemath.CommonLevel(0, width-1)), changes)
	for root.left != nil && root.right.members == 0 {
		root = root.left
	}
	if root.members == 0 {
		root = b.blank(0, 0)
	}
	next.root = root
	return next
}

type treeBuilder struct {
	treeHasher
	path []*parentNode
}

// rebuild returns the subtree of the given height and base after changes.
func (b *treeBuilder) rebuild(n *treeNode, base uint32, height uint8, changes []leafChange) *treeNode {
	switch {
	case len(changes) == 0 && n != nil:
		return n
	case len(changes) == 0:
		return b.blank(base, height)
	case height == 0:
		return b.leafNode(base, changes[0].leaf)
	}
	middle := base + 1<<(height-1)
	at, _ := slices.BinarySearchFunc(changes, LeafIndex(middle), byIndex)
	l, r := children(n, height)
	left := b.rebuild(l, base, height-1, changes[:at])
	right := b.rebuild(r, middle, height-1, changes[at:])
	return b.inner(b.parentAfter(n, height, changes), left, right)
}

// parentAfter returns the content of an inner node above the changes.
func (b *treeBuilder) parentAfter(n *treeNode, height uint8, changes []leafChange) *parentNode {
	if b.path != nil {
		return b.path[height-1]
	}
	if n == nil || n.height != height || !n.isParent() {
		return nil
	}
	for _, c := range changes {
		if !c.add {
			return nil
		}
	}
	p := n.parent()
	for _, c := range changes {
		p.unmerged = append(p.unmerged, c.index)
	}
	slices.Sort(p.unmerged)
	return p
}
