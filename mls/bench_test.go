package mls

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

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

// eachSize runs f for groups of two to ten thousand, each on one core and on
// all of them, and reports the floor and how many times that the operation
// takes. The floor is what its primitives alone take, called one after the
// other in the same run (see floor_test.go); with more cores than one x-floor
// may be below 1.
func eachSize(b *testing.B, full bool, cost func(n int) primitives, f func(b *testing.B, c *crowd, n int, par Parallel)) {
	for _, n := range []int{2, 10, 100, 1000, 10_000} {
		for _, way := range []struct {
			name string
			par  Parallel
		}{{"serial", nil}, {"parallel", cores}} {
			b.Run(fmt.Sprintf("n=%d/%s", n, way.name), func(b *testing.B) { beside(b, full, n, cost, way.par, f) })
		}
	}
}

// beside runs f and reports its floor beside it.
func beside(b *testing.B, full bool, n int, cost func(n int) primitives, par Parallel, f func(b *testing.B, c *crowd, n int, par Parallel)) {
	c, floor := crowdOf(b, full, n), cost(n).nanoseconds()
	b.ReportAllocs()
	f(b, c, n, par)
	b.StopTimer()
	took := float64(b.Elapsed().Nanoseconds()) / float64(b.N)
	b.ReportMetric(floor, "floor-ns/op")
	b.ReportMetric(took/floor, "x-floor")
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
		return primitives{derive: levels(n + 1), generate: 1, seal: levels(n) + 1, sign: 3, verify: 2, signed: 2 * 300 * n}
	}, func(b *testing.B, c *crowd, n int, par Parallel) {
		g, kp := c.member(0), newTester(b, testSuite, "new").kp
		for b.Loop() {
			must(g.Commit(c.signers[0], CommitConfig{Path: PathAlways, Proposals: []Proposal{Add{KeyPackage: kp}}, Parallel: par}))(b)
		}
	})
}

func benchmarkProcess(b *testing.B, receiver func(n int) LeafIndex, derive func(n int) int) {
	eachSize(b, true, processCost(derive), process(receiver))
}

func processCost(derive func(n int) int) func(n int) primitives {
	return func(n int) primitives { return primitives{verify: 2, open: 1, derive: derive(n)} }
}

func process(receiver func(n int) LeafIndex) func(b *testing.B, c *crowd, n int, par Parallel) {
	return func(b *testing.B, c *crowd, n int, par Parallel) {
		message := c.commit(b, 0).Message
		g := c.member(receiver(n))
		for b.Loop() {
			v := must(g.Verify(must(DecodeMessage(message))(b)))(b)
			must(g.Apply(v.(*VerifiedCommit), ApplyInput{Parallel: par}))(b)
		}
	}
}

// The nearest neighbour derives a key pair for every node of the path; a
// member across the root for one.
func neighbour(int) LeafIndex { return 1 }
func across(n int) LeafIndex  { return LeafIndex(n - 1) }

func BenchmarkProcessNeighbour(b *testing.B) { benchmarkProcess(b, neighbour, levels) }
func BenchmarkProcessAcross(b *testing.B) {
	benchmarkProcess(b, across, func(int) int { return 1 })
}

// BenchmarkProcess50000 is the largest group that we measure.
func BenchmarkProcess50000(b *testing.B) {
	b.Run("neighbour", func(b *testing.B) { beside(b, true, 50_000, processCost(levels), nil, process(neighbour)) })
	b.Run("across", func(b *testing.B) {
		beside(b, true, 50_000, processCost(func(int) int { return 1 }), nil, process(across))
	})
}

// BenchmarkHoldTree reports what a full tree of 50,000 takes in memory when it
// was loaded, by itself.
func BenchmarkHoldTree(b *testing.B) {
	state := crowdOf(b, true, 50_000).group.AppendState(nil)
	before := heap()
	g := must(DecodeState(state, nil, nil))(b)
	held := heap() - before
	for b.Loop() { // the figure is memory
	}
	b.ReportMetric(float64(held)/1e6, "held-MB")
	b.ReportMetric(float64(len(state))/1e6, "saved-MB")
	runtime.KeepAlive(g)
}

// heap returns the bytes in use after a collection.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
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
	for _, n := range []int{2, 10, 100, 1000, 10_000, 50_000} {
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			c := crowdOf(b, true, n)
			message := c.commit(b, 0).Message
			g := c.member(LeafIndex(n - 1))
			var held []*Group
			before := heap()
			for range 100 {
				v := must(g.Verify(must(DecodeMessage(message))(b)))(b)
				held = append(held, must(g.Apply(v.(*VerifiedCommit), ApplyInput{}))(b))
			}
			after := heap()
			next := held[0]
			saved := len(next.AppendSecrets(must(next.AppendDelta(nil, g))(b)))
			b.ReportAllocs()
			for b.Loop() {
				next.AppendSecrets(must(next.AppendDelta(nil, g))(b))
			}
			b.ReportMetric(float64(after-before)/100, "held-B")
			b.ReportMetric(float64(saved), "saved-B")
			runtime.KeepAlive(held)
		})
	}
}
