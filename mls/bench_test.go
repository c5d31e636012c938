package mls

import (
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
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

// operation is what a benchmark repeats: prepare, if there is one, is not
// timed.
type operation struct{ prepare, run func() }

// eachSize measures an operation in groups of two to ten thousand, each on one
// core and on all of them.
func eachSize(b *testing.B, full bool, cost func(n int) primitives, f func(b *testing.B, c *crowd, n int, par Parallel) operation) {
	for _, n := range []int{2, 10, 100, 1000, 10_000} {
		for _, way := range []struct {
			name string
			par  Parallel
		}{{"serial", nil}, {"parallel", cores}} {
			b.Run(fmt.Sprintf("n=%d/%s", n, way.name), func(b *testing.B) { beside(b, full, n, cost, way.par, f) })
		}
	}
}

// beside runs an operation and reports the least time that it took, its floor,
// and the first as a multiple of the other. The floor is what its primitives
// alone take, called one after the other in the same run (see floor_test.go);
// with more cores than one x-floor may be below 1. On a machine with other work
// the mean (ns/op) says more about that than about the operation.
func beside(b *testing.B, full bool, n int, cost func(n int) primitives, par Parallel, f func(b *testing.B, c *crowd, n int, par Parallel) operation) {
	c, floor := crowdOf(b, full, n), cost(n).nanoseconds()
	op, least := f(b, c, n, par), time.Duration(math.MaxInt64)
	b.ReportAllocs()
	for b.Loop() {
		if op.prepare != nil {
			b.StopTimer()
			op.prepare()
			b.StartTimer()
		}
		start := time.Now()
		op.run()
		least = min(least, time.Since(start))
	}
	b.ReportMetric(float64(least.Nanoseconds()), "least-ns")
	b.ReportMetric(floor, "floor-ns")
	b.ReportMetric(float64(least.Nanoseconds())/floor, "x-floor")
}

func benchmarkSelfUpdate(b *testing.B, full bool, cost func(n int) primitives) {
	eachSize(b, full, cost, func(b *testing.B, c *crowd, n int, par Parallel) operation {
		g := c.member(0)
		return operation{run: func() { must(g.Commit(c.signers[0], CommitConfig{Path: PathAlways, Parallel: par}))(b) }}
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
	}, func(b *testing.B, c *crowd, n int, par Parallel) operation {
		g, kp := c.member(0), newTester(b, testSuite, "new").kp
		cfg := CommitConfig{Path: PathAlways, Proposals: []Proposal{Add{KeyPackage: kp}}, Parallel: par}
		return operation{run: func() { must(g.Commit(c.signers[0], cfg))(b) }}
	})
}

func processCost(derive func(n int) int) func(n int) primitives {
	return func(n int) primitives { return primitives{verify: 2, open: 1, derive: derive(n)} }
}

func process(receiver func(n int) LeafIndex) func(b *testing.B, c *crowd, n int, par Parallel) operation {
	return func(b *testing.B, c *crowd, n int, par Parallel) operation {
		message, g := c.commit(b, 0).Message, c.member(receiver(n))
		return operation{run: func() {
			v := must(g.Verify(must(DecodeMessage(message))(b)))(b)
			must(g.Apply(v.(*VerifiedCommit), ApplyInput{Parallel: par}))(b)
		}}
	}
}

// The nearest neighbour derives a key pair for every node of the path; a
// member across the root for one.
func neighbour(int) LeafIndex { return 1 }
func across(n int) LeafIndex  { return LeafIndex(n - 1) }
func one(int) int             { return 1 }

func BenchmarkProcessNeighbour(b *testing.B) {
	eachSize(b, true, processCost(levels), process(neighbour))
}
func BenchmarkProcessAcross(b *testing.B) { eachSize(b, true, processCost(one), process(across)) }

// BenchmarkProcess50000 is the largest group that we measure.
func BenchmarkProcess50000(b *testing.B) {
	b.Run("neighbour", func(b *testing.B) { beside(b, true, 50_000, processCost(levels), nil, process(neighbour)) })
	b.Run("across", func(b *testing.B) { beside(b, true, 50_000, processCost(one), nil, process(across)) })
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
	}, func(b *testing.B, c *crowd, n int, par Parallel) operation {
		joiner := newTester(b, testSuite, "new")
		staged := must(c.member(0).Commit(c.signers[0], CommitConfig{Path: PathAlways, Proposals: []Proposal{Add{KeyPackage: joiner.kp}}}))(b)
		return operation{run: func() {
			w, _ := must(DecodeMessage(staged.Welcome))(b).Welcome()
			must(Join(w, joiner.kp, joiner.keys, JoinConfig{Parallel: par, Limits: crowdLimits}))(b)
		}}
	})
}

func BenchmarkProtect(b *testing.B) {
	eachSize(b, true, func(int) primitives { return primitives{sign: 1, aead: 2} }, func(b *testing.B, c *crowd, n int, _ Parallel) operation {
		g, plaintext := c.member(0), make([]byte, 1024)
		return operation{run: func() { must(g.Protect(c.signers[0], plaintext, nil))(b) }}
	})
}

func BenchmarkUnprotect(b *testing.B) {
	eachSize(b, true, func(int) primitives { return primitives{verify: 1, aead: 2} }, func(b *testing.B, c *crowd, n int, _ Parallel) operation {
		from, to, plaintext := c.member(0), c.member(LeafIndex(1)), make([]byte, 1024)
		var sealed []byte
		return operation{
			prepare: func() { sealed = must(from.Protect(c.signers[0], plaintext, nil))(b).Message },
			run:     func() { must(to.Unprotect(must(DecodeMessage(sealed))(b)))(b) },
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
