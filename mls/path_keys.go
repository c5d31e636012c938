package mls

import (
	"bytes"
	"crypto/subtle"
	"fmt"

	"github.com/marmotgo/marmot/mls/internal/wire"
)

// pathKeys are a member's private keys in the tree: that of the own leaf and
// those of used nodes above it. They are raw bytes, which can be overwritten.
// A value never changes and shares no memory with another one, so erasing one
// epoch's keys leaves every other epoch's alone.
type pathKeys struct {
	redactedValue
	leaf secret
	path []secret // by height-1; nil where the node is blank or the key not known
}

// newPathKeys returns the keys of a member who knows only the leaf's, copied.
func newPathKeys(leafPriv []byte) *pathKeys { return &pathKeys{leaf: bytes.Clone(leafPriv)} }

// at returns the key of the node at a height on the own path, or nil. Erased
// keys may be a nil k.
func (k *pathKeys) at(height uint8) secret {
	if k == nil {
		return nil
	}
	if height == 0 {
		return k.leaf
	}
	if int(height) > len(k.path) {
		return nil
	}
	return k.path[height-1]
}

// setLeafKey returns a copy with another leaf key.
func (k *pathKeys) setLeafKey(priv []byte) *pathKeys {
	next := &pathKeys{leaf: bytes.Clone(priv), path: make([]secret, len(k.path))}
	for i, key := range k.path {
		next.path[i] = bytes.Clone(key)
	}
	return next
}

// erase overwrites the keys.
func (k *pathKeys) erase() {
	k.leaf.erase()
	for _, key := range k.path {
		key.erase()
	}
	k.leaf, k.path = nil, nil
}

// appendPathKeys appends the keys for saved state.
func (k *pathKeys) appendPathKeys(b []byte) []byte {
	b = wire.AppendOpaque(b, k.leaf)
	return wire.AppendVector(b, func(b []byte) []byte {
		for _, key := range k.path {
			b = wire.AppendOpaque(b, key)
		}
		return b
	})
}

// decodePathKeys reads what appendPathKeys wrote and copies it.
func decodePathKeys(r *wire.Reader) (*pathKeys, error) {
	k := &pathKeys{leaf: bytes.Clone(r.Opaque())}
	list := r.Vector()
	for !list.Empty() {
		key := list.Opaque()
		if len(k.path) == maxPathNodes {
			r.Fail(fmt.Errorf("%w: more than %d path keys", ErrMalformed, maxPathNodes))
		}
		if len(key) == 0 {
			key = nil
		}
		k.path = append(k.path, bytes.Clone(key))
	}
	if r.Err() != nil {
		k.erase()
		return nil, r.Err()
	}
	return k, nil
}

// keepKeys returns a copy of k with only the keys that still belong to nodes
// of t: those of nodes that were blanked go.
func (t *ratchetTree) keepKeys(self LeafIndex, k *pathKeys) *pathKeys {
	return t.keepKeysBelow(self, k, maxPathNodes+1)
}

// keepKeysBelow is keepKeys without the keys from a height on, which are about
// to be replaced. The copies are one object.
func (t *ratchetTree) keepKeysBelow(self LeafIndex, k *pathKeys, limit uint8) *pathKeys {
	next := &pathKeys{path: make([]secret, t.root.height)}
	size := len(k.at(0))
	for n := t.root; n.left != nil; n = n.toward(self) {
		if n.height < limit && n.parent != nil && !n.parent.hasUnmerged(self) {
			next.path[n.height-1] = k.at(n.height)
			size += len(k.at(n.height))
		}
	}
	block := make(secret, 0, size)
	own := func(key secret) secret {
		if key == nil {
			return nil
		}
		from := len(block)
		block = append(block, key...)
		return block[from:len(block):len(block)]
	}
	next.leaf = own(k.at(0))
	for i, key := range next.path {
		next.path[i] = own(key)
	}
	return next
}

// welcomePath returns the keys of a joiner whose leaf key is in keys and who
// got the path secret of the lowest common ancestor with signer (RFC 9420,
// Section 12.4.3.1). The path secret is nil if the commit had no path. Every
// other used node above the joiner must list the joiner as unmerged, or else
// commits encrypted to that node could not be read.
func (t *ratchetTree) welcomePath(self, signer LeafIndex, keys *pathKeys, pathSecret []byte, par Parallel) (*pathKeys, error) {
	if _, ok := t.leaf(self); !ok {
		return nil, fmt.Errorf("%w: own leaf %d is blank", ErrInvalidTree, self)
	}
	if _, ok := t.leaf(signer); !ok || self == signer {
		return nil, fmt.Errorf("%w: signer at leaf %d", ErrInvalidTree, signer)
	}
	next := &pathKeys{leaf: bytes.Clone(keys.leaf), path: make([]secret, t.root.height)}
	known := uint8(maxPathNodes + 1)
	if pathSecret != nil {
		known = uint8(commonHeight(self, signer))
		rungs := t.rungsAbove(self, known)
		if len(rungs) == 0 || rungs[0].height != known {
			next.erase()
			return nil, fmt.Errorf("%w: path secret for a blank node", ErrInvalidPath)
		}
		commit, err := climb(t.suite, pathSecret, rungs, next, par)
		if err != nil {
			next.erase()
			return nil, err
		}
		clear(commit)
	}
	for n := t.root; n.left != nil; n = n.toward(self) {
		if n.height < known && n.parent != nil && !n.parent.hasUnmerged(self) {
			next.erase()
			return nil, fmt.Errorf("%w: node at height %d has a key kept from leaf %d", ErrInvalidTree, n.height, self)
		}
	}
	return next, nil
}

// rung is a node of a path with the public key it is known to have.
type rung struct {
	height    uint8
	publicKey []byte
}

// rungsAbove returns the used nodes above a leaf from a height on, bottom up.
func (t *ratchetTree) rungsAbove(i LeafIndex, from uint8) []rung {
	rungs := make([]rung, 0, t.root.height)
	for n := t.root; n.left != nil && n.height >= from; n = n.toward(i) {
		if n.parent != nil {
			rungs = append(rungs, rung{n.height, n.parent.encryptionKey})
		}
	}
	for a, b := 0, len(rungs)-1; a < b; a, b = a+1, b-1 {
		rungs[a], rungs[b] = rungs[b], rungs[a]
	}
	return rungs
}

// climb derives the keys of all rungs from the first one's path secret, puts
// the private ones into keys and returns the commit secret (Sections 7.4 and
// 12.4.2). Each public key must be the one that the path shows. The path
// secrets are a chain, but a cheap one; the key pairs do not depend on each
// other.
func climb(s *cipherSuite, pathSecret []byte, rungs []rung, keys *pathKeys, par Parallel) (commitSecret []byte, err error) {
	if len(pathSecret) != s.nh {
		return nil, fmt.Errorf("%w: path secret of %d bytes", ErrInvalidPath, len(pathSecret))
	}
	chain := make(secret, len(rungs)*s.nh)
	defer chain.erase()
	commitSecret = bytes.Clone(pathSecret)
	for k := range rungs {
		copy(chain[k*s.nh:], commitSecret)
		advancePathSecret(s, commitSecret)
	}
	errs := make([]error, len(rungs))
	par.run(len(rungs), func(k int) {
		keys.path[rungs[k].height-1], errs[k] = rungs[k].open(s, chain[k*s.nh:(k+1)*s.nh])
	})
	if err := firstError(errs); err != nil {
		clear(commitSecret)
		return nil, err
	}
	return commitSecret, nil
}

// open derives the private key of a rung from its path secret.
func (r rung) open(s *cipherSuite, pathSecret []byte) (secret, error) {
	priv, pub, err := nodeKeyPair(s, pathSecret)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(pub, r.publicKey) != 1 {
		clear(priv)
		return nil, fmt.Errorf("%w: path secret does not give the key at height %d", ErrInvalidPath, r.height)
	}
	return priv, nil
}

// nodeKeyPair derives a node's key pair from its path secret.
func nodeKeyPair(s *cipherSuite, pathSecret []byte) (priv, pub []byte, err error) {
	nodeSecret := s.deriveSecret(pathSecret, "node")
	defer clear(nodeSecret)
	return s.deriveKeyPair(nodeSecret)
}

// advancePathSecret replaces a path secret by that of the next node up.
func advancePathSecret(s *cipherSuite, pathSecret []byte) {
	s.expandInto(pathSecret, pathSecret, "path", nil)
}
