package goldilocks

import (
	"bytes"
	"testing"

	"github.com/cloudflare/circl/dh/x448"
	"github.com/cloudflare/circl/hpke"
)

// TestLowOrder: every listed point gives a shared secret of zero, and honest
// keys are none of them.
func TestLowOrder(t *testing.T) {
	h := newHPKE(hpke.AEAD_AES256GCM)
	for i, bad := range lowOrder {
		var shared, secret x448.Key
		secret[0] = 4
		if x448.Shared(&shared, &secret, &bad) || h.CheckPublicKey(bad[:]) == nil {
			t.Errorf("point %d is accepted", i)
		}
	}
	_, pub, err := h.GenerateKeyPair()
	if err != nil || h.CheckPublicKey(pub) != nil || h.CheckPublicKey(pub[1:]) == nil {
		t.Error("an honest key is refused, or one of another length is not")
	}
}

// TestDeriveKeyPair compares with circl for the one length that it takes.
func TestDeriveKeyPair(t *testing.T) {
	seed := bytes.Repeat([]byte{7}, x448.Size)
	priv, pub, err := newHPKE(hpke.AEAD_AES256GCM).DeriveKeyPair(seed)
	if err != nil {
		t.Fatal(err)
	}
	wantPub, wantPriv := hpke.KEM_X448_HKDF_SHA512.Scheme().DeriveKeyPair(seed)
	a, _ := wantPriv.MarshalBinary()
	b, _ := wantPub.MarshalBinary()
	if !bytes.Equal(priv, a) || !bytes.Equal(pub, b) {
		t.Error("another key pair than circl's")
	}
}
