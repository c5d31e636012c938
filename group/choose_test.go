package group

import (
	"testing"

	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// graph is a group without cryptography, for branch choice alone.
type graph struct {
	g    *Group
	next byte
}

// newGraph has a canonical line of that many epochs above 0.
func newGraph(epochs int) (*graph, []*node) {
	b := &graph{g: newGroup(Config{}, v2{})}
	root := &node{id: stateID{0xff}, state: &mls.Group{}, settings: &wire.Settings{}}
	b.g.nodes[root.id] = root
	line := []*node{root}
	for range epochs {
		line = append(line, b.commit(line[len(line)-1], 1, false))
	}
	b.g.tip = line[epochs]
	for _, n := range line[1:] {
		b.g.inputs[wire.MessageID(n.id)].Disposition = accepted
	}
	return b, line
}

// commit adds a state; later ones have higher digests.
func (b *graph) commit(parent *node, committer byte, privileged bool) *node {
	b.next++
	n := &node{
		id: stateID{b.next}, epoch: parent.epoch + 1, state: &mls.Group{}, settings: &wire.Settings{},
		commit: &commitInfo{Committer: nostr.PubKey{committer}, Privileged: privileged},
	}
	n.link(parent)
	b.g.nodes[n.id] = n
	in := &retained{ID: wire.MessageID(n.id), Kind: kindCommit, Epoch: parent.epoch, State: n.id, Disposition: deferred}
	b.g.inputs[in.ID] = in
	return n
}

// talk has accounts speak in a state, each as often as it is named.
func (b *graph) talk(n *node, accounts ...byte) {
	for _, a := range accounts {
		b.next++
		in := &retained{ID: wire.MessageID{0xaa, b.next}, Kind: kindApp, Epoch: n.epoch, State: n.id, Sender: nostr.PubKey{a}, Disposition: accepted}
		b.g.inputs[in.ID] = in
	}
}

func (b *graph) wants(t *testing.T, want *node) {
	t.Helper()
	if got := b.g.choose(b.g.tip.epoch); got != want {
		t.Errorf("chose %v", got)
	}
}

// TestCriteria makes each of the six criteria decisive: all before it tie, and
// all after it favor the other branch.
func TestCriteria(t *testing.T) {
	t.Run("1 effective depth", func(t *testing.T) {
		b, line := newGraph(1)
		a := b.commit(line[1], 9, false)
		a2 := b.commit(b.commit(a, 9, false), 9, false) // 3, no quorum
		c := b.commit(line[1], 1, true)
		b.talk(c, 1, 2) // 1 + 1
		b.wants(t, a2)
	})
	t.Run("2 quorum", func(t *testing.T) {
		b, line := newGraph(1)
		a := b.commit(line[1], 9, false)
		b.talk(a, 1, 2) // 1 + 1, score 2
		c := b.commit(line[1], 1, true)
		c2 := b.commit(c, 1, true) // 2, score 2
		b.talk(c, 1)
		b.talk(c2, 1)
		b.wants(t, a)
	})
	t.Run("3 score", func(t *testing.T) {
		b, line := newGraph(1)
		a := b.commit(line[1], 9, false)
		b.talk(a, 4)
		b.commit(line[1], 1, true)
		b.wants(t, a)
	})
	t.Run("4 priority", func(t *testing.T) {
		b, line := newGraph(1)
		b.commit(line[1], 1, false)
		b.wants(t, b.commit(line[1], 9, true))
	})
	t.Run("5 committer", func(t *testing.T) {
		b, line := newGraph(1)
		b.commit(line[1], 9, true)
		b.wants(t, b.commit(line[1], 1, true))
	})
	t.Run("6 digest", func(t *testing.T) {
		b, line := newGraph(1)
		low := b.commit(line[1], 1, true)
		b.commit(line[1], 1, true)
		b.wants(t, low)
	})
}

func TestWitnessBounds(t *testing.T) {
	t.Run("the fork epoch is ignored", func(t *testing.T) {
		b, line := newGraph(2)
		b.talk(line[1], 1, 2, 3)
		c := b.commit(line[1], 0, false)
		b.wants(t, c)
	})
	t.Run("one account, many messages", func(t *testing.T) {
		b, line := newGraph(1)
		a := b.commit(line[1], 1, false)
		b.talk(a, 5, 5, 5)
		c := b.commit(line[1], 9, false)
		b.talk(c, 6, 7)
		b.wants(t, c)
		if m := b.g.measure(a, line[1]); m.score != 1 || m.quorum {
			t.Errorf("score %d, quorum %v", m.score, m.quorum)
		}
	})
	t.Run("a third account adds nothing", func(t *testing.T) {
		b, line := newGraph(1)
		a := b.commit(line[1], 1, false)
		b.talk(a, 5, 6, 7)
		if m := b.g.measure(a, line[1]); m.score != quorumSize {
			t.Errorf("score %d", m.score)
		}
	})
	t.Run("epochs count one by one", func(t *testing.T) {
		b, line := newGraph(1)
		a := b.commit(line[1], 1, false)
		a2 := b.commit(a, 1, false)
		b.talk(a, 5)
		b.talk(a2, 6) // two accounts, but no epoch has both
		if m := b.g.measure(a2, line[1]); m.quorum || m.score != 2 {
			t.Errorf("score %d, quorum %v", m.score, m.quorum)
		}
	})
	t.Run("window of the candidate", func(t *testing.T) {
		for depth, want := range map[int]int{6: 2, 7: 0} {
			b, line := newGraph(0)
			n := b.commit(line[0], 1, false)
			b.talk(n, 5, 6)
			for n.epoch < uint64(depth) {
				n = b.commit(n, 1, false)
			}
			if m := b.g.measure(n, line[0]); m.score != want {
				t.Errorf("depth %d: score %d, want %d", depth, m.score, want)
			}
		}
	})
}

// TestHorizon forks five and six epochs below the tip.
func TestHorizon(t *testing.T) {
	for fork, wins := range map[int]bool{5: true, 4: false} {
		b, line := newGraph(10)
		n := line[fork]
		for range 8 {
			n = b.commit(n, 1, false)
		}
		// Only the commit at the fork matters here, as if it were the last to come.
		got := b.g.choose(10)
		if (got == n) != wins {
			t.Errorf("fork at %d below base 10: wins %v, want %v", fork, got == n, wins)
		}
	}
}

// TestStagedCommitsAreNoCandidates keeps what only we know out of the choice.
func TestStagedCommitsAreNoCandidates(t *testing.T) {
	b, line := newGraph(2)
	own := b.commit(line[2], 0, true)
	own.abandoned = true
	rival := b.commit(line[1], 9, false)
	b.wants(t, line[2])
	if !b.g.contested() {
		t.Error("the rival does not count")
	}
	// A state with nothing but an abandoned commit above it is still a tip.
	mine := b.commit(rival, 0, true)
	mine.abandoned = true
	if !b.g.contested() {
		t.Error("an abandoned commit hides the branch below it")
	}
}
