package mls

import (
	"crypto"
	"fmt"
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"
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
	c.keys[[2]uint32{0, 0}] = first.group.keys.at(0)
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
	g.keys = &pathKeys{size: 32}
	for h := range g.tree.root.height + 1 {
		if key, ok := c.keys[[2]uint32{uint32(h), uint32(i) >> h}]; ok {
			g.keys.keys, g.keys.known = append(g.keys.keys, key...), g.keys.known|1<<h
		}
	}
	g.plant(treeRoots{encryption: make(secret, 32), components: make(secret, 32)})
	return &g
}

func (c *crowd) commit(tb testing.TB, i LeafIndex) *Staged {
	return must(c.member(i).Commit(c.signers[i], CommitConfig{Path: PathAlways}))(tb)
}

func (c *crowd) follow(i LeafIndex, staged *Staged) {
	c.group = staged.Next
	for h := range staged.Next.tree.root.height + 1 {
		if k := staged.Next.keys.at(h); k != nil {
			c.keys[[2]uint32{uint32(h), uint32(i) >> h}] = k
		}
	}
}

var crowds = struct {
	sync.Mutex
	fresh, full map[int]*crowd
}{fresh: map[int]*crowd{}, full: map[int]*crowd{}}

// crowdOf returns a crowd of n members, made once.
func crowdOf(b *testing.B, full bool, n int) *crowd {
	crowds.Lock()
	defer crowds.Unlock()
	kind := crowds.fresh
	if full {
		kind = crowds.full
	}
	if kind[n] == nil {
		kind[n] = newCrowd(b, n)
		if full {
			kind[n].fill(b)
		}
	}
	return kind[n]
}

// cores is a Parallel with one goroutine for each processor.
func cores(n int, job func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				job(i)
			}
		})
	}
	wg.Wait()
}

// eachSize runs f for the two sizes of the targets, each on one core and on
// all of them, and reports how many times the floor the operation takes. The
// floor is what its primitives alone take, called one after the other in the
// same run (see floor_test.go); with more cores than one x-floor may be below 1.
func eachSize(b *testing.B, full bool, cost func(n int) primitives, f func(b *testing.B, c *crowd, n int, par Parallel)) {
	for _, n := range []int{100, 1000} {
		for _, way := range []struct {
			name string
			par  Parallel
		}{{"serial", nil}, {"parallel", cores}} {
			b.Run(fmt.Sprintf("n=%d/%s", n, way.name), func(b *testing.B) {
				c := crowdOf(b, full, n)
				b.ReportAllocs()
				f(b, c, n, way.par)
				b.StopTimer()
				took := float64(b.Elapsed().Nanoseconds()) / float64(b.N)
				b.ReportMetric(took/cost(n).nanoseconds(), "x-floor")
			})
		}
	}
}

func benchmarkSelfUpdate(b *testing.B, full bool, cost func(n int) primitives) {
	eachSize(b, full, cost, func(b *testing.B, c *crowd, n int, par Parallel) {
		g := c.member(0)
		for b.Loop() {
			must(g.Commit(c.signers[0], CommitConfig{Path: PathAlways, Parallel: par}))(b)
		}
	})
}

// A full path has a key pair and a ciphertext for each level; a fresh group
// one key pair for each level, and a ciphertext for each other member.
func BenchmarkSelfUpdateFull(b *testing.B) {
	benchmarkSelfUpdate(b, true, func(n int) primitives {
		return primitives{derive: levels(n), generate: 1, seal: levels(n), sign: 2}
	})
}

func BenchmarkSelfUpdateFresh(b *testing.B) {
	benchmarkSelfUpdate(b, false, func(n int) primitives {
		return primitives{derive: levels(n), generate: 1, seal: n - 1, sign: 2}
	})
}

// Adding somebody also verifies the KeyPackage and its leaf, seals to the
// newcomer and signs the GroupInfo with the whole tree.
func BenchmarkAddOneFull(b *testing.B) {
	eachSize(b, true, func(n int) primitives {
		return primitives{derive: levels(n), generate: 1, seal: levels(n) + 1, sign: 3, verify: 2, signed: 2 * 300 * n}
	}, func(b *testing.B, c *crowd, n int, par Parallel) {
		g, kp := c.member(0), newTester(b, testSuite, "new").kp
		for b.Loop() {
			must(g.Commit(c.signers[0], CommitConfig{Path: PathAlways, Proposals: []Proposal{Add{KeyPackage: kp}}, Parallel: par}))(b)
		}
	})
}

func benchmarkProcess(b *testing.B, receiver func(n int) LeafIndex, derive func(n int) int) {
	cost := func(n int) primitives { return primitives{verify: 2, open: 1, derive: derive(n)} }
	eachSize(b, true, cost, func(b *testing.B, c *crowd, n int, par Parallel) {
		message := c.commit(b, 0).Message
		g := c.member(receiver(n))
		for b.Loop() {
			v := must(g.Verify(must(DecodeMessage(message))(b)))(b)
			must(g.Apply(v.(*VerifiedCommit), ApplyInput{Parallel: par}))(b)
		}
	})
}

// The nearest neighbour derives a key pair for every node of the path; a
// member across the root for one.
func BenchmarkProcessNeighbour(b *testing.B) {
	benchmarkProcess(b, func(int) LeafIndex { return 1 }, levels)
}
func BenchmarkProcessAcross(b *testing.B) {
	benchmarkProcess(b, func(n int) LeafIndex { return LeafIndex(n - 1) }, func(int) int { return 1 })
}

// The newcomer at leaf n meets the committer at the root, or next to it.
func BenchmarkJoin(b *testing.B) {
	eachSize(b, true, func(n int) primitives {
		return primitives{open: 1, verify: 1, derive: 1, batch: n + 1, signed: 2 * 300 * n}
	}, func(b *testing.B, c *crowd, n int, par Parallel) {
		joiner := newTester(b, testSuite, "new")
		staged := must(c.member(0).Commit(c.signers[0], CommitConfig{Path: PathAlways, Proposals: []Proposal{Add{KeyPackage: joiner.kp}}}))(b)
		for b.Loop() {
			w, _ := must(DecodeMessage(staged.Welcome))(b).Welcome()
			must(Join(w, joiner.kp, joiner.keys, JoinConfig{Parallel: par}))(b)
		}
	})
}

func BenchmarkProtect(b *testing.B) {
	eachSize(b, true, func(int) primitives { return primitives{sign: 1, aead: 2} }, func(b *testing.B, c *crowd, n int, _ Parallel) {
		g, plaintext := c.member(0), make([]byte, 1024)
		for b.Loop() {
			must(g.Protect(c.signers[0], plaintext, nil))(b)
		}
	})
}

// Messages are made in blocks beforehand: stopping the clock for each one
// would disturb an operation this short.
func BenchmarkUnprotect(b *testing.B) {
	eachSize(b, true, func(int) primitives { return primitives{verify: 1, aead: 2} }, func(b *testing.B, c *crowd, n int, _ Parallel) {
		from, to := c.member(0), c.member(1)
		plaintext := make([]byte, 1024)
		var block [][]byte
		for b.Loop() {
			if len(block) == 0 {
				b.StopTimer()
				for range 256 {
					block = append(block, must(from.Protect(c.signers[0], plaintext, nil))(b).Message)
				}
				b.StartTimer()
			}
			must(to.Unprotect(must(DecodeMessage(block[0]))(b)))(b)
			block = block[1:]
		}
	})
}

// BenchmarkHold reports what one more epoch costs in memory and, as a delta
// with its secrets, on disk; its time is that of saving.
func BenchmarkHold(b *testing.B) {
	for _, n := range []int{100, 1000} {
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			c := crowdOf(b, true, n)
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
			b.ReportAllocs()
			for b.Loop() {
				next.AppendSecrets(must(next.AppendDelta(nil, g))(b))
			}
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/100, "held-B")
			b.ReportMetric(float64(saved), "saved-B")
			runtime.KeepAlive(held)
		})
	}
}
