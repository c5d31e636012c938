package mls

import (
	"bytes"
	"runtime"
	"testing"

	"github.com/marmotgo/marmot/mls/internal/wire"
)

// FuzzDecodeTree: no panic, memory in proportion to the input, exact
// re-encoding, and the same judgement of parent hashes as the model.
func FuzzDecodeTree(f *testing.F) {
	tree, _ := testTree(f, 5, 2)
	f.Add(tree.appendTree(nil))
	for _, v := range readVectors[treeValidationVector](f, "tree-validation") {
		if v.Suite == X25519_AES128GCM_SHA256_Ed25519 && len(v.Tree) < 2500 {
			f.Add([]byte(v.Tree))
		}
	}
	f.Add(wire.AppendOpaque(nil, append(make([]byte, 4096), 1, 1)))
	f.Fuzz(func(t *testing.T, data []byte) {
		decoded, err := decodeTree(tree.suite, data, Limits{})
		if err != nil {
			return
		}
		if got := decoded.appendTree(nil); !bytes.Equal(got, data) {
			t.Fatalf("decoded %x, encoded %x", data, got)
		}
		if decoded.leafWidth() <= 8 { // the model is slow
			checkAgainstModel(t, decoded)
		}
		_ = decoded.checkParentHashes()
		_ = decoded.keysUnique()
	})
}

// FuzzUpdatePath: no panic in decoding, merging and opening hostile paths.
func FuzzUpdatePath(f *testing.F) {
	ms := newTestMembers(f)
	tree, members := testTree(f, 6, 3)
	ms.count = 100
	for _, sender := range []LeafIndex{0, 1, 5} {
		made, _ := makePath(f, ms, tree, members, sender, nil)
		f.Add(made.encoded, uint8(sender))
	}
	before := tree.appendTree(nil)
	f.Fuzz(func(t *testing.T, data []byte, from uint8) {
		r := wire.NewReader(data)
		path, err := decodeUpdatePath(r)
		if err != nil {
			return
		}
		sender := LeafIndex(from)
		merged, err := tree.mergePath(sender, path, nil)
		if err == nil {
			checkAgainstModel(t, merged)
			for i, m := range members {
				if LeafIndex(i) != sender {
					_, _, _ = tree.openPath(merged, sender, LeafIndex(i), path, nil, m.keys, nil, nil)
				}
			}
		}
		if !bytes.Equal(tree.appendTree(nil), before) {
			t.Fatal("the tree changed")
		}
	})
}

// FuzzTreeDelta: no panic; what is accepted can be written and read again.
func FuzzTreeDelta(f *testing.F) {
	ms := newTestMembers(f)
	old, members := testTree(f, 6, 6)
	ms.count = 100
	next := commitPath(f, ms, old, members, 2)
	f.Add(next.appendDelta(nil, old))
	shrunk, _, err := old.applyChanges(nil, []LeafIndex{4, 5}, nil, Limits{})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(shrunk.appendDelta(nil, old))
	grown, _, err := old.applyChanges(nil, []LeafIndex{1}, []*LeafNode{ms.next(1).leaf, ms.next(1).leaf, ms.next(1).leaf, ms.next(1).leaf}, Limits{})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(grown.appendDelta(nil, old))
	f.Fuzz(func(t *testing.T, data []byte) {
		limits := Limits{TreeLeaves: 64}
		tree, err := old.applyDelta(old.suite, wire.NewReader(data), limits)
		if err != nil {
			return
		}
		again, err := old.applyDelta(old.suite, wire.NewReader(tree.appendDelta(nil, old)), limits)
		if err != nil || !bytes.Equal(again.treeHash(), tree.treeHash()) {
			t.Fatalf("written again: %v", err)
		}
		checkAgainstModel(t, tree)
		if err := sameCounts(again, tree); err != nil {
			t.Fatal(err)
		}
	})
}

// A run of blank nodes or of tiny structures must not cost memory that the
// sender did not pay for in bytes.
func TestDecodeTreeMemory(t *testing.T) {
	tree, members := testTree(t, 40, 20)
	for name, data := range map[string][]byte{
		"real tree":  tree.appendTree(nil),
		"blanks":     wire.AppendOpaque(nil, append(make([]byte, 100000), append([]byte{1, 1}, members[0].leaf.encoded()...)...)),
		"all blanks": wire.AppendOpaque(nil, make([]byte, 131071)),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := decodeTree(tree.suite, data, Limits{})
		runtime.ReadMemStats(&after)
		if got, limit := after.TotalAlloc-before.TotalAlloc, uint64(8*len(data)+4096); got > limit {
			t.Errorf("%s: %d bytes allocated for %d (%v)", name, got, len(data), err)
		}
	}
}
