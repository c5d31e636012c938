package mls

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"testing"

	"github.com/cloudflare/circl/sign/ed448"

	"github.com/marmotgo/marmot/internal/vectors"
)

// hexBytes is a byte string that JSON holds in hexadecimal.
type hexBytes []byte

func (h *hexBytes) UnmarshalJSON(b []byte) error {
	var s *string
	if err := json.Unmarshal(b, &s); err != nil || s == nil {
		return err
	}
	v, err := hex.DecodeString(*s)
	*h = append([]byte{}, v...)
	return err
}

// readVectors reads a vector file of the MLS working group.
func readVectors[T any](t testing.TB, name string) []T {
	t.Helper()
	var list []T
	if err := json.Unmarshal(vectors.Read(t, "mls/"+name+".json"), &list); err != nil {
		t.Fatal(err)
	}
	return list
}

// forSuites calls f for every entry of a suite that we implement, and fails
// unless there were want of them, so that no entry can be skipped unseen.
func forSuites[T any](t *testing.T, list []T, suite func(*T) Suite, want int, f func(t *testing.T, s *cipherSuite, v *T)) {
	t.Helper()
	ran := 0
	for i := range list {
		s, err := testSuites.suiteOf(suite(&list[i]))
		if err != nil {
			continue
		}
		f(t, s, &list[i])
		ran++
	}
	if ran != want {
		t.Fatalf("%d entries ran, want %d", ran, want)
	}
}

func same(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Fatalf("%s: got %x, want %x", what, got, want)
	}
}

func must[T any](v T, err error) func(t testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// signerOf returns the signer of a raw private key.
func signerOf(t testing.TB, s *cipherSuite, priv []byte) crypto.Signer {
	t.Helper()
	switch scheme := s.signature.(type) {
	case ed25519Scheme:
		return ed25519.NewKeyFromSeed(priv[:ed25519.SeedSize])
	case *ecdsaScheme:
		return must(ecdsa.ParseRawPrivateKey(scheme.curve, padKey(s, priv)))(t)
	}
	return ed448.NewKeyFromSeed(priv[:ed448.SeedSize])
}
