package mls

import (
	"crypto"
	"fmt"
	"math/bits"
	"runtime"
	"sync"
	"testing"
)

// crowd is a large group of which every member's state can be had. Members
// share the secrets of an epoch and differ in their path keys only, so one
// state and a table of the private keys of all nodes stand for all of them.
type crowd struct {
	group   *Group // of any member
	signers []crypto.Signer
	keys    map[[2]uint32]secret // by height and position
	last    *tester              // a member who has just been added, its KeyPackage unused elsewhere
	welcome []byte
}

func newCrowd(tb testing.TB, n int) *crowd {
	c := &crowd{keys: map[[2]uint32]secret{}}
	first := newTester(tb, testSuite, "member").create(testExtensions())
	c.signers = append(c.signers, first.signer)
	c.keys[[2]uint32{0, 0}] = first.group.keys.leaf
	var adds []Proposal
	for i := 1; i < n; i++ {
		m := newTester(tb, testSuite, "member")
		c.signers = append(c.signers, m.signer)
		c.keys[[2]uint32{0, uint32(i)}] = m.keys.leafKey
		adds = append(adds, Add{KeyPackage: m.kp})
		c.last = m
	}
	g := first.group
	for len(adds) > 0 {
		part := adds[:min(len(adds), maxProposals)]
		adds = adds[len(part):]
		staged := must(g.Commit(first.signer, CommitConfig{Proposals: part}))(tb)
		g, c.welcome = staged.Next, staged.Welcome
	}
	c.group = g
	return c
}

// fill lets every member commit once. The order halves the rest of the tree
// again and again, so that few ciphertexts are needed.
func (c *crowd) fill(tb testing.TB) *crowd {
	width := c.group.tree.leafWidth()
	for i := range width {
		index := int(bits.Reverse32(i) >> (32 - bits.Len32(width-1)))
		if index < len(c.signers) {
			c.follow(LeafIndex(index), c.commit(tb, LeafIndex(index)))
		}
	}
	return c
}

func (c *crowd) member(i LeafIndex) *Group {
	g := *c.group
	g.self = i
	g.keys = &pathKeys{leaf: c.keys[[2]uint32{0, uint32(i)}], path: make([]secret, g.tree.root.height)}
	for h := range g.keys.path {
		g.keys.path[h] = c.keys[[2]uint32{uint32(h + 1), uint32(i) >> (h + 1)}]
	}
	g.plant(treeRoots{encryption: make(secret, 32), components: make(secret, 32)})
	return &g
}

func (c *crowd) commit(tb testing.TB, i LeafIndex) *Staged {
	return must(c.member(i).Commit(c.signers[i], CommitConfig{Path: PathAlways}))(tb)
}

func (c *crowd) follow(i LeafIndex, staged *Staged) {
	c.group = staged.Next
	c.keys[[2]uint32{0, uint32(i)}] = staged.Next.keys.leaf
	for h, k := range staged.Next.keys.path {
		if k != nil {
			c.keys[[2]uint32{uint32(h + 1), uint32(i) >> (h + 1)}] = k
		}
	}
}

var crowds = struct {
	sync.Mutex
	fresh, full map[int]*crowd
}{fresh: map[int]*crowd{}, full: map[int]*crowd{}}

func eachSize(b *testing.B, full bool, f func(b *testing.B, c *crowd, n int)) {
	for _, n := range []int{2, 100, 2100} {
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			crowds.Lock()
			kind := crowds.fresh
			if full {
				kind = crowds.full
			}
			c := kind[n]
			if c == nil {
				c = newCrowd(b, n)
				if full {
					c.fill(b)
				}
				kind[n] = c
			}
			crowds.Unlock()
			b.ReportAllocs()
			f(b, c, n)
		})
	}
}

func BenchmarkSelfUpdateFull(b *testing.B) {
	eachSize(b, true, func(b *testing.B, c *crowd, n int) {
		g := c.member(0)
		for b.Loop() {
			must(g.Commit(c.signers[0], CommitConfig{Path: PathAlways}))(b)
		}
	})
}

func BenchmarkSelfUpdateFresh(b *testing.B) {
	eachSize(b, false, func(b *testing.B, c *crowd, n int) {
		g := c.member(0)
		for b.Loop() {
			must(g.Commit(c.signers[0], CommitConfig{Path: PathAlways}))(b)
		}
	})
}

func BenchmarkAddOneFull(b *testing.B) {
	eachSize(b, true, func(b *testing.B, c *crowd, n int) {
		g, kp := c.member(0), newTester(b, testSuite, "new").kp
		for b.Loop() {
			must(g.Commit(c.signers[0], CommitConfig{Path: PathAlways, Proposals: []Proposal{Add{KeyPackage: kp}}}))(b)
		}
	})
}

func benchmarkProcess(b *testing.B, receiver func(n int) LeafIndex) {
	eachSize(b, true, func(b *testing.B, c *crowd, n int) {
		message := c.commit(b, 0).Message
		g := c.member(receiver(n))
		for b.Loop() {
			v := must(g.Verify(must(DecodeMessage(message))(b)))(b)
			must(g.Apply(v.(*VerifiedCommit), ApplyInput{}))(b)
		}
	})
}

// The nearest neighbour derives a key pair for every node of the path; a
// member across the root for one.
func BenchmarkProcessNeighbour(b *testing.B) {
	benchmarkProcess(b, func(int) LeafIndex { return 1 })
}
func BenchmarkProcessAcross(b *testing.B) {
	benchmarkProcess(b, func(n int) LeafIndex { return LeafIndex(n - 1) })
}

func BenchmarkJoin(b *testing.B) {
	eachSize(b, true, func(b *testing.B, c *crowd, n int) {
		joiner := newTester(b, testSuite, "new")
		staged := must(c.member(0).Commit(c.signers[0], CommitConfig{Path: PathAlways, Proposals: []Proposal{Add{KeyPackage: joiner.kp}}}))(b)
		for b.Loop() {
			w, _ := must(DecodeMessage(staged.Welcome))(b).Welcome()
			must(Join(w, joiner.kp, joiner.keys, JoinConfig{}))(b)
		}
	})
}

func BenchmarkProtect(b *testing.B) {
	eachSize(b, true, func(b *testing.B, c *crowd, n int) {
		g, plaintext := c.member(0), make([]byte, 1024)
		for b.Loop() {
			must(g.Protect(c.signers[0], plaintext, nil))(b)
		}
	})
}

func BenchmarkUnprotect(b *testing.B) {
	eachSize(b, true, func(b *testing.B, c *crowd, n int) {
		from, to := c.member(0), c.member(1)
		plaintext := make([]byte, 1024)
		for b.Loop() {
			b.StopTimer()
			sealed := must(from.Protect(c.signers[0], plaintext, nil))(b)
			b.StartTimer()
			must(to.Unprotect(must(DecodeMessage(sealed.Message))(b)))(b)
		}
	})
}

// BenchmarkHold reports what one more epoch costs in memory and, as a delta
// with its secrets, on disk.
func BenchmarkHold(b *testing.B) {
	eachSize(b, true, func(b *testing.B, c *crowd, n int) {
		message := c.commit(b, 0).Message
		g := c.member(LeafIndex(n - 1))
		var held []*Group
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for range 100 {
			v := must(g.Verify(must(DecodeMessage(message))(b)))(b)
			held = append(held, must(g.Apply(v.(*VerifiedCommit), ApplyInput{}))(b))
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		next := held[0]
		saved := len(next.AppendSecrets(must(next.AppendDelta(nil, g))(b)))
		for b.Loop() {
			next.AppendSecrets(must(next.AppendDelta(nil, g))(b))
		}
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/100, "held-B")
		b.ReportMetric(float64(saved), "saved-B")
		runtime.KeepAlive(held)
	})
}
