package mls

import (
	"os"
	"runtime"
	"runtime/pprof"
	"testing"
)

func TestZZHold(t *testing.T) {
	c := newCrowd(t, 100).fill(t)
	message := c.commit(t, 0).Message
	g := c.member(99)
	runtime.MemProfileRate = 1
	var held []*Group
	for range 1000 {
		v := must(g.Verify(must(DecodeMessage(message))(t)))(t)
		held = append(held, must(g.Apply(v.(*VerifiedCommit), ApplyInput{}))(t))
	}
	runtime.GC()
	runtime.GC()
	f, _ := os.Create("/tmp/perf/hold.out")
	pprof.Lookup("heap").WriteTo(f, 0)
	f.Close()
	runtime.KeepAlive(held)
}
