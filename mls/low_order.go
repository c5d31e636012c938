package mls

import "encoding/hex"

// lowOrderKeys are the X25519 public keys, reduced, with which every
// Diffie-Hellman result is zero (RFC 7748, Section 6.1). Nobody can encrypt to
// them, so a member with one could keep the others from ever committing.
var lowOrderKeys = [...]string{
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
	"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
}

var lowOrderTable = func() (t [len(lowOrderKeys)][32]byte) {
	for i, s := range lowOrderKeys {
		if n, err := hex.Decode(t[i][:], []byte(s)); err != nil || n != 32 {
			panic("mls: low-order table") // a constant of ours
		}
	}
	return t
}()

// lowOrder reports whether pub, 32 bytes, is one of them; X25519 ignores the
// top bit.
func lowOrder(pub []byte) bool {
	key := [32]byte(pub)
	key[31] &= 0x7f
	for _, bad := range lowOrderTable {
		if key == bad {
			return true
		}
	}
	return false
}
