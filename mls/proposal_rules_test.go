package mls

import (
	"bytes"
	"errors"
	"testing"

	"github.com/marmotgo/marmot/mls/internal/wire"
)

// TestProposalListRules: Section 12.2 and the extensions draft, one row each.
func TestProposalListRules(t *testing.T) {
	members := newTesters(t, testSuite, 5)
	g := members[0].group
	s := g.suite
	self := Sender{Type: SenderMember}
	value := func(p Proposal) ProposalFrom { return ProposalFrom{Proposal: p, Sender: self} }
	from := func(i int, p Proposal) ProposalFrom {
		return ProposalFrom{Proposal: p, Sender: Sender{Type: SenderMember, Leaf: LeafIndex(i)}, ByReference: true}
	}
	update := func(i int) Update {
		u, _, err := members[i].group.NewUpdate(members[i].signer, nil)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	alter := func(i int, source LeafSource, f func(l *LeafNode)) Update {
		l := *members[i].group.selfLeaf()
		l.Source, l.EncryptionKey = source, randomBytes(32)
		f(&l)
		leaf := must(newLeafNode(s, members[i].signer, l, g.context.GroupID, LeafIndex(i)))(t)
		return Update{Leaf: leaf}
	}
	added := newTester(t, testSuite, "added")
	otherSuite := newTester(t, X25519_CHACHA20POLY1305_SHA256_Ed25519, "other")
	bare, _, err := NewKeyPackage(newSigner(t, testSuite), KeyPackageConfig{Suite: testSuite, Credential: BasicCredential([]byte("old")),
		Capabilities: Capabilities{Credentials: []CredentialType{CredentialBasic}}, Lifetime: testLifetime})
	if err != nil {
		t.Fatal(err)
	}
	expired, _, err := NewKeyPackage(newSigner(t, testSuite), KeyPackageConfig{Suite: testSuite, Credential: BasicCredential([]byte("old")),
		Capabilities: testCapabilities(testSuite), Lifetime: Lifetime{NotBefore: 1, NotAfter: 2}})
	if err != nil {
		t.Fatal(err)
	}
	broken := must(DecodeKeyPackage(added.kp.raw))(t)
	broken.raw[len(broken.raw)-1] ^= 1
	broken = must(DecodeKeyPackage(broken.raw))(t)
	psk := func(f func(id *PSKID)) PreSharedKey {
		id := PSKID{Type: PSKExternal, ID: []byte("x"), Nonce: make([]byte, 32)}
		f(&id)
		return PreSharedKey{ID: id}
	}
	good := psk(func(*PSKID) {})
	gce := GroupContextExtensions{Extensions: g.context.Extensions}
	leave := func(i int) ProposalFrom { return from(i, SelfRemove{}) }
	withoutDictionary := GroupContextExtensions{Extensions: g.context.Extensions[:1]}

	for name, c := range map[string]struct {
		list []ProposalFrom
		want error // nil: the list is good
	}{
		"empty":                           {nil, nil},
		"Add":                             {[]ProposalFrom{value(Add{added.kp})}, nil},
		"Update by reference":             {[]ProposalFrom{from(1, update(1))}, nil},
		"many":                            {[]ProposalFrom{from(1, update(1)), value(Remove{2}), leave(3), value(Add{added.kp}), value(good), value(gce)}, nil},
		"Update of the committer":         {[]ProposalFrom{value(update(0))}, ErrInvalidProposals},
		"Update twice":                    {[]ProposalFrom{from(1, update(1)), from(1, update(1))}, ErrInvalidProposals},
		"Update and Remove":               {[]ProposalFrom{from(1, update(1)), value(Remove{1})}, ErrInvalidProposals},
		"Update and SelfRemove":           {[]ProposalFrom{from(1, update(1)), leave(1)}, ErrInvalidProposals},
		"Update signed for another leaf":  {[]ProposalFrom{from(2, update(1))}, ErrInvalidProposals},
		"Update with another source":      {[]ProposalFrom{from(1, alter(1, LeafSourceCommit, func(*LeafNode) {}))}, ErrInvalidProposals},
		"Update keeps its key":            {[]ProposalFrom{from(1, alter(1, LeafSourceUpdate, func(l *LeafNode) { l.EncryptionKey = members[1].group.selfLeaf().EncryptionKey }))}, ErrInvalidProposals},
		"Update takes another's key":      {[]ProposalFrom{from(1, alter(1, LeafSourceUpdate, func(l *LeafNode) { l.EncryptionKey = members[2].group.selfLeaf().EncryptionKey }))}, ErrInvalidProposals},
		"Update drops required support":   {[]ProposalFrom{from(1, alter(1, LeafSourceUpdate, func(l *LeafNode) { l.Capabilities.Proposals = nil }))}, ErrInvalidProposals},
		"Update with unlisted extension":  {[]ProposalFrom{from(1, alter(1, LeafSourceUpdate, func(l *LeafNode) { l.Extensions = Extensions{{Type: 0xf00d}} }))}, ErrInvalidProposals},
		"Update with unlisted credential": {[]ProposalFrom{from(1, alter(1, LeafSourceUpdate, func(l *LeafNode) { l.Credential = Credential{Type: 9, Raw: []byte{}} }))}, ErrInvalidProposals},
		"Update with unknown credential": {[]ProposalFrom{from(1, alter(1, LeafSourceUpdate, func(l *LeafNode) {
			l.Credential = Credential{Type: 9, Raw: []byte{}}
			l.Capabilities.Credentials = append(l.Capabilities.Credentials, 9)
		}))}, ErrInvalidProposals},
		"Update drops credential in use":   {[]ProposalFrom{from(1, alter(1, LeafSourceUpdate, func(l *LeafNode) { l.Capabilities.Credentials = nil }))}, ErrInvalidProposals},
		"Remove of the committer":          {[]ProposalFrom{value(Remove{0})}, ErrInvalidProposals},
		"Remove twice":                     {[]ProposalFrom{value(Remove{1}), value(Remove{1})}, ErrInvalidProposals},
		"Remove of a blank leaf":           {[]ProposalFrom{value(Remove{7})}, ErrInvalidProposals},
		"Remove beyond the tree":           {[]ProposalFrom{value(Remove{1 << 31})}, ErrInvalidProposals},
		"SelfRemove by value":              {[]ProposalFrom{value(SelfRemove{})}, ErrInvalidProposals},
		"SelfRemove of the committer":      {[]ProposalFrom{leave(0)}, ErrInvalidProposals},
		"SelfRemove twice":                 {[]ProposalFrom{leave(1), leave(1)}, ErrInvalidProposals},
		"SelfRemove and Remove":            {[]ProposalFrom{leave(1), value(Remove{1})}, ErrInvalidProposals},
		"two SelfRemoves":                  {[]ProposalFrom{leave(1), leave(2)}, nil},
		"Add twice":                        {[]ProposalFrom{value(Add{added.kp}), value(Add{added.kp})}, ErrInvalidProposals},
		"Add of a member":                  {[]ProposalFrom{value(Add{members[1].kp})}, ErrInvalidProposals},
		"Add of a member being removed":    {[]ProposalFrom{value(Remove{1}), value(Add{members[1].kp})}, nil},
		"Add of another suite":             {[]ProposalFrom{value(Add{otherSuite.kp})}, ErrInvalidProposals},
		"Add without required support":     {[]ProposalFrom{value(Add{bare})}, ErrInvalidProposals},
		"Add out of its lifetime":          {[]ProposalFrom{value(Add{expired})}, ErrInvalidProposals},
		"Add with a wrong signature":       {[]ProposalFrom{value(Add{broken})}, ErrInvalidProposals},
		"PSK twice":                        {[]ProposalFrom{value(good), value(good)}, ErrInvalidProposals},
		"PSK with another nonce":           {[]ProposalFrom{value(good), value(psk(func(id *PSKID) { id.Nonce[0] = 1 }))}, nil},
		"PSK with a long nonce":            {[]ProposalFrom{value(psk(func(id *PSKID) { id.Nonce = make([]byte, 33) }))}, ErrInvalidProposals},
		"PSK of a branch":                  {[]ProposalFrom{value(psk(func(id *PSKID) { id.Type, id.Usage = PSKResumption, ResumptionBranch }))}, ErrInvalidProposals},
		"PSK of a reinit":                  {[]ProposalFrom{value(psk(func(id *PSKID) { id.Type, id.Usage = PSKResumption, ResumptionReInit }))}, ErrInvalidProposals},
		"GroupContextExtensions twice":     {[]ProposalFrom{value(gce), value(gce)}, ErrInvalidProposals},
		"GroupContextExtensions same":      {[]ProposalFrom{value(gce)}, nil},
		"GroupContextExtensions drop data": {[]ProposalFrom{value(withoutDictionary)}, ErrInvalidProposals},
		"ReInit":                           {[]ProposalFrom{value(ReInit{Version: 1})}, nil},
		"ReInit to version 0":              {[]ProposalFrom{value(ReInit{})}, ErrInvalidProposals},
		"ReInit and Remove":                {[]ProposalFrom{value(ReInit{Version: 1}), value(Remove{1})}, ErrInvalidProposals},
		"ExternalInit":                     {[]ProposalFrom{value(ExternalInit{})}, ErrInvalidProposals},
		"AppData update twice":             {[]ProposalFrom{value(AppDataUpdate{Component: 1}), value(AppDataUpdate{Component: 1})}, ErrInvalidProposals},
		"AppData remove twice":             {[]ProposalFrom{value(AppDataUpdate{Component: 0x8001, Remove: true}), value(AppDataUpdate{Component: 0x8001, Remove: true})}, ErrInvalidProposals},
		"AppEphemeral twice":               {[]ProposalFrom{value(AppEphemeral{Component: 1}), value(AppEphemeral{Component: 1})}, nil},
	} {
		plan, err := g.planCommit(c.list, self, nil, testTime)
		if err == nil {
			_, err = g.applyPlan(plan)
		}
		if !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestProposalSupport: a member without a proposal type keeps others from
// committing it, unless the same commit removes that member.
func TestProposalSupport(t *testing.T) {
	creator := newTester(t, testSuite, "creator").create(nil)
	old, _, err := NewKeyPackage(newSigner(t, testSuite), KeyPackageConfig{Suite: testSuite, Credential: BasicCredential([]byte("old")),
		Capabilities: Capabilities{Credentials: []CredentialType{CredentialBasic}}, Lifetime: testLifetime})
	if err != nil {
		t.Fatal(err)
	}
	creator.group = creator.commit(CommitConfig{Proposals: []Proposal{Add{old}}}).Next
	list := []Proposal{AppEphemeral{Component: 1}}
	if _, err := creator.group.Commit(creator.signer, CommitConfig{Proposals: list}); !errors.Is(err, ErrInvalidProposals) {
		t.Fatalf("unsupported proposal: %v", err)
	}
	creator.commit(CommitConfig{Proposals: append(list, Remove{Removed: 1})})
}

// forgeCommit frames a commit honestly, with a wrong confirmation tag.
func (c *tester) forgeCommit(list []proposalOrRef, path []byte) *Message {
	c.t.Helper()
	content := must(c.group.newContent(c.signer, WirePublicMessage, ContentCommit, nil, appendCommit(nil, list, path)))(c.t)
	content.confirm(make([]byte, c.group.suite.nh))
	return decode(c.t, must(c.group.frame(content, false))(c.t))
}

func TestPathIsRequired(t *testing.T) {
	members := newTesters(t, testSuite, 4)
	leave := members[2].propose(SelfRemove{})
	u, _, err := members[2].group.NewUpdate(members[2].signer, nil)
	if err != nil {
		t.Fatal(err)
	}
	update := members[2].propose(u)
	b := members[1]
	known := []*VerifiedProposal{b.verifyProposal(leave), b.verifyProposal(update)}
	value := func(p Proposal) []proposalOrRef { return []proposalOrRef{{proposal: p}} }
	for name, c := range map[string]struct {
		list []proposalOrRef
		want error
	}{
		"empty":                  {nil, ErrInvalidPath},
		"Remove":                 {value(Remove{3}), ErrInvalidPath},
		"Update":                 {[]proposalOrRef{{ref: known[1].Ref()}}, ErrInvalidPath},
		"SelfRemove":             {[]proposalOrRef{{ref: known[0].Ref()}}, ErrInvalidPath},
		"GroupContextExtensions": {value(GroupContextExtensions{Extensions: b.group.context.Extensions}), ErrInvalidPath},
		"Add":                    {value(Add{newTester(t, testSuite, "x").kp}), ErrConfirmation},
		"AppDataUpdate":          {value(AppDataUpdate{Component: 1}), ErrConfirmation},
		"AppEphemeral":           {value(AppEphemeral{}), ErrConfirmation},
		"ReInit":                 {value(ReInit{Version: 1}), ErrConfirmation},
	} {
		v := must(b.group.Verify(members[0].forgeCommit(c.list, nil)))(t)
		unchanged(t, b.group, c.want, func() error {
			_, err := b.group.Apply(v.(*VerifiedCommit), ApplyInput{Proposals: setOf(known)})
			if !errors.Is(err, c.want) {
				t.Errorf("%s: %v", name, err)
			}
			return err
		})
	}
}

// TestForgedPaths: a member breaks one thing in a path and signs it all anew.
func TestForgedPaths(t *testing.T) {
	members := newTesters(t, testSuite, 5)
	for i := range members {
		advance(t, members, i, CommitConfig{Path: PathAlways})
	}
	a, b := members[0], members[1]
	content := decode(t, a.commit(CommitConfig{Path: PathAlways}).Message).public.content
	leafWith := func(f func(l *LeafNode)) func(p *updatePath) {
		return func(p *updatePath) {
			l := *p.leaf
			f(&l)
			p.leaf = must(newLeafNode(a.group.suite, a.signer, l, a.group.context.GroupID, 0))(t)
		}
	}
	other, _ := a.group.Leaf(2)
	for name, c := range map[string]struct {
		change func(p *updatePath)
		want   error
	}{
		"nothing":            {func(*updatePath) {}, ErrConfirmation},
		"leaf signed anew":   {leafWith(func(*LeafNode) {}), ErrConfirmation},
		"leaf source":        {leafWith(func(l *LeafNode) { l.Source, l.ParentHash = LeafSourceUpdate, nil }), ErrInvalidPath},
		"parent hash":        {leafWith(func(l *LeafNode) { l.ParentHash = bytes.Repeat([]byte{1}, 32) }), ErrInvalidPath},
		"no parent hash":     {leafWith(func(l *LeafNode) { l.ParentHash = nil }), ErrInvalidPath},
		"old leaf key":       {leafWith(func(l *LeafNode) { l.EncryptionKey = a.group.selfLeaf().EncryptionKey }), ErrInvalidPath},
		"another's leaf key": {leafWith(func(l *LeafNode) { l.EncryptionKey = other.EncryptionKey }), ErrInvalidPath},
		"required support":   {leafWith(func(l *LeafNode) { l.Capabilities.Proposals = nil }), ErrInvalidPath},
		"credential support": {leafWith(func(l *LeafNode) { l.Capabilities.Credentials = nil }), ErrInvalidPath},
		"unlisted extension": {leafWith(func(l *LeafNode) { l.Extensions = Extensions{{Type: 0xf00d}} }), ErrInvalidPath},
		"leaf key length":    {leafWith(func(l *LeafNode) { l.EncryptionKey = make([]byte, 33) }), ErrInvalidPath},
		"leaf of another":    {func(p *updatePath) { p.leaf = other }, ErrInvalidPath},
		"a node less":        {func(p *updatePath) { p.nodes = p.nodes[:len(p.nodes)-1] }, ErrInvalidPath},
		"no nodes":           {func(p *updatePath) { p.nodes = nil }, ErrInvalidPath},
		"a node more":        {func(p *updatePath) { p.nodes = append(p.nodes, p.nodes[0]) }, ErrInvalidPath},
		"node key":           {func(p *updatePath) { p.nodes[0].encryptionKey = randomBytes(32) }, ErrInvalidPath},
		"node keys equal":    {func(p *updatePath) { p.nodes[1].encryptionKey = p.nodes[0].encryptionKey }, ErrInvalidPath},
		"node key is leaf's": {func(p *updatePath) { p.nodes[0].encryptionKey = p.leaf.EncryptionKey }, ErrInvalidPath},
		"ciphertext missing": {func(p *updatePath) { p.nodes[0].ciphertexts = nil; p.nodes[0].count = 0 }, ErrInvalidPath},
		"ciphertext too many": {func(p *updatePath) {
			p.nodes[1].ciphertexts = append(bytes.Clone(p.nodes[1].ciphertexts), p.nodes[0].ciphertexts...)
		}, ErrInvalidPath},
		"ciphertext of other": {func(p *updatePath) { p.nodes[0].ciphertexts = p.nodes[1].ciphertexts }, ErrInvalidPath},
	} {
		r := wire.NewReader(content.raw[content.bodyStart:content.contentEnd])
		commit := noConfig.decodeCommit(r)
		if err := r.Finish(); err != nil {
			t.Fatal(err)
		}
		c.change(commit.path)
		encoded := reencodeCommit(commit)[2:] // an empty list, then the presence octet
		v := must(b.group.Verify(a.forgeCommit(nil, encoded)))(t)
		unchanged(t, b.group, c.want, func() error {
			_, err := b.group.Apply(v.(*VerifiedCommit), ApplyInput{})
			if !errors.Is(err, c.want) {
				t.Errorf("%s: %v", name, err)
				return c.want
			}
			return err
		})
	}
}
