package mls

import (
	"crypto"
	"math/bits"
	"sync"
	"testing"
)

// crowd is a large group of which every member's state can be had. Members
// share the secrets of an epoch and differ in their path keys only, so one
// state and a table of the private keys of nodes stand for all of them.
type crowd struct {
	group   *Group // of any member
	suite   *cipherSuite
	signers []crypto.Signer
	keys    map[[2]uint32]secret // by height and position
}

// crowdLimits let a group have more leaves than the default.
var crowdLimits = Limits{TreeLeaves: 1 << 17}

func newCrowd(tb testing.TB, n int) *crowd {
	return newCrowdOf(tb, n, testSuite, nil, func() crypto.Signer { return newSigner(tb, testSuite) })
}

// newCrowdOf puts the leaves into a tree without the commits that would add
// them, which for thousands of members would take minutes.
func newCrowdOf(tb testing.TB, n int, id Suite, config *Config, signer func() crypto.Signer) *crowd {
	tb.Helper()
	c := &crowd{keys: map[[2]uint32]secret{}, suite: must(config.suiteOf(id))(tb), signers: []crypto.Signer{signer()}}
	c.group = must(Create(c.signers[0], GroupConfig{Suite: id, GroupID: []byte("group"), Credential: BasicCredential([]byte("member")),
		Capabilities: testCapabilities(id), Lifetime: testLifetime, Extensions: testExtensions(), Config: config, Limits: crowdLimits}))(tb)
	c.keys[[2]uint32{0, 0}] = c.group.keys.at(0)
	var leaves []*LeafNode
	for i := 1; i < n; i++ {
		priv, pub, err := c.suite.hpke.GenerateKeyPair()
		if err != nil {
			tb.Fatal(err)
		}
		c.signers = append(c.signers, signer())
		c.keys[[2]uint32{0, uint32(i)}] = priv
		leaves = append(leaves, must(newLeafNode(c.suite, c.signers[i], LeafNode{EncryptionKey: pub, Credential: BasicCredential([]byte("member")),
			Capabilities: testCapabilities(id), Source: LeafSourceKeyPackage, Lifetime: testLifetime}, nil, 0))(tb))
	}
	tree, _, err := c.group.tree.applyChanges(nil, nil, leaves, crowdLimits)
	if err != nil {
		tb.Fatal(err)
	}
	c.plant(tree)
	return c
}

// plant gives the group another tree.
func (c *crowd) plant(tree *ratchetTree) {
	g := *c.group
	g.tree, g.context.TreeHash = tree, tree.treeHash()
	g.contextBytes = g.context.encode()
	c.group = &g
}

// fill lets every member commit once. The order halves the rest of the tree
// again and again, so that few ciphertexts are needed.
func (c *crowd) fill(tb testing.TB) *crowd {
	width := c.group.tree.leafWidth()
	for i := range width {
		index := int(bits.Reverse32(i) >> (32 - bits.Len32(width-1)))
		if index < len(c.signers) {
			c.follow(LeafIndex(index), c.commit(tb, LeafIndex(index)))
		}
	}
	return c
}

// fillFast fills the tree with public keys of which nobody has the private
// ones, and parent hashes that are right. Then the last member and the first
// commit, so that each can process what the other does.
func (c *crowd) fillFast(tb testing.TB) *crowd {
	tb.Helper()
	tree := c.group.tree
	for i := 0; i < len(c.signers); i += 2 {
		index := LeafIndex(i)
		steps := tree.filteredPath(index)
		keys := make([][]byte, len(steps))
		for k := range keys {
			keys[k] = randomBytes(c.suite.pubLen)
		}
		parents, hash := tree.pathParents(steps, keys)
		old, _ := tree.leaf(index)
		leaf := *old
		leaf.Source, leaf.ParentHash, leaf.EncryptionKey = LeafSourceCommit, hash, randomBytes(c.suite.pubLen)
		if i == 0 || i == len(c.signers)-1 {
			leaf.EncryptionKey = old.EncryptionKey
		}
		signed := must(newLeafNode(c.suite, c.signers[i], leaf, c.group.context.GroupID, index))(tb)
		tree = tree.changed([]leafChange{{index: index, leaf: signed}}, parents)
	}
	c.plant(tree)
	last := LeafIndex(len(c.signers) - 1)
	c.follow(last, c.commit(tb, last))
	c.follow(0, c.commit(tb, 0))
	return c
}

func (c *crowd) member(i LeafIndex) *Group {
	g := *c.group
	g.self = i
	g.keys = &pathKeys{size: len(c.keys[[2]uint32{0, uint32(i)}])}
	for h := range g.tree.root.height + 1 {
		if key, ok := c.keys[[2]uint32{uint32(h), uint32(i) >> h}]; ok {
			g.keys.keys, g.keys.known = append(g.keys.keys, key...), g.keys.known|1<<h
		}
	}
	g.plant(treeRoots{encryption: make(secret, c.suite.nh), components: make(secret, c.suite.nh)})
	return &g
}

func (c *crowd) commit(tb testing.TB, i LeafIndex) *Staged {
	tb.Helper()
	return must(c.member(i).Commit(c.signers[i], CommitConfig{Path: PathAlways}))(tb)
}

func (c *crowd) follow(i LeafIndex, staged *Staged) {
	c.group = staged.Next
	for h := range staged.Next.tree.root.height + 1 {
		if k := staged.Next.keys.at(h); k != nil {
			c.keys[[2]uint32{uint32(h), uint32(i) >> h}] = k
		}
	}
}

var crowds = struct {
	sync.Mutex
	fresh, full map[int]*crowd
}{fresh: map[int]*crowd{}, full: map[int]*crowd{}}

// crowdOf returns a crowd of n members, made once.
func crowdOf(b *testing.B, full bool, n int) *crowd {
	crowds.Lock()
	defer crowds.Unlock()
	kind := crowds.fresh
	if full {
		kind = crowds.full
	}
	if kind[n] == nil {
		kind[n] = newCrowd(b, n)
		if full {
			kind[n].fillFast(b)
		}
	}
	return kind[n]
}
