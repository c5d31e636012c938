package mls

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"encoding/binary"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/marmotgo/marmot/mls/internal/treemath"
	"github.com/marmotgo/marmot/mls/internal/wire"
)

// testMember is a leaf with its private keys.
type testMember struct {
	signer crypto.Signer
	leaf   *LeafNode
	keys   *pathKeys
}

// testMembers hands out members with keys that never repeat.
type testMembers struct {
	tb    testing.TB
	suite *cipherSuite
	count uint64
}

func newTestMembers(tb testing.TB) *testMembers {
	s, err := testSuites.suiteOf(X25519_AES128GCM_SHA256_Ed25519)
	if err != nil {
		tb.Fatal(err)
	}
	return &testMembers{tb: tb, suite: s}
}

func (ms *testMembers) next(source LeafSource) *testMember {
	ms.count++
	var seed [ed25519.SeedSize]byte
	binary.BigEndian.PutUint64(seed[:], ms.count)
	m := &testMember{signer: ed25519.NewKeyFromSeed(seed[:])}
	priv, pub, err := ms.suite.deriveKeyPair(seed[:])
	if err != nil {
		ms.tb.Fatal(err)
	}
	m.keys = newPathKeys(priv)
	l := LeafNode{EncryptionKey: pub, Credential: BasicCredential(seed[:8]), Source: source,
		Capabilities: Capabilities{Versions: []uint16{1}, Suites: []Suite{1}, Extensions: []ExtensionType{ExtensionType(0xf000 + ms.count%3)},
			Credentials: []CredentialType{CredentialBasic}}}
	if m.leaf, err = newLeafNode(ms.suite, m.signer, l, nil, 0); err != nil {
		ms.tb.Fatal(err)
	}
	return m
}

// commitLeaf returns the callback of createPath for a member.
func (ms *testMembers) commitLeaf(m *testMember) func(encryptionKey, parentHash []byte) (*LeafNode, error) {
	return func(encryptionKey, parentHash []byte) (*LeafNode, error) {
		l := *m.leaf
		l.EncryptionKey, l.ParentHash, l.Source = encryptionKey, parentHash, LeafSourceCommit
		return newLeafNode(ms.suite, m.signer, l, nil, 0)
	}
}

// treeWorld is a tree, its model and the members' private keys.
type treeWorld struct {
	*testMembers
	t       *rapid.T
	tree    *ratchetTree
	model   *treeModel
	members map[LeafIndex]*testMember
}

func newTreeWorld(t *rapid.T, ms *testMembers) *treeWorld {
	first := ms.next(LeafSourceKeyPackage)
	w := &treeWorld{testMembers: ms, t: t, tree: newTree(ms.suite, first.leaf), members: map[LeafIndex]*testMember{0: first}}
	w.model = modelOf(w.tree)
	return w
}

func (w *treeWorld) indices() []LeafIndex { return slices.Sorted(maps.Keys(w.members)) }

// check compares with the model, and the delta from old with the whole tree.
func (w *treeWorld) check(old *ratchetTree) {
	w.t.Helper()
	if err := w.model.difference(w.tree); err != nil {
		w.t.Fatal(err)
	}
	r := wire.NewReader(w.tree.appendDelta(nil, old))
	next, err := old.applyDelta(w.suite, r, Limits{})
	if err == nil {
		err = r.Finish()
	}
	if err == nil {
		err = w.model.difference(next)
	}
	if err == nil {
		err = sameCounts(next, w.tree)
	}
	if err != nil {
		w.t.Fatalf("delta: %v", err)
	}
	for i, m := range w.members {
		if leaf, ok := w.tree.leaf(i); !ok || leaf != m.leaf {
			w.t.Fatalf("leaf %d is another", i)
		}
	}
	if got := len(slices.Collect(maps.Keys(maps.Collect(w.tree.leaves())))); got != len(w.members) || w.tree.members() != got {
		w.t.Fatalf("%d members, want %d", got, len(w.members))
	}
}

// change applies random Updates, Removes and Adds and returns the added leaves.
func (w *treeWorld) change(keep LeafIndex, maxAdds int) []LeafIndex {
	var updates []leafUpdate
	var removes []LeafIndex
	for _, i := range w.indices() {
		if i == keep {
			continue
		}
		switch rapid.IntRange(0, 9).Draw(w.t, "fate") {
		case 0:
			m := w.next(LeafSourceUpdate)
			updates = append(updates, leafUpdate{i, m.leaf})
			w.model.update(i, m.leaf)
			w.members[i] = m
		case 1, 2:
			removes = append(removes, i)
			delete(w.members, i)
		}
	}
	for _, i := range removes {
		w.model.remove(i)
	}
	var adds []*LeafNode
	var want []LeafIndex
	for range rapid.IntRange(0, maxAdds).Draw(w.t, "adds") {
		m := w.next(LeafSourceKeyPackage)
		adds = append(adds, m.leaf)
		i := w.model.add(m.leaf)
		want = append(want, i)
		w.members[i] = m
	}
	old, oldBytes := w.tree, w.tree.appendTree(nil)
	removes = rapid.Permutation(removes).Draw(w.t, "order")
	next, added, err := w.tree.applyChanges(updates, removes, adds, Limits{})
	if err != nil {
		w.t.Fatal(err)
	}
	slices.Sort(want)
	if !slices.Equal(added, want) {
		w.t.Fatalf("added %v, want %v", added, want)
	}
	w.tree = next
	for i, m := range w.members {
		m.keys = next.keepKeys(i, m.keys)
	}
	w.check(old)
	if !bytes.Equal(old.appendTree(nil), oldBytes) {
		w.t.Fatal("the old tree changed")
	}
	return added
}

// commit makes a random change and a path, and processes it as everybody.
func (w *treeWorld) commit() {
	sender := rapid.SampledFrom(w.indices()).Draw(w.t, "sender")
	exclude := w.change(sender, 3)
	t := w.tree
	context := func(treeHash []byte) []byte { return treeHash }
	made, err := t.createPath(sender, w.commitLeaf(w.members[sender]), exclude, context, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	path, err := decodeUpdatePath(wire.NewReader(made.encoded))
	if err != nil {
		w.t.Fatal(err)
	}
	merged, err := t.mergePath(sender, path, exclude)
	if err != nil {
		w.t.Fatal(err)
	}
	w.mergeModel(sender, path, exclude)
	if !bytes.Equal(made.tree.treeHash(), merged.treeHash()) {
		w.t.Fatal("committer has another tree")
	}
	for i, m := range w.members {
		var commitSecret []byte
		switch {
		case i == sender:
			m.keys, m.leaf, commitSecret = made.keys, path.leaf, made.commitSecret
		case slices.Contains(exclude, i):
			m.keys, err = merged.welcomePath(i, sender, m.keys, made.pathSecretFor(i), nil)
			commitSecret = made.commitSecret
		default:
			m.keys, commitSecret, err = t.openPath(merged, sender, i, path, exclude, m.keys, merged.treeHash(), nil)
		}
		if err != nil || !bytes.Equal(commitSecret, made.commitSecret) {
			w.t.Fatalf("leaf %d: %v", i, err)
		}
		w.checkKeys(merged, i, m.keys)
	}
	w.tree = merged
	w.check(t)
}

// mergeModel puts the path into the model by a literal reading of Section 7.5
// and checks the leaf's parent hash and the number of ciphertexts.
func (w *treeWorld) mergeModel(sender LeafIndex, path *updatePath, exclude []LeafIndex) {
	w.model.merge(sender, path.leaf, nil)
	direct := w.model.directPath(sender)
	var filtered, copaths []uint32
	x := 2 * uint32(sender)
	for _, p := range direct {
		s, _ := treemath.Sibling(x, w.model.leaves())
		if len(w.model.resolution(s)) > 0 {
			filtered, copaths = append(filtered, p), append(copaths, s)
		}
		x = p
	}
	var hash []byte
	for k := len(filtered) - 1; k >= 0; k-- {
		recipients := slices.DeleteFunc(w.model.resolution(copaths[k]), func(x uint32) bool {
			return x%2 == 0 && slices.Contains(exclude, LeafIndex(x/2))
		})
		if path.nodes[k].count != len(recipients) {
			w.t.Fatalf("node %d: %d ciphertexts, want %d", k, path.nodes[k].count, len(recipients))
		}
		w.model.nodes[filtered[k]].parent = &parentNode{encryptionKey: path.nodes[k].encryptionKey, parentHash: hash}
		hash = w.model.parentHash(filtered[k], copaths[k])
	}
	if !bytes.Equal(path.leaf.ParentHash, hash) {
		w.t.Fatal("parent hash of the leaf")
	}
}

// checkKeys checks that a member has a key for exactly those nodes above it
// that do not list it as unmerged; one is checked against its public key.
func (w *treeWorld) checkKeys(tree *ratchetTree, i LeafIndex, k *pathKeys) {
	spot := rapid.IntRange(1, 8).Draw(w.t, "spot")
	for n := tree.root; n.left != nil; n = n.toward(i) {
		want := n.isParent() && !n.hasUnmerged(i)
		if have := k.at(n.height) != nil; have != want {
			w.t.Fatalf("leaf %d, height %d: has a key %v, want %v", i, n.height, have, want)
		}
		if want && int(n.height) == spot {
			pub, err := tree.suite.publicOf(k.at(n.height))
			if err != nil || !bytes.Equal(pub, n.encryptionKey()) {
				w.t.Fatalf("leaf %d, height %d: key of another node", i, n.height)
			}
		}
	}
	r := wire.NewReader(k.appendPathKeys(nil))
	saved, err := decodePathKeys(r)
	if err != nil || r.Finish() != nil || saved.known != k.known || !bytes.Equal(saved.keys, k.keys) {
		w.t.Fatalf("leaf %d: saved keys differ: %v", i, err)
	}
}

// breakSomething damages the model in one place of the tree and checks that
// the real tree, if it accepts the structure, judges the parent hashes alike.
func (w *treeWorld) breakSomething() {
	m := modelOf(w.tree)
	x := rapid.Uint32Range(0, uint32(len(m.nodes)-1)).Draw(w.t, "node")
	n := &m.nodes[x]
	leaf := LeafIndex(rapid.Uint32Range(0, m.leaves()-1).Draw(w.t, "leaf"))
	switch kind := rapid.IntRange(0, 5).Draw(w.t, "kind"); {
	case n.leaf != nil && kind < 3:
		n.leaf = nil
	case n.leaf != nil:
		n.leaf = w.next(LeafSourceKeyPackage).leaf
	case n.parent == nil:
		return
	case kind == 0:
		n.parent = nil
	case kind == 1:
		n.parent.parentHash = nil
	case kind == 2:
		n.parent.encryptionKey = w.next(LeafSourceKeyPackage).leaf.EncryptionKey
	default: // the leaf in or out of every list above it
		for _, p := range m.directPath(leaf) {
			list := m.nodes[p].parent
			if list == nil || m.nodes[2*leaf].leaf == nil {
				continue
			}
			if at, ok := slices.BinarySearch(list.unmerged, leaf); !ok {
				list.unmerged = slices.Insert(list.unmerged, at, leaf)
			} else if kind == 3 {
				list.unmerged = slices.Delete(list.unmerged, at, at+1)
			}
			if kind == 4 && p == x {
				break
			}
		}
	}
	if !slices.ContainsFunc(m.nodes, func(n modelNode) bool { return n.leaf != nil }) {
		return
	}
	tree, err := decodeTree(w.suite, m.encode(), Limits{})
	if err != nil {
		return
	}
	if got, want := tree.checkParentHashes(), m.parentHashesValid(); (got == nil) != want && int(tree.leafWidth()) == int(m.leaves()) {
		w.t.Fatalf("parent hashes: got %v, want valid %v", got, want)
	}
}

func TestTreeAgainstModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newTreeWorld(rt, newTestMembers(t))
		w.change(0, 39)
		for range rapid.IntRange(1, 4).Draw(rt, "steps") {
			if len(w.members) < 30 && rapid.Bool().Draw(rt, "plain change") {
				w.change(w.indices()[0], 8)
			}
			w.commit()
			for range 4 {
				w.breakSomething()
			}
		}
	})
}
