package mls

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// ratchet gives one sender's keys of one kind, generation by generation (RFC
// 9420, Section 9.1).
type ratchet struct {
	redactedValue
	next    uint32 // the first generation not derived yet
	secret  secret
	skipped []skippedKey // derived but not used; ascending
}

type skippedKey struct {
	redactedValue
	generation uint32
	key        messageKey
}

// messageKey encrypts one message. The arrays have the size of the largest
// suite.
type messageKey struct {
	redactedValue
	key   [32]byte
	nonce [12]byte
}

func (k *messageKey) erase() {
	clear(k.key[:])
	clear(k.nonce[:])
}

// key returns the key of a generation and changes nothing. The two bounds are
// counted in generations from the next one.
func (r *ratchet) key(s *cipherSuite, generation uint32, lim Limits) (messageKey, error) {
	if generation < r.next {
		if i, ok := r.find(generation); ok {
			return r.skipped[i].key, nil
		}
		if r.next-generation > lim.Skipped {
			return messageKey{}, fmt.Errorf("%w: generation %d, next is %d", ErrTooOld, generation, r.next)
		}
		return messageKey{}, fmt.Errorf("%w: generation %d", ErrConsumed, generation)
	}
	if generation-r.next > lim.Ahead || generation == math.MaxUint32 {
		return messageKey{}, fmt.Errorf("%w: generation %d, next is %d", ErrTooFarAhead, generation, r.next)
	}
	var buf [maxNh]byte
	defer clear(buf[:])
	cur := buf[:copy(buf[:], r.secret)]
	for g := r.next; g < generation; g++ {
		s.stepSecret(cur, g)
	}
	return s.messageKey(cur, generation), nil
}

// consume forgets a generation's key, which [ratchet.key] gave before, and
// keeps those that it passes over, as far as it may. It returns how many keys
// it erased that were never used.
func (r *ratchet) consume(s *cipherSuite, generation uint32, lim Limits) (lost uint32) {
	if i, ok := r.find(generation); ok {
		clear(r.skipped[i].key.key[:])
		r.skipped = slices.Delete(r.skipped, i, i+1)
		return 0
	}
	for ; r.next <= generation; r.next++ {
		switch {
		case r.next == generation:
		case generation+1-r.next > lim.Skipped:
			lost++
		default:
			r.skipped = append(r.skipped, skippedKey{generation: r.next, key: s.messageKey(r.secret, r.next)})
		}
		s.stepSecret(r.secret, r.next)
	}
	old := 0
	for old < len(r.skipped) && r.next-r.skipped[old].generation > lim.Skipped {
		old++
	}
	clear(r.skipped[:old])
	r.skipped = slices.Delete(r.skipped, 0, old)
	return lost + uint32(old)
}

func (r *ratchet) find(generation uint32) (int, bool) {
	return slices.BinarySearchFunc(r.skipped, generation, func(k skippedKey, g uint32) int {
		return int(int64(k.generation) - int64(g))
	})
}

func (r *ratchet) erase() {
	r.secret.erase()
	clear(r.skipped)
	*r = ratchet{}
}

// stepSecret replaces a ratchet secret by that of the next generation.
func (s *cipherSuite) stepSecret(secret []byte, generation uint32) {
	var g [4]byte
	binary.BigEndian.PutUint32(g[:], generation)
	s.expandInto(secret, secret, "secret", g[:])
}

func (s *cipherSuite) messageKey(secret []byte, generation uint32) (k messageKey) {
	var g [4]byte
	binary.BigEndian.PutUint32(g[:], generation)
	s.expandInto(k.key[:s.nk], secret, "key", g[:])
	s.expandInto(k.nonce[:s.nn], secret, "nonce", g[:])
	return k
}
