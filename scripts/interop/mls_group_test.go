//go:build interop

package interop

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/marmotgo/marmot/mls"
)

const suite1 = mls.X25519_AES128GCM_SHA256_Ed25519

var (
	quickSuites = []mls.Suite{suite1, mls.X25519_CHACHA20POLY1305_SHA256_Ed25519}
	nistSuites  = []mls.Suite{mls.P256_AES128GCM_SHA256_P256, mls.P521_AES256GCM_SHA512_P521, mls.P384_AES256GCM_SHA384_P384}
)

// cast makes the members of a scenario. A and B are of the two
// implementations, in one order or the other.
type cast struct {
	t       *testing.T
	peer    *peer
	suite   mls.Suite
	private bool
	reverse bool
	members int
}

func (c *cast) ours() *ours {
	c.members++
	return newOurs(c.t, fmt.Sprintf("ours %d", c.members), c.suite)
}

func (c *cast) theirs() *theirs {
	c.members++
	return newTheirs(c.t, c.peer, fmt.Sprintf("theirs %d", c.members), c.suite)
}

func (c *cast) a() member {
	if c.reverse {
		return c.theirs()
	}
	return c.ours()
}

func (c *cast) b() member {
	if c.reverse {
		return c.ours()
	}
	return c.theirs()
}

// bothWays runs a scenario with public and private handshakes, and each with
// the roles either way; of the suites with NIST curves, which are slow there,
// only one each way.
func bothWays(t *testing.T, suites []mls.Suite, scenario func(*testing.T, *cast)) {
	t.Parallel()
	p := startPeer(t, "ts-mls.mjs")
	for _, s := range suites {
		for i, roles := range []string{"we create", "they create"} {
			for j, frame := range []string{"public", "private"} {
				if slow(s) && i != j {
					continue
				}
				t.Run(fmt.Sprintf("suite %d, %s, %s", s, roles, frame), func(t *testing.T) {
					scenario(t, &cast{t: t, peer: p, suite: s, reverse: i == 1, private: j == 1})
				})
			}
		}
	}
}

func slow(s mls.Suite) bool { return slices.Contains(nistSuites, s) }

// group is what a scenario does to its members, all checked in every epoch.
type group struct {
	t       *testing.T
	c       *cast
	members []member
	leavers []member // whom the next commit removes
	epoch   uint64
}

func (c *cast) group(creator member, ext mls.Extensions) *group {
	c.t.Helper()
	must(c.t, creator.create(ext))
	g := &group{t: c.t, c: c, members: []member{creator}}
	g.agree()
	return g
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func add(t *testing.T, m member) mls.Proposal {
	t.Helper()
	message, err := mls.DecodeMessage(m.keyPackage())
	must(t, err)
	kp, _ := message.KeyPackage()
	return mls.Add{KeyPackage: kp}
}

// advance lets from commit and everybody follow; newcomers join by the Welcome.
func (g *group) advance(from member, c change, newcomers ...member) {
	g.t.Helper()
	c.private = g.c.private
	for _, m := range newcomers {
		c.proposals = append(c.proposals, add(g.t, m))
	}
	g.commit(from, c, newcomers...)
}

// commit is advance for Adds that are among the proposals already.
func (g *group) commit(from member, c change, newcomers ...member) {
	g.t.Helper()
	commit, welcome, err := from.commit(c)
	if err != nil {
		g.t.Fatalf("%s commits: %v", from.name(), err)
	}
	for _, m := range g.members {
		if m == from {
			continue
		}
		if err := m.process(commit); err != nil {
			g.t.Fatalf("%s processes a commit of %s: %v", m.name(), from.name(), err)
		}
	}
	for _, m := range newcomers {
		var tree []byte
		if c.noTree {
			tree = from.tree()
		}
		if err := m.join(welcome, tree); err != nil {
			g.t.Fatalf("%s joins by a Welcome of %s: %v", m.name(), from.name(), err)
		}
		g.members = append(g.members, m)
	}
	g.letGo(commit)
	g.epoch++
	g.agree()
}

// remove returns a Remove of m, which the next commit must contain.
func (g *group) remove(m member) mls.Proposal {
	p := mls.Remove{Removed: m.view().Self}
	g.members = slices.DeleteFunc(g.members, func(o member) bool { return o == m })
	g.leavers = append(g.leavers, m)
	return p
}

// letGo checks that those notice it whom a commit removed. Theirs do not if
// the same commit gives their leaf to a newcomer.
func (g *group) letGo(commit []byte) {
	g.t.Helper()
	for _, m := range g.leavers {
		leaf := m.view().Self
		_, own := m.(*ours)
		reused := slices.ContainsFunc(g.members, func(o member) bool { return o.view().Self == leaf })
		if err := m.removed(commit); (err != nil) != (reused && !own) {
			g.t.Fatalf("%s processes its removal, leaf used again %t: %v", m.name(), reused, err)
		}
	}
	g.leavers = nil
}

func (g *group) agree() {
	g.t.Helper()
	want := g.members[0].view()
	if want.Epoch != g.epoch {
		g.t.Fatalf("epoch %d, want %d", want.Epoch, g.epoch)
	}
	self := map[mls.LeafIndex]bool{}
	for _, m := range g.members {
		got := m.view()
		if self[got.Self] {
			g.t.Fatalf("two members at leaf %d", got.Self)
		}
		self[got.Self] = true
		if got.Self = want.Self; !reflect.DeepEqual(got, want) {
			g.t.Fatalf("%s has %+v\n%s has %+v", m.name(), got, g.members[0].name(), want)
		}
	}
}

// propose lets everybody see a proposal.
func (g *group) propose(from member, p mls.Proposal) {
	g.t.Helper()
	message, err := from.propose(p, g.c.private)
	if err != nil {
		g.t.Fatalf("%s proposes %T: %v", from.name(), p, err)
	}
	for _, m := range g.members {
		if m == from {
			continue
		}
		if err := m.process(message); err != nil {
			g.t.Fatalf("%s processes %T of %s: %v", m.name(), p, from.name(), err)
		}
	}
}

// talk lets everybody say something to everybody.
func (g *group) talk() {
	g.t.Helper()
	for _, from := range g.members {
		text := "from " + from.name()
		message := from.send(text, "aad")
		for _, m := range g.members {
			if m == from {
				continue
			}
			if got, err := m.read(message); err != nil || got != text {
				g.t.Fatalf("%s reads %q of %s: %v", m.name(), got, from.name(), err)
			}
		}
	}
}
