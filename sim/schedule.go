package sim

import (
	"container/heap"
	"time"
)

// task is something that happens at a time.
type task struct {
	at  time.Duration // since the start
	seq int           // tasks of one time happen in the order in which they were made
	do  func() error
}

type schedule struct {
	tasks []task
	seq   int
}

func (s *schedule) Len() int { return len(s.tasks) }
func (s *schedule) Less(i, j int) bool {
	a, b := s.tasks[i], s.tasks[j]
	return a.at < b.at || a.at == b.at && a.seq < b.seq
}
func (s *schedule) Swap(i, j int) { s.tasks[i], s.tasks[j] = s.tasks[j], s.tasks[i] }
func (s *schedule) Push(x any)    { s.tasks = append(s.tasks, x.(task)) }
func (s *schedule) Pop() any {
	last := len(s.tasks) - 1
	t := s.tasks[last]
	s.tasks = s.tasks[:last]
	return t
}

func (s *schedule) add(at time.Duration, do func() error) {
	s.seq++
	heap.Push(s, task{at, s.seq, do})
}

// next takes the first task that happens until end.
func (s *schedule) next(end time.Duration) (task, bool) {
	if len(s.tasks) == 0 || s.tasks[0].at > end {
		return task{}, false
	}
	return heap.Pop(s).(task), true
}
