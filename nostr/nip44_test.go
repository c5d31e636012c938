package nostr

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/marmotgo/marmot/internal/vectors"
)

type nip44Case struct {
	Sec1            string `json:"sec1"`
	Sec2            string `json:"sec2"`
	Pub2            string `json:"pub2"`
	ConversationKey string `json:"conversation_key"`
	Nonce           string `json:"nonce"`
	Plaintext       string `json:"plaintext"`
	Payload         string `json:"payload"`
	Pattern         string `json:"pattern"`
	Repeat          int    `json:"repeat"`
	PlaintextSHA    string `json:"plaintext_sha256"`
	PayloadSHA      string `json:"payload_sha256"`
	Note            string `json:"note"`
}

type nip44File struct {
	V2 struct {
		Valid struct {
			Keys        []nip44Case `json:"get_conversation_key"`
			MessageKeys struct {
				ConversationKey string `json:"conversation_key"`
				Keys            []struct {
					Nonce       string `json:"nonce"`
					ChachaKey   string `json:"chacha_key"`
					ChachaNonce string `json:"chacha_nonce"`
					HMACKey     string `json:"hmac_key"`
				} `json:"keys"`
			} `json:"get_message_keys"`
			PaddedLen [][2]uint64 `json:"calc_padded_len"`
			Encrypt   []nip44Case `json:"encrypt_decrypt"`
			Long      []nip44Case `json:"encrypt_decrypt_long_msg"`
		} `json:"valid"`
		Invalid struct {
			Lengths []int       `json:"encrypt_msg_lengths"`
			Keys    []nip44Case `json:"get_conversation_key"`
			Decrypt []nip44Case `json:"decrypt"`
		} `json:"invalid"`
	} `json:"v2"`
}

func nip44Vectors(t testing.TB) (f nip44File) {
	t.Helper()
	if err := json.Unmarshal(vectors.Read(t, "nostr/nip44.vectors.json"), &f); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestNIP44Keys(t *testing.T) {
	v := nip44Vectors(t).V2
	for i, c := range v.Valid.Keys {
		got, err := ConversationKey(SecretKey(fromHex(t, c.Sec1)), PubKey(fromHex(t, c.Pub2)))
		if err != nil || hex.EncodeToString(got[:]) != c.ConversationKey {
			t.Errorf("key %d: %v", i, err)
		}
	}
	for _, c := range v.Invalid.Keys {
		if _, err := ConversationKey(SecretKey(fromHex(t, c.Sec1)), PubKey(fromHex(t, c.Pub2))); !errors.Is(err, ErrBadKey) {
			t.Errorf("%s: %v", c.Note, err)
		}
	}
	ck := Conversation(fromHex(t, v.Valid.MessageKeys.ConversationKey))
	for i, c := range v.Valid.MessageKeys.Keys {
		got, err := ck.messageKeys(fromHex(t, c.Nonce))
		if err != nil || hex.EncodeToString(got[:]) != c.ChachaKey+c.ChachaNonce+c.HMACKey {
			t.Errorf("message keys %d: %v", i, err)
		}
	}
	if len(v.Valid.Keys) != 35 || len(v.Valid.MessageKeys.Keys) != 32 || len(v.Invalid.Keys) != 8 {
		t.Error("vectors are missing")
	}
}

func TestNIP44Encrypt(t *testing.T) {
	v := nip44Vectors(t).V2
	for i, c := range v.Valid.Encrypt {
		k1, k2 := SecretKey(fromHex(t, c.Sec1)), SecretKey(fromHex(t, c.Sec2))
		ck, err := ConversationKey(k1, k2.PubKey())
		if err != nil || hex.EncodeToString(ck[:]) != c.ConversationKey {
			t.Errorf("case %d: key, %v", i, err)
		}
		got, err := ck.encrypt([32]byte(fromHex(t, c.Nonce)), []byte(c.Plaintext))
		if err != nil || got != c.Payload {
			t.Errorf("case %d: %s, %v", i, got, err)
		}
		if back, err := ck.Decrypt(c.Payload); err != nil || string(back) != c.Plaintext {
			t.Errorf("case %d: decrypt %q, %v", i, back, err)
		}
	}
	for i, c := range v.Valid.Long {
		plain := strings.Repeat(c.Pattern, c.Repeat)
		ck := Conversation(fromHex(t, c.ConversationKey))
		got, err := ck.encrypt([32]byte(fromHex(t, c.Nonce)), []byte(plain))
		if err != nil || sha(plain) != c.PlaintextSHA || sha(got) != c.PayloadSHA {
			t.Errorf("long %d: %v", i, err)
		}
		if back, err := ck.Decrypt(got); err != nil || string(back) != plain {
			t.Errorf("long %d: decrypt, %v", i, err)
		}
	}
	for _, c := range v.Valid.PaddedLen {
		if got := paddedLen(c[0]); got != c[1] {
			t.Errorf("paddedLen(%d) = %d, want %d", c[0], got, c[1])
		}
	}
}

func TestNIP44Invalid(t *testing.T) {
	v := nip44Vectors(t).V2
	for _, n := range v.Invalid.Lengths {
		if _, err := (Conversation{}).Encrypt(make([]byte, n)); !errors.Is(err, ErrPlaintextLength) {
			t.Errorf("length %d: %v", n, err)
		}
	}
	for _, c := range v.Invalid.Decrypt {
		got, err := Conversation(fromHex(t, c.ConversationKey)).Decrypt(c.Payload)
		if err == nil {
			t.Errorf("%s: decrypted %q", c.Note, got)
		}
	}
	if len(v.Invalid.Decrypt) != 12 || len(v.Invalid.Lengths) != 4 {
		t.Error("vectors are missing")
	}
}

// Golden values for a clone without vectors, with lengths around the change to
// the extended prefix.
func TestNIP44Golden(t *testing.T) {
	ck, err := ConversationKey(secret(1), secret(2).PubKey())
	if err != nil || hex.EncodeToString(ck[:]) != "c41c775356fd92eadc63ff5a0dc1da211b268cbea22316767095b2871ea1412d" {
		t.Fatalf("%x %v", ck[:], err)
	}
	nonce := [32]byte(secret(1))
	const want = "AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABee0G5VSK0/9YypIObAtDKfYEAjD35uVkHyB0F4DwrcNaCXlCWZKaArsGrY6M9wnuTMxWfp1RTN9Xga8no+kF5Vsb"
	if got, err := ck.encrypt(nonce, []byte("a")); err != nil || got != want {
		t.Error(got, err)
	}
	for n, want := range map[int]string{
		65535: "6d8c2810d1e870fbaa1f0a0937126cca837a15f9260e27060c331d70a3c0bc84",
		65536: "b7b4edb36ba92e267d322d56d9aebc22e7fa96ff52e3c12adc07f07a43cbc616",
		65537: "eeb7c7c5373894ea2c1547cfd3ccb15d5a0b2d619da852e5c79df792dcc9e435",
	} {
		plain := strings.Repeat("a", n)
		got, err := ck.encrypt(nonce, []byte(plain))
		if err != nil || sha(got) != want {
			t.Errorf("%d bytes: %s %v", n, sha(got), err)
		}
		if back, err := ck.Decrypt(got); err != nil || string(back) != plain {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	for n, want := range map[uint64]uint64{1: 32, 33: 64, 65: 96, 257: 320, 513: 640, 1025: 1280, 32769: 40960, 40961: 49152, 65409: 65536, 65537: 81920} {
		if got := paddedLen(n); got != want {
			t.Errorf("paddedLen(%d) = %d, want %d", n, got, want)
		}
	}
}

func TestNIP44Refuses(t *testing.T) {
	ck, _ := ConversationKey(secret(1), secret(2).PubKey())
	good, err := ck.Encrypt([]byte("hello"))
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := base64.StdEncoding.DecodeString(good)
	edit := func(i int, b byte) string {
		c := bytes.Clone(raw)
		c[i] = b
		return base64.StdEncoding.EncodeToString(c)
	}
	// seal makes an authentic payload of any padded plaintext.
	seal := func(padded string) string {
		keys, _ := ck.messageKeys(make([]byte, 32))
		b := []byte(padded)
		keys.xor(b)
		body := append(make([]byte, 32), b...)
		return base64.StdEncoding.EncodeToString(append(append([]byte{2}, body...), keys.mac(body)...))
	}
	zeros := strings.Repeat("\x00", 70000)
	tests := []struct {
		name, payload string
		want          error
	}{
		{"empty", "", ErrMalformed},
		{"future", "#" + good, ErrEncryptedVersion},
		{"version 1", edit(0, 1), ErrEncryptedVersion},
		{"short", good[:128], ErrMalformed},
		{"line end", good[:64] + "\n" + good[64:], ErrMalformed},
		{"URL alphabet", strings.Repeat("-", 132), ErrMalformed},
		{"no padding", strings.TrimRight(good, "=") + "A", ErrMalformed},
		{"nonce", edit(5, raw[5]^1), ErrDecrypt},
		{"ciphertext", edit(40, raw[40]^1), ErrDecrypt},
		{"mac", edit(len(raw)-1, raw[len(raw)-1]^1), ErrDecrypt},
		{"too long", strings.Repeat("A", MaxEventSize+4), ErrMalformed},
		{"length zero", seal("\x00\x00" + zeros[:32]), ErrMalformed},
		{"length past the end", seal("\x00\x21" + zeros[:32]), ErrMalformed},
		{"too much padding", seal("\x00\x01a" + zeros[:63]), ErrMalformed},
		{"extended length below 65536", seal("\x00\x00\x00\x00\x00\x05hello" + zeros[:27]), ErrMalformed},
		{"extended length of 4 GiB", seal("\x00\x00\xff\xff\xff\xff" + zeros[:32]), ErrMalformed},
		{"not UTF-8", seal("\x00\x01\xff" + zeros[:31]), ErrMalformed},
	}
	for _, tt := range tests {
		if got, err := ck.Decrypt(tt.payload); !errors.Is(err, tt.want) {
			t.Errorf("%s: %q, %v", tt.name, got, err)
		}
	}
	other, _ := ConversationKey(secret(1), secret(3).PubKey())
	if _, err := other.Decrypt(good); !errors.Is(err, ErrDecrypt) {
		t.Error(err)
	}
	if _, err := ck.Encrypt([]byte("\xff")); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
	if _, err := ck.Encrypt(make([]byte, MaxPlaintext+1)); !errors.Is(err, ErrPlaintextLength) {
		t.Error(err)
	}
}

func FuzzNIP44(f *testing.F) {
	ck, _ := ConversationKey(secret(1), secret(2).PubKey())
	good, _ := ck.Encrypt([]byte("hello"))
	f.Add(good, []byte("hello"))
	f.Fuzz(func(t *testing.T, payload string, plain []byte) {
		ck.Decrypt(payload)
		unpad(append(make([]byte, 34), plain...))
		sealed, err := ck.encrypt(sha256.Sum256(plain), plain)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ck.Decrypt(sealed); err == nil && !bytes.Equal(got, plain) {
			t.Fatalf("%q came back as %q", plain, got)
		}
	})
}

func BenchmarkNIP44(b *testing.B) {
	ck, _ := ConversationKey(secret(1), secret(2).PubKey())
	plain := bytes.Repeat([]byte("a"), 1000)
	payload, _ := ck.Encrypt(plain)
	b.Run("conversation key", func(b *testing.B) {
		k, p := GenerateSecretKey(), GenerateSecretKey().PubKey()
		for b.Loop() {
			ConversationKey(k, p)
		}
	})
	b.Run("encrypt 1 kB", func(b *testing.B) {
		for b.Loop() {
			ck.Encrypt(plain)
		}
	})
	b.Run("decrypt 1 kB", func(b *testing.B) {
		for b.Loop() {
			ck.Decrypt(payload)
		}
	})
}
