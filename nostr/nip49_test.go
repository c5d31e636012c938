package nostr

import (
	"errors"
	"strings"
	"testing"
)

// The example of NIP-49.
const (
	nip49Example = "ncryptsec1qgg9947rlpvqu76pj5ecreduf9jxhselq2nae2kghhvd5g7dgjtcxfqtd67p9m0w57lspw8gsq6yphnm8623nsl8xn9j4jdzz84zm3frztj3z7s35vpzmqf6ksu8r89qk5z2zxfmu5gv8th8wclt0h4p"
	nip49Key     = "3501454135014541350145413501453fefb02227e449e57cf4d3a3ce05378683"
)

func TestNIP49Example(t *testing.T) {
	k, security, err := DecryptSecretKey(nip49Example, []byte("nostr"))
	if err != nil {
		t.Fatal(err)
	}
	if want, _ := ParseSecretKey(nip49Key); k != want || security != KeyHandledInsecurely {
		t.Errorf("another key, security %d", security)
	}
	if _, _, err := DecryptSecretKey(nip49Example, []byte("Nostr")); !errors.Is(err, ErrDecrypt) {
		t.Errorf("a wrong password: %v", err)
	}
}

func TestNIP49BothWays(t *testing.T) {
	k := GenerateSecretKey()
	// The same password, written in two ways (NIP-49, "Password Unicode
	// Normalization").
	s, err := EncryptSecretKey(k, []byte("\u212b\u2126\u1e9b\u0323"), KeyHandledSecurely, 4)
	if err != nil {
		t.Fatal(err)
	}
	got, security, err := DecryptSecretKey(" "+strings.ToUpper(s)+"\n", []byte("\u00c5\u03a9\u1e69"))
	if err != nil || got != k || security != KeyHandledSecurely {
		t.Errorf("it does not come back: %v", err)
	}
	last := "q"
	if strings.HasSuffix(s, last) {
		last = "p"
	}
	for _, bad := range []string{"", "ncryptsec1", k.Nsec(), s[:len(s)-1] + last, encodeBech32(ncryptsecPrefix, make([]byte, ncryptsecSize))} {
		if _, _, err := DecryptSecretKey(bad, nil); !errors.Is(err, ErrMalformed) {
			t.Errorf("%.12q: %v", bad, err)
		}
	}
	if _, err := EncryptSecretKey(k, nil, 0, 30); !errors.Is(err, ErrMalformed) {
		t.Errorf("a cost of 2^30: %v", err)
	}
}

func FuzzDecryptSecretKey(f *testing.F) {
	s, err := EncryptSecretKey(GenerateSecretKey(), []byte("x"), KeyHandlingUnknown, 1)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(s)
	f.Fuzz(func(t *testing.T, s string) {
		prefix, b, err := decodeBech32(s)
		if err == nil && prefix == ncryptsecPrefix && len(b) > 1 && b[1] > 8 {
			t.Skip("it would only cost time")
		}
		if k, _, err := DecryptSecretKey(s, []byte("x")); err == nil && k == (SecretKey{}) {
			t.Error("an empty key")
		}
	})
}
