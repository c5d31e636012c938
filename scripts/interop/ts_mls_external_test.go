//go:build interop

package interop

import (
	"crypto/rand"
	"encoding/hex"
	"testing"

	"github.com/marmotgo/marmot/mls"
)

// Each side joins from the other's GroupInfo and its own, and ours comes back
// in the place of an earlier leaf with a PSK. The driver gives external_pub its
// length, see [TestMLSPeerExternalPub].
func TestMLSExternalCommits(t *testing.T) { bothWays(t, quickSuites, externalCommits) }

// TestMLSExternalCommitsOnNIST is the same for the suites of NIST curves.
func TestMLSExternalCommitsOnNIST(t *testing.T) { bothWays(t, nistSuites, externalCommits) }

func externalCommits(t *testing.T, c *cast) {
	a, b := c.a(), c.b()
	g := c.group(a, marmotExtensions())
	g.advance(a, change{}, b)
	g.externalJoin(a, c.b())
	g.externalJoin(b, c.a())
	g.talk()
	for _, m := range g.members {
		g.advance(m, change{})
	}

	again, leaf := c.ours(), g.members[2].view().Self
	commit, err := again.joinExternalWith(b.info(), mls.ExternalConfig{Tree: b.tree(), Remove: &leaf,
		Proposals: []mls.Proposal{mls.PreSharedKey{ID: newPSK(t, b)}}})
	must(t, err)
	g.members = append(g.members[:2:2], g.members[3:]...)
	g.follow(again, commit)
	if again.view().Self != leaf {
		t.Errorf("back at leaf %d", again.view().Self)
	}
	g.talk()
	for _, m := range g.members {
		g.advance(m, change{})
	}
}

// newPSK names the external PSK with a fresh nonce, as long as a hash.
func newPSK(t *testing.T, m member) mls.PSKID {
	t.Helper()
	hash, err := hex.DecodeString(m.view().TreeHash)
	must(t, err)
	_, _ = rand.Read(hash)
	return mls.PSKID{Type: mls.PSKExternal, ID: pskID, Nonce: hash}
}

// externalJoin lets joiner in by the GroupInfo and tree of host.
func (g *group) externalJoin(host, joiner member) {
	g.t.Helper()
	commit, err := joiner.joinExternal(host.info(), host.tree())
	if err != nil {
		g.t.Fatalf("%s joins from the GroupInfo of %s: %v", joiner.name(), host.name(), err)
	}
	g.follow(joiner, commit)
}

// follow lets everybody process an external commit of joiner.
func (g *group) follow(joiner member, commit []byte) {
	g.t.Helper()
	for _, m := range g.members {
		if err := m.process(commit); err != nil {
			g.t.Fatalf("%s processes the external commit of %s: %v", m.name(), joiner.name(), err)
		}
	}
	g.members = append(g.members, joiner)
	g.epoch++
	g.agree()
}
