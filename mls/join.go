package mls

import (
	"bytes"
	"crypto"
	"fmt"
	"time"

	"github.com/marmotgo/marmot/mls/internal/batch"
	"github.com/marmotgo/marmot/mls/internal/wire"
)

// JoinConfig is what joining by a Welcome needs beside it.
type JoinConfig struct {
	Tree     []byte            // the content of a ratchet_tree extension, if the Welcome lacks it
	PSKs     map[string][]byte // by [PSKID.Key]
	Now      time.Time         // zero: the own KeyPackage's lifetime is not checked
	Parallel Parallel
	Limits   Limits
	Config   *Config       // nil: only what this package has
	Signer   crypto.Signer // the leaf's key; not needed to join, but checked if given

	// Continues is the group of which the new one is a branch or, in its last
	// epoch, the reinitialization. Its resumption PSK need not be among PSKs.
	Continues *Group
	Identify  Identify // compares the members of both
}

// Joined is a group that was joined and the GroupInfo, verified, that came
// with it.
type Joined struct {
	Group *Group
	Info  *GroupInfo
}

// Join processes a Welcome for kp (RFC 9420, Section 12.4.3.1). keys stay the
// caller's. Lifetimes of the other leaves are not checked: they are those of
// the time they were added. Errors: [ErrNotForUs], [ErrMissingPSK],
// [ErrMissingTree], [ErrAuthentication], [ErrConfirmation],
// [ErrInvalidTree], [ErrInvalidLeaf], [ErrInvalidGroupInfo],
// [ErrInvalidContinuation].
func Join(w *Welcome, kp *KeyPackage, keys *KeyPackageKeys, cfg JoinConfig) (*Joined, error) {
	j := &joiner{kp: kp, keys: keys, cfg: cfg}
	defer j.erase()
	if err := j.openWelcome(w); err != nil {
		return nil, err
	}
	if err := j.readTree(); err != nil {
		return nil, err
	}
	if err := j.findSelf(); err != nil {
		return nil, err
	}
	if err := j.checkTree(); err != nil {
		return nil, err
	}
	if err := j.checkContinuation(); err != nil {
		return nil, err
	}
	g, err := j.group()
	if err != nil {
		return nil, err
	}
	// The signatures of all leaves are the expensive part and come last.
	if err := j.tree.verifyLeaves(j.s, g.context.GroupID, cfg.Parallel); err != nil {
		g.Erase(UseAll)
		return nil, err
	}
	return &Joined{Group: g, Info: j.info}, nil
}

// joiner is a Welcome on its way to a group.
type joiner struct {
	redactedValue
	s       *cipherSuite
	kp      *KeyPackage
	keys    *KeyPackageKeys
	cfg     JoinConfig
	secrets *groupSecrets
	member  secret
	info    *GroupInfo
	tree    *ratchetTree
	self    LeafIndex
}

// erase overwrites the secrets that the Welcome gave, also a Welcome that was
// refused.
func (j *joiner) erase() {
	j.member.erase()
	if j.secrets != nil {
		j.secrets.joiner.erase()
		j.secrets.pathSecret.erase()
	}
}

// openWelcome decrypts the group secrets and the GroupInfo.
func (j *joiner) openWelcome(w *Welcome) error {
	var err error
	if j.s, err = j.cfg.Config.suiteOf(w.suite); err != nil {
		return err
	}
	if j.kp.Suite != w.suite {
		return fmt.Errorf("%w: suite differs from the key package's", ErrNotForUs)
	}
	if !j.cfg.Now.IsZero() && !j.kp.Leaf.Lifetime.contains(j.cfg.Now) {
		return fmt.Errorf("%w: lifetime", ErrInvalidKeyPackage)
	}
	if j.secrets, err = j.openSecrets(w); err != nil {
		return err
	}
	if err := j.checkPSKs(); err != nil {
		return err
	}
	psks, err := j.lookupPSKs()
	if err != nil {
		return err
	}
	psk := j.s.pskSecret(j.secrets.psks, psks)
	j.member = j.s.memberSecret(j.secrets.joiner, psk)
	psk.erase()
	return j.openInfo(w)
}

func (j *joiner) openSecrets(w *Welcome) (*groupSecrets, error) {
	ref := j.kp.refIn(j.s)
	for _, e := range w.secrets {
		if !bytes.Equal(e.ref, ref) {
			continue
		}
		plaintext, err := j.s.decryptWithLabel(j.keys.initKey, "Welcome", w.groupInfo, e.kemOutput, e.ciphertext)
		if err != nil {
			return nil, err
		}
		secrets, err := decodeGroupSecrets(plaintext)
		if err != nil {
			clear(plaintext)
			return nil, err
		}
		if len(secrets.joiner) != j.s.nh || secrets.pathSecret != nil && len(secrets.pathSecret) != j.s.nh {
			clear(plaintext)
			return nil, fmt.Errorf("%w: group secrets", ErrMalformed)
		}
		return secrets, nil
	}
	return nil, ErrNotForUs
}

// checkPSKs: a Welcome starts at most one continuation of another group, and
// never names a PSK twice.
func (j *joiner) checkPSKs() error {
	continuations := 0
	for i, id := range j.secrets.psks {
		if len(id.Nonce) != j.s.nh {
			return fmt.Errorf("%w: PSK nonce of %d bytes", ErrMalformed, len(id.Nonce))
		}
		if id.continues() {
			continuations++
		}
		for _, earlier := range j.secrets.psks[:i] {
			if id.equal(earlier) {
				return fmt.Errorf("%w: the same PSK twice", ErrMalformed)
			}
		}
	}
	if continuations > 1 {
		return fmt.Errorf("%w: %d reinit or branch PSKs", ErrMalformed, continuations)
	}
	return nil
}

func (j *joiner) openInfo(w *Welcome) error {
	key := j.s.welcomeKey(j.member)
	defer clear(key.key[:])
	aead, err := j.s.newAEAD(key.key[:j.s.nk])
	if err != nil {
		return err
	}
	plaintext, err := aead.Open(nil, key.nonce[:j.s.nn], w.groupInfo, nil)
	if err != nil {
		return errOpen
	}
	r := wire.NewReader(plaintext)
	j.info = j.cfg.Config.readGroupInfo(r)
	if err := r.Finish(); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidGroupInfo, err)
	}
	c := &j.info.Context
	if c.Suite != j.s.id {
		return fmt.Errorf("%w: suite 0x%04x", ErrInvalidGroupInfo, uint16(c.Suite))
	}
	return nil
}

// readTree decodes the tree, compares its hash and checks the GroupInfo's
// signature.
func (j *joiner) readTree() error {
	data, ok := j.info.Extensions.Find(ExtRatchetTree)
	if !ok {
		if data = j.cfg.Tree; data == nil {
			return ErrMissingTree
		}
	}
	var err error
	if j.tree, err = decodeTree(j.s, data, j.cfg.Limits.withDefaults()); err != nil {
		return err
	}
	if !bytes.Equal(j.tree.treeHash(), j.info.Context.TreeHash) {
		return fmt.Errorf("%w: tree hash differs from the GroupContext's", ErrInvalidTree)
	}
	return j.info.verify(j.s, j.tree)
}

func (j *joiner) findSelf() error {
	for i, leaf := range j.tree.leaves() {
		if bytes.Equal(leaf.encoded(), j.kp.Leaf.encoded()) {
			j.self = i
			return j.checkOwn(leaf)
		}
	}
	return fmt.Errorf("%w: own leaf is not in the tree", ErrInvalidTree)
}

func (j *joiner) checkOwn(leaf *LeafNode) error {
	if j.info.Signer == j.self {
		return fmt.Errorf("%w: signed by the new member itself", ErrInvalidGroupInfo)
	}
	if j.cfg.Signer != nil {
		pub, err := j.s.signaturePublicKey(j.cfg.Signer)
		if err != nil {
			return err
		}
		if !bytes.Equal(pub, leaf.SignatureKey) {
			return fmt.Errorf("%w: signer is not that of the key package", ErrInvalidConfig)
		}
	}
	return leaf.Capabilities.meets(RequiredCapabilities{Extensions: j.info.Context.Extensions.nonDefault()})
}

// checkTree checks everything about the tree but the leaves' signatures.
func (j *joiner) checkTree() error {
	if err := j.tree.checkParentHashes(); err != nil {
		return err
	}
	if err := j.tree.keysUnique(); err != nil {
		return err
	}
	for i, leaf := range j.tree.leaves() {
		if err := leaf.checkKeys(j.s); err != nil {
			return fmt.Errorf("leaf %d: %w", i, err)
		}
		if err := leaf.supportsOwn(); err != nil {
			return fmt.Errorf("leaf %d: %w", i, err)
		}
	}
	if err := j.tree.allSupport(j.info.Context.Required()); err != nil {
		return err
	}
	return j.tree.credentialTypesSupported()
}

// group runs the key schedule and compares the confirmation tag.
func (j *joiner) group() (*Group, error) {
	leafKey := newPathKeys(j.keys.leafKey)
	defer leafKey.erase()
	keys, err := j.tree.welcomePath(j.self, j.info.Signer, leafKey, j.secrets.pathSecret, j.cfg.Parallel)
	if err != nil {
		return nil, err
	}
	g := &Group{suite: j.s, config: j.cfg.Config, limits: j.cfg.Limits.withDefaults(), self: j.self, tree: j.tree, keys: keys,
		context: *j.info.Context.clone(), tag: bytes.Clone(j.info.ConfirmationTag)}
	g.contextBytes = g.context.encode()
	var roots treeRoots
	g.secrets, roots = j.s.deriveEpoch(j.s.epochSecret(j.member, g.contextBytes))
	if !tagsEqual(j.s.confirmationTag(g.secrets.get(epochConfirmation), g.context.ConfirmedTranscriptHash), g.tag) {
		keys.erase()
		g.secrets.eraseAll()
		roots.erase()
		return nil, ErrConfirmation
	}
	g.plant(roots)
	return g, nil
}

// verifyLeaves checks the signatures of all leaves, in batches where the suite
// has them.
func (t *ratchetTree) verifyLeaves(s *cipherSuite, groupID []byte, par Parallel) error {
	indices := make([]LeafIndex, 0, t.members())
	jobs := make([]batch.Job, 0, t.members())
	for i, l := range t.leaves() {
		indices = append(indices, i)
		jobs = append(jobs, batch.Job{Key: l.SignatureKey, Signature: l.Signature,
			Message: l.toBeSigned(l.raw[:l.signed], groupID, i)})
	}
	bad := -1
	if _, batched := s.signature.(ed25519Scheme); batched {
		for i := range jobs {
			jobs[i].Message = signContent("LeafNodeTBS", jobs[i].Message)
		}
		bad = batch.Verify(jobs, par.run)
	} else {
		ok := make([]bool, len(jobs))
		par.run(len(jobs), func(i int) {
			ok[i] = s.verifyWithLabel(jobs[i].Key, "LeafNodeTBS", jobs[i].Message, jobs[i].Signature)
		})
		for i := range ok {
			if !ok[i] {
				bad = i
				break
			}
		}
	}
	if bad >= 0 {
		return fmt.Errorf("%w: leaf %d: %w", ErrInvalidLeaf, indices[bad], ErrSignature)
	}
	return nil
}
