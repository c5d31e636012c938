package mls

import (
	"bytes"
	"crypto"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/marmotgo/marmot/mls/internal/wire"
)

// The tests in this file are named after bugs that other MLS implementations
// had. Commits are forged by a member: signature and membership tag are good,
// the confirmation tag is not, so what gets through all other checks ends in
// ErrConfirmation and what is refused shows why.

// forgeBytes returns a commit of c with any proposals and path.
func (c *tester) forgeBytes(path []byte, list ...proposalOrRef) []byte {
	c.t.Helper()
	content := must(c.group.newContent(c.signer, WirePublicMessage, ContentCommit, nil, appendCommit(nil, list, path)))(c.t)
	content.confirm(make([]byte, c.group.suite.nh))
	return must(c.group.frame(content, false))(c.t)
}

func values(proposals ...Proposal) []proposalOrRef {
	list := make([]proposalOrRef, len(proposals))
	for i, p := range proposals {
		list[i].proposal = p
	}
	return list
}

// emptyPath returns the path of an empty commit of c whose leaf is changed
// before it is signed.
func (c *tester) emptyPath(change func(l *LeafNode)) []byte {
	c.t.Helper()
	g := c.group
	newLeaf := func(encryptionKey, parentHash []byte) (*LeafNode, error) {
		l := *g.selfLeaf()
		l.Source, l.EncryptionKey, l.ParentHash = LeafSourceCommit, encryptionKey, parentHash
		change(&l)
		return newLeafNode(g.suite, c.signer, l, g.context.GroupID, g.self)
	}
	context := func(treeHash []byte) []byte {
		next := g.context
		next.Epoch++
		next.TreeHash = treeHash
		return next.append(nil)
	}
	path, err := g.tree.createPath(g.self, newLeaf, nil, context, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	return path.encoded
}

// refuses checks that c answers a commit with want, stays as it was, and that
// nothing else of the group depends on the outcome.
func (c *tester) refuses(name string, message []byte, want error, proposals ...*VerifiedProposal) {
	c.t.Helper()
	before := save(c.group)
	if _, err := c.apply(message, proposals...); !errors.Is(err, want) {
		c.t.Errorf("%s: %v, want %v", name, err, want)
	}
	if !before.equal(save(c.group)) {
		c.t.Errorf("%s: the group changed", name)
	}
}

func TestBugCommitWithoutRequiredPath(t *testing.T) {
	members := newTesters(t, testSuite, 4)
	a, b := members[0], members[1]
	update, _, err := members[2].group.NewUpdate(members[2].signer, nil)
	if err != nil {
		t.Fatal(err)
	}
	updating, leaving := members[2].propose(update), members[3].propose(SelfRemove{})
	byRef := func(m []byte) proposalOrRef { return proposalOrRef{ref: a.verifyProposal(m).Ref()} }
	known := []*VerifiedProposal{b.verifyProposal(updating), b.verifyProposal(leaving)}
	joiner := newTester(t, testSuite, "new")
	add, ephemeral := Add{KeyPackage: joiner.kp}, AppEphemeral{Component: 1}
	for name, c := range map[string]struct {
		list []proposalOrRef
		want error
	}{
		"nothing":                {nil, ErrInvalidPath},
		"Remove":                 {values(Remove{Removed: 3}), ErrInvalidPath},
		"Remove after Add":       {values(add, Remove{Removed: 3}), ErrInvalidPath},
		"Update":                 {[]proposalOrRef{byRef(updating)}, ErrInvalidPath},
		"SelfRemove":             {[]proposalOrRef{byRef(leaving)}, ErrInvalidPath},
		"GroupContextExtensions": {values(GroupContextExtensions{Extensions: a.group.context.Extensions}), ErrInvalidPath},
		"Add":                    {values(add), ErrConfirmation},
		"AppDataUpdate":          {values(AppDataUpdate{Component: 0x8001}), ErrConfirmation},
		"AppEphemeral":           {values(ephemeral), ErrConfirmation},
		"Add and AppEphemeral":   {values(add, ephemeral), ErrConfirmation},
		"ReInit":                 {values(ReInit{Version: version10, Suite: testSuite}), ErrConfirmation},
	} {
		b.refuses(name, a.forgeBytes(nil, c.list...), c.want, known...)
	}
	b.refuses("nothing, with a path", a.forgeBytes(a.emptyPath(func(*LeafNode) {})), ErrConfirmation)
	advance(t, members, 0, CommitConfig{Path: PathAlways})
}

// externalCommit returns an external commit into g's epoch, and the tag of the
// epoch it leads to if its list is allowed.
func externalCommit(t *testing.T, g *Group, signer crypto.Signer, inits int, list []ProposalFrom, sent ProposalSet) (message, tag []byte) {
	t.Helper()
	return externalCommitWith(t, g, signer, inits, list, sent, nil)
}

// externalCommitWith is externalCommit with a change to the leaf before it is
// signed.
func externalCommitWith(t *testing.T, g *Group, signer crypto.Signer, inits int, list []ProposalFrom, sent ProposalSet, change func(l *LeafNode)) (message, tag []byte) {
	t.Helper()
	s := g.suite
	_, pub, err := s.deriveKeyPair(g.secrets.get(epochExternal))
	if err != nil {
		t.Fatal(err)
	}
	kemOutput, initSecret, err := s.newExternalInit(pub)
	if err != nil {
		t.Fatal(err)
	}
	newcomer := Sender{Type: SenderNewMemberCommit}
	for range inits {
		list = append(list, ProposalFrom{Proposal: ExternalInit{KEMOutput: kemOutput}, Sender: newcomer})
	}
	plan, err := g.planCommit(list, newcomer, nil, testTime)
	if err != nil {
		plan = &commitPlan{extensions: g.context.Extensions}
	}
	step := must(g.applyPlan(plan))(t)
	if step.base, step.sender, err = step.base.joinerSlot(g.limits); err != nil {
		t.Fatal(err)
	}
	newLeaf := func(encryptionKey, parentHash []byte) (*LeafNode, error) {
		l := LeafNode{EncryptionKey: encryptionKey, ParentHash: parentHash, Source: LeafSourceCommit,
			Credential: BasicCredential([]byte("newcomer")), Capabilities: testCapabilities(s.id)}
		if change != nil {
			change(&l)
		}
		return newLeafNode(s, signer, l, g.context.GroupID, step.sender)
	}
	context := func(treeHash []byte) []byte {
		step.context.TreeHash = treeHash
		return step.context.append(nil)
	}
	path, err := step.base.createPath(step.sender, newLeaf, nil, context, nil)
	if err != nil {
		t.Fatal(err)
	}
	step.tree, step.keys, step.commitSecret = path.tree, path.keys, path.commitSecret
	step.initSecret = initSecret
	step.psk = s.pskSecret(nil, nil)

	encoded := make([]proposalOrRef, len(list))
	for i, p := range list {
		encoded[i].proposal = p.Proposal
		if p.ByReference {
			encoded[i] = proposalOrRef{ref: refOf(t, sent, p)}
		}
	}
	b := appendMessageHeader(nil, WirePublicMessage)
	b = appendContentHeader(b, g.context.GroupID, g.context.Epoch, newcomer, nil, ContentCommit)
	b = appendCommit(b, encoded, path.encoded)
	content := &authenticatedContent{contentEnd: len(b)}
	content.signature = must(s.signParts(signer, "FramedContentTBS", b, g.contextBytes))(t)
	content.raw = wire.AppendOpaque(b, content.signature)
	content.signatureEnd = len(content.raw)
	e := g.start(step, content)
	content.confirm(e.tag)
	return content.raw, e.tag
}

// refOf returns the reference of a proposal among those that were sent.
func refOf(t *testing.T, sent ProposalSet, p ProposalFrom) ProposalRef {
	t.Helper()
	for ref, v := range sent {
		if v.Sender() == p.Sender && v.Proposal().Type() == p.Proposal.Type() {
			return ref
		}
	}
	t.Fatal("proposal was not sent")
	return ""
}

func TestBugExternalCommitLists(t *testing.T) {
	members := newTesters(t, testSuite, 5)
	advance(t, members, 3, CommitConfig{Path: PathAlways})
	a, b := members[0], members[1]
	leaving := members[4].propose(SelfRemove{})
	removing := members[3].propose(Remove{Removed: 4})
	update, _, err := members[2].group.NewUpdate(members[2].signer, nil)
	if err != nil {
		t.Fatal(err)
	}
	joiner := newTester(t, testSuite, "joiner")
	value := func(p Proposal) ProposalFrom {
		return ProposalFrom{Proposal: p, Sender: Sender{Type: SenderNewMemberCommit}}
	}
	selfRemove := ProposalFrom{Proposal: SelfRemove{}, Sender: Sender{Type: SenderMember, Leaf: 4}, ByReference: true}
	byRef := ProposalFrom{Proposal: Remove{Removed: 4}, Sender: Sender{Type: SenderMember, Leaf: 3}, ByReference: true}
	for name, c := range map[string]struct {
		inits int
		list  []ProposalFrom
		good  bool
	}{
		"plain":                  {1, nil, true},
		"resync":                 {1, []ProposalFrom{value(Remove{Removed: 2})}, true},
		"rightmost removed":      {1, []ProposalFrom{value(Remove{Removed: 4})}, true},
		"SelfRemove":             {1, []ProposalFrom{selfRemove}, true},
		"SelfRemove and Remove":  {1, []ProposalFrom{selfRemove, value(Remove{Removed: 2})}, true},
		"AppDataUpdate":          {1, []ProposalFrom{value(AppDataUpdate{Component: 7, Data: []byte{1}})}, true},
		"no ExternalInit":        {0, nil, false},
		"two ExternalInit":       {2, nil, false},
		"two Removes":            {1, []ProposalFrom{value(Remove{Removed: 2}), value(Remove{Removed: 4})}, false},
		"Remove of a blank leaf": {1, []ProposalFrom{value(Remove{Removed: 6})}, false},
		"Remove by reference":    {1, []ProposalFrom{byRef}, false},
		"Add":                    {1, []ProposalFrom{value(Add{KeyPackage: joiner.kp})}, false},
		"Update":                 {1, []ProposalFrom{value(update)}, false},
		"ReInit":                 {1, []ProposalFrom{value(ReInit{Version: version10, Suite: testSuite})}, false},
		"GroupContextExtensions": {1, []ProposalFrom{value(GroupContextExtensions{Extensions: a.group.context.Extensions})}, false},
		"SelfRemove by value":    {1, []ProposalFrom{value(SelfRemove{})}, false},
	} {
		message, tag := externalCommit(t, a.group, newSigner(t, testSuite), c.inits, c.list, setAs(t, a, leaving, removing))
		for _, m := range []*tester{a, b, members[3]} {
			before := save(m.group)
			next, err := m.group.Apply(m.verifyCommit(message), ApplyInput{Proposals: setAs(t, m, leaving, removing), Now: testTime})
			switch {
			case !c.good && !errors.Is(err, ErrInvalidProposals):
				t.Errorf("%s: %v", name, err)
			case c.good && err != nil:
				t.Errorf("%s: %v", name, err)
			case c.good:
				same(t, name, next.ConfirmationTag(), tag)
				checkAgainstModel(t, next.tree)
			}
			if !before.equal(save(m.group)) {
				t.Errorf("%s: the group changed", name)
			}
		}
	}
}

// setAs returns proposals as m verified them.
func setAs(t *testing.T, m *tester, messages ...[]byte) ProposalSet {
	t.Helper()
	var list []*VerifiedProposal
	for _, b := range messages {
		list = append(list, m.verifyProposal(b))
	}
	return setOf(list)
}

func TestBugTagsComparedByPrefix(t *testing.T) {
	members := newTesters(t, testSuite, 2)
	a, b := members[0], members[1]
	staged := a.commit(CommitConfig{Path: PathAlways})
	m := decode(t, staged.Message)
	for _, tag := range [][]byte{nil, {}, m.public.membershipTag[:1], m.public.membershipTag[:31], append(slices.Clone(m.public.membershipTag), 0)} {
		m := decode(t, staged.Message)
		m.public.membershipTag = tag
		if _, err := b.group.Verify(m); !errors.Is(err, ErrMembership) {
			t.Errorf("membership tag of %d bytes: %v", len(tag), err)
		}
	}
	for _, n := range []int{0, 1, 31} {
		v := b.verifyCommit(staged.Message)
		v.content.confirmationTag = v.content.confirmationTag[:n]
		if _, err := b.group.Apply(v, ApplyInput{}); !errors.Is(err, ErrConfirmation) {
			t.Errorf("confirmation tag of %d bytes: %v", n, err)
		}
	}
}

func TestBugExtensionData(t *testing.T) {
	for name, e := range map[string]Extensions{
		"bytes after required_capabilities": {{Type: ExtRequiredCapabilities, Data: []byte{0, 0, 0, 0}}},
		"bytes after the dictionary":        {{Type: ExtAppDataDictionary, Data: []byte{0, 0}}},
		"bytes after external_pub":          {{Type: ExtExternalPub, Data: []byte{1, 7, 7}}},
		"external_pub without a length":     {{Type: ExtExternalPub, Data: bytes.Repeat([]byte{7}, 32)}},
		"cut dictionary":                    {{Type: ExtAppDataDictionary, Data: []byte{2, 0}}},
		"dictionary out of order":           {{Type: ExtAppDataDictionary, Data: []byte{6, 0, 2, 0, 0, 1, 0}}},
		"component twice":                   {{Type: ExtAppDataDictionary, Data: []byte{6, 0, 2, 0, 0, 2, 0}}},
		"type twice":                        {{Type: 0xf2d1}, {Type: 0xf2d1, Data: []byte{1}}},
	} {
		if err := e.check(); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Each mutation breaks the one link of a parent node in a way that some
// implementation let pass.
func TestBugParentHashes(t *testing.T) {
	ms := newTestMembers(t)
	tree, members := testTree(t, 8, 8)
	ms.count = 100
	// A blank node at index 3 between the root and leaf 1, then an Add under it.
	tree = second0(tree.applyChanges(nil, []LeafIndex{0, 2, 6}, nil, Limits{}))(t)
	_, path := makePath(t, ms, tree, members, 1, nil)
	tree = must(tree.mergePath(1, path, nil))(t)
	added := ms.next(LeafSourceKeyPackage)
	tree = second0(tree.applyChanges(nil, nil, []*LeafNode{added.leaf}, Limits{}))(t)
	if err := tree.checkParentHashes(); err != nil {
		t.Fatal(err)
	}
	m := modelOf(tree)
	root := m.nodes[7].parent
	if root == nil || m.nodes[1].parent != nil || !slices.Equal(root.unmerged, []LeafIndex{0}) {
		t.Fatalf("tree is not as planned: %+v", m.nodes[7])
	}
	relabel := func(l *LeafNode, hash []byte) *LeafNode {
		c := *l
		c.ParentHash = hash
		c.raw = wire.AppendOpaque(c.appendUnsigned(nil), l.Signature)
		return &c
	}
	for name, damage := range map[string]func(m *treeModel){
		"null parent hash of the leaf":     func(m *treeModel) { m.nodes[2].leaf = relabel(m.nodes[2].leaf, nil) },
		"unmerged leaf under a blank lost": func(m *treeModel) { m.nodes[7].parent.unmerged = nil },
		"unmerged leaf lost everywhere": func(m *treeModel) {
			for i := range m.nodes {
				if m.nodes[i].parent != nil {
					m.nodes[i].parent.unmerged = nil
				}
			}
		},
		"sibling changed":          func(m *treeModel) { m.nodes[14].leaf = ms.next(LeafSourceKeyPackage).leaf },
		"root's key changed":       func(m *treeModel) { m.nodes[7].parent.encryptionKey = bytes.Repeat([]byte{5}, 32) },
		"root has a parent hash":   func(m *treeModel) { m.nodes[7].parent.parentHash = make([]byte, 32) },
		"chained leaf is gone":     func(m *treeModel) { m.nodes[2].leaf = nil },
		"parent of nobody":         func(m *treeModel) { m.nodes[1].parent = &parentNode{encryptionKey: bytes.Repeat([]byte{6}, 32)} },
		"new member in its stead":  func(m *treeModel) { m.nodes[2].leaf = ms.next(LeafSourceKeyPackage).leaf },
		"one more unmerged member": func(m *treeModel) { m.nodes[7].parent.unmerged = []LeafIndex{0, 1} },
	} {
		m := modelOf(tree)
		damage(m)
		broken, err := decodeTree(tree.suite, m.encode(), Limits{})
		if err == nil {
			err = broken.checkParentHashes()
		}
		if !errors.Is(err, ErrInvalidTree) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second0[A, B any](v A, _ B, err error) func(t testing.TB) A { return must(v, err) }

func TestBugIndexBeyondTree(t *testing.T) {
	members := newTesters(t, testSuite, 3)
	a, b := members[0], members[1]
	for _, i := range []LeafIndex{3, 4, 1 << 24, 1 << 31, 1<<32 - 1} {
		b.refuses("Remove", a.forgeBytes(a.emptyPath(func(*LeafNode) {}), values(Remove{Removed: i})...), ErrInvalidProposals)
		content := must(a.group.newContent(a.signer, WirePublicMessage, ContentProposal, nil, appendProposal(nil, Remove{})))(t)
		m := decode(t, must(a.group.frame(content, false))(t))
		m.public.content.sender.Leaf = i
		if _, err := b.group.Verify(m); !errors.Is(err, ErrAuthentication) {
			t.Errorf("sender %d: %v", i, err)
		}
		if _, ok := b.group.Leaf(i); ok {
			t.Errorf("leaf %d exists", i)
		}
	}
}

func TestBugDefaultTypesInCapabilities(t *testing.T) {
	required := RequiredCapabilities{Extensions: []ExtensionType{ExtApplicationID, ExtExternalSenders},
		Proposals: []ProposalType{ProposalAdd, ProposalGroupContextExtensions}}
	c := newTester(t, testSuite, "creator").create(Extensions{{Type: ExtRequiredCapabilities, Data: required.Append(nil)}})
	for _, e := range c.kp.Leaf.Capabilities.Extensions {
		if e.isDefault() {
			t.Errorf("extension %d is listed", e)
		}
	}
	joiner := newTester(t, testSuite, "joiner")
	joiner.join(c.commit(CommitConfig{Proposals: []Proposal{Add{KeyPackage: joiner.kp}}}).Welcome)
}

// groupWithOldClient returns a group in which member 2 lacks AppEphemeral.
func groupWithOldClient(t *testing.T) []*tester {
	t.Helper()
	members := newTesters(t, testSuite, 2)
	old := &tester{t: t, signer: newSigner(t, testSuite)}
	capabilities := testCapabilities(testSuite)
	capabilities.Proposals = []ProposalType{ProposalSelfRemove, ProposalAppDataUpdate}
	var err error
	old.kp, old.keys, err = NewKeyPackage(old.signer, KeyPackageConfig{Suite: testSuite, Credential: BasicCredential([]byte("old")),
		Capabilities: capabilities, Lifetime: testLifetime})
	if err != nil {
		t.Fatal(err)
	}
	staged := advance(t, members, 0, CommitConfig{Proposals: []Proposal{Add{KeyPackage: old.kp}}})
	old.join(staged.Welcome)
	return append(members, old)
}

func TestBugRemovedMemberMustSupportProposals(t *testing.T) {
	members := groupWithOldClient(t)
	a, b := members[0], members[1]
	b.refuses("AppEphemeral", a.forgeBytes(nil, values(AppEphemeral{})...), ErrInvalidProposals)
	staged := a.commit(CommitConfig{Proposals: []Proposal{AppEphemeral{}, Remove{Removed: 2}}})
	next := must(b.apply(staged.Message))(t)
	same(t, "tag", next.ConfirmationTag(), staged.Next.ConfirmationTag())
	leaving := members[2].propose(SelfRemove{})
	if _, err := a.group.Commit(a.signer, CommitConfig{References: []*VerifiedProposal{a.verifyProposal(leaving)},
		Proposals: []Proposal{AppEphemeral{}}}); err != nil {
		t.Errorf("beside SelfRemove: %v", err)
	}
}

func TestBugUpdateBesideRemove(t *testing.T) {
	members := newTesters(t, testSuite, 3)
	a, b := members[0], members[1]
	update, _, err := members[2].group.NewUpdate(members[2].signer, nil)
	if err != nil {
		t.Fatal(err)
	}
	proposed := members[2].propose(update)
	ref := proposalOrRef{ref: a.verifyProposal(proposed).Ref()}
	path := a.emptyPath(func(*LeafNode) {})
	known := b.verifyProposal(proposed)
	b.refuses("Update, Remove", a.forgeBytes(path, ref, values(Remove{Removed: 2})[0]), ErrInvalidProposals, known)
	b.refuses("Remove, Update", a.forgeBytes(path, values(Remove{Removed: 2})[0], ref), ErrInvalidProposals, known)
	b.refuses("Update twice", a.forgeBytes(path, ref, ref), ErrInvalidProposals, known)
	b.refuses("Remove twice", a.forgeBytes(path, values(Remove{Removed: 2}, Remove{Removed: 2})...), ErrInvalidProposals)
	b.refuses("own Remove", a.forgeBytes(path, values(Remove{Removed: 0})...), ErrInvalidProposals)
	b.refuses("own Update", a.forgeBytes(path, values(update)...), ErrInvalidProposals)
}

func TestBugTruncation(t *testing.T) {
	members := newTesters(t, testSuite, 9)
	for i := range members {
		advance(t, members, i, CommitConfig{Path: PathAlways})
	}
	var refs []*VerifiedProposal
	var sent [][]byte
	for _, i := range []int{8, 7, 5, 4} { // leaf 6 keeps the right half
		sent = append(sent, members[i].propose(SelfRemove{}))
		refs = append(refs, members[0].verifyProposal(sent[len(sent)-1]))
	}
	staged := members[0].commit(CommitConfig{References: refs, Proposals: []Proposal{Remove{Removed: 6}}})
	rest := members[:4]
	for _, c := range rest[1:] {
		c.group = must(c.group.Apply(c.verifyCommit(staged.Message), ApplyInput{Proposals: setAs(t, c, sent...)}))(t)
		checkAgainstModel(t, c.group.tree)
	}
	rest[0].group = staged.Next
	agree(t, rest)
	if width := staged.Next.tree.leafWidth(); width != 4 {
		t.Errorf("%d leaf slots, want 4", width)
	}
	// Removed and filled again in one commit: no truncation in between.
	joiner := newTester(t, testSuite, "new")
	staged = advance(t, rest[:3], 0, CommitConfig{Proposals: []Proposal{Remove{Removed: 3}, Add{KeyPackage: joiner.kp}}})
	joiner.join(staged.Welcome)
	if joiner.group.Self() != 3 {
		t.Errorf("new member at leaf %d", joiner.group.Self())
	}
	advance(t, append(rest[:3:3], joiner), 3, CommitConfig{Path: PathAlways})
}

func TestBugCredentialOfPastEpoch(t *testing.T) {
	members := newTesters(t, testSuite, 2)
	a, b := members[0], members[1]
	late := a.send("late")
	past := b.group
	credential := BasicCredential([]byte("renamed"))
	advance(t, members, 0, CommitConfig{Leaf: &LeafChange{Credential: &credential, Signer: newSigner(t, testSuite)}})
	r := must(past.Unprotect(late))(t)
	if string(r.Leaf.Credential.Identity) != "creator" {
		t.Errorf("message of the old epoch is from %q", r.Leaf.Credential.Identity)
	}
	if leaf, _ := b.group.Leaf(0); !leaf.Credential.Equal(credential) {
		t.Error("the new epoch has the old credential")
	}
}

func TestBugExternalPubOfOldEpoch(t *testing.T) {
	members := newTesters(t, testSuite, 2)
	joiner := newTester(t, testSuite, "new")
	staged := members[0].commit(CommitConfig{Proposals: []Proposal{Add{KeyPackage: joiner.kp}}, Info: InfoConfig{ExternalPub: true}})
	w, _ := decode(t, staged.Welcome).Welcome()
	joined := must(Join(w, joiner.kp, joiner.keys, JoinConfig{}))(t)
	data, _ := joined.Info.Extensions.Find(ExtExternalPub)
	_, pub, err := staged.Next.suite.deriveKeyPair(staged.Next.secrets.get(epochExternal))
	if err != nil {
		t.Fatal(err)
	}
	same(t, "external_pub", data, wire.AppendOpaque(nil, pub))
}

func TestBugDictionaryByGroupContextExtensions(t *testing.T) {
	members := newTesters(t, testSuite, 2)
	a, b := members[0], members[1]
	path := a.emptyPath(func(*LeafNode) {})
	other := testExtensions()
	other[1].Data = AppDataDictionary{{ID: 0x8001, Data: []byte("mine")}}.Append(nil)
	required := RequiredCapabilities{Extensions: []ExtensionType{ExtAppDataDictionary}}
	lifted := testExtensions()
	lifted[0].Data, lifted[1].Data = required.Append(nil), other[1].Data
	for name, e := range map[string]Extensions{"changed": other, "dropped": testExtensions()[:1], "requirement lifted too": lifted} {
		b.refuses(name, a.forgeBytes(path, values(GroupContextExtensions{Extensions: e})...), ErrInvalidProposals)
	}
	twice := GroupContextExtensions{Extensions: testExtensions()}
	b.refuses("twice", a.forgeBytes(path, values(twice, twice)...), ErrInvalidProposals)
}

func TestBugPathKeysNotUnique(t *testing.T) {
	members := newTesters(t, testSuite, 4)
	advance(t, members, 2, CommitConfig{Path: PathAlways})
	a, b := members[0], members[1]
	key := func(k []byte) []byte {
		return a.emptyPath(func(l *LeafNode) { l.EncryptionKey = k })
	}
	own, _ := b.group.Leaf(0)
	other, _ := b.group.Leaf(3)
	b.refuses("key kept", a.forgeBytes(key(own.EncryptionKey)), ErrInvalidPath)
	b.refuses("key of another leaf", a.forgeBytes(key(other.EncryptionKey)), ErrInvalidPath)
	b.refuses("key of the root", a.forgeBytes(key(b.group.tree.root.encryptionKey())), ErrInvalidPath)
}

func TestBugSupportNotCheckedAgain(t *testing.T) {
	members := newTesters(t, testSuite, 3)
	a, b := members[0], members[1]
	less := testCapabilities(testSuite)
	less.Proposals = []ProposalType{ProposalAppDataUpdate}
	unlisted := testCapabilities(testSuite)
	unlisted.Extensions = nil
	dropped := func(l *LeafNode) { l.Capabilities = less }
	b.refuses("required proposal dropped", a.forgeBytes(a.emptyPath(dropped)), ErrInvalidPath)
	b.refuses("context extension dropped", a.forgeBytes(a.emptyPath(func(l *LeafNode) { l.Capabilities = unlisted })), ErrInvalidPath)
	b.refuses("credential that others lack", a.forgeBytes(a.emptyPath(func(l *LeafNode) {
		l.Credential = Credential{Type: 0xf000, Raw: []byte{1}}
		l.Capabilities.Credentials = []CredentialType{CredentialBasic, 0xf000}
	})), ErrInvalidPath)
	b.refuses("own credential not listed", a.forgeBytes(a.emptyPath(func(l *LeafNode) {
		l.Capabilities.Credentials = nil
	})), ErrInvalidPath)
	b.refuses("own extension not listed", a.forgeBytes(a.emptyPath(func(l *LeafNode) {
		l.Extensions = Extensions{{Type: 0xf00d}}
	})), ErrInvalidPath)
	// An Update is held to the same, and to its source.
	for name, change := range map[string]func(l *LeafNode){
		"required proposal dropped by Update": dropped,
		"Update from a key package":           func(l *LeafNode) { l.Source = LeafSourceKeyPackage },
		"Update keeps its key":                func(l *LeafNode) { l.EncryptionKey = members[2].group.selfLeaf().EncryptionKey },
	} {
		c := members[2]
		l := *c.group.selfLeaf()
		l.Source, l.EncryptionKey = LeafSourceUpdate, newTester(t, testSuite, "").kp.InitKey
		change(&l)
		leaf := must(newLeafNode(c.group.suite, c.signer, l, c.group.context.GroupID, 2))(t)
		sent := c.propose(Update{Leaf: leaf})
		ref := proposalOrRef{ref: a.verifyProposal(sent).Ref()}
		b.refuses(name, a.forgeBytes(a.emptyPath(func(*LeafNode) {}), ref), ErrInvalidProposals, b.verifyProposal(sent))
	}
}

func TestBugDuplicatePSK(t *testing.T) {
	members := newTesters(t, testSuite, 2)
	a, b := members[0], members[1]
	psk := PreSharedKey{ID: PSKID{Type: PSKExternal, ID: []byte("x"), Nonce: make([]byte, 32)}}
	long := psk
	long.ID.Nonce = make([]byte, 33)
	resumption := PreSharedKey{ID: PSKID{Type: PSKResumption, Usage: ResumptionBranch, Nonce: make([]byte, 32)}}
	for name, list := range map[string][]Proposal{"twice": {psk, psk}, "long nonce": {long}, "usage": {resumption}} {
		b.refuses(name, a.forgeBytes(nil, values(list...)...), ErrInvalidProposals)
	}
	b.refuses("not known", a.forgeBytes(nil, values(psk)...), ErrMissingPSK)
}

func TestBugLastResortKeyDeleted(t *testing.T) {
	c := newTester(t, testSuite, "last resort")
	for range 2 {
		creator := newTester(t, testSuite, "creator").create(testExtensions())
		c.join(creator.commit(CommitConfig{Proposals: []Proposal{Add{KeyPackage: c.kp}}}).Welcome)
	}
}

func TestBugLifetimes(t *testing.T) {
	if !(Lifetime{NotAfter: 1<<64 - 1}).contains(testTime) || (Lifetime{NotBefore: 1 << 63, NotAfter: 1<<64 - 1}).contains(testTime) {
		t.Error("lifetimes compared as signed numbers")
	}
	short := &tester{t: t, signer: newSigner(t, testSuite)}
	var err error
	short.kp, short.keys, err = NewKeyPackage(short.signer, KeyPackageConfig{Suite: testSuite, Credential: BasicCredential([]byte("short")),
		Capabilities: testCapabilities(testSuite), Lifetime: Lifetime{NotBefore: uint64(testTime.Unix()) - 9, NotAfter: uint64(testTime.Unix()) + 9}})
	if err != nil {
		t.Fatal(err)
	}
	members := newTesters(t, testSuite, 2)
	advance(t, members, 0, CommitConfig{Proposals: []Proposal{Add{KeyPackage: short.kp}}})
	// Long after that lifetime the leaf is still a member's.
	joiner := newTester(t, testSuite, "late")
	staged := advance(t, members, 1, CommitConfig{Proposals: []Proposal{Add{KeyPackage: joiner.kp}}})
	w, _ := decode(t, staged.Welcome).Welcome()
	must(Join(w, joiner.kp, joiner.keys, JoinConfig{Now: testTime.Add(1000 * time.Hour)}))(t)
	if _, err := members[0].group.Commit(members[0].signer, CommitConfig{Proposals: []Proposal{Add{KeyPackage: short.kp}},
		Now: testTime.Add(time.Hour)}); !errors.Is(err, ErrInvalidProposals) {
		t.Errorf("Add of an expired key package: %v", err)
	}
}

func TestBugDroppedCommitKeepsKeys(t *testing.T) {
	members := newTesters(t, testSuite, 4)
	for i := range members {
		advance(t, members, i, CommitConfig{Path: PathAlways})
	}
	a := members[0]
	for range 3 { // made and dropped, also with a member added and removed
		joiner := newTester(t, testSuite, "nobody")
		dropped := a.commit(CommitConfig{Proposals: []Proposal{Add{KeyPackage: joiner.kp}, Remove{Removed: 2}}})
		dropped.Next.Erase(UseAll)
	}
	advance(t, members, 1, CommitConfig{Path: PathAlways})
	advance(t, members, 3, CommitConfig{Path: PathAlways})
	advance(t, members, 0, CommitConfig{Path: PathAlways})
}

// A saved record that has the init secret but no path keys, as a crash or an
// editor could leave it, must not take the process down.
func TestSecretsWithoutPathKeys(t *testing.T) {
	members := newTesters(t, testSuite, 3)
	a, b := members[0], members[1]
	full := b.group.AppendSecrets(nil)
	cut := bytes.TrimSuffix(full, b.group.keys.appendPathKeys([]byte{1}))
	g := must(testSuites.DecodeState(b.group.AppendState(nil), append(slices.Clone(cut), 0), b.group.AppendRatchets(nil)))(t)
	b.group = g
	if _, err := b.apply(a.commit(CommitConfig{Path: PathAlways}).Message); !errors.Is(err, ErrErased) {
		t.Errorf("apply: %v", err)
	}
	if _, err := g.Commit(b.signer, CommitConfig{Path: PathAlways}); !errors.Is(err, ErrErased) {
		t.Errorf("commit: %v", err)
	}
}
