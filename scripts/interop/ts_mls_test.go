//go:build interop

package interop

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/marmotgo/marmot/mls"
)

func TestMLSKeyPackages(t *testing.T) {
	t.Parallel()
	p := startPeer(t, "ts-mls.mjs")
	type inspected struct {
		Ref, Again, Identity, NotAfter string
		Valid                          bool
		Extensions, Proposals          []int
		Leaf, List                     [][]any
	}
	for _, s := range append(quickSuites, nistSuites...) {
		// Ours to them.
		m := newOurs(t, "ours", s)
		message := hex.EncodeToString(m.keyPackage())
		var got inspected
		p.call("inspect", args{"message": message, "suite": s}, &got)
		want := inspected{Ref: hex.EncodeToString(m.kp.Ref()), Again: message, Identity: "ours", NotAfter: "18446744073709551615", Valid: true,
			Extensions: []int{6, 10, 0xf2d1}, Proposals: []int{8, 10}, Leaf: [][]any{{62161., "6f757273"}}, List: [][]any{{10., ""}}}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("suite %d: they read %+v, want %+v", s, got, want)
		}

		// Theirs to us, also with the code points that they make up (GREASE).
		for i := range 20 {
			if slow(s) && i > 1 {
				break
			}
			m := newTheirs(t, p, "theirs", s)
			if i > 0 {
				m.makeKeyPackage(args{})
			}
			p.call("inspect", args{"message": hex.EncodeToString(m.message), "suite": s}, &got)
			kp := add(t, m).(mls.Add).KeyPackage
			if err := kp.Validate(time.Now()); err != nil {
				t.Errorf("suite %d: their key package: %v", s, err)
			}
			if !bytes.Equal(kp.Message(), m.message) || hex.EncodeToString(kp.Ref()) != got.Ref || string(kp.Leaf.Credential.Identity) != "theirs" {
				t.Errorf("suite %d: we read %+v, they %+v", s, kp, got)
			}
			if i > 0 {
				continue
			}
			if data, ok := kp.Leaf.Extensions.Find(0xf2d1); !ok || string(data) != "theirs" || len(kp.Leaf.Capabilities.Proposals) != 2 {
				t.Errorf("suite %d: their leaf %+v", s, kp.Leaf)
			}
		}
	}
}

func TestMLSCommits(t *testing.T)       { bothWays(t, quickSuites, commits) }
func TestMLSCommitsOnNIST(t *testing.T) { bothWays(t, nistSuites, commits) }

// commits has Welcomes with and without the tree and path secrets, Adds,
// Removes and updates, each side committing each.
func commits(t *testing.T, c *cast) {
	a, b := c.a(), c.b()
	g := c.group(a, marmotExtensions())
	g.advance(a, change{}, b)
	g.advance(a, change{})
	g.advance(b, change{})
	for _, from := range []member{b, a} {
		g.talk()
		x, y := c.ours(), c.theirs()
		g.advance(from, change{noTree: true}, x, y)
		if !slow(c.suite) {
			g.advance(y, change{})
			g.advance(x, change{})
			g.talk()
		}
		// A Remove makes a path; the newcomers get their path secret.
		g.advance(from, change{proposals: []mls.Proposal{g.remove(x)}}, c.theirs(), c.ours())
		g.talk()
		if slow(c.suite) {
			break
		}
		for _, m := range g.members {
			g.advance(m, change{})
		}
		g.advance(from, change{proposals: []mls.Proposal{g.remove(y)}})
		g.advance(from, change{proposals: []mls.Proposal{g.remove(g.members[3]), g.remove(g.members[2])}})
		g.talk()
	}
}

// Proposals by reference, PSKs, and new group extensions.
func TestMLSProposals(t *testing.T) {
	bothWays(t, quickSuites[:1], func(t *testing.T, c *cast) {
		a, b, x := c.a(), c.b(), c.ours()
		g := c.group(a, marmotExtensions())
		g.advance(a, change{}, b, x)
		psk := func(i byte) mls.Proposal {
			return mls.PreSharedKey{ID: mls.PSKID{Type: mls.PSKExternal, ID: pskID, Nonce: bytes.Repeat([]byte{i}, 32)}}
		}
		for i, from := range []member{a, b, x} {
			to := g.members[(i+1)%3]
			// An Add and a pre-shared key by reference, one more by value.
			n := c.b()
			g.propose(from, add(t, n))
			g.propose(from, psk(1))
			g.commit(to, change{private: c.private, proposals: []mls.Proposal{psk(2)}}, n)
			g.talk()
			// A Remove by reference.
			r := mls.Remove{Removed: n.view().Self}
			g.propose(from, r)
			g.remove(n)
			g.advance(to, change{})
			// An Update by reference, which they cannot make.
			for _, m := range []member{a, b, x} {
				if _, own := m.(*ours); own && m != to {
					g.propose(m, nil)
				}
			}
			g.advance(to, change{})
			g.advance(from, change{})
			g.talk()
		}
	})
}

func TestMLSMessages(t *testing.T) {
	bothWays(t, quickSuites[:1], func(t *testing.T, c *cast) {
		a, b := c.a(), c.b()
		g := c.group(a, nil)
		g.advance(a, change{}, b)
		for round := range 3 {
			for _, pair := range [][2]member{{a, b}, {b, a}} {
				from, to := pair[0], pair[1]
				var messages [][]byte
				for i := range 8 {
					messages = append(messages, from.send(texts[i]+"!", strings.Repeat("a", i*20)))
				}
				for _, i := range []int{3, 0, 7, 1, 6, 2, 5} { // 4 is lost
					if got, err := to.read(messages[i]); err != nil || got != texts[i]+"!" {
						t.Errorf("%s reads %q: %v", to.name(), got, err)
					}
					if _, err := to.read(messages[i]); err == nil {
						t.Errorf("%s reads a message twice", to.name())
					}
				}
				forged := bytes.Clone(messages[4])
				forged[len(forged)-1] ^= 1
				if _, err := to.read(forged); err == nil {
					t.Errorf("%s reads a forged message", to.name())
				}
				large := strings.Repeat("z", 100_000)
				if got, err := to.read(from.send(large, "")); err != nil || got != large {
					t.Errorf("%s reads %d bytes: %v", to.name(), len(got), err)
				}
			}
			if round == 1 {
				g.advance(b, change{})
			}
		}
	})
}

// Capabilities that the group requires, and the dictionary as opaque bytes.
func TestMLSGroupExtensions(t *testing.T) {
	bothWays(t, quickSuites[:1], func(t *testing.T, c *cast) {
		a, b, x := c.a(), c.b(), c.ours()
		g := c.group(a, marmotExtensions())
		g.advance(a, change{}, b)
		// Neither adds who lacks what is required.
		bare := c.theirs()
		bare.makeKeyPackage(args{"capabilities": args{"extensions": []int{6, 10, 0xf2d1}, "proposals": []int{}}})
		for _, m := range g.members {
			if _, _, err := m.commit(change{proposals: []mls.Proposal{add(t, bare)}}); err == nil {
				t.Errorf("%s adds who lacks a required proposal type", m.name())
			}
		}
		g.advance(b, change{}, x)
		// They send no valid commit with new extensions, see TestMLSPeerDefects.
		ext := append(marmotExtensions(), mls.Extension{Type: 0xf2d1, Data: []byte("new")})
		g.advance(x, change{proposals: []mls.Proposal{mls.GroupContextExtensions{Extensions: ext}}})
		g.advance(x, change{proposals: []mls.Proposal{mls.GroupContextExtensions{Extensions: marmotExtensions()}}}, c.theirs(), c.ours())
		for _, m := range g.members {
			g.advance(m, change{})
		}
		g.talk()
	})
}
