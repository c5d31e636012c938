package nostr

import (
	"crypto/rand"
	"slices"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
)

// Sizes of a batch: with more events in one equation there is little to gain, with
// fewer than leastBatch nothing.
const (
	batchEvents = 256
	leastBatch  = 6
)

// VerifyAll does for each event what [Event.Verify] does, and returns its answers in
// order. Many good events take a third of the time: their signatures are verified
// in one equation (BIP-340, "Batch Verification"). Bad ones among them cost as much
// as alone, and those around them that as well. It uses one goroutine.
func VerifyAll(events []*Event) []error {
	errs := make([]error, 0, len(events))
	for batch := range slices.Chunk(events, batchEvents) {
		errs = append(errs, verifyBatch(batch)...)
	}
	return errs
}

func verifyBatch(events []*Event) []error {
	errs := make([]error, len(events))
	var claims []claim
	var open []int // indexes of the events that made them
	for i, e := range events {
		if e.ComputeID() != e.ID {
			errs[i] = ErrBadID
			continue
		}
		errs[i] = ErrBadSignature
		if c, ok := claimOf(e.PubKey, e.ID[:], e.Sig); ok {
			claims, open = append(claims, c), append(open, i)
		}
	}
	all := len(claims) >= leastBatch && holdAll(claims)
	for i, c := range claims {
		if all || c.holds() {
			errs[open[i]] = nil
		}
	}
	return errs
}

// coefficientBytes is the length of the random coefficients: a false claim among
// true ones passes with a chance of 2^-128.
const coefficientBytes = 16

// holdAll reports whether all claims hold. It multiplies each with a random
// coefficient a, so that no two false ones cancel, and adds them up:
//
//	Σ a·s · G = Σ a·R + Σ a·e · P
func holdAll(claims []claim) bool {
	coefficients := make([]byte, coefficientBytes*len(claims))
	_, _ = rand.Read(coefficients) // never fails
	terms := make([]term, 0, 2*len(claims))
	var sum secp256k1.ModNScalar
	for i, c := range claims {
		r, ok := liftX(&c.r)
		if !ok {
			return false
		}
		var a secp256k1.ModNScalar
		a.SetByteSlice(coefficients[coefficientBytes*i : coefficientBytes*(i+1)])
		terms = append(terms, termOf(&r, &a), termOf(&c.point, c.e.Mul(&a)))
		sum.Add(c.s.Mul(&a))
	}
	var left secp256k1.JacobianPoint
	secp256k1.ScalarBaseMultNonConst(&sum, &left)
	right := addUp(terms)
	right.Y.Negate(1).Normalize()
	secp256k1.AddNonConst(&left, &right, &left)
	return infinite(&left)
}

// windowFor returns the width of the pieces in which the scalars of so many terms are
// best read, in bits. A window costs an addition for most of the terms, and three for
// each of its 2^(width-1) buckets.
func windowFor(terms int) (width int) {
	cost := func(width int) int { return windows(width) * (terms*3/4 + 3<<(width-1)) }
	for width = 2; width < maxWindow && cost(width+1) < cost(width); width++ {
	}
	return width
}

const maxWindow = 12

// windows is how many pieces of a width a scalar has, a carry included.
func windows(width int) int { return 256/width + 1 }

// term is a point that is to be multiplied.
type term struct {
	point, opposite secp256k1.JacobianPoint // with a z of 1
	scalar          [32]byte
}

func termOf(p *secp256k1.JacobianPoint, k *secp256k1.ModNScalar) term {
	t := term{point: *p, opposite: *p, scalar: k.Bytes()}
	t.opposite.Y.Negate(1).Normalize()
	return t
}

// pieces reads the scalar, the lowest piece first. Each is between -2^(width-1) and
// 2^(width-1).
func (t *term) pieces(width int) []int16 {
	out := make([]int16, windows(width))
	carry := 0
	for i := range out {
		piece := bitsFrom(&t.scalar, i*width, width) + carry
		if carry = 0; piece > 1<<(width-1) {
			piece, carry = piece-1<<width, 1
		}
		out[i] = int16(piece)
	}
	return out
}

// bitsFrom returns bits of a number from a place on, counted from the lowest.
func bitsFrom(b *[32]byte, from, n int) (out int) {
	for i := n - 1; i >= 0; i-- {
		out <<= 1
		if at := from + i; at < 256 {
			out |= int(b[31-at/8]>>(at%8)) & 1
		}
	}
	return out
}

// addUp returns the sum of the terms by Pippenger's method: of each window the
// points with the same piece are added first. Times depend on the points, which
// are public.
func addUp(terms []term) (sum secp256k1.JacobianPoint) {
	width := windowFor(len(terms))
	pieces := make([][]int16, len(terms))
	for i := range terms {
		pieces[i] = terms[i].pieces(width)
	}
	buckets := make([]secp256k1.JacobianPoint, 1<<(width-1)) // by the piece's size, less 1
	for w := windows(width) - 1; w >= 0; w-- {
		for range width {
			secp256k1.DoubleNonConst(&sum, &sum)
		}
		clear(buckets)
		for i := range terms {
			switch piece := pieces[i][w]; {
			case piece > 0:
				add(&buckets[piece-1], &terms[i].point)
			case piece < 0:
				add(&buckets[-piece-1], &terms[i].opposite)
			}
		}
		var above secp256k1.JacobianPoint // the sum of this bucket and those above
		for i := range slices.Backward(buckets) {
			add(&above, &buckets[i])
			add(&sum, &above)
		}
	}
	return sum
}

func add(sum, p *secp256k1.JacobianPoint) { secp256k1.AddNonConst(sum, p, sum) }
