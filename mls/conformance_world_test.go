package mls

import (
	"bytes"
	"crypto"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/marmotgo/marmot/mls/internal/wire"
)

// world is a group of five with a full tree, a commit that its first member is
// about to send, a client that the commit adds, one that joins from outside,
// and a server that may propose. Violations are made from its parts.
type world struct {
	t        *testing.T
	members  []*tester
	a, b     *tester // the committer, and who judges
	s        *cipherSuite
	psks     map[string][]byte
	honest   *Staged // of a
	joiner   *tester // added by honest
	outsider *tester
	external *Staged // of outsider
	server   *tester
	text     []byte            // an application message of a
	update   []byte            // proposed by member 2
	updated  *VerifiedProposal // as b sees it
	leave    []byte            // a SelfRemove of member 3
	left     *VerifiedProposal // as b sees it
}

// use makes t the test that failures are reported to.
func (w *world) use(t *testing.T) {
	w.t = t
	for _, c := range append(slices.Clone(w.members), w.joiner, w.outsider, w.server) {
		c.t = t
	}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, server: newTester(t, testSuite, "server"), joiner: newTester(t, testSuite, "joiner"), outsider: newTester(t, testSuite, "outsider")}
	senders := AppendExternalSenders(nil, []ExternalSender{{SignatureKey: w.server.kp.Leaf.SignatureKey, Credential: w.server.kp.Leaf.Credential}})
	ext := testExtensions()
	ext = Extensions{ext[0], {Type: ExtExternalSenders, Data: senders}, ext[1]}
	w.members = []*tester{newTester(t, testSuite, "creator").create(ext)}
	cfg := CommitConfig{}
	for range 4 {
		c := newTester(t, testSuite, "member")
		w.members = append(w.members, c)
		cfg.Proposals = append(cfg.Proposals, Add{KeyPackage: c.kp})
	}
	staged := w.members[0].commit(cfg)
	w.members[0].group = staged.Next
	for _, c := range w.members[1:] {
		c.join(staged.Welcome)
	}
	for i := range w.members {
		advance(t, w.members, i, CommitConfig{Path: PathAlways})
	}
	w.a, w.b, w.s = w.members[0], w.members[1], w.members[0].group.suite

	w.update = w.members[2].propose(must2(w.members[2].group.NewUpdate(w.members[2].signer, nil))(t))
	w.updated = w.b.verifyProposal(w.update)
	w.leave = w.members[3].propose(SelfRemove{})
	w.left = w.b.verifyProposal(w.leave)

	first, second := PSKID{Type: PSKExternal, ID: []byte("1")}, PSKID{Type: PSKExternal, ID: []byte("2")}
	w.psks = map[string][]byte{first.Key(): []byte("first"), second.Key(): []byte("second")}
	w.honest = w.a.commit(CommitConfig{Path: PathAlways, PSKs: w.psks, Proposals: []Proposal{Add{KeyPackage: w.joiner.kp},
		PreSharedKey{ID: first}, PreSharedKey{ID: second}, AppDataUpdate{Component: 0x8001, Data: []byte("new")}}})
	w.external = must(JoinExternal(w.info(nil), w.outsider.signer, w.externalConfig()))(t)
	// A copy of a's group sends, so that its ratchets stay.
	w.text = must(save(w.a.group).load(t).Protect(w.a.signer, []byte("text"), nil))(t).Message
	return w
}

func must2[A, B any](v A, _ B, err error) func(t testing.TB) A { return must(v, err) }

func (w *world) externalConfig() ExternalConfig {
	return ExternalConfig{Credential: w.outsider.kp.Leaf.Credential, Capabilities: testCapabilities(testSuite)}
}

func (w *world) input() ApplyInput {
	return ApplyInput{PSKs: w.psks, Now: testTime, Proposals: setOf([]*VerifiedProposal{w.updated, w.left})}
}

// saved is everything that a refused message must leave alone.
func (w *world) saved() (b []byte) {
	for _, c := range w.members {
		r := save(c.group)
		b = slices.Concat(b, r.state, r.secrets, r.ratchets)
	}
	return slices.Concat(b, w.joiner.keys.AppendSecret(nil))
}

// originals processes what was not broken, each by those it is for.
func (w *world) originals() {
	w.t.Helper()
	next := must(w.b.group.Apply(w.b.verifyCommit(w.honest.Message), w.input()))(w.t)
	same(w.t, "the honest commit", next.ConfirmationTag(), w.honest.Next.ConfirmationTag())
	welcome, _ := decode(w.t, w.honest.Welcome).Welcome()
	joined := must(Join(welcome, w.joiner.kp, w.joiner.keys, JoinConfig{PSKs: w.psks, Now: testTime}))(w.t).Group
	same(w.t, "the honest Welcome", joined.ConfirmationTag(), w.honest.Next.ConfirmationTag())
	next = must(w.b.group.Apply(w.b.verifyCommit(w.external.Message), w.input()))(w.t)
	same(w.t, "the honest external commit", next.ConfirmationTag(), w.external.Next.ConfirmationTag())
	reader := save(w.b.group).load(w.t)
	same(w.t, "the honest message", must(reader.Unprotect(decode(w.t, w.text)))(w.t).Plaintext, []byte("text"))
	w.b.verifyProposal(w.update)
}

// answer is what b says to a handshake message.
func (w *world) answer(message []byte) error {
	m, err := DecodeMessage(message)
	if err != nil {
		return err
	}
	v, err := w.b.group.Verify(m)
	if err != nil {
		return err
	}
	if c, ok := v.(*VerifiedCommit); ok {
		_, err = w.b.group.Apply(c, w.input())
	}
	return err
}

// read is what b says to an application message.
func (w *world) read(message []byte) error {
	m, err := DecodeMessage(message)
	if err != nil {
		return err
	}
	_, err = w.b.group.Unprotect(m)
	return err
}

// frame signs and authenticates any content in any role.
func (w *world) frame(sender Sender, signer crypto.Signer, t ContentType, body []byte) []byte {
	w.t.Helper()
	g := w.a.group
	content := must(g.newContentFrom(sender, signer, WirePublicMessage, t, nil, body))(w.t)
	if t == ContentCommit {
		content.confirm(make([]byte, w.s.nh))
	}
	if sender.Type != SenderMember {
		return content.raw
	}
	return must(g.frame(content, false))(w.t)
}

func (w *world) member() Sender { return Sender{Type: SenderMember, Leaf: w.a.group.self} }

func proposalBody(p Proposal) []byte { return appendProposal(nil, p) }

// private encrypts content of a, with bytes behind it, by a copy of its group.
func (w *world) private(signer crypto.Signer, leaf LeafIndex, t ContentType, body, padding []byte) []byte {
	w.t.Helper()
	g := save(w.a.group).load(w.t)
	content := must(g.newContent(signer, WirePrivateMessage, t, nil, body))(w.t)
	if t == ContentCommit {
		content.confirm(make([]byte, w.s.nh))
	}
	content.raw = append(content.raw, padding...)
	own, _, err := g.messages.sender(g.suite, g.self)
	if err != nil {
		w.t.Fatal(err)
	}
	key := must(own.of(t).key(g.suite, own.of(t).next, g.limits))(w.t)
	content.sender.Leaf = leaf
	return must(g.suite.sealContent(key, own.of(t).next, g.secrets.get(epochSenderData), content))(w.t)
}

// commit is one of a with any list and path. What gets through all checks of
// it ends in ErrConfirmation.
func (w *world) commit(path []byte, list ...proposalOrRef) []byte {
	w.t.Helper()
	return w.a.forgeBytes(path, list...)
}

// list commits values with a good path.
func (w *world) list(p ...Proposal) error {
	w.t.Helper()
	return w.answer(w.commit(w.path(pathHooks{}), values(p...)...))
}

func (w *world) ref(v *VerifiedProposal) proposalOrRef { return proposalOrRef{ref: v.Ref()} }

// pathHooks break a path on its way.
type pathHooks struct {
	keys   func(keys [][]byte) // the public keys, before the parent hashes
	leaf   func(l *LeafNode)   // before it is signed
	signer crypto.Signer       // of the leaf
	group  []byte              // that the leaf is signed for
	index  LeafIndex           // more than its own that it is signed for
	sealed func(l *LeafNode)   // after it is signed
	nodes  func(p *updatePath) // after all
}

// path makes a path of a for a commit whose proposals leave the tree alone.
func (w *world) path(h pathHooks) []byte {
	w.t.Helper()
	g := w.a.group
	r := &pathResult{self: g.self, steps: g.tree.filteredPath(g.self)}
	publicKeys, leafPub, err := r.drawSecrets(g.tree, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	if h.keys != nil {
		h.keys(publicKeys)
	}
	parents, leafHash := g.tree.pathParents(r.steps, publicKeys)
	l := *g.selfLeaf()
	l.Source, l.EncryptionKey, l.ParentHash = LeafSourceCommit, leafPub, leafHash
	if h.leaf != nil {
		h.leaf(&l)
	}
	signer, group := w.a.signer, g.context.GroupID
	if h.signer != nil {
		signer = h.signer
	}
	if h.group != nil {
		group = h.group
	}
	r.leaf = must(newLeafNode(w.s, signer, l, group, g.self+h.index))(w.t)
	if h.sealed != nil {
		h.sealed(r.leaf)
		r.leaf = must(leafNodeIn(reencodeLeaf(r.leaf)))(w.t)
	}
	next := g.context
	next.Epoch++
	next.TreeHash = g.tree.changed([]leafChange{{index: g.self, leaf: r.leaf}}, parents).treeHash()
	if err := r.seal(g.tree, publicKeys, nil, next.encode(), nil); err != nil {
		w.t.Fatal(err)
	}
	if h.nodes == nil {
		return r.encoded
	}
	p := must(decodeUpdatePath(wire.NewReader(r.encoded)))(w.t)
	h.nodes(p)
	return reencodeCommit(&commit{path: p})[2:]
}

// pathed commits nothing but a path.
func (w *world) pathed(h pathHooks) error {
	w.t.Helper()
	return w.answer(w.commit(w.path(h)))
}

// keyPackage is a client's, changed and signed anew.
func (w *world) keyPackage(change func(k *KeyPackage, l *LeafNode)) *KeyPackage {
	w.t.Helper()
	return forgeKeyPackage(w.t, w.outsider, change)
}

// added commits an Add.
func (w *world) added(change func(k *KeyPackage, l *LeafNode)) error {
	w.t.Helper()
	return w.answer(w.commit(nil, values(Add{KeyPackage: w.keyPackage(change)})...))
}

// updateOf commits an Update of member 2 by reference.
func (w *world) updateOf(signer crypto.Signer, index LeafIndex, change func(l *LeafNode)) error {
	w.t.Helper()
	c := w.members[2]
	l := *c.group.selfLeaf()
	l.Source, l.EncryptionKey, l.ParentHash = LeafSourceUpdate, nil, nil
	_, l.EncryptionKey, _ = w.s.generateKeyPair()
	change(&l)
	leaf := must(newLeafNode(w.s, signer, l, c.group.context.GroupID, index))(w.t)
	content := must(c.group.newContent(c.signer, WirePublicMessage, ContentProposal, nil, proposalBody(Update{Leaf: leaf})))(w.t)
	v := w.b.verifyProposal(must(c.group.frame(content, false))(w.t))
	in := w.input()
	in.Proposals[v.Ref()] = v
	_, err := w.b.group.Apply(w.b.verifyCommit(w.commit(w.path(pathHooks{}), w.ref(v))), in)
	return err
}

// info is a GroupInfo of a, changed and signed anew.
func (w *world) info(change func(i *GroupInfo)) *GroupInfo {
	w.t.Helper()
	i := must(w.a.group.Info(w.a.signer, InfoConfig{ExternalPub: true}))(w.t)
	if change == nil {
		return i
	}
	change(i)
	return w.signInfo(i, w.a.signer)
}

func (w *world) signInfo(i *GroupInfo, signer crypto.Signer) *GroupInfo {
	w.t.Helper()
	i.Signature = nil
	b := reencodeGroupInfo(i)
	b = b[:len(b)-1]
	sig := must(w.s.signWithLabel(signer, "GroupInfoTBS", b))(w.t)
	r := wire.NewReader(wire.AppendOpaque(b, sig))
	again := noConfig.readGroupInfo(r)
	if err := r.Finish(); err != nil {
		w.t.Fatal(err)
	}
	return again
}

// joinFrom is what the outsider finds wrong with a GroupInfo.
func (w *world) joinFrom(change func(i *GroupInfo)) error {
	w.t.Helper()
	_, err := JoinExternal(w.info(change), w.outsider.signer, w.externalConfig())
	return err
}

// welcomeHooks break a Welcome on its way.
type welcomeHooks struct {
	info    func(i *GroupInfo) // before it is confirmed and signed
	tree    func(m *treeModel) // the tree hash follows
	secrets func(s *groupSecrets)
	unkeyed func(s *groupSecrets) // after the GroupInfo was encrypted
	keepTag bool                  // the confirmation tag stays
	signer  crypto.Signer
	sealed  func(x *Welcome)
}

// welcomed is what the joiner finds wrong with a Welcome that the committer
// made to agree with itself.
func (w *world) welcomed(h welcomeHooks) error {
	w.t.Helper()
	honest, _ := decode(w.t, w.honest.Welcome).Welcome()
	j := &joiner{kp: w.joiner.kp, keys: w.joiner.keys, cfg: JoinConfig{PSKs: w.psks}}
	if err := j.openWelcome(honest); err != nil {
		w.t.Fatal(err)
	}
	secrets, info := *j.secrets, j.info
	if h.tree != nil {
		at := slices.IndexFunc(info.Extensions, func(e Extension) bool { return e.Type == ExtRatchetTree })
		m := modelOf(must(decodeTree(w.s, info.Extensions[at].Data, Limits{}))(w.t))
		h.tree(m)
		info.Extensions[at].Data = m.encode()
		info.Context.TreeHash = m.hash(uint32(len(m.nodes)/2), nil)
	}
	if h.info != nil {
		h.info(info)
	}
	if h.secrets != nil {
		h.secrets(&secrets)
	}
	psks, err := lookupPSKs(secrets.psks, w.psks)
	if err != nil {
		psks = make([]secret, len(secrets.psks))
	}
	member := w.s.memberSecret(secrets.joiner, w.s.pskSecret(secrets.psks, psks))
	if !h.keepTag {
		e, _ := w.s.deriveEpoch(w.s.epochSecret(member, info.Context.encode()))
		info.ConfirmationTag = w.s.confirmationTag(e.get(epochConfirmation), info.Context.ConfirmedTranscriptHash)
	}
	signer := w.a.signer
	if h.signer != nil {
		signer = h.signer
	}
	info = w.signInfo(info, signer)
	key := w.s.welcomeKey(member)
	aead := must(w.s.newAEAD(key.key[:w.s.nk]))(w.t)
	x := &Welcome{suite: testSuite, groupInfo: aead.Seal(nil, key.nonce[:w.s.nn], info.raw, nil)}
	if h.unkeyed != nil {
		h.unkeyed(&secrets)
	}
	x.secrets = []encryptedSecrets{must(w.s.sealGroupSecrets(w.joiner.kp, &secrets, x.groupInfo))(w.t)}
	if h.sealed != nil {
		h.sealed(x)
	}
	_, err = Join(must(DecodeWelcome(x.append(nil)))(w.t), w.joiner.kp, w.joiner.keys, JoinConfig{PSKs: w.psks, Now: testTime})
	return err
}

// externally is an external commit of the outsider with any list and leaf.
func (w *world) externally(change func(l *LeafNode), list ...ProposalFrom) []byte {
	w.t.Helper()
	for i := range list {
		if !list[i].ByReference {
			list[i].Sender = Sender{Type: SenderNewMemberCommit}
		}
	}
	message, _ := externalCommitWith(w.t, w.a.group, w.outsider.signer, 1, list, w.input().Proposals, change)
	return message
}

// resigned replaces the signature of a commit from outside.
func (w *world) resigned(message []byte, signer crypto.Signer) []byte {
	w.t.Helper()
	c := decode(w.t, message).public.content
	sig := must(w.s.signParts(signer, "FramedContentTBS", c.raw[:c.contentEnd], w.a.group.contextBytes))(w.t)
	return slices.Concat(c.raw[:c.contentEnd], wire.AppendOpaque(nil, sig), wire.AppendOpaque(nil, c.confirmationTag))
}

// tellsNothing fails if an error's text shows any part of a secret that
// somebody in the world has.
func (w *world) tellsNothing(err error) {
	w.t.Helper()
	if err == nil {
		return
	}
	secrets := [][]byte{w.joiner.keys.initKey, w.joiner.keys.leafKey}
	for _, c := range w.members {
		for i := range epochSecretCount {
			secrets = append(secrets, c.group.secrets.get(i))
		}
		for height := range c.group.tree.root.height + 1 {
			secrets = append(secrets, c.group.keys.at(height))
		}
		for _, n := range c.group.messages.frontier.nodes {
			secrets = append(secrets, n.value)
		}
	}
	for _, psk := range w.psks {
		secrets = append(secrets, psk)
	}
	text := fmt.Sprintf("%v %+v %#v %q", err, err, err.Error(), err)
	for _, s := range secrets {
		for i := 0; i+5 <= len(s); i++ {
			part := s[i : i+5]
			decimal := strings.Trim(fmt.Sprint(part), "[]")
			for _, sign := range []string{string(part), hex.EncodeToString(part), fmt.Sprintf("% x", part), decimal, strings.ReplaceAll(decimal, " ", ", ")} {
				if strings.Contains(strings.ToLower(text), strings.ToLower(sign)) {
					w.t.Fatalf("an error shows a secret: %.60q", text)
				}
			}
		}
	}
}

func flip(b []byte) []byte {
	c := bytes.Clone(b)
	c[len(c)/2] ^= 1
	return c
}
