package mls

import (
	"crypto/ecdh"
	"crypto/rand"
	"testing"
)

// TestLowOrder compares the table with what X25519 itself refuses.
func TestLowOrder(t *testing.T) {
	k, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s := must(testSuites.suiteOf(testSuite))(t)
	for _, key := range lowOrderTable {
		for _, top := range []byte{0, 0x80} {
			pub := key
			pub[31] |= top
			p, err := ecdh.X25519().NewPublicKey(pub[:])
			if err != nil {
				t.Fatal(err)
			}
			if _, err := k.ECDH(p); err == nil {
				t.Errorf("%x is not of low order", pub)
			}
			if s.publicKeyOK(pub[:]) == nil {
				t.Errorf("%x is accepted", pub)
			}
		}
	}
	if err := s.publicKeyOK(k.PublicKey().Bytes()); err != nil {
		t.Error(err)
	}
	basePoint := [32]byte{9}
	if lowOrder(basePoint[:]) {
		t.Error("the base point is refused")
	}
}
