package mls

import (
	"fmt"
	"math/bits"
	"testing"
)

func BenchmarkPath(b *testing.B) {
	for _, n := range []int{100, 1000} {
		ms := newTestMembers(b)
		tree, members := fullTree(b, ms, n)
		made, path := makePath(b, ms, tree, members, 1, nil)
		merged := must(tree.mergePath(1, path, nil))(b)
		keys := members[0].keys
		b.Run(fmt.Sprintf("merge/n=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := tree.mergePath(1, path, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("open-nearest/n=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := tree.openPath(merged, 1, 0, path, nil, keys, nil, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("create/n=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				makePath(b, ms, tree, members, 1, nil)
			}
		})
		b.Run(fmt.Sprintf("decode/n=%d", n), func(b *testing.B) {
			data := merged.appendTree(nil)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := decodeTree(tree.suite, data, Limits{}); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("parent-hashes/n=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := merged.checkParentHashes(); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Logf("n=%d: delta %d bytes, path %d bytes", n, len(merged.appendDelta(nil, tree)), len(made.encoded))
	}
}

// fullTree returns a tree of n members without blank nodes. Only member 0
// follows the commits.
func fullTree(tb testing.TB, ms *testMembers, n int) (*ratchetTree, []*testMember) {
	tb.Helper()
	tree, members := testTree(tb, n, 0)
	ms.count = 1 << 20
	width := bits.Len(uint(n - 1))
	for i := range 1 << width {
		// Far apart first: that keeps resolutions, and so ciphertexts, few.
		sender := LeafIndex(bits.Reverse32(uint32(i)) >> (32 - width))
		if int(sender) >= n || sender%2 == 1 {
			continue
		}
		made, path := makePath(tb, ms, tree, members, sender, nil)
		merged := must(tree.mergePath(sender, path, nil))(tb)
		members[sender].leaf = path.leaf
		if sender == 0 {
			members[0].keys = made.keys
		} else {
			keys, _, err := tree.openPath(merged, sender, 0, path, nil, members[0].keys, nil, nil)
			if err != nil {
				tb.Fatal(err)
			}
			members[0].keys = keys
		}
		tree = merged
	}
	return tree, members
}
