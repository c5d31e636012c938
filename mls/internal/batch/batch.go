// Package batch verifies many Ed25519 signatures together (RFC 8032, Section
// 8.2, with the cofactor). A batch accepts everything that crypto/ed25519
// accepts and, for keys or nonces with a small-order part, a little more: use
// it only where such a difference cannot split the parties, as for the leaves
// of a tree whose hash is already agreed on.
package batch

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha512"
	"sync/atomic"

	"filippo.io/edwards25519"
)

// Job is one signature to check.
type Job struct{ Key, Message, Signature []byte }

// chunk is the number of signatures in one multi-scalar multiplication. More
// gain little: the cost is then dominated by decoding the points. Fewer cost
// more each, but let a group of a hundred use more than one core.
const (
	chunk    = 64
	minChunk = 16
	spread   = 4 // chunks wanted, if there is enough for so many
)

// chunkSize returns the number of signatures of a chunk, all but the last
// being equal, so that no core gets a short rest while the others work.
func chunkSize(jobs int) int {
	chunks := (jobs + chunk - 1) / chunk
	chunks = max(chunks, min(spread, jobs/minChunk), 1)
	return (jobs + chunks - 1) / chunks
}

// Verify checks all jobs and returns the index of the first bad signature, or
// -1 if there is none. run executes n independent jobs and may do so in
// parallel; nil runs them in order.
func Verify(jobs []Job, run func(n int, job func(i int))) int {
	if len(jobs) == 0 {
		return -1
	}
	size := chunkSize(len(jobs))
	chunks := (len(jobs) + size - 1) / size
	var bad atomic.Int64
	bad.Store(int64(len(jobs)))
	check := func(i int) {
		first := i * size
		part := jobs[first:min(first+size, len(jobs))]
		if verifyChunk(part) {
			return
		}
		for j, job := range part {
			if !verifyOne(job) {
				lower(&bad, int64(first+j))
				return
			}
		}
	}
	if run == nil || chunks < 2 {
		for i := range chunks {
			check(i)
		}
	} else {
		run(chunks, check)
	}
	if bad.Load() == int64(len(jobs)) {
		return -1
	}
	return int(bad.Load())
}

// lower stores v if it is below what is there.
func lower(a *atomic.Int64, v int64) {
	for old := a.Load(); v < old; old = a.Load() {
		if a.CompareAndSwap(old, v) {
			return
		}
	}
}

func verifyOne(j Job) bool {
	return len(j.Key) == ed25519.PublicKeySize && ed25519.Verify(j.Key, j.Message, j.Signature)
}

// verifyChunk checks 8*sum(z_i*(S_i*B - R_i - k_i*A_i)) = 0 for random z_i of
// 128 bits. The z_i must be unpredictable: with known ones two wrong
// signatures could be made to cancel out.
func verifyChunk(jobs []Job) bool {
	if len(jobs) == 1 {
		return verifyOne(jobs[0])
	}
	var coefficients [chunk * 16]byte
	rand.Read(coefficients[:16*len(jobs)])
	points := make([]*edwards25519.Point, 0, 2*len(jobs)+1)
	scalars := make([]*edwards25519.Scalar, 0, 2*len(jobs)+1)
	base := edwards25519.NewScalar()
	for i, j := range jobs {
		t, ok := decode(j)
		if !ok {
			return false
		}
		var wide [32]byte
		copy(wide[:16], coefficients[16*i:])
		z, err := edwards25519.NewScalar().SetCanonicalBytes(wide[:])
		if err != nil {
			return false
		}
		base.MultiplyAdd(z, t.s, base)
		points = append(points, t.r, t.a)
		scalars = append(scalars, z, t.k.Multiply(t.k, z))
	}
	points = append(points, edwards25519.NewGeneratorPoint())
	scalars = append(scalars, base.Negate(base))
	sum := new(edwards25519.Point).VarTimeMultiScalarMult(scalars, points)
	return sum.MultByCofactor(sum).Equal(edwards25519.NewIdentityPoint()) == 1
}

// terms are the parts of one verification equation S*B = R + k*A.
type terms struct {
	a, r *edwards25519.Point
	s, k *edwards25519.Scalar
}

func decode(j Job) (t terms, ok bool) {
	if len(j.Key) != ed25519.PublicKeySize || len(j.Signature) != ed25519.SignatureSize {
		return t, false
	}
	var err error
	if t.a, err = new(edwards25519.Point).SetBytes(j.Key); err != nil {
		return t, false
	}
	if t.r, err = new(edwards25519.Point).SetBytes(j.Signature[:32]); err != nil {
		return t, false
	}
	if t.s, err = edwards25519.NewScalar().SetCanonicalBytes(j.Signature[32:]); err != nil {
		return t, false
	}
	h := sha512.New()
	h.Write(j.Signature[:32])
	h.Write(j.Key)
	h.Write(j.Message)
	var digest [64]byte
	t.k, err = edwards25519.NewScalar().SetUniformBytes(h.Sum(digest[:0]))
	return t, err == nil
}
