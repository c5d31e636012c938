//go:build interop

package interop

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"github.com/marmotgo/marmot/mls"
)

// What ts-mls does otherwise than RFC 9420, so that we notice when it changes.
// Ours must refuse what is wrong, and be as before.

// refuses checks that m refuses a commit and can still follow another one.
func (g *group) refuses(m *ours, from member, commit []byte, err error, want error) {
	g.t.Helper()
	must(g.t, err)
	if err := m.process(commit); !errors.Is(err, want) {
		g.t.Errorf("we process a wrong commit: %v, want %v", err, want)
	}
	for i, o := range g.members {
		if o == from { // it has left on its own
			g.members = append(g.members[:i:i], g.members[i+1:]...)
		}
	}
	g.advance(m, change{})
}

func newCast(t *testing.T, arguments ...string) *cast {
	t.Helper()
	return &cast{t: t, peer: startPeer(t, "ts-mls.mjs", arguments...), suite: suite1}
}

// ts-mls 1.6.2 commits a single Remove or Update without a path.
func TestMLSPeerNoPath(t *testing.T) {
	t.Parallel()
	old, c := newCast(t, "ts-mls-1.6.2"), newCast(t)
	a, x, y := c.ours(), c.ours(), c.ours()
	one, two, present := old.theirs(), old.theirs(), c.theirs()
	g := c.group(a, nil)
	g.advance(a, change{}, x, y, one, two, present)
	removal := mls.Remove{Removed: y.group.Self()}
	commit, _, err := one.commit(change{proposals: []mls.Proposal{removal}})
	must(t, err)
	if err := present.process(commit); err == nil {
		t.Error("the present ts-mls takes a Remove without a path")
	}
	g.refuses(a, one, commit, err, mls.ErrInvalidPath)
	g.propose(x, nil)
	commit, _, err = two.commit(change{})
	g.refuses(a, two, commit, err, mls.ErrInvalidPath)
}

// ts-mls commits GroupContextExtensions without a path, or encrypts a path that
// something else requires under the old extensions. Of ours it ignores an empty
// list.
func TestMLSPeerGroupContextExtensions(t *testing.T) {
	t.Parallel()
	c := newCast(t)
	a, one, two, three := c.ours(), c.theirs(), c.theirs(), c.theirs()
	x := c.ours()
	g := c.group(a, marmotExtensions())
	g.advance(a, change{}, one, two, three, x)
	ext := append(marmotExtensions(), mls.Extension{Type: 0xf2d1, Data: []byte("new")})
	gce := mls.GroupContextExtensions{Extensions: ext}
	commit, _, err := one.commit(change{proposals: []mls.Proposal{gce}})
	g.refuses(a, one, commit, err, mls.ErrInvalidPath)
	commit, _, err = two.commit(change{proposals: []mls.Proposal{gce, mls.Remove{Removed: x.group.Self()}}})
	g.refuses(a, two, commit, err, mls.ErrInvalidPath)

	c = &cast{t: t, peer: c.peer, suite: suite1, members: 10}
	a, one = c.ours(), c.theirs()
	g = c.group(a, mls.Extensions{{Type: 0xf2d1, Data: []byte("old")}})
	g.advance(a, change{}, one)
	commit, _, err = a.commit(change{proposals: []mls.Proposal{mls.GroupContextExtensions{}}})
	must(t, err)
	if err := one.process(commit); err == nil {
		t.Error("they take an empty list of extensions")
	}
}

// If the root is not in the filtered direct path, ts-mls derives the commit
// secret as if it were; Section 12.4.1 takes the last secret of the path.
func TestMLSPeerRoot(t *testing.T) {
	t.Parallel()
	c := newCast(t)
	for _, theyCommit := range []bool{false, true} {
		a, b, x, y := c.ours(), c.ours(), c.theirs(), c.ours()
		g := c.group(a, nil)
		g.advance(a, change{}, b, x, y)
		half := []mls.Proposal{mls.Remove{Removed: 0}, mls.Remove{Removed: 1}}
		if theyCommit {
			commit, _, err := x.commit(change{proposals: half})
			g.refuses(y, x, commit, err, mls.ErrConfirmation)
			continue
		}
		commit, _, err := y.commit(change{proposals: half})
		must(t, err)
		if err := x.process(commit); err == nil {
			t.Error("they take a commit without the root in its path")
		}
	}
}

// ts-mls looks for its own leaf after the Adds, so that it does not notice its
// removal if a newcomer has the leaf; letGo expects that.
func TestMLSPeerLeafUsedAgain(t *testing.T) {
	t.Parallel()
	c := newCast(t)
	a, b, x := c.ours(), c.theirs(), c.ours()
	g := c.group(a, nil)
	g.advance(a, change{}, b, x)
	leaf, newcomer := b.view().Self, c.theirs()
	g.advance(a, change{proposals: []mls.Proposal{g.remove(b)}}, newcomer)
	if newcomer.view().Self != leaf || !b.view().Active {
		t.Error("they notice that they are removed")
	}
}

// ts-mls wants all nodes above an unmerged leaf to have the same unmerged leaves,
// and so cannot join some groups of more than four leaves.
func TestMLSPeerTree(t *testing.T) {
	t.Parallel()
	c := newCast(t)
	m := []member{}
	for range 6 {
		m = append(m, c.ours())
	}
	g := c.group(m[0], nil)
	g.advance(m[0], change{}, m[1:]...)
	g.advance(m[0], change{proposals: []mls.Proposal{g.remove(m[1])}})
	g.advance(m[4], change{})
	left, right := c.ours(), c.ours()
	g.advance(m[0], change{}, left, right) // unmerged at leaf 1 and leaf 6
	late := c.theirs()
	_, welcome, err := m[0].commit(change{proposals: []mls.Proposal{add(t, late)}})
	must(t, err)
	if err := late.join(welcome, nil); err == nil {
		t.Error("they join a tree with unmerged leaves in both halves")
	}
}

// ts-mls encodes proposals of types that it does not know with a length, so
// those of draft-ietf-mls-extensions cannot pass.
func TestMLSPeerCustomProposals(t *testing.T) {
	t.Parallel()
	c := newCast(t)
	a, b := c.ours(), c.theirs()
	g := c.group(a, marmotExtensions())
	g.advance(a, change{}, b)
	for _, p := range []mls.Proposal{mls.SelfRemove{}, mls.AppDataUpdate{Component: 0x8001, Data: []byte("x")}} {
		message, err := a.group.Propose(a.signer, p, mls.FrameConfig{})
		must(t, err)
		if err := b.process(message); err == nil {
			t.Errorf("they read %T", p)
		}
	}
	for typ, want := range map[int]error{8: mls.ErrMalformed, 10: mls.ErrMalformed, 0xf123: mls.ErrUnsupportedProposal} {
		message, err := b.bytes("propose", args{"proposal": args{"type": typ, "data": "ff"}, "isPublic": true})
		must(t, err)
		if err := a.process(message); !errors.Is(err, want) {
			t.Errorf("we read their proposal of type %d: %v", typ, err)
		}
	}
}

// ts-mls makes signature keys of NIST curves compressed; Section 5.1.1 has them
// uncompressed.
func TestMLSPeerCompressedKeys(t *testing.T) {
	t.Parallel()
	c := newCast(t)
	for _, s := range nistSuites {
		m := newTheirs(t, c.peer, "theirs", s)
		m.makeKeyPackage(args{"compressed": true})
		if err := add(t, m).(mls.Add).KeyPackage.Validate(time.Now()); !errors.Is(err, mls.ErrInvalidKeyPackage) {
			t.Errorf("suite %d: we take a compressed key: %v", s, err)
		}
	}
}

// ts-mls has external_pub without its length, so neither side can use the
// other's GroupInfo as it is; see TestMLSExternalCommits.
func TestMLSPeerExternalPub(t *testing.T) {
	t.Parallel()
	c := newCast(t)
	a, b := c.ours(), c.theirs()
	g := c.group(a, marmotExtensions())
	g.advance(a, change{}, b)
	info, err := b.bytes("groupInfo", nil)
	must(t, err)
	if _, err := mls.DecodeMessage(info); !errors.Is(err, mls.ErrMalformed) {
		t.Errorf("we read their GroupInfo: %v", err)
	}
	external := args{"info": hex.EncodeToString(a.info()), "tree": hex.EncodeToString(a.tree())}
	if _, err := c.theirs().bytes("joinExternal", external); err == nil {
		t.Error("they join from our GroupInfo")
	}
	if !bytes.Equal(a.tree(), b.tree()) {
		t.Error("the trees differ")
	}
}
