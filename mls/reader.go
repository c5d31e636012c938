package mls

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"sync"
)

// Reader verifies application messages of an epoch before its group opens them, so
// that this can be done on another core. It has copies of the keys of messages that
// were not opened when it was made, and never changes the group: [Group.Unprotect]
// does all that it does otherwise, but for the signatures that a Reader found to be
// good.
type Reader struct {
	redactedValue
	g *Group
}

// readerKeys is how many generations of a sender a Reader takes in any order: those
// of a second, in which relays know none.
const readerKeys = 1 << 11

// Reader returns a reader for what comes next. One goroutine at a time may use it;
// the group may be used meanwhile. It has to be erased.
func (g *Group) Reader() *Reader {
	if g.verified == nil {
		g.verified = &verifiedSignatures{}
	}
	secrets := newEpochSecrets(g.suite.nh)
	if key := g.secrets.get(epochSenderData); key != nil {
		secrets.set(epochSenderData, key)
	}
	limits := g.limits
	limits.Ahead, limits.Skipped = readerKeys, readerKeys
	return &Reader{g: &Group{
		suite: g.suite, config: g.config, limits: limits, context: g.context, contextBytes: g.contextBytes, tag: g.tag, self: g.self, tree: g.tree,
		secrets: secrets, messages: g.messages.clone(), components: &frontier{}, verified: g.verified,
	}}
}

// Check verifies messages, side by side if parallel runs them so. What it cannot open
// is left to [Group.Unprotect].
func (r *Reader) Check(messages []*Message, parallel Parallel) {
	var open []opened
	for _, m := range messages {
		if m.private == nil || m.private.contentType != ContentApplication {
			continue
		}
		if o, err := r.open(m.private); err == nil {
			open = append(open, o)
		}
	}
	parallel.run(len(open), func(i int) {
		c, key := open[i].content, open[i].leaf.SignatureKey
		if signed := c.signedContent(r.g.contextBytes); r.g.suite.signature.Verify(key, signed, c.signature) {
			r.g.verified.add(key, signed, c.signature)
		}
	})
}

// open decrypts a message of another member and uses up the reader's key.
func (r *Reader) open(p *privateMessage) (opened, error) {
	o, err := r.g.whose(p)
	if err != nil {
		return o, err
	}
	if err = ErrOwnMessage; o.sender.leaf != r.g.self {
		err = r.g.decrypt(&o, p)
	}
	if err != nil {
		r.g.messages.discard(o.ratchets, o.step)
		return o, err
	}
	r.g.useUp(o)
	return o, nil
}

// Erase overwrites the reader's keys, and forgets what it found. It opens nothing any
// more.
func (r *Reader) Erase() {
	r.g.Erase(UseAll)
	r.g.verified.clear()
}

// clone copies the keys of an epoch that are left.
func (t *secretTree) clone() *secretTree {
	out := &secretTree{frontier: &frontier{width: t.frontier.width}, ratchets: map[LeafIndex]*leafRatchets{}}
	for _, n := range t.frontier.nodes {
		out.frontier.nodes = append(out.frontier.nodes, frontierNode{index: n.index, value: bytes.Clone(n.value)})
	}
	for leaf, l := range t.ratchets {
		out.ratchets[leaf] = &leafRatchets{handshake: l.handshake.clone(), application: l.application.clone(), reserved: l.reserved}
	}
	return out
}

func (r *ratchet) clone() ratchet {
	return ratchet{next: r.next, secret: bytes.Clone(r.secret), skipped: append([]skippedKey(nil), r.skipped...)}
}

// verifiedSignatures are signatures that were found to be good and not asked for yet.
type verifiedSignatures struct {
	mu   sync.Mutex
	good map[[32]byte]struct{}
}

func (v *verifiedSignatures) clear() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.good = nil
}

// maxVerified bounds them.
const maxVerified = 1 << 13

// signatureID stands for a key, what it signed and the signature.
func signatureID(key, content, signature []byte) (id [32]byte) {
	h := sha256.New()
	for _, part := range [][]byte{key, signature, content} {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		h.Write(n[:])
		h.Write(part)
	}
	h.Sum(id[:0])
	return id
}

func (v *verifiedSignatures) add(key, content, signature []byte) {
	id := signatureID(key, content, signature)
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.good == nil {
		v.good = map[[32]byte]struct{}{}
	}
	if len(v.good) < maxVerified {
		v.good[id] = struct{}{}
	}
}

// take reports whether a signature is known to be good, once.
func (v *verifiedSignatures) take(key, content, signature []byte) bool {
	if v == nil {
		return false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.good) == 0 {
		return false
	}
	id := signatureID(key, content, signature)
	_, ok := v.good[id]
	delete(v.good, id)
	return ok
}
