//go:build interop

package interop

import (
	"bytes"
	"fmt"
	"math/bits"
	mathrand "math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/marmotgo/marmot/mls"
)

const (
	histories     = 50
	historyEpochs = 12
	historyLeaves = 6
)

// Random histories that start with two of ours and one of theirs, all compared
// in every epoch. INTEROP_SEED repeats the choices of one that failed.
func TestMLSHistories(t *testing.T) {
	t.Parallel()
	p := startPeer(t, "ts-mls.mjs")
	seed, n := uint64(1), uint64(histories) // another INTEROP_SEED plays one other history
	if s := os.Getenv("INTEROP_SEED"); s != "" {
		var err error
		seed, err = strconv.ParseUint(s, 0, 64)
		must(t, err)
		n = 1
	}
	t.Logf("seeds from %d", seed)
	for i := range n {
		t.Run(fmt.Sprintf("seed %d", seed+i), func(t *testing.T) {
			h := &history{rand: mathrand.New(mathrand.NewPCG(seed+i, 0)), c: &cast{t: t, peer: p, suite: suite1, reverse: i%2 == 1}}
			a, b, x := h.c.a(), h.c.b(), h.c.ours()
			h.group = h.c.group(a, marmotExtensions())
			h.advance(a, change{}, b, x)
			for h.epoch < historyEpochs {
				h.messages()
				h.step()
			}
			h.messages()
		})
	}
}

type history struct {
	*group
	c       *cast
	rand    *mathrand.Rand
	touched []member // by a proposal of the next commit
}

func (h *history) any() member { return h.members[h.rand.IntN(len(h.members))] }

// step makes one epoch: up to three proposals by reference, up to two by value.
func (h *history) step() {
	h.t.Helper()
	if h.rand.IntN(6) == 0 && len(h.members) < historyLeaves {
		h.externalJoin(h.any(), h.newcomer(len(h.members)))
		return
	}
	h.c.private = h.rand.IntN(2) == 0
	committer := h.any()
	h.touched = []member{committer}
	var newcomers []member
	for range h.rand.IntN(4) {
		from := h.any()
		if slices.Contains(h.leavers, from) {
			continue
		}
		h.c.private = h.rand.IntN(2) == 0
		if _, own := from.(*ours); own && h.rand.IntN(2) == 0 && !slices.Contains(h.touched, from) {
			h.propose(from, nil)
			h.touched = append(h.touched, from)
		} else if p := h.proposal(&newcomers); p != nil {
			h.propose(from, p)
		}
	}
	var c change
	for range h.rand.IntN(3) {
		if p := h.proposal(&newcomers); p != nil {
			c.proposals = append(c.proposals, p)
		}
	}
	// Who goes gets the proposals too, so they leave the list only here.
	h.members = slices.DeleteFunc(h.members, func(m member) bool { return slices.Contains(h.leavers, m) })
	c.private, c.noTree = h.rand.IntN(2) == 0, h.rand.IntN(2) == 0
	h.commit(committer, c, newcomers...)
}

// proposal returns a random Add, Remove or PreSharedKey that fits the others.
func (h *history) proposal(newcomers *[]member) mls.Proposal {
	h.t.Helper()
	size := len(h.members) + len(*newcomers)
	switch h.rand.IntN(3) {
	case 0:
		if size == historyLeaves {
			return nil
		}
		m := h.newcomer(size)
		*newcomers = append(*newcomers, m)
		return add(h.t, m)
	case 1:
		m := h.any()
		if slices.Contains(h.touched, m) || len(h.touched) > 3 || h.last(m) {
			return nil
		}
		h.touched, h.leavers = append(h.touched, m), append(h.leavers, m)
		return mls.Remove{Removed: m.view().Self}
	}
	return mls.PreSharedKey{ID: newPSK(h.t, h.members[0])}
}

// newcomer is of either implementation, but see [TestMLSPeerTree] for trees of
// more than four leaves.
func (h *history) newcomer(size int) member {
	if h.rand.IntN(2) == 0 && size < 4 && h.width() <= 4 {
		return h.c.theirs()
	}
	return h.c.ours()
}

// width is the number of leaves that the tree must have at least.
func (h *history) width() (n mls.LeafIndex) {
	for _, m := range h.members {
		n = max(n, m.view().Self+1)
	}
	return n
}

// last reports whether no other member that stays is of m's implementation, or
// is in the left half of the tree, see [TestMLSPeerRoot].
func (h *history) last(m member) bool {
	_, own := m.(*ours)
	other, low, high := false, mls.LeafIndex(historyLeaves), mls.LeafIndex(0)
	for _, o := range h.members {
		if o == m || slices.Contains(h.leavers, o) {
			continue
		}
		_, same := o.(*ours)
		other = other || same == own
		leaf := o.view().Self
		low, high = min(low, leaf), max(high, leaf)
	}
	return !other || high > 0 && bits.Len32(uint32(low)) == bits.Len32(uint32(high))
}

// messages are sent by everybody and read by everybody in an order of its own,
// some never.
func (h *history) messages() {
	h.t.Helper()
	type sent struct {
		from member
		text string
		data []byte
	}
	var all []sent
	for i := range 2 * len(h.members) {
		from := h.any()
		text := fmt.Sprintf("%s says %d %s", from.name(), i, bytes.Repeat([]byte{'.'}, h.rand.IntN(400)))
		all = append(all, sent{from, text, from.send(text, "")})
	}
	for _, m := range h.members {
		h.rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for _, s := range all {
			if s.from == m || h.rand.IntN(5) == 0 {
				continue
			}
			if got, err := m.read(s.data); err != nil || got != s.text {
				h.t.Fatalf("%s reads %q of %s: %v", m.name(), got, s.from.name(), err)
			}
		}
	}
}
