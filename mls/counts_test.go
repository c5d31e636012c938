package mls

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"slices"
	"testing"

	"github.com/marmotgo/marmot/mls/internal/suites"
)

// tally is how often an operation called each primitive.
type tally struct {
	treeHash, parentHash, otherHash int
	seal, open, derive, generate    int
	sign, verify                    int
}

// counting is the tally of the counting suite, which only the tests of this
// file use, one after the other.
var counting tally

// The counting suite has SHA-256 under the number of a hash that nothing else
// here uses, and key exchange and signatures that protect nothing and cost
// nothing, so that groups of thousands are quick to make. Only the number of
// calls matters.
const countingSuite Suite = 0xf0c0

var countingConfig = &Config{Suites: []CipherSuite{NewCipherSuite(suites.Suite{ID: uint16(countingSuite), Hash: crypto.BLAKE2s_256,
	NewAEAD: newGCM, KeySize: 16, HPKE: paperHPKE{}, Signature: paperSignature{}})}}

func init() {
	crypto.RegisterHash(crypto.BLAKE2s_256, func() hash.Hash { return &countingHash{Hash: sha256.New()} })
}

// countingHash tells tree and parent hashes apart by how their input begins:
// with a node type, and with a key after its length.
type countingHash struct {
	hash.Hash
	writes int
	first  byte
}

func (h *countingHash) Write(b []byte) (int, error) {
	if h.writes == 0 && len(b) > 0 {
		h.first = b[0]
	}
	h.writes++
	return h.Hash.Write(b)
}

func (h *countingHash) Sum(b []byte) []byte {
	switch {
	case h.writes == 1 && (h.first == nodeTypeLeaf || h.first == nodeTypeParent):
		counting.treeHash++
	case h.writes == 1 && h.first == sha256.Size:
		counting.parentHash++
	default:
		counting.otherHash++
	}
	return h.Hash.Sum(b)
}

func (h *countingHash) Reset() {
	h.writes = 0
	h.Hash.Reset()
}

func digest(parts ...[]byte) []byte {
	sum := sha256.Sum256(bytes.Join(parts, nil))
	return sum[:]
}

// paperHPKE has keys of 32 bytes; the public one is a hash of the private one.
type paperHPKE struct{}

func (paperHPKE) PublicKeySize() int              { return 32 }
func (paperHPKE) CheckPublicKey(pub []byte) error { return nil }
func (paperHPKE) PublicKey(priv []byte) ([]byte, error) {
	return digest([]byte("public"), priv), nil
}

func (paperHPKE) pair(priv []byte) ([]byte, []byte, error) {
	return priv, digest([]byte("public"), priv), nil
}

func (h paperHPKE) DeriveKeyPair(ikm []byte) (priv, pub []byte, err error) {
	counting.derive++
	return h.pair(digest(ikm))
}

func (h paperHPKE) GenerateKeyPair() (priv, pub []byte, err error) {
	counting.generate++
	return h.pair(randomBytes(32))
}

func (paperHPKE) Seal(pub, info, plaintext []byte) (kemOutput, ciphertext []byte, err error) {
	counting.seal++
	return pub, append(digest(pub, info), plaintext...), nil
}

func (paperHPKE) Open(priv, kemOutput, info, ciphertext []byte) ([]byte, error) {
	counting.open++
	tag := digest(digest([]byte("public"), priv), info)
	if !bytes.HasPrefix(ciphertext, tag) {
		return nil, errors.New("paper does not open")
	}
	return bytes.Clone(ciphertext[len(tag):]), nil
}

func (paperHPKE) SendExport(pub []byte, context string, length int) (kemOutput, secret []byte, err error) {
	return pub, digest(pub, []byte(context))[:length], nil
}

func (paperHPKE) ReceiveExport(_, kemOutput []byte, context string, length int) ([]byte, error) {
	return digest(kemOutput, []byte(context))[:length], nil
}

// paperSigner signs with what everybody has.
type paperSigner [32]byte

func (k paperSigner) Public() crypto.PublicKey { return k }
func (k paperSigner) Sign(_ io.Reader, message []byte, _ crypto.SignerOpts) ([]byte, error) {
	return digest(k[:], message), nil
}

func newPaperSigner() crypto.Signer { return paperSigner(randomBytes(32)) }

type paperSignature struct{}

func (paperSignature) PublicKey(signer crypto.Signer) ([]byte, bool) {
	k, ok := signer.Public().(paperSigner)
	return k[:], ok
}

func (paperSignature) CheckPublicKey(pub []byte) bool { return len(pub) == 32 }

func (paperSignature) Sign(signer crypto.Signer, message []byte) ([]byte, error) {
	counting.sign++
	return signer.Sign(nil, message, crypto.Hash(0))
}

func (paperSignature) Verify(pub, message, signature []byte) bool {
	counting.verify++
	return bytes.Equal(digest(pub, message), signature)
}

// tallyOf returns what f calls. Other hashes, those of key schedules, refs and
// transcripts, are only checked not to grow with the group; see below.
func tallyOf(f func()) tally {
	counting = tally{}
	f()
	return counting
}

// paperMember is somebody new with a KeyPackage of the counting suite.
func paperMember(t *testing.T) *tester {
	t.Helper()
	c := &tester{t: t, signer: newPaperSigner()}
	var err error
	c.kp, c.keys, err = NewKeyPackage(c.signer, KeyPackageConfig{Suite: countingSuite, Credential: BasicCredential([]byte("new")),
		Capabilities: testCapabilities(countingSuite), Lifetime: testLifetime, Config: countingConfig})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// countedSizes are powers of two, so that all leaves are at the same depth.
var countedSizes = []int{16, 64, 256, 1024, 4096}

// Nothing is quadratic: how often each operation calls each primitive is
// exactly what the design says, p being the nodes of a path.
func TestCounts(t *testing.T) {
	otherHashes := map[string][]int{}
	for _, n := range countedSizes {
		full := newCrowdOf(t, n, countingSuite, countingConfig, newPaperSigner).fillFast(t)
		fresh := newCrowdOf(t, n, countingSuite, countingConfig, newPaperSigner)
		p := levels(n)
		check := func(name string, got, want tally) {
			t.Helper()
			otherHashes[name] = append(otherHashes[name], got.otherHash)
			got.otherHash = 0
			if got != want {
				t.Errorf("n=%d, %s:\n got %+v\nwant %+v", n, name, got, want)
			}
		}
		committer, near, far := full.member(0), full.member(1), full.member(LeafIndex(n-1))
		signer := full.signers[0]
		commit := func(g *Group, cfg CommitConfig) *Staged { return must(g.Commit(signer, cfg))(t) }
		apply := func(g *Group, message []byte) {
			v := must(g.Verify(must(countingConfig.DecodeMessage(message))(t)))(t)
			must(g.Apply(v.(*VerifiedCommit), ApplyInput{}))(t)
		}

		var update *Staged
		check("self-update, full", tallyOf(func() { update = commit(committer, CommitConfig{Path: PathAlways}) }),
			tally{treeHash: p + 1, parentHash: p, derive: p, generate: 1, seal: p, sign: 2})
		check("self-update, fresh", tallyOf(func() { must(fresh.member(0).Commit(fresh.signers[0], CommitConfig{Path: PathAlways}))(t) }),
			tally{treeHash: p + 1, parentHash: p, derive: p, generate: 1, seal: n - 1, sign: 2})
		check("process, nearest neighbour", tallyOf(func() { apply(near, update.Message) }),
			tally{treeHash: p + 1, parentHash: p, derive: p, open: 1, verify: 2})
		check("process, across the root", tallyOf(func() { apply(far, update.Message) }),
			tally{treeHash: p + 1, parentHash: p, derive: 1, open: 1, verify: 2})
		check("path-less commit", tallyOf(func() { commit(committer, CommitConfig{Proposals: []Proposal{AppEphemeral{Component: 1}}}) }),
			tally{sign: 1})

		// The tree widens, as it does when the members have doubled: the left
		// half stays, and every node of the right one is hashed once.
		newcomer := paperMember(t)
		var added *Staged
		check("add one to a full tree", tallyOf(func() { added = commit(committer, CommitConfig{Proposals: []Proposal{Add{KeyPackage: newcomer.kp}}}) }),
			tally{treeHash: 2 * n, seal: 1, sign: 2, verify: 2})
		check("process an add", tallyOf(func() { apply(near, added.Message) }), tally{treeHash: 2 * n, verify: 1 + 2})
		w, _ := must(countingConfig.DecodeMessage(added.Welcome))(t).Welcome()
		join := tallyOf(func() { must(Join(w, newcomer.kp, newcomer.keys, JoinConfig{Config: countingConfig}))(t) })
		if hashes := join.parentHash; hashes < n-1 || hashes > 2*(n-1) {
			t.Errorf("n=%d, join: %d parent hashes for %d parents", n, hashes, n-1)
		}
		join.parentHash = 0
		check("join", join, tally{treeHash: 4*n - 1, open: 1, verify: n + 1 + 1})

		// The blanked path leaves one node of each level in the other half.
		check("remove", tallyOf(func() { commit(committer, CommitConfig{Proposals: []Proposal{Remove{Removed: LeafIndex(n - 1)}}}) }),
			tally{treeHash: 2 * (p + 1), parentHash: p, derive: p, generate: 1, seal: 2*p - 2, sign: 2})

		var proposal []byte
		check("propose", tallyOf(func() { proposal = must(near.Propose(full.signers[1], AppEphemeral{Component: 1}, FrameConfig{}))(t) }), tally{sign: 1})
		check("verify a proposal", tallyOf(func() { must(far.Verify(must(countingConfig.DecodeMessage(proposal))(t)))(t) }), tally{verify: 1})

		_ = must(near.Protect(full.signers[1], nil, nil))(t)
		var sealed Sealed
		check("encrypt", tallyOf(func() { sealed = must(near.Protect(full.signers[1], nil, nil))(t) }), tally{sign: 1})
		check("first decryption", tallyOf(func() { must(far.Unprotect(must(countingConfig.DecodeMessage(sealed.Message))(t)))(t) }), tally{verify: 1})
		sealed = must(near.Protect(full.signers[1], nil, nil))(t)
		check("decrypt", tallyOf(func() { must(far.Unprotect(must(countingConfig.DecodeMessage(sealed.Message))(t)))(t) }), tally{verify: 1})
		check("export", tallyOf(func() { must(near.Export("label", nil, 32))(t) }), tally{})
	}

	// Of the other hashes, those of the path secrets and of the secret tree
	// are one more share for each level, those of a join one for each leaf's
	// ref at most; all others stay the same.
	for name, counts := range otherHashes {
		step := counts[1] - counts[0]
		for i := range counts {
			if counts[i] != counts[0]+i*step {
				t.Errorf("%s: other hashes %v for %v members do not go with the levels", name, counts, countedSizes)
				break
			}
		}
		if step != 0 && !slices.Contains([]string{"self-update, full", "self-update, fresh", "remove", "process, nearest neighbour", "first decryption"}, name) {
			t.Errorf("%s: other hashes %v grow with the group", name, counts)
		}
	}
}

// Adding many at once hashes each node of the joint path once.
func TestCountsOfManyAdds(t *testing.T) {
	for _, n := range countedSizes[:4] {
		c := newCrowdOf(t, n, countingSuite, countingConfig, newPaperSigner)
		g := c.member(0)
		for _, m := range []int{1, 8, 100} {
			var adds []Proposal
			for range m {
				adds = append(adds, Add{KeyPackage: paperMember(t).kp})
			}
			got := tallyOf(func() { must(g.Commit(c.signers[0], CommitConfig{Proposals: adds}))(t) })
			// The new tree has the next power of two above n+m leaves; what is
			// right of the old one is hashed once.
			width := 1 << levels(n+m)
			if most := 2*(width-n) + levels(width); got.treeHash > most || got.seal != m || got.verify != 2*m {
				t.Errorf("n=%d, m=%d: %+v, want at most %d tree hashes", n, m, got, most)
			}
		}
	}
}
