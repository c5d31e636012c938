package marmot

import (
	"maps"
	"runtime"
	"sync"

	"github.com/marmotgo/marmot/nostr"
)

func maxParallel() int { return runtime.GOMAXPROCS(0) }

// maxVerified bounds the memory of verified events, in ids.
const maxVerified = 1 << 14

// verifiedIDs remembers which events were verified, so that the second relay
// that brings an event costs a hash and no signature. An id covers everything
// but the signature, so the signature is remembered with it.
type verifiedIDs struct {
	mu   sync.Mutex
	sigs map[nostr.ID][64]byte
	ring []nostr.ID
	next int
}

// check verifies an event's id and signature, once.
func (v *verifiedIDs) check(e *nostr.Event) error { return v.checkAll([]*nostr.Event{e})[0] }

// checkAll verifies many events, together, and returns an answer for each.
func (v *verifiedIDs) checkAll(events []*nostr.Event) []error {
	errs := make([]error, len(events))
	var fresh []*nostr.Event
	var at []int
	for i, e := range events {
		if !v.knows(e) {
			fresh, at = append(fresh, e), append(at, i)
		}
	}
	for i, err := range nostr.VerifyAll(fresh) {
		if errs[at[i]] = err; err == nil {
			v.remember(fresh[i])
		}
	}
	return errs
}

func (v *verifiedIDs) knows(e *nostr.Event) bool {
	v.mu.Lock()
	sig, ok := v.sigs[e.ID]
	v.mu.Unlock()
	return ok && sig == e.Sig && e.ComputeID() == e.ID
}

func (v *verifiedIDs) remember(e *nostr.Event) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.sigs == nil {
		v.sigs = map[nostr.ID][64]byte{}
	}
	if _, ok := v.sigs[e.ID]; ok {
		return
	}
	if len(v.ring) < maxVerified {
		v.ring = append(v.ring, e.ID)
	} else {
		delete(v.sigs, v.ring[v.next])
		v.ring[v.next] = e.ID
		v.next = (v.next + 1) % maxVerified
	}
	v.sigs[e.ID] = e.Sig
}

// counter counts refused inputs, from any goroutine.
type counter struct {
	mu sync.Mutex
	n  Counts
}

func (c *counter) add(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = Counts{}
	}
	c.n[what]++
}

func (c *counter) counts() Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := maps.Clone(c.n)
	if out == nil {
		out = Counts{}
	}
	return out
}

// broadcast wakes everyone who waits for news.
type broadcast struct {
	mu sync.Mutex
	c  chan struct{}
}

func (b *broadcast) init() { b.c = make(chan struct{}) }

// wait returns a channel that is closed at the next tell.
func (b *broadcast) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.c
}

func (b *broadcast) tell() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.c)
	b.c = make(chan struct{})
}
