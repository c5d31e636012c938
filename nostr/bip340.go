package nostr

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
)

// ErrBadKey is returned for a secret key of zero or beyond the group order and
// for a public key that is no x coordinate of the curve.
var ErrBadKey = errors.New("nostr: not a secp256k1 key")

// SignHash returns the BIP-340 signature of hash, with auxiliary randomness
// from crypto/rand. It returns [ErrBadKey] for a key that cannot sign.
func SignHash(k SecretKey, hash [32]byte) ([64]byte, error) {
	var aux [32]byte
	rand.Read(aux[:])
	return sign(k, hash[:], aux)
}

// VerifyHash reports whether sig is p's BIP-340 signature of hash.
func VerifyHash(p PubKey, hash [32]byte, sig [64]byte) bool { return verify(p, hash[:], sig) }

// Valid reports whether the key is the x coordinate of a point of the curve.
func (p PubKey) Valid() bool {
	_, ok := lift(p)
	return ok
}

// PubKey returns the public key, zero for a secret key that is not valid.
func (k SecretKey) PubKey() PubKey {
	d, ok := k.scalar()
	defer d.Zero()
	if !ok {
		return PubKey{}
	}
	point := baseMult(&d)
	return *point.X.Bytes()
}

func (k *SecretKey) scalar() (d secp256k1.ModNScalar, ok bool) {
	overflow := d.SetBytes((*[32]byte)(k))
	return d, overflow == 0 && !d.IsZero()
}

// sign is BIP-340's default signing.
func sign(k SecretKey, msg []byte, aux [32]byte) (sig [64]byte, err error) {
	d, ok := k.scalar()
	defer d.Zero()
	if !ok {
		return sig, ErrBadKey
	}
	point := baseMult(&d)
	if point.Y.IsOdd() {
		d.Negate()
	}
	pub, secret := *point.X.Bytes(), d.Bytes()
	mask := tagged("BIP0340/aux", aux[:])
	for i := range mask {
		mask[i] ^= secret[i]
	}
	seed := tagged("BIP0340/nonce", mask[:], pub[:], msg)
	clear(secret[:])
	clear(mask[:])

	var nonce secp256k1.ModNScalar
	nonce.SetBytes(&seed)
	clear(seed[:])
	defer nonce.Zero()
	if nonce.IsZero() {
		return sig, ErrBadKey
	}
	r := baseMult(&nonce)
	if r.Y.IsOdd() {
		nonce.Negate()
	}
	r.X.PutBytesUnchecked(sig[:32])
	e := challenge(sig[:32], pub, msg)
	e.Mul(&d).Add(&nonce)
	e.PutBytesUnchecked(sig[32:])
	// A fault during signing can give the key away; BIP-340 says to check.
	if !verify(pub, msg, sig) {
		return [64]byte{}, ErrBadSignature
	}
	return sig, nil
}

// claim is what a signature says: that s·G is R + e·P, where R is the point of even
// y whose x is r.
type claim struct {
	point secp256k1.JacobianPoint // P
	r     secp256k1.FieldVal
	s, e  secp256k1.ModNScalar
}

// claimOf reads a signature; false if no signature can be like this.
func claimOf(p PubKey, msg []byte, sig [64]byte) (c claim, ok bool) {
	if c.point, ok = lift(p); !ok || c.r.SetByteSlice(sig[:32]) || c.s.SetByteSlice(sig[32:]) {
		return c, false
	}
	c.e = challenge(sig[:32], p, msg)
	return c, true
}

// verify is BIP-340's verification.
func verify(p PubKey, msg []byte, sig [64]byte) bool {
	c, ok := claimOf(p, msg, sig)
	return ok && c.holds()
}

// holds reports whether s·G − e·P has an even y and r as its x.
func (c claim) holds() bool {
	c.e.Negate()
	var sG, eP, sum secp256k1.JacobianPoint
	secp256k1.ScalarBaseMultNonConst(&c.s, &sG)
	secp256k1.ScalarMultNonConst(&c.e, &c.point, &eP)
	secp256k1.AddNonConst(&sG, &eP, &sum)
	if infinite(&sum) {
		return false
	}
	sum.ToAffine()
	return !sum.Y.IsOdd() && sum.X.Equals(&c.r)
}

func infinite(p *secp256k1.JacobianPoint) bool {
	return p.Z.IsZero() || p.X.IsZero() && p.Y.IsZero()
}

func challenge(r []byte, p PubKey, msg []byte) (e secp256k1.ModNScalar) {
	h := tagged("BIP0340/challenge", r, p[:], msg)
	e.SetBytes(&h)
	return e
}

// lift returns the point of even y whose x coordinate is p.
func lift(p PubKey) (point secp256k1.JacobianPoint, ok bool) {
	var x secp256k1.FieldVal
	if x.SetByteSlice(p[:]) {
		return point, false
	}
	return liftX(&x)
}

func liftX(x *secp256k1.FieldVal) (point secp256k1.JacobianPoint, ok bool) {
	point.X.Set(x)
	if !secp256k1.DecompressY(&point.X, false, &point.Y) {
		return point, false
	}
	point.Y.Normalize()
	point.Z.SetInt(1)
	return point, true
}

func baseMult(k *secp256k1.ModNScalar) (point secp256k1.JacobianPoint) {
	secp256k1.ScalarBaseMultNonConst(k, &point)
	point.ToAffine()
	return point
}

// tagged is BIP-340's tagged hash.
func tagged(tag string, parts ...[]byte) (out [32]byte) {
	t := sha256.Sum256([]byte(tag))
	h := sha256.New()
	h.Write(t[:])
	h.Write(t[:])
	for _, p := range parts {
		h.Write(p)
	}
	h.Sum(out[:0])
	return out
}
