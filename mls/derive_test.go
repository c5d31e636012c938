package mls

import (
	"bytes"
	"crypto/rand"
	"testing"
)

func TestDeriveX25519(t *testing.T) {
	s := must(testSuites.suiteOf(testSuite))(t)
	for range 200 {
		ikm := make([]byte, 32)
		rand.Read(ikm)
		k := must(s.hpke.(*stdHPKE).kem.DeriveKeyPair(ikm))(t)
		wantPriv, wantPub, err := exportKeyPair(k)
		if err != nil {
			t.Fatal(err)
		}
		priv, pub, err := s.deriveKeyPair(ikm)
		if err != nil || !bytes.Equal(priv, wantPriv) || !bytes.Equal(pub, wantPub) {
			t.Fatalf("differs from crypto/hpke: %v", err)
		}
	}
}
