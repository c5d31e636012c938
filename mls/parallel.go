package mls

// Parallel runs n independent jobs, job(0) to job(n-1), in any order, and
// returns when all are done. This package never starts a goroutine; a caller
// with cores to spare passes one. Nil runs the jobs in order.
type Parallel func(n int, job func(i int))

// minParallel is the number of jobs below which handing them out costs more
// than it gains.
const minParallel = 4

func (p Parallel) run(n int, job func(i int)) {
	if p != nil && n >= minParallel {
		p(n, job)
		return
	}
	for i := range n {
		job(i)
	}
}
