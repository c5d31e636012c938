package mls

import (
	"bytes"
	"crypto/rand"
	"fmt"

	"github.com/marmotgo/marmot/mls/internal/wire"
)

// pathResult is a path made by this member.
type pathResult struct {
	redactedValue
	tree         *ratchetTree
	leaf         *LeafNode
	keys         *pathKeys
	commitSecret []byte
	encoded      []byte // UpdatePath

	self    LeafIndex
	steps   []pathStep
	secrets []secret // path secret of each step
}

// pathSecretFor returns the path secret of the lowest common ancestor with a
// new member, for the Welcome; nil if there is none. It is valid until erase.
func (r *pathResult) pathSecretFor(i LeafIndex) []byte {
	common := uint8(commonHeight(r.self, i))
	for k, s := range r.steps {
		if s.height == common {
			return r.secrets[k]
		}
	}
	return nil
}

// erase overwrites the path secrets. The path keys and the commit secret
// remain.
func (r *pathResult) erase() {
	for _, s := range r.secrets {
		s.erase()
	}
}

// eraseAll overwrites every secret of a path that did not come about.
func (r *pathResult) eraseAll() {
	r.erase()
	r.keys.erase()
	clear(r.commitSecret)
}

// createPath makes a path for the member at leaf self with new keys on all its
// nodes (Section 7.5). t is the tree after the commit's proposals and exclude,
// ascending, the leaves they added. newLeaf signs the leaf; groupContext
// returns the encoded context that the path secrets are encrypted in.
func (t *ratchetTree) createPath(self LeafIndex, newLeaf func(encryptionKey, parentHash []byte) (*LeafNode, error), exclude []LeafIndex,
	groupContext func(treeHash []byte) []byte, par Parallel) (_ *pathResult, err error) {
	if uint32(self) >= t.leafWidth() {
		return nil, fmt.Errorf("%w: leaf %d is beyond the tree", ErrInvalidPath, self)
	}
	r := &pathResult{self: self, steps: t.filteredPath(self)}
	defer func() {
		if err != nil {
			r.eraseAll()
		}
	}()
	publicKeys, leafPub, err := r.drawSecrets(t, par)
	if err != nil {
		return nil, err
	}
	parents, leafHash := t.pathParents(r.steps, publicKeys)
	if r.leaf, err = newLeaf(leafPub, leafHash); err != nil {
		return nil, err
	}
	if t.hasSignatureKey(self, r.leaf.SignatureKey) {
		return nil, fmt.Errorf("%w: signature key of another member", ErrInvalidLeaf)
	}
	r.tree = t.changed([]leafChange{{index: self, leaf: r.leaf}}, parents)
	if err = r.seal(t, publicKeys, exclude, groupContext(r.tree.treeHash()), par); err != nil {
		return nil, err
	}
	return r, nil
}

// drawSecrets draws the path secrets and derives all keys from them. The
// leaf's key pair is a fresh one, made beside the others.
func (r *pathResult) drawSecrets(t *ratchetTree, par Parallel) (publicKeys [][]byte, leafPub []byte, err error) {
	n := len(r.steps)
	current := make([]byte, t.suite.nh)
	rand.Read(current)
	r.secrets = make([]secret, n)
	for k := range r.secrets {
		r.secrets[k] = bytes.Clone(current)
		advancePathSecret(t.suite, current)
	}
	r.commitSecret = current
	publicKeys = make([][]byte, n)
	privateKeys := make([]secret, n+1) // the leaf's last
	errs := make([]error, n+1)
	par.run(n+1, func(k int) {
		if k == n {
			privateKeys[k], leafPub, errs[k] = t.suite.generateKeyPair()
			return
		}
		privateKeys[k], publicKeys[k], errs[k] = nodeKeyPair(t.suite, r.secrets[k])
	})
	heights := uint64(1)
	for _, s := range r.steps {
		heights |= 1 << s.height
	}
	r.keys = roomForPathKeys(heights, len(privateKeys[n]))
	r.keys.set(0, privateKeys[n])
	for k, s := range r.steps {
		r.keys.set(s.height, privateKeys[k])
	}
	return publicKeys, leafPub, firstError(errs)
}

// sealJob is one ciphertext to make.
type sealJob struct {
	step       int
	publicKey  []byte
	kemOutput  []byte
	ciphertext []byte
}

// seal encrypts the path secrets and encodes the path. All ciphertexts are one
// list of jobs, since those of one node can be half of them.
func (r *pathResult) seal(t *ratchetTree, publicKeys [][]byte, exclude []LeafIndex, context []byte, par Parallel) error {
	var jobs []sealJob
	for k, s := range r.steps {
		for _, key := range t.appendResolution(nil, s.copath, s.copathBase, exclude) {
			jobs = append(jobs, sealJob{step: k, publicKey: key})
		}
	}
	errs := make([]error, len(jobs))
	par.run(len(jobs), func(i int) {
		j := &jobs[i]
		j.kemOutput, j.ciphertext, errs[i] = t.suite.encryptWithLabel(j.publicKey, pathLabel, context, r.secrets[j.step])
	})
	if err := firstError(errs); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidPath, err)
	}
	r.encoded = encodeUpdatePath(r.leaf, publicKeys, jobs)
	return nil
}

func encodeUpdatePath(leaf *LeafNode, publicKeys [][]byte, jobs []sealJob) []byte {
	size := len(leaf.encoded()) + 256*len(publicKeys)
	for i := range jobs {
		size += len(jobs[i].kemOutput) + len(jobs[i].ciphertext) + 4
	}
	b := append(make([]byte, 0, size), leaf.encoded()...)
	return wire.AppendVector(b, func(b []byte) []byte {
		for k, key := range publicKeys {
			b = wire.AppendOpaque(b, key)
			b = wire.AppendVector(b, func(b []byte) []byte {
				for ; len(jobs) > 0 && jobs[0].step == k; jobs = jobs[1:] {
					b = wire.AppendOpaque(b, jobs[0].kemOutput)
					b = wire.AppendOpaque(b, jobs[0].ciphertext)
				}
				return b
			})
		}
		return b
	})
}

func firstError(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
