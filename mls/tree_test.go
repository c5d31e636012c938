package mls

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/marmotgo/marmot/mls/internal/wire"
)

// testTree returns a tree of n members in which every leaf below paths has
// committed once, and the members.
func testTree(tb testing.TB, n, paths int) (*ratchetTree, []*testMember) {
	tb.Helper()
	ms := newTestMembers(tb)
	members := make([]*testMember, n)
	leaves := make([]*LeafNode, n)
	for i := range members {
		members[i] = ms.next(LeafSourceKeyPackage)
		leaves[i] = members[i].leaf
	}
	tree, _, err := newTree(ms.suite, leaves[0]).applyChanges(nil, nil, leaves[1:], Limits{})
	if err != nil {
		tb.Fatal(err)
	}
	for i := range paths {
		tree = commitPath(tb, ms, tree, members, LeafIndex(i))
	}
	return tree, members
}

// commitPath lets one member commit and the others follow.
func commitPath(tb testing.TB, ms *testMembers, tree *ratchetTree, members []*testMember, sender LeafIndex) *ratchetTree {
	tb.Helper()
	made, path := makePath(tb, ms, tree, members, sender, nil)
	merged := must(tree.mergePath(sender, path, nil))(tb)
	for i, m := range members {
		if LeafIndex(i) == sender {
			m.keys, m.leaf = made.keys, path.leaf
			continue
		}
		keys, _, err := tree.openPath(merged, sender, LeafIndex(i), path, nil, m.keys, nil, nil)
		if err != nil {
			tb.Fatal(err)
		}
		m.keys = keys
	}
	return merged
}

func makePath(tb testing.TB, ms *testMembers, tree *ratchetTree, members []*testMember, sender LeafIndex, exclude []LeafIndex) (*pathResult, *updatePath) {
	tb.Helper()
	made, err := tree.createPath(sender, ms.commitLeaf(members[sender]), exclude, func([]byte) []byte { return nil }, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return made, must(decodeUpdatePath(wire.NewReader(made.encoded)))(tb)
}

func TestDecodeTreeRefuses(t *testing.T) {
	tree, members := testTree(t, 6, 6)
	cases := map[string]func(m *treeModel){
		"trailing blank":             func(m *treeModel) { m.nodes[10].leaf = nil },
		"leaf at a parent's place":   func(m *treeModel) { m.nodes[1] = modelNode{leaf: members[0].leaf} },
		"parent at a leaf's place":   func(m *treeModel) { m.nodes[2] = modelNode{parent: m.nodes[1].parent} },
		"unmerged out of order":      func(m *treeModel) { m.nodes[3].parent.unmerged = []LeafIndex{3, 2} },
		"unmerged twice":             func(m *treeModel) { m.nodes[1].parent.unmerged = []LeafIndex{1, 1} },
		"unmerged to the right":      func(m *treeModel) { m.nodes[1].parent.unmerged = []LeafIndex{2} },
		"unmerged to the left":       func(m *treeModel) { m.nodes[9].parent.unmerged = []LeafIndex{1} },
		"unmerged far away":          func(m *treeModel) { m.nodes[7].parent.unmerged = []LeafIndex{1 << 31} },
		"unmerged and blank":         func(m *treeModel) { m.nodes[7].parent.unmerged = []LeafIndex{7} },
		"unmerged, not in between":   func(m *treeModel) { m.nodes[3].parent.unmerged = []LeafIndex{3} },
		"short key":                  func(m *treeModel) { m.nodes[3].parent.encryptionKey = make([]byte, 31) },
		"parent hash of wrong size":  func(m *treeModel) { m.nodes[1].parent.parentHash = make([]byte, 31) },
		"leaf with short key":        func(m *treeModel) { m.nodes[2].leaf = shortKeyLeaf(members[1].leaf) },
		"last node is a parent node": func(m *treeModel) { m.nodes = m.nodes[:10] },
		"no members":                 func(m *treeModel) { m.nodes = []modelNode{{}} },
	}
	for name, damage := range cases {
		m := modelOf(tree)
		damage(m)
		encoded := encodeNodes(m)
		if _, err := decodeTree(tree.suite, encoded, Limits{}); !errors.Is(err, ErrInvalidTree) && !errors.Is(err, ErrInvalidLeaf) && !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	good := tree.appendTree(nil)
	for name, b := range map[string][]byte{
		"empty":       nil,
		"no node":     {0},
		"cut":         good[:len(good)-1],
		"longer":      append(slices.Clone(good), 0),
		"presence":    {1, 2},
		"type":        {2, 1, 3},
		"half a leaf": {3, 1, 1, 32},
	} {
		if _, err := decodeTree(tree.suite, b, Limits{}); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	if _, err := decodeTree(tree.suite, good, Limits{TreeLeaves: 4}); !errors.Is(err, ErrInvalidTree) {
		t.Errorf("tree above the limit: %v", err)
	}
}

// encodeNodes writes all nodes up to leaf 5, without dropping blank ones.
func encodeNodes(m *treeModel) []byte {
	return wire.AppendVector(nil, func(b []byte) []byte {
		for _, n := range m.nodes[:min(len(m.nodes), 11)] {
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

func shortKeyLeaf(l *LeafNode) *LeafNode {
	short := *l
	short.EncryptionKey = short.EncryptionKey[:31]
	short.raw = wire.AppendOpaque(short.appendUnsigned(nil), l.Signature)
	return &short
}

func TestMergePathRefuses(t *testing.T) {
	ms := newTestMembers(t)
	tree, members := testTree(t, 6, 6)
	ms.count = 100
	made, _ := makePath(t, ms, tree, members, 1, nil)
	other, _ := tree.leaf(4)
	root, _ := tree.nodeAt(7)
	relabel := func(p *updatePath, change func(l *LeafNode)) {
		l := *p.leaf
		change(&l)
		l.raw = wire.AppendOpaque(l.appendUnsigned(nil), l.Signature)
		p.leaf = &l
	}
	cases := map[string]func(p *updatePath){
		"node missing":                 func(p *updatePath) { p.nodes = p.nodes[:2] },
		"node too many":                func(p *updatePath) { p.nodes = append(p.nodes, p.nodes[0]) },
		"no nodes":                     func(p *updatePath) { p.nodes = nil },
		"ciphertext missing":           func(p *updatePath) { p.nodes[2].count-- },
		"ciphertext too many":          func(p *updatePath) { p.nodes[0].count++ },
		"short key":                    func(p *updatePath) { p.nodes[1].encryptionKey = p.nodes[1].encryptionKey[:31] },
		"key twice in the path":        func(p *updatePath) { p.nodes[1].encryptionKey = p.nodes[0].encryptionKey },
		"leaf key as node key":         func(p *updatePath) { p.nodes[1].encryptionKey = p.leaf.EncryptionKey },
		"key of a leaf":                func(p *updatePath) { p.nodes[1].encryptionKey = other.EncryptionKey },
		"key of the node it replaces":  func(p *updatePath) { p.nodes[2].encryptionKey = root.encryptionKey() },
		"another key, hash unchanged":  func(p *updatePath) { p.nodes[2].encryptionKey = bytes.Repeat([]byte{7}, 32) },
		"leaf keeps its key":           func(p *updatePath) { p.leaf = members[1].leaf },
		"leaf without parent hash":     func(p *updatePath) { relabel(p, func(l *LeafNode) { l.ParentHash = nil }) },
		"leaf with other parent hash":  func(p *updatePath) { relabel(p, func(l *LeafNode) { l.ParentHash = make([]byte, 32) }) },
		"leaf with cut parent hash":    func(p *updatePath) { relabel(p, func(l *LeafNode) { l.ParentHash = l.ParentHash[:31] }) },
		"leaf of source update":        func(p *updatePath) { relabel(p, func(l *LeafNode) { l.Source = LeafSourceUpdate }) },
		"another member's signing key": func(p *updatePath) { relabel(p, func(l *LeafNode) { l.SignatureKey = other.SignatureKey }) },
	}
	before := tree.appendTree(nil)
	for name, damage := range cases {
		path := must(decodeUpdatePath(wire.NewReader(made.encoded)))(t)
		damage(path)
		if _, err := tree.mergePath(1, path, nil); !errors.Is(err, ErrInvalidPath) && !errors.Is(err, ErrInvalidLeaf) {
			t.Errorf("%s: %v", name, err)
		}
	}
	path := must(decodeUpdatePath(wire.NewReader(made.encoded)))(t)
	if _, err := tree.mergePath(2, path, nil); !errors.Is(err, ErrInvalidPath) && !errors.Is(err, ErrInvalidLeaf) {
		t.Errorf("path of another leaf: %v", err)
	}
	if _, err := tree.mergePath(8, path, nil); !errors.Is(err, ErrInvalidPath) {
		t.Errorf("path from beyond the tree: %v", err)
	}
	if _, err := tree.mergePath(1, path, nil); err != nil {
		t.Errorf("the path itself: %v", err)
	}
	if !bytes.Equal(tree.appendTree(nil), before) {
		t.Error("the tree changed")
	}
}

func TestOpenPathRefuses(t *testing.T) {
	ms := newTestMembers(t)
	tree, members := testTree(t, 8, 8)
	ms.count = 100
	made, path := makePath(t, ms, tree, members, 1, nil)
	merged := must(tree.mergePath(1, path, nil))(t)
	open := func(self LeafIndex, encoded, context []byte, keys *pathKeys) error {
		p, err := decodeUpdatePath(wire.NewReader(encoded))
		if err != nil {
			return err
		}
		_, _, err = tree.openPath(merged, 1, self, p, nil, keys, context, nil)
		return err
	}
	if err := open(6, made.encoded, nil, members[6].keys); err != nil {
		t.Fatal(err)
	}
	broken := slices.Clone(made.encoded)
	broken[len(broken)-1] ^= 1 // the ciphertext for leaves 4 to 7 comes last
	for name, err := range map[string]error{
		"broken ciphertext":  open(6, broken, nil, members[6].keys),
		"other context":      open(6, made.encoded, []byte{1}, members[6].keys),
		"keys of another":    open(6, made.encoded, nil, members[0].keys),
		"no path key":        open(6, made.encoded, nil, newPathKeys(members[6].keys.at(0))),
		"own path":           open(1, made.encoded, nil, members[1].keys),
		"wrong path secret":  openForged(t, tree, merged, path, members[6].keys),
		"joiner's wrong one": second(merged.welcomePath(6, 1, members[6].keys, make([]byte, 32), nil)),
		"joiner's short one": second(merged.welcomePath(6, 1, members[6].keys, make([]byte, 31), nil)),
	} {
		if !errors.Is(err, ErrInvalidPath) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, err := range map[string]error{
		"key kept from the joiner": second(merged.welcomePath(6, 1, members[6].keys, nil, nil)),
		"joiner is the signer":     second(merged.welcomePath(6, 6, members[6].keys, nil, nil)),
		"signer is blank":          second(merged.welcomePath(6, 9, members[6].keys, nil, nil)),
		"joiner is blank":          second(merged.welcomePath(9, 6, members[6].keys, nil, nil)),
	} {
		if !errors.Is(err, ErrInvalidTree) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// openForged opens a ciphertext with a path secret that does not belong to the
// keys of the path.
func openForged(t *testing.T, tree, merged *ratchetTree, path *updatePath, keys *pathKeys) error {
	t.Helper()
	steps := tree.filteredPath(1)
	top := steps[len(steps)-1]
	kemOutput, ciphertext, err := tree.suite.encryptWithLabel(top.copath.encryptionKey(), pathLabel, nil, make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	forged := *path
	forged.nodes = slices.Clone(path.nodes)
	forged.nodes[len(steps)-1].ciphertexts = wire.AppendOpaque(wire.AppendOpaque(nil, kemOutput), ciphertext)
	return second2(tree.openPath(merged, 1, 6, &forged, nil, keys, nil, nil))
}

func second2[A, B any](_ A, _ B, err error) error { return err }

func TestApplyChangesRefuses(t *testing.T) {
	ms := newTestMembers(t)
	tree, members := testTree(t, 5, 5)
	ms.count = 100
	fresh := ms.next(LeafSourceKeyPackage).leaf
	sameSigner := *fresh
	sameSigner.SignatureKey = members[2].leaf.SignatureKey
	parentKey := *fresh
	parentKey.EncryptionKey = tree.root.encryptionKey()
	apply := func(updates []leafUpdate, removes []LeafIndex, adds ...*LeafNode) error {
		return second2(tree.applyChanges(updates, removes, adds, Limits{TreeLeaves: 8}))
	}
	for name, c := range map[string]struct{ err, want error }{
		"remove of a blank leaf":     {apply(nil, []LeafIndex{5}), ErrInvalidProposals},
		"remove beyond the tree":     {apply(nil, []LeafIndex{1 << 31}), ErrInvalidProposals},
		"remove twice":               {apply(nil, []LeafIndex{1, 1}), ErrInvalidProposals},
		"update of a blank leaf":     {apply([]leafUpdate{{7, fresh}}, nil), ErrInvalidProposals},
		"update and remove":          {apply([]leafUpdate{{1, fresh}}, []LeafIndex{1}), ErrInvalidProposals},
		"update keeps its key":       {apply([]leafUpdate{{1, members[1].leaf}}, nil), ErrInvalidLeaf},
		"add of a member":            {apply(nil, nil, members[1].leaf), ErrInvalidLeaf},
		"add twice":                  {apply(nil, nil, fresh, fresh), ErrInvalidLeaf},
		"add with a member's signer": {apply(nil, nil, &sameSigner), ErrInvalidLeaf},
		"update with another's":      {apply([]leafUpdate{{1, &sameSigner}}, nil), ErrInvalidLeaf},
		"add with a parent's key":    {apply(nil, nil, members[0].leaf, &parentKey), ErrInvalidLeaf},
		"more than the limit":        {apply(nil, nil, fresh, fresh, fresh, fresh), ErrInvalidProposals},
		"remove and add again":       {apply(nil, []LeafIndex{1}, members[1].leaf), nil},
		"update with own signer":     {apply([]leafUpdate{{2, &sameSigner}}, nil), nil},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: %v, want %v", name, c.err, c.want)
		}
	}
}

func TestJoinerSlot(t *testing.T) {
	ms := newTestMembers(t)
	for _, n := range []int{1, 2, 3, 4, 7, 8} {
		tree, members := testTree(t, n, 1)
		ms.count = 1000
		wide, slot, err := tree.joinerSlot(Limits{})
		if err != nil || int(slot) != n {
			t.Fatalf("%d members: slot %d, %v", n, slot, err)
		}
		joiner := ms.next(LeafSourceKeyPackage)
		all := append(slices.Clone(members), joiner)
		made, path := makePath(t, ms, wide, all, slot, nil)
		merged := must(wide.mergePath(slot, path, nil))(t)
		checkAgainstModel(t, merged)
		for i, m := range members {
			keys, commitSecret, err := wide.openPath(merged, slot, LeafIndex(i), path, nil, wide.keepKeys(LeafIndex(i), m.keys), nil, nil)
			if err != nil || !bytes.Equal(commitSecret, made.commitSecret) {
				t.Fatalf("%d members, leaf %d: %v", n, i, err)
			}
			same(t, "root key", keys.at(merged.root.height), made.keys.at(merged.root.height))
		}
		if err := merged.checkParentHashes(); err != nil {
			t.Fatal(err)
		}
	}
	full, _ := testTree(t, 4, 0)
	if _, _, err := full.joinerSlot(Limits{TreeLeaves: 4}); !errors.Is(err, ErrInvalidProposals) {
		t.Errorf("slot in a full tree: %v", err)
	}
}

func TestKeysUnique(t *testing.T) {
	tree, members := testTree(t, 6, 6)
	if err := tree.keysUnique(); err != nil {
		t.Fatal(err)
	}
	cases := map[string]func(m *treeModel){
		"leaf twice":    func(m *treeModel) { m.nodes[4].leaf = members[0].leaf },
		"parents alike": func(m *treeModel) { m.nodes[1].parent.encryptionKey = m.nodes[3].parent.encryptionKey },
		"signer twice": func(m *treeModel) {
			l := *members[0].leaf
			l.EncryptionKey = bytes.Repeat([]byte{9}, 32)
			l.raw = wire.AppendOpaque(l.appendUnsigned(nil), l.Signature)
			m.nodes[4].leaf = &l
		},
	}
	for name, damage := range cases {
		m := modelOf(tree)
		damage(m)
		broken := must(decodeTree(tree.suite, m.encode(), Limits{}))(t)
		if err := broken.keysUnique(); !errors.Is(err, ErrInvalidTree) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !tree.hasSignatureKey(0, members[3].leaf.SignatureKey) || tree.hasSignatureKey(3, members[3].leaf.SignatureKey) {
		t.Error("signature key looked up wrongly")
	}
	many := make([][]byte, keySetScan+1)
	for i := range many {
		many[i] = bytes.Repeat([]byte{byte(i)}, 32)
	}
	if tree.hasEncryptionKey(many...) {
		t.Error("found a key that is not there")
	}
	many[5] = tree.root.encryptionKey()
	if !tree.hasEncryptionKey(many...) || !tree.hasEncryptionKey(many[5]) {
		t.Error("key not found")
	}
}

func TestAllSupport(t *testing.T) {
	tree, _ := testTree(t, 7, 2)
	if err := tree.credentialTypesSupported(); err != nil {
		t.Error(err)
	}
	err := tree.allSupport(RequiredCapabilities{Extensions: []ExtensionType{0xf001}})
	if !errors.Is(err, ErrInvalidLeaf) || !strings.Contains(err.Error(), "leaf 1") {
		t.Errorf("got %v", err)
	}
	if err := tree.allSupport(RequiredCapabilities{Extensions: []ExtensionType{ExtRequiredCapabilities}, Proposals: []ProposalType{ProposalAdd}}); err != nil {
		t.Errorf("default types: %v", err)
	}
	if len(tree.capabilities) != 3 {
		t.Errorf("%d distinct capability lists, want 3", len(tree.capabilities))
	}
}

func TestPathKeysAreSeparateAndRedacted(t *testing.T) {
	tree, members := testTree(t, 8, 8)
	k := members[3].keys
	kept, moved := tree.keepKeys(3, k), k.setLeafKey(bytes.Repeat([]byte{1}, 32))
	root := bytes.Clone(k.at(3))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
		if got := fmt.Sprintf(verb, k); got != redacted {
			t.Errorf("%s prints %q", verb, got)
		}
	}
	k.erase()
	same(t, "kept key", kept.at(3), root)
	same(t, "moved key", moved.at(3), root)
	if k.at(3) != nil || k.at(0) != nil {
		t.Error("erased keys are still there")
	}
}

func TestDeltaRefuses(t *testing.T) {
	tree, _ := testTree(t, 6, 6)
	for name, b := range map[string][]byte{
		"empty":                nil,
		"no node":              {3},
		"unknown tag":          {3, 5},
		"too high":             {17, deltaBlank},
		"absurdly high":        {255, deltaBlank},
		"blank":                {3, deltaBlank},
		"nothing in its place": {4, deltaInner, deltaSame, deltaSame},
		"empty right half":     {4, deltaInner, deltaSame, deltaBlank},
		"same, but higher":     {4, deltaSame},
		"leaf at a parent":     {3, deltaLeaf},
		"inner at a leaf":      {0, deltaInner},
		"blank in two halves":  {3, deltaInner, deltaSame, deltaInner, deltaBlank, deltaBlank},
		"parent lost unmerged": {3, deltaParent},
		"same inside a blank":  {3, deltaInner, deltaSame, deltaInner, deltaSame, deltaInner, deltaSame, deltaSame},
	} {
		r := wire.NewReader(b)
		if _, err := tree.applyDelta(tree.suite, r, Limits{}); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	r := wire.NewReader(tree.appendDelta(nil, tree))
	next, err := tree.applyDelta(tree.suite, r, Limits{})
	if err != nil || next.root != tree.root {
		t.Errorf("delta of no change: %v", err)
	}
}
