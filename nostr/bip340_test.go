package nostr

import (
	"encoding/csv"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/marmotgo/marmot/internal/vectors"
)

func fromHex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func secret(n byte) (k SecretKey) {
	k[31] = n
	return k
}

func TestBIP340Vectors(t *testing.T) {
	rows, err := csv.NewReader(strings.NewReader(string(vectors.Read(t, "nostr/bip340-test-vectors.csv")))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	signed := 0
	for _, row := range rows[1:] {
		msg := fromHex(t, row[4])
		pub, sig := PubKey(fromHex(t, row[2])), [64]byte(fromHex(t, row[5]))
		if got, want := verify(pub, msg, sig), row[6] == "TRUE"; got != want {
			t.Errorf("vector %s: verify = %v (%s)", row[0], got, row[7])
		}
		if row[1] == "" {
			continue
		}
		signed++
		k := SecretKey(fromHex(t, row[1]))
		if k.PubKey() != pub {
			t.Errorf("vector %s: public key", row[0])
		}
		if got, err := sign(k, msg, [32]byte(fromHex(t, row[3]))); err != nil || got != sig {
			t.Errorf("vector %s: signature %x, %v", row[0], got, err)
		}
	}
	if len(rows) != 20 || signed != 8 {
		t.Errorf("%d rows, %d with a secret key", len(rows), signed)
	}
}

// The first official vector, for a clone without the vector files.
func TestSignGolden(t *testing.T) {
	const want = "e907831f80848d1069a5371b402410364bdf1c5f8307b0084c55f1ce2dca8215" +
		"25f66a4a85ea8b71e482a74f382d2ce5ebeee8fdb2172f477df4900d310536c0"
	sig, err := sign(secret(3), make([]byte, 32), [32]byte{})
	if err != nil || hex.EncodeToString(sig[:]) != want {
		t.Fatalf("sign = %x, %v", sig, err)
	}
	if got := secret(3).PubKey().String(); got != "f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9" {
		t.Fatal(got)
	}
}

func TestVerifyRejectsEveryFlippedBit(t *testing.T) {
	hash := [32]byte{1, 2, 3}
	sig, err := SignHash(secret(9), hash)
	if err != nil || !VerifyHash(secret(9).PubKey(), hash, sig) {
		t.Fatal(err)
	}
	for i := range 64 {
		bad := sig
		bad[i] ^= 1 << (i % 8)
		if VerifyHash(secret(9).PubKey(), hash, bad) {
			t.Fatalf("byte %d changed and still verifies", i)
		}
	}
}

func TestBadKeys(t *testing.T) {
	order := SecretKey(fromHex(t, "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"))
	for _, k := range []SecretKey{{}, order} {
		if _, err := SignHash(k, [32]byte{}); !errors.Is(err, ErrBadKey) {
			t.Errorf("SignHash: %v", err)
		}
		if k.PubKey() != (PubKey{}) {
			t.Error("a bad key has a public key")
		}
		if _, err := ConversationKey(k, secret(1).PubKey()); !errors.Is(err, ErrBadKey) {
			t.Errorf("ConversationKey: %v", err)
		}
		if err := k.SignEvent(&Event{}); !errors.Is(err, ErrBadKey) {
			t.Errorf("SignEvent: %v", err)
		}
	}
	notOnCurve := PubKey(fromHex(t, "eefdea4cdb677750a420fee807eacf21eb9898ae79b9768766e4faa04a2d4a34"))
	if notOnCurve.Valid() || !secret(1).PubKey().Valid() {
		t.Error("Valid")
	}
}

func BenchmarkSign(b *testing.B) {
	k := GenerateSecretKey()
	for b.Loop() {
		SignHash(k, [32]byte{})
	}
}

func BenchmarkVerify(b *testing.B) {
	e := &Event{Kind: 445, Tags: Tags{{"h", strings.Repeat("0", 64)}}, Content: strings.Repeat("x", 1000)}
	if err := GenerateSecretKey().SignEvent(e); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if e.Verify() != nil {
			b.Fatal("verify")
		}
	}
}
