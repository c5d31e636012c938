package wire

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/marmotgo/marmot/nostr"
	"golang.org/x/crypto/chacha20poly1305"
)

type mediaVector struct {
	Input  string   `json:"mime_input"`
	MIME   string   `json:"mime"`
	Name   string   `json:"filename"`
	File   string   `json:"file"`
	Secret string   `json:"exporter_secret"`
	Nonce  string   `json:"nonce"`
	Blob   string   `json:"encrypted"`
	Imeta  []string `json:"imeta"`
}

func TestMIPMediaVectors(t *testing.T) {
	file := readMIP[struct {
		V2 []mediaVector `json:"v2"`
		V1 mediaVector   `json:"v1_must_be_rejected"`
	}](t, "media.json")
	for _, v := range file.V2 {
		m, err := ParseMIPMedia(v.Imeta)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Tag(); !slices.Equal(got, v.Imeta) {
			t.Errorf("written as %q", got)
		}
		secret, blob := unhex(t, v.Secret), unhex(t, v.Blob)
		if got, err := m.Open(secret, blob); err != nil || hex.EncodeToString(got) != v.File {
			t.Errorf("%s: %x, %v", v.Name, got, err)
		}
		if cleanMIME(v.Input) != v.MIME {
			t.Errorf("%q becomes %q", v.Input, cleanMIME(v.Input))
		}
		if got, err := m.seal(secret, unhex(t, v.File)); err != nil || !bytes.Equal(got, blob) {
			t.Errorf("%s: sealed as %x, %v", v.Name, got, err)
		}
		blob[0] ^= 1
		if _, err := m.Open(secret, blob); !errors.Is(err, ErrMedia) {
			t.Errorf("changed: %v", err)
		}
	}
	old := MIPMedia{Type: file.V1.MIME, Name: file.V1.Name, Hash: [32]byte{1}, Nonce: [12]byte(unhex(t, file.V1.Nonce))}
	if _, err := old.Open(unhex(t, file.V1.Secret), unhex(t, file.V1.Blob)); !errors.Is(err, ErrMedia) {
		t.Errorf("version 1 opens: %v", err)
	}
}

func TestMIPMedia(t *testing.T) {
	secret := bytes.Repeat([]byte{7}, 32)
	m, blob, err := SealMIPMedia(secret, "Image/PNG; x=y", "a.png", []byte("picture"))
	if err != nil || m.Type != "image/png" {
		t.Fatal(m, err)
	}
	m.URL = "https://blossom.example/x"
	again, err := ParseMIPMedia(append(m.Tag(), "dim 1x1", "waveform 1 2"))
	if err != nil || again != m {
		t.Errorf("%+v, %v", again, err)
	}
	if got, err := again.Open(secret, blob); err != nil || string(got) != "picture" {
		t.Errorf("%q, %v", got, err)
	}
	for _, name := range []string{"", "a/b", `a\b`, "a\x00b", strings.Repeat("x", 211), "\xff"} {
		if _, _, err := SealMIPMedia(secret, "image/png", name, nil); !errors.Is(err, ErrEncoding) {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, bad := range [][2]string{{"v mip04-v2", "v mip04-v1"}, {"n ", "n 00"}, {"x ", "x zz"}, {"m image/png", "m IMAGE"}, {"url ", "v mip04-v2 "}} {
		tag := slices.Clone(m.Tag())
		for i := range tag {
			if strings.HasPrefix(tag[i], bad[0]) {
				tag[i] = strings.Replace(tag[i], bad[0], bad[1], 1)
			}
		}
		if _, err := ParseMIPMedia(tag); !errors.Is(err, ErrEncoding) {
			t.Errorf("%q: %v", tag, err)
		}
	}
}

func TestPushTokenVectors(t *testing.T) {
	file := readMIP[struct {
		Cases []struct {
			Server    string `json:"server_secret"`
			ServerPub string `json:"server_pubkey"`
			Ephemeral string `json:"ephemeral_secret"`
			Nonce     string `json:"nonce"`
			Platform  byte   `json:"platform"`
			Token     string `json:"device_token"`
			Padding   string `json:"padding_byte"`
			Encrypted string `json:"encrypted_token"`
		} `json:"cases"`
		Legacy struct {
			Encrypted string `json:"encrypted_token"`
		} `json:"legacy_280"`
	}](t, "push-token.json")
	if len(file.Cases) < 2 {
		t.Fatal("no cases")
	}
	for _, v := range file.Cases {
		want := PushToken{v.Platform, unhex(t, v.Token)}
		server, sealed := nostr.SecretKey(unhex(t, v.Server)), unhex(t, v.Encrypted)
		if server.PubKey().String() != v.ServerPub {
			t.Errorf("public key %s", server.PubKey())
		}
		got, err := OpenPushToken(server, sealed)
		if err != nil || got.Platform != want.Platform || !bytes.Equal(got.Token, want.Token) {
			t.Errorf("opened as %d %x, %v", got.Platform, got.Token, err)
		}
		padded := bytes.Repeat(unhex(t, v.Padding), pushPlainSize)
		again, err := want.seal(server.PubKey(), nostr.SecretKey(unhex(t, v.Ephemeral)), [12]byte(unhex(t, v.Nonce)), padded)
		if err != nil || !bytes.Equal(again, sealed) {
			t.Errorf("sealed as %x, %v", again, err)
		}
		sealed[100] ^= 1
		if _, err := OpenPushToken(server, sealed); !errors.Is(err, ErrPushToken) {
			t.Errorf("changed: %v", err)
		}
	}
	token := PushToken{PushAPNs, []byte("device")}
	server := nostr.GenerateSecretKey()
	sealed, err := token.Seal(server.PubKey())
	if err != nil || len(sealed) != PushTokenSize {
		t.Fatal(len(sealed), err)
	}
	if got, err := OpenPushToken(server, sealed); err != nil || string(got.Token) != "device" {
		t.Error(err)
	}
	if s := fmt.Sprintf("%v %+v %#v %x", token, token, token, token); strings.Contains(s, "device") || strings.Contains(s, "6465") {
		t.Errorf("prints %s", s)
	}
	if _, err := OpenPushToken(server, sealed[:280]); !errors.Is(err, ErrEncoding) {
		t.Errorf("of the older size: %v", err)
	}
	for _, bad := range [][]byte{nil, make([]byte, maxPushToken+1)} {
		if _, err := (PushToken{PushFCM, bad}).Seal(server.PubKey()); !errors.Is(err, ErrEncoding) {
			t.Errorf("%d bytes: %v", len(bad), err)
		}
	}
}

func FuzzMIPMedia(f *testing.F) {
	f.Add("imeta\nurl https://a\nm image/png\nfilename a\nx 00\nn 00\nv mip04-v2")
	f.Fuzz(func(t *testing.T, s string) {
		m, err := ParseMIPMedia(strings.Split(s, "\n"))
		if err != nil {
			return
		}
		if again, err := ParseMIPMedia(m.Tag()); err != nil || again != m {
			t.Errorf("%+v, then %+v, %v", m, again, err)
		}
	})
}

// TestMIP06Vectors checks the rest of the draft for several devices, of which nothing
// is built: the id of its authorization event, and its pairing message.
func TestMIP06Vectors(t *testing.T) {
	v := readMIP[struct {
		Event   json.RawMessage `json:"auth_event"`
		Pairing struct {
			New      string `json:"new_device_secret"`
			Existing string `json:"existing_device_secret"`
			Public   string `json:"existing_device_pub"`
			AAD      string `json:"aad"`
			Nonce    string `json:"nonce"`
			Payload  string `json:"payload"`
			Wire     string `json:"wire"`
		} `json:"pairing"`
	}](t, "mip06.json")
	e, err := nostr.ParseRumor(v.Event)
	if err != nil || e.Kind != KindIdentityProof {
		t.Errorf("%+v, %v", e, err) // the id is checked with it
	}
	p := v.Pairing
	existing, err := ecdh.X25519().NewPrivateKey(unhex(t, p.Existing))
	if err != nil || hex.EncodeToString(existing.PublicKey().Bytes()) != p.Public {
		t.Fatal(err)
	}
	other, err := ecdh.X25519().NewPrivateKey(unhex(t, p.New))
	if err != nil {
		t.Fatal(err)
	}
	shared, err := other.ECDH(existing.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	key, err := hkdf.Key(sha256.New, shared, []byte("marmot-pairing-v1"), "marmot-pairing-key", 32)
	if err != nil {
		t.Fatal(err)
	}
	aead, err := chacha20poly1305.New(key)
	if err != nil {
		t.Fatal(err)
	}
	sealed := unhex(t, p.Wire)[32+12:]
	if got, err := aead.Open(nil, unhex(t, p.Nonce), sealed, unhex(t, p.AAD)); err != nil || hex.EncodeToString(got) != p.Payload {
		t.Errorf("%x, %v", got, err)
	}
}
