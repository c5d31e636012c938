package mls

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"slices"
	"testing"
	"time"

	"github.com/cloudflare/circl/sign/ed448"

	"github.com/marmotgo/marmot/mls/internal/goldilocks"
	"github.com/marmotgo/marmot/mls/internal/wire"
)

const testSuite = X25519_AES128GCM_SHA256_Ed25519

// testSuites adds every suite that is not this package's own.
var testSuites = &Config{Suites: []CipherSuite{NewCipherSuite(goldilocks.AES256GCM()), NewCipherSuite(goldilocks.ChaCha20Poly1305()),
	XWing(testXWing)}}

const testXWing Suite = 0xf0e1

// noConfig knows only what the package has itself.
var noConfig *Config

var testTime = time.Unix(1_700_000_000, 0)

// tester is a client in the tests.
type tester struct {
	t      testing.TB
	signer crypto.Signer
	kp     *KeyPackage
	keys   *KeyPackageKeys
	group  *Group
}

func newSigner(t testing.TB, id Suite) crypto.Signer {
	t.Helper()
	s := must(testSuites.suiteOf(id))(t)
	switch scheme := s.signature.(type) {
	case *ecdsaScheme:
		return must(ecdsa.GenerateKey(scheme.curve, rand.Reader))(t)
	case ed25519Scheme:
	default:
		return ed448.NewKeyFromSeed(randomBytes(ed448.SeedSize))
	}
	_, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return priv
}

// testCapabilities lists what a Marmot client lists.
func testCapabilities(id Suite) Capabilities {
	return Capabilities{
		Versions: []uint16{1}, Suites: []Suite{id}, Extensions: []ExtensionType{ExtAppDataDictionary, 0xf2d1},
		Proposals:   []ProposalType{ProposalSelfRemove, ProposalAppDataUpdate, ProposalAppEphemeral},
		Credentials: []CredentialType{CredentialBasic},
	}
}

var testLifetime = Lifetime{NotBefore: 1_600_000_000, NotAfter: 1<<64 - 1}

func newTester(t testing.TB, id Suite, name string) *tester {
	t.Helper()
	c := &tester{t: t, signer: newSigner(t, id)}
	var err error
	c.kp, c.keys, err = NewKeyPackage(c.signer, KeyPackageConfig{Suite: id, Credential: BasicCredential([]byte(name)),
		Capabilities: testCapabilities(id), Lifetime: testLifetime, Config: testSuites})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func leafOf(t testing.TB, s *cipherSuite, signer crypto.Signer) *LeafNode {
	t.Helper()
	kp, _, err := NewKeyPackage(signer, KeyPackageConfig{Suite: s.id, Credential: BasicCredential([]byte("leaf")),
		Capabilities: testCapabilities(s.id), Lifetime: testLifetime, Config: testSuites})
	if err != nil {
		t.Fatal(err)
	}
	return kp.Leaf
}

// testExtensions are those of a Marmot group: AppDataUpdate and SelfRemove are
// required, the dictionary comes last.
func testExtensions() Extensions {
	required := RequiredCapabilities{Extensions: []ExtensionType{ExtAppDataDictionary},
		Proposals: []ProposalType{ProposalAppDataUpdate, ProposalSelfRemove}}
	dictionary := AppDataDictionary{{ID: 0x8001, Data: []byte("name")}, {ID: 0x8003, Data: []byte("admins")}}
	return Extensions{{Type: ExtRequiredCapabilities, Data: required.Append(nil)},
		{Type: ExtAppDataDictionary, Data: dictionary.Append(nil)}}
}

func (c *tester) create(ext Extensions) *tester {
	c.t.Helper()
	c.group = must(Create(c.signer, GroupConfig{Suite: c.kp.Suite, GroupID: []byte("group"),
		Credential: BasicCredential([]byte("creator")), Capabilities: testCapabilities(c.kp.Suite),
		Lifetime: testLifetime, Extensions: ext, Config: testSuites}))(c.t)
	return c
}

// newTesters returns a group of n members in epoch 1, in the order of their
// leaves.
func newTesters(t testing.TB, id Suite, n int) []*tester {
	t.Helper()
	members := []*tester{newTester(t, id, "creator").create(testExtensions())}
	var adds []Proposal
	for range n - 1 {
		c := newTester(t, id, "member")
		members = append(members, c)
		adds = append(adds, Add{KeyPackage: c.kp})
	}
	if n == 1 {
		return members
	}
	staged := must(members[0].group.Commit(members[0].signer, CommitConfig{Proposals: adds, Now: testTime}))(t)
	members[0].group = staged.Next
	for _, c := range members[1:] {
		c.join(staged.Welcome)
	}
	return members
}

func (c *tester) join(welcome []byte) {
	c.t.Helper()
	w, ok := decode(c.t, welcome).Welcome()
	if !ok {
		c.t.Fatal("no Welcome")
	}
	c.group = must(Join(w, c.kp, c.keys, JoinConfig{Now: testTime, Signer: c.signer, Config: testSuites}))(c.t).Group
}

// joinWith is join of a Welcome that uses pre-shared keys.
func (c *tester) joinWith(welcome []byte, psks map[string][]byte) {
	c.t.Helper()
	w, _ := decode(c.t, welcome).Welcome()
	c.group = must(Join(w, c.kp, c.keys, JoinConfig{Now: testTime, PSKs: psks, Config: testSuites}))(c.t).Group
}

func decode(t testing.TB, b []byte) *Message {
	t.Helper()
	return must(testSuites.DecodeMessage(b))(t)
}

func (c *tester) commit(cfg CommitConfig) *Staged {
	c.t.Helper()
	cfg.Now = testTime
	return must(c.group.Commit(c.signer, cfg))(c.t)
}

func (c *tester) verifyCommit(b []byte) *VerifiedCommit {
	c.t.Helper()
	return must(c.group.Verify(decode(c.t, b)))(c.t).(*VerifiedCommit)
}

func (c *tester) apply(b []byte, proposals ...*VerifiedProposal) (*Group, error) {
	c.t.Helper()
	return c.group.Apply(c.verifyCommit(b), ApplyInput{Proposals: setOf(proposals), Now: testTime})
}

func setOf(proposals []*VerifiedProposal) ProposalSet {
	set := ProposalSet{}
	for _, p := range proposals {
		set[p.Ref()] = p
	}
	return set
}

// propose returns a member's proposal as c sees it.
func (c *tester) propose(p Proposal) []byte {
	c.t.Helper()
	return must(c.group.Propose(c.signer, p, FrameConfig{}))(c.t)
}

func (c *tester) verifyProposal(b []byte) *VerifiedProposal {
	c.t.Helper()
	return must(c.group.Verify(decode(c.t, b)))(c.t).(*VerifiedProposal)
}

// advance makes from commit, and everyone else follow.
func advance(t testing.TB, members []*tester, from int, cfg CommitConfig) *Staged {
	t.Helper()
	staged := members[from].commit(cfg)
	for i, c := range members {
		if i != from {
			c.group = must(c.apply(staged.Message, cfg.References...))(t)
		}
	}
	members[from].group = staged.Next
	agree(t, members)
	return staged
}

// agree checks that all members are in the same epoch with the same secrets.
func agree(t testing.TB, members []*tester) {
	t.Helper()
	first := members[0].group
	for i, c := range members {
		g := c.group
		if string(g.ConfirmationTag()) != string(first.ConfirmationTag()) ||
			string(g.contextBytes) != string(first.contextBytes) ||
			string(must(g.EpochAuthenticator())(t)) != string(must(first.EpochAuthenticator())(t)) ||
			string(must(g.Export("label", []byte("context"), 32))(t)) != string(must(first.Export("label", []byte("context"), 32))(t)) {
			t.Fatalf("member %d disagrees in epoch %d", i, g.Epoch())
		}
	}
}

func (c *tester) send(text string) *Message {
	c.t.Helper()
	return decode(c.t, must(c.group.Protect(c.signer, []byte(text), nil))(c.t).Message)
}

func (c *tester) reads(m *Message, text string) {
	c.t.Helper()
	if r := must(c.group.Unprotect(m))(c.t); string(r.Plaintext) != text {
		c.t.Fatalf("read %q, want %q", r.Plaintext, text)
	}
}

func externalSendersData(key []byte, credential Credential) []byte {
	return wire.AppendVector(nil, func(b []byte) []byte { return credential.append(wire.AppendOpaque(b, key)) })
}

// newContentUnbound frames a proposal from outside, whose signature does not
// cover the GroupContext.
func (g *Group) newContentUnbound(sender Sender, by *tester, p Proposal) (*authenticatedContent, error) {
	unbound := *g
	unbound.contextBytes = nil
	return unbound.newContentFrom(sender, by.signer, WirePublicMessage, ContentProposal, nil, reencodeProposal(p))
}

// allSuites returns the rows of every suite that can be had.
func allSuites() []*cipherSuite {
	list := slices.Clone(builtinSuites)
	for _, s := range testSuites.Suites {
		list = append(list, s.row)
	}
	return list
}
