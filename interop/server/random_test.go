package server

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

var (
	deepSeeds   = flag.Int("deep-seeds", 1, "random histories for each suite and kind of handshake")
	deepCommits = flag.Int("deep-commits", 8, "commits in a random history")
	deepMembers = flag.Int("deep-members", 10, "most members of a random history")
)

// TestDeepRandom runs random histories. A seed decides on everything but keys.
func TestDeepRandom(t *testing.T) {
	for seed := range *deepSeeds {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			eachWay(t, func(p *play) {
				h := &history{play: p, rand: rand.New(rand.NewPCG(uint64(seed), uint64(p.suite)))}
				h.create(h.newcomer(), h.newcomer(), h.newcomer())
				for range *deepCommits {
					h.step()
				}
			})
		})
	}
}

type history struct {
	*play
	rand *rand.Rand
	came int // newcomers so far
}

func (h *history) newcomer() string {
	h.came++
	return fmt.Sprintf("actor %d", h.came)
}

// some returns n members at random and the rest of them.
func (h *history) some(n int) (chosen, rest []string) {
	m := slices.Clone(h.members)
	h.rand.Shuffle(len(m), func(i, j int) { m[i], m[j] = m[j], m[i] })
	return m[:n], m[n:]
}

func (h *history) step() {
	h.t.Helper()
	if h.rand.IntN(4) == 0 {
		h.external()
	} else {
		h.commitSome()
	}
	h.talk(h.members[h.rand.IntN(len(h.members))])
}

func (h *history) external() {
	h.t.Helper()
	adder, rest := h.some(1)
	joiner, resync := h.newcomer(), len(h.members) >= *deepMembers || len(rest) > 0 && h.rand.IntN(2) == 0
	if resync {
		joiner = rest[0]
	}
	h.externalJoin(adder[0], joiner, resync, h.rand.IntN(2) == 0)
}

// commitSome commits Adds, Updates and Removes, by reference and by value.
func (h *history) commitSome() {
	h.t.Helper()
	leavers, stay := h.some(h.rand.IntN(1 + len(h.members)/3))
	committer, others := stay[0], stay[1:]
	c := commit{leavers: leavers, path: h.rand.IntN(2) == 0, tree: h.rand.IntN(2) == 0}
	for range h.rand.IntN(max(1, min(4, *deepMembers-len(h.members)))) {
		c.joiners = append(c.joiners, h.newcomer())
	}
	for _, u := range others[:h.rand.IntN(1+len(others)/2)] {
		c.byReference = append(c.byReference, h.proposeUpdate(u))
	}
	for _, l := range leavers {
		if h.rand.IntN(2) == 0 {
			c.byReference = append(c.byReference, h.proposeRemove(stay[h.rand.IntN(len(stay))], l))
		} else {
			c.byValue = append(c.byValue, describeRemove(l))
		}
	}
	for _, j := range c.joiners {
		k := h.keyPackage(j)
		if h.rand.IntN(2) == 0 {
			c.byReference = append(c.byReference, h.proposeAdd(stay[h.rand.IntN(len(stay))], k))
		} else {
			c.byValue = append(c.byValue, describeAdd(k))
		}
	}
	if h.rand.IntN(3) == 0 {
		psk := h.storePSK(fmt.Sprint(h.rand.Uint64()), append(slices.Clone(stay), c.joiners...)...)
		c.byReference = append(c.byReference, h.proposeExternalPSK(committer, psk))
	}
	c.tree = c.tree && len(c.joiners) > 0
	h.commit(committer, c)
}
