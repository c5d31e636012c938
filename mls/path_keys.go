package mls

import (
	"bytes"
	"crypto/subtle"
	"fmt"
	"math/bits"

	"github.com/marmotgo/marmot/mls/internal/wire"
)

// pathKeys are a member's private keys in the tree: that of the own leaf and
// those of used nodes above it. They are raw bytes, which can be overwritten.
// A value shares no memory with another one, so erasing one epoch's keys
// leaves every other epoch's alone. Every state that is held has one, so the
// keys, which all have the same length, are one string of bytes.
type pathKeys struct {
	redactedValue
	keys  secret // of ascending heights
	known uint64 // the heights that have a key, as bits; the leaf's is 0
	size  int    // bytes of a key
}

// newPathKeys returns the keys of a member who knows only the leaf's, copied.
func newPathKeys(leafPriv []byte) *pathKeys {
	return &pathKeys{keys: bytes.Clone(leafPriv), known: 1, size: len(leafPriv)}
}

// at returns the key of the node at a height on the own path, or nil. Erased
// keys may be a nil k.
func (k *pathKeys) at(height uint8) secret {
	if k == nil || k.known>>height&1 == 0 {
		return nil
	}
	from := bits.OnesCount64(k.known&(1<<height-1)) * k.size
	return k.keys[from : from+k.size : from+k.size]
}

// roomForPathKeys returns keys of the given length, all zero for the caller to
// set, for the heights that are bits of heights.
func roomForPathKeys(heights uint64, size int) *pathKeys {
	return &pathKeys{known: heights, size: size, keys: make(secret, bits.OnesCount64(heights)*size)}
}

// choose returns a copy with the keys at the given heights. Those that k lacks
// are zero, for the caller to set.
func (k *pathKeys) choose(heights uint64) *pathKeys {
	next := roomForPathKeys(heights, k.size)
	for left := heights; left != 0; left &= left - 1 {
		height := uint8(bits.TrailingZeros64(left))
		copy(next.at(height), k.at(height))
	}
	return next
}

// set takes over the key of a height for which there is room, and erases priv.
func (k *pathKeys) set(height uint8, priv []byte) {
	copy(k.at(height), priv)
	clear(priv)
}

// setLeafKey returns a copy with another leaf key.
func (k *pathKeys) setLeafKey(priv []byte) *pathKeys {
	next := k.choose(k.known)
	copy(next.at(0), priv)
	return next
}

// erase overwrites the keys.
func (k *pathKeys) erase() {
	k.keys.erase()
	k.keys, k.known = nil, 0
}

// appendPathKeys appends the keys for saved state: the leaf's, and those of
// the heights above it, of which unknown ones are empty.
func (k *pathKeys) appendPathKeys(b []byte) []byte {
	b = wire.AppendOpaque(b, k.at(0))
	return wire.AppendVector(b, func(b []byte) []byte {
		for height := range uint8(bits.Len64(k.known >> 1)) {
			b = wire.AppendOpaque(b, k.at(height+1))
		}
		return b
	})
}

// decodePathKeys reads what appendPathKeys wrote and copies it.
func decodePathKeys(r *wire.Reader) (*pathKeys, error) {
	leaf := r.Opaque()
	k := &pathKeys{keys: bytes.Clone(leaf), known: 1, size: len(leaf)}
	list := r.Vector()
	for height := 1; !list.Empty(); height++ {
		key := list.Opaque()
		if height > maxPathNodes {
			r.Fail(fmt.Errorf("%w: more than %d path keys", ErrMalformed, maxPathNodes))
			break
		}
		if len(key) == 0 {
			continue
		}
		if len(key) != k.size {
			r.Fail(fmt.Errorf("%w: path key of %d bytes", ErrMalformed, len(key)))
			break
		}
		k.keys, k.known = append(k.keys, key...), k.known|1<<height
	}
	if r.Err() != nil {
		k.erase()
		return nil, r.Err()
	}
	return k, nil
}

// heightsKept returns the heights of the keys that k's owner still has in t:
// those of nodes that were blanked go, and those from limit on, which are about
// to be replaced.
func (t *ratchetTree) heightsKept(self LeafIndex, k *pathKeys, limit uint8) uint64 {
	heights := uint64(1)
	for n := t.root; n.left != nil; n = n.toward(self) {
		if n.height < limit && n.isParent() && !n.hasUnmerged(self) {
			heights |= 1 << n.height
		}
	}
	return heights & k.known
}

// keepKeys returns a copy of k with only the keys that still belong to nodes
// of t.
func (t *ratchetTree) keepKeys(self LeafIndex, k *pathKeys) *pathKeys {
	return k.choose(t.heightsKept(self, k, maxPathNodes+1))
}

// heightsOf returns the heights of rungs as bits.
func heightsOf(rungs []rung) (heights uint64) {
	for _, r := range rungs {
		heights |= 1 << r.height
	}
	return heights
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
	known := uint8(maxPathNodes + 1)
	var rungs []rung
	if pathSecret != nil {
		known = uint8(commonHeight(self, signer))
		rungs = t.rungsAbove(self, known)
		if len(rungs) == 0 || rungs[0].height != known {
			return nil, fmt.Errorf("%w: path secret for a blank node", ErrInvalidPath)
		}
	}
	next := keys.choose(1 | heightsOf(rungs))
	if pathSecret != nil {
		commit, err := climb(t.suite, pathSecret, rungs, next, par)
		if err != nil {
			next.erase()
			return nil, err
		}
		clear(commit)
	}
	for n := t.root; n.left != nil; n = n.toward(self) {
		if n.height < known && n.isParent() && !n.hasUnmerged(self) {
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
		if n.isParent() {
			rungs = append(rungs, rung{n.height, n.encryptionKey()})
		}
	}
	for a, b := 0, len(rungs)-1; a < b; a, b = a+1, b-1 {
		rungs[a], rungs[b] = rungs[b], rungs[a]
	}
	return rungs
}

// climb derives the keys of all rungs from the first one's path secret, puts
// the private ones into keys, which has room for them, and returns the commit secret (Sections 7.4 and
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
		var priv secret
		if priv, errs[k] = rungs[k].open(s, chain[k*s.nh:(k+1)*s.nh]); errs[k] == nil {
			keys.set(rungs[k].height, priv)
		}
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
