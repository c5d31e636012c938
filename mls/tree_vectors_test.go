package mls

import (
	"bytes"
	"slices"
	"testing"

	"github.com/marmotgo/marmot/mls/internal/treemath"
	"github.com/marmotgo/marmot/mls/internal/wire"
)

// nodeAt returns the node at an index of the array of RFC 9420, Appendix C,
// with its first leaf. It is nil inside a blank subtree.
func (t *ratchetTree) nodeAt(index uint32) (n *treeNode, base uint32) {
	level := treemath.Level(index)
	base = (index - (1<<level - 1)) / 2
	n = t.root
	for n != nil && int(n.height) > level {
		if n.left == nil {
			return nil, base
		}
		n = n.toward(LeafIndex(base))
	}
	return n, base
}

func indexOf(base uint32, height uint8) uint32 { return 2*base + 1<<height - 1 }

// resolutionIndices returns the resolution of n as node indices.
func resolutionIndices(n *treeNode, base uint32) []uint32 {
	switch {
	case n == nil || n.isBlankSubtree():
		return nil
	case n.leaf != nil:
		return []uint32{2 * base}
	case !n.isParent():
		left := resolutionIndices(n.left, base)
		return append(left, resolutionIndices(n.right, base+1<<(n.height-1))...)
	}
	list := []uint32{indexOf(base, n.height)}
	for _, i := range n.parent().unmerged {
		list = append(list, 2*uint32(i))
	}
	return list
}

type treeValidationVector struct {
	Suite       Suite      `json:"cipher_suite"`
	Tree        hexBytes   `json:"tree"`
	GroupID     hexBytes   `json:"group_id"`
	TreeHashes  []hexBytes `json:"tree_hashes"`
	Resolutions [][]uint32 `json:"resolutions"`
}

func TestVectorsTreeValidation(t *testing.T) {
	list := readVectors[treeValidationVector](t, "tree-validation")
	forSuites(t, list, func(v *treeValidationVector) Suite { return v.Suite }, 98, func(t *testing.T, s *cipherSuite, v *treeValidationVector) {
		tree := must(decodeTree(s, v.Tree, Limits{}))(t)
		same(t, "encoding", tree.appendTree(nil), v.Tree)
		if got := treemath.Width(tree.leafWidth()); int(got) != len(v.Resolutions) {
			t.Fatalf("%d nodes, want %d", got, len(v.Resolutions))
		}
		h := treeHasher{suite: s}
		for index := range v.TreeHashes {
			n, base := tree.nodeAt(uint32(index))
			if n == nil {
				n = h.blank(base, uint8(treemath.Level(uint32(index))))
			}
			same(t, "tree hash", n.hash(), v.TreeHashes[index])
			got := resolutionIndices(n, base)
			if !slices.Equal(got, v.Resolutions[index]) || int(n.resolution) != len(got) {
				t.Fatalf("resolution of %d: got %v, want %v", index, got, v.Resolutions[index])
			}
		}
		if err := tree.checkParentHashes(); err != nil {
			t.Fatal(err)
		}
		if err := tree.keysUnique(); err != nil {
			t.Fatal(err)
		}
		for i, leaf := range tree.leaves() {
			if err := leaf.verifySignature(s, v.GroupID, i); err != nil {
				t.Fatalf("leaf %d: %v", i, err)
			}
		}
		checkAgainstModel(t, tree)
	})
}

type treeOperationsVector struct {
	Suite          Suite     `json:"cipher_suite"`
	Proposal       hexBytes  `json:"proposal"`
	Sender         LeafIndex `json:"proposal_sender"`
	TreeBefore     hexBytes  `json:"tree_before"`
	TreeAfter      hexBytes  `json:"tree_after"`
	TreeHashBefore hexBytes  `json:"tree_hash_before"`
	TreeHashAfter  hexBytes  `json:"tree_hash_after"`
}

// applyOne applies one proposal to a tree and, as a check, to the model.
func applyOne(t *testing.T, tree *ratchetTree, sender LeafIndex, p Proposal) *ratchetTree {
	t.Helper()
	var updates []leafUpdate
	var removes []LeafIndex
	var adds []*LeafNode
	m := modelOf(tree)
	switch p := p.(type) {
	case Add:
		adds = append(adds, p.KeyPackage.Leaf)
		m.add(p.KeyPackage.Leaf)
	case Update:
		updates = append(updates, leafUpdate{sender, p.Leaf})
		m.update(sender, p.Leaf)
	case Remove:
		removes = append(removes, p.Removed)
		m.remove(p.Removed)
	default:
		t.Fatalf("unexpected proposal %T", p)
	}
	next, _, err := tree.applyChanges(updates, removes, adds, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	m.compare(t, next)
	return next
}

func TestVectorsTreeOperations(t *testing.T) {
	list := readVectors[treeOperationsVector](t, "tree-operations")
	forSuites(t, list, func(v *treeOperationsVector) Suite { return v.Suite }, 5, func(t *testing.T, s *cipherSuite, v *treeOperationsVector) {
		before := must(decodeTree(s, v.TreeBefore, Limits{}))(t)
		same(t, "hash before", before.treeHash(), v.TreeHashBefore)
		r := wire.NewReader(v.Proposal)
		p := noConfig.decodeProposal(r)
		if err := r.Finish(); err != nil {
			t.Fatal(err)
		}
		after := applyOne(t, before, v.Sender, p)
		same(t, "tree after", after.appendTree(nil), v.TreeAfter)
		same(t, "hash after", after.treeHash(), v.TreeHashAfter)
		same(t, "tree before, afterwards", before.appendTree(nil), v.TreeBefore)
		if u, ok := p.(Update); ok && u.Leaf.Source != LeafSourceUpdate {
			t.Fatalf("update with source %d", u.Leaf.Source) // as in older copies of the file
		}
	})
}

type treeKEMVector struct {
	Suite                   Suite     `json:"cipher_suite"`
	GroupID                 hexBytes  `json:"group_id"`
	Epoch                   uint64    `json:"epoch"`
	ConfirmedTranscriptHash hexBytes  `json:"confirmed_transcript_hash"`
	Tree                    hexBytes  `json:"ratchet_tree"`
	Leaves                  []kemLeaf `json:"leaves_private"`
	Paths                   []kemPath `json:"update_paths"`
}

type kemLeaf struct {
	Index          LeafIndex `json:"index"`
	EncryptionPriv hexBytes  `json:"encryption_priv"`
	SignaturePriv  hexBytes  `json:"signature_priv"`
	PathSecrets    []struct {
		Node       uint32   `json:"node"`
		PathSecret hexBytes `json:"path_secret"`
	} `json:"path_secrets"`
}

type kemPath struct {
	Sender        LeafIndex  `json:"sender"`
	UpdatePath    hexBytes   `json:"update_path"`
	PathSecrets   []hexBytes `json:"path_secrets"`
	CommitSecret  hexBytes   `json:"commit_secret"`
	TreeHashAfter hexBytes   `json:"tree_hash_after"`
}

func (v *treeKEMVector) context(treeHash []byte) []byte {
	c := GroupContext{Version: version10, Suite: v.Suite, GroupID: v.GroupID, Epoch: v.Epoch, TreeHash: treeHash,
		ConfirmedTranscriptHash: v.ConfirmedTranscriptHash}
	return c.append(nil)
}

// vectorKeys returns the private keys of a member, each checked against the
// public key in the tree.
func vectorKeys(t *testing.T, tree *ratchetTree, l kemLeaf) *pathKeys {
	t.Helper()
	keys := tree.keepKeys(l.Index, newPathKeys(l.EncryptionPriv))
	leaf, ok := tree.leaf(l.Index)
	if !ok {
		t.Fatalf("leaf %d is blank", l.Index)
	}
	same(t, "leaf key", must(tree.suite.publicOf(l.EncryptionPriv))(t), leaf.EncryptionKey)
	for _, p := range l.PathSecrets {
		n, _ := tree.nodeAt(p.Node)
		priv, pub, err := nodeKeyPair(tree.suite, p.PathSecret)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "node key", pub, n.encryptionKey())
		keys = keys.choose(keys.known | 1<<n.height)
		keys.set(n.height, priv)
	}
	return keys
}

func TestVectorsTreeKEM(t *testing.T) {
	list := readVectors[treeKEMVector](t, "treekem")
	forSuites(t, list, func(v *treeKEMVector) Suite { return v.Suite }, 77, func(t *testing.T, s *cipherSuite, v *treeKEMVector) {
		tree := must(decodeTree(s, v.Tree, Limits{}))(t)
		if err := tree.checkParentHashes(); err != nil {
			t.Fatal(err)
		}
		keys := make(map[LeafIndex]*pathKeys)
		signers := make(map[LeafIndex]kemLeaf)
		for _, l := range v.Leaves {
			keys[l.Index] = vectorKeys(t, tree, l)
			signers[l.Index] = l
		}
		for i, p := range v.Paths {
			checkVectorPath(t, v, tree, keys, p)
			if i > 0 && i < len(v.Paths)-1 {
				continue // our own direction from the outermost leaves
			}
			checkOwnPath(t, v, tree, keys, signers[p.Sender])
		}
	})
}

// checkVectorPath processes a published path as every member.
func checkVectorPath(t *testing.T, v *treeKEMVector, tree *ratchetTree, keys map[LeafIndex]*pathKeys, p kemPath) {
	t.Helper()
	r := wire.NewReader(p.UpdatePath)
	path := must(decodeUpdatePath(r))(t)
	if err := r.Finish(); err != nil {
		t.Fatal(err)
	}
	if err := path.leaf.verifySignature(tree.suite, v.GroupID, p.Sender); err != nil {
		t.Fatal(err)
	}
	merged := must(tree.mergePath(p.Sender, path, nil))(t)
	same(t, "tree hash after", merged.treeHash(), p.TreeHashAfter)
	if err := merged.checkParentHashes(); err != nil {
		t.Fatal(err)
	}
	context := v.context(merged.treeHash())
	for self, k := range keys {
		if self == p.Sender {
			continue
		}
		next, commitSecret, err := tree.openPath(merged, p.Sender, self, path, nil, k, context, nil)
		if err != nil {
			t.Fatalf("leaf %d: %v", self, err)
		}
		same(t, "commit secret", commitSecret, p.CommitSecret)
		common := uint8(commonHeight(self, p.Sender))
		priv, _, err := nodeKeyPair(tree.suite, p.PathSecrets[self])
		if err != nil {
			t.Fatal(err)
		}
		same(t, "path key", next.at(common), priv)
		// A joiner who is given that path secret comes to the same keys.
		if joined, err := merged.welcomePath(self, p.Sender, k, p.PathSecrets[self], nil); err == nil {
			for h := common; h <= tree.root.height; h++ {
				same(t, "joiner's key", joined.at(h), next.at(h))
			}
		}
	}
}

// checkOwnPath makes a path as one member and processes it as all others.
func checkOwnPath(t *testing.T, v *treeKEMVector, tree *ratchetTree, keys map[LeafIndex]*pathKeys, me kemLeaf) {
	t.Helper()
	signer := signerOf(t, tree.suite, me.SignaturePriv)
	old, _ := tree.leaf(me.Index)
	newLeaf := func(encryptionKey, parentHash []byte) (*LeafNode, error) {
		l := *old
		l.EncryptionKey, l.ParentHash, l.Source = encryptionKey, parentHash, LeafSourceCommit
		return newLeafNode(tree.suite, signer, l, v.GroupID, me.Index)
	}
	made, err := tree.createPath(me.Index, newLeaf, nil, v.context, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := wire.NewReader(made.encoded)
	path := must(decodeUpdatePath(r))(t)
	if err := r.Finish(); err != nil {
		t.Fatal(err)
	}
	merged := must(tree.mergePath(me.Index, path, nil))(t)
	same(t, "tree hash", merged.treeHash(), made.tree.treeHash())
	for self, k := range keys {
		if self == me.Index {
			continue
		}
		next, commitSecret, err := tree.openPath(merged, me.Index, self, path, nil, k, v.context(merged.treeHash()), nil)
		if err != nil {
			t.Fatalf("leaf %d: %v", self, err)
		}
		same(t, "commit secret", commitSecret, made.commitSecret)
		for h := commonHeight(self, me.Index); h <= int(tree.root.height); h++ {
			same(t, "path key", next.at(uint8(h)), made.keys.at(uint8(h)))
		}
	}
	if bytes.Equal(made.keys.at(0), me.EncryptionPriv) {
		t.Fatal("leaf key kept")
	}
}
