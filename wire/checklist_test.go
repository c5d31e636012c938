package wire

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/nostr"
	"golang.org/x/crypto/chacha20poly1305"
)

// The worked bytes of the interoperability checklist: account secret key 3,
// MLS key 00 01 … 1f, created_at 1700000000, routing id 00 01 … 1f.

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func counting() (out [32]byte) {
	for i := range out {
		out[i] = byte(i)
	}
	return out
}

func account3() nostr.PubKey {
	var key nostr.SecretKey
	key[31] = 3
	return key.PubKey()
}

const proofHex = `f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9 000000006553f100
	c5315d3c85b9d4907cb03395a2a97b3ba2eab393f8e45b13a5d5233acedac60a51d2a295e1b1b5ee372d18a49bdb8041a7dba9dedce722c7c6f712f78bbdfb5d`

func TestIdentityProofBytes(t *testing.T) {
	key := counting()
	e := ProofEvent(account3(), 1, key[:], 1700000000)
	if got := e.ID.String(); got != "b7e9a15dd85990fb0f49c33db3cc9875f73986207b038404ceb6b7fec4e0af6b" {
		t.Errorf("event id %s", got)
	}
	proof := IdentityProof(unhex(t, proofHex))
	if err := proof.Verify(account3(), 1, key[:]); err != nil {
		t.Error(err)
	}
	signed := *e
	copy(signed.Sig[:], proof[40:])
	if got, err := NewIdentityProof(e, &signed); err != nil || got != proof {
		t.Errorf("%x, %v", got, err)
	}
	second, err := nostr.ParsePubKey("79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")
	if err != nil {
		t.Fatal(err)
	}
	e = ProofEvent(second, 1, unhex(t, "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"), 1790000000)
	if got := e.ID.String(); got != "1ce2553e3744b914ac7c54009eeef0838c629c1a784fa2e6c77cd8f2a6e3b0f5" {
		t.Errorf("second event id %s", got)
	}
}

func TestIdentityProofRefusals(t *testing.T) {
	key := counting()
	good := IdentityProof(unhex(t, proofHex))
	other := key
	other[0] ^= 1
	for name, err := range map[string]error{
		"another account":    good.Verify(nostr.PubKey(counting()), 1, key[:]),
		"another key":        good.Verify(account3(), 1, other[:]),
		"another suite":      good.Verify(account3(), 2, key[:]),
		"key of wrong size":  good.Verify(account3(), 1, key[:31]),
		"no time":            edited(good, 39, 0, 32, 40).Verify(account3(), 1, key[:]),
		"time out of range":  edited(good, 33, 0x20, 0, 0).Verify(account3(), 1, key[:]),
		"signature changed":  edited(good, 100, good[100]^1, 0, 0).Verify(account3(), 1, key[:]),
		"signer changed":     edited(good, 0, good[0]^1, 0, 0).Verify(account3(), 1, key[:]),
		"another event time": edited(good, 39, good[39]^1, 0, 0).Verify(account3(), 1, key[:]),
	} {
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// edited clears [from, to) and sets one byte.
func edited(p IdentityProof, at int, v byte, from, to int) IdentityProof {
	clear(p[from:to])
	p[at] = v
	return p
}

func TestLeafBytes(t *testing.T) {
	want := unhex(t, `06 408e 408c 0001 19 180001800180028003800480058006800780088009800b800c 0002 01 00 8009 4068 `+proofHex)
	// MDK also lists 8008, the frozen media component, which we do not have.
	theirs := unhex(t, `0001 19 180001800180028003800480058006800780088009800b800c`)
	list, err := DecodeComponents(theirs[3:])
	if err != nil || len(list) != 12 {
		t.Fatalf("their component list: %v, %v", list, err)
	}
	d, err := mls.DecodeAppDataDictionary(want[3:])
	if err != nil {
		t.Fatal(err)
	}
	if got := d.Append(nil); !bytes.Equal(got, want[3:]) {
		t.Errorf("their dictionary re-encodes as %x", got)
	}
	ours := LeafExtensions(IdentityProof(unhex(t, proofHex)))
	if len(ours) != 1 || ours[0].Type != mls.ExtAppDataDictionary {
		t.Fatalf("leaf extensions %v", ours)
	}
	wantOurs := unhex(t, `408a 0001 17 16000180018002800380048005800680078009800b800c 0002 01 00 8009 4068 `+proofHex)
	if !bytes.Equal(ours[0].Data, wantOurs) {
		t.Errorf("leaf dictionary\n%x\nwant\n%x", ours[0].Data, wantOurs)
	}
}

func TestGroupContextBytes(t *testing.T) {
	routing := NewRouting(counting(), []string{"wss://relay.us.whitenoise.chat", "wss://relay.eu.whitenoise.chat"})
	ext, err := NewGroupExtensions(Profile{Name: "Test"}, NewAdmins(account3()), routing, 0)
	if err != nil {
		t.Fatal(err)
	}
	var body []byte
	for _, e := range ext {
		body = append(body, byte(e.Type>>8), byte(e.Type))
		body = appendOpaque(body, e.Data)
	}
	got := appendOpaque(nil, body)
	sum := sha256.Sum256(got)
	if len(got) != 353 || hex.EncodeToString(sum[:]) != "36bff78ae01bd3d00c3017ecb510e1cd4c75e96722054f30f423e062477eba4a" {
		t.Errorf("%d bytes: %x", len(got), got)
	}
	s, err := DecodeSettings(ext)
	if err != nil || s.Profile.Name != "Test" || !s.Admins.Contains(account3()) || len(s.Routing.Relays) != 2 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestProposalBytes(t *testing.T) {
	first, err := nostr.ParsePubKey("79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"rename", Profile{Name: "New name"}.Append(nil), "084e6577206e616d6500"},
		{"admins", NewAdmins(account3(), first).Append(nil), "4040 79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798 f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9"},
		{"retention", Retention(86400).Append(nil), "0000000000015180"},
		{"agent stream", DefaultAgentStream.Append(nil), "010300001000000000000000"},
		{"lifecycle", Active.Append(nil), "00"},
		{"profile", Profile{Name: "A"}.Append(nil), "014100"},
	} {
		if want := unhex(t, c.want); !bytes.Equal(c.data, want) {
			t.Errorf("%s: %x, want %x", c.name, c.data, want)
		}
	}
}

func TestPayloadBytes(t *testing.T) {
	e := NewPayload(account3(), KindChat, "hello", nil, 1700000000)
	want := `{"id":"64066844c0b1e7db6f7fb913081a5ebf82cccdffaf3d095b800049d3cc1de32d","pubkey":"f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9","created_at":1700000000,"kind":9,"tags":[],"content":"hello"}`
	if got := string(EncodePayload(e)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got, err := DecodePayload([]byte(want), account3()); err != nil || got.Content != "hello" {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := DecodePayload([]byte(want), nostr.PubKey{1}); err == nil {
		t.Error("a payload in another account's name was accepted")
	}
	awkward := NewPayload(account3(), KindChat, "hello <b>&\u2028 \n\"q\" é", nil, 1700000000)
	if got := awkward.ID.String(); got != "4538ca607ced1c2cf19bd788968be3d2ce7328db9f3266cae2eaa27982b0961a" {
		t.Errorf("id %s", got)
	}
}

func TestGroupEventBytes(t *testing.T) {
	const content = "AAECAwQFBgcICQoLq0ESPMcQ5c7hXYQCgW0LEKlZdSdjnPWJWDiQ3zOpbg=="
	key := EventKey(bytes.Repeat([]byte{0x7a}, 32))
	aead, err := chacha20poly1305.New(key[:])
	if err != nil {
		t.Fatal(err)
	}
	nonce := counting()
	sealed := aead.Seal(nonce[:12:12], nonce[:12], []byte("inner mls bytes"), nil)
	if got := base64.StdEncoding.EncodeToString(sealed); got != content {
		t.Errorf("content %s", got)
	}
	g, err := ParseGroupEvent(&nostr.Event{Kind: KindGroupEvent, Content: content, Tags: nostr.Tags{{"h", strings.Repeat("ab", 32)}}})
	if err != nil {
		t.Fatal(err)
	}
	if b, ok := g.Open(key); !ok || string(b) != "inner mls bytes" {
		t.Errorf("%q, %v", b, ok)
	}
	if _, ok := g.Open(EventKey{}); ok {
		t.Error("opened with another key")
	}
}

func TestSystemRowID(t *testing.T) {
	const actor = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
	pub, err := nostr.ParsePubKey(actor)
	if err != nil {
		t.Fatal(err)
	}
	e := NewPayload(pub, 1210, `{"v":1,"system_type":"group_disbanded","text":"Group disbanded","data":{"actor":"`+actor+`"}}`,
		nostr.Tags{{"system", "group_disbanded"}}, 1700000000)
	if got := e.ID.String(); got != "126e47076e4d0a75ed260b279c33ed433acd764fc80e2de2e0315a64116d1f52" {
		t.Errorf("id %s", got)
	}
}

func TestRoutingBytes(t *testing.T) {
	valid := "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f2c157773733a2f2f72656c61792d612e6578616d706c65157773733a2f2f72656c61792d622e6578616d706c65"
	r, err := DecodeRouting(unhex(t, valid))
	if err != nil || len(r.Relays) != 2 || r.Relays[0] != "wss://relay-a.example" {
		t.Fatalf("%+v, %v", r, err)
	}
	if got := hex.EncodeToString(r.Append(nil)); got != valid {
		t.Errorf("re-encodes as %s", got)
	}
	twice := strings.Replace(valid, "2d62", "2d61", 1)
	if _, err := DecodeRouting(unhex(t, twice)); err == nil {
		t.Error("a repeated relay was accepted")
	}
}

func TestEncryptedMediaBytes(t *testing.T) {
	want := "12656e637279707465642d6d656469612d76320b0a626c6f73736f6d2d7631270a626c6f73736f6d2d76311b68747470733a2f2f626c6f73736f6d2e7072696d616c2e6e65742f"
	m, err := DecodeEncryptedMedia(unhex(t, want))
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(m.Append(nil)); got != want {
		t.Errorf("re-encodes as %s", got)
	}
}

func TestAvatarURLBytes(t *testing.T) {
	good := unhex(t, "1968747470733a2f2f6578616d706c652e636f6d2f612e706e67073531327835313200")
	if err := CheckComponent(ComponentAvatarURL, good); err != nil {
		t.Error(err)
	}
	if err := CheckComponent(ComponentAvatarURL, unhex(t, "00 01 41 00")); err == nil {
		t.Error("hints without a URL were accepted")
	}
}

func TestKeyPackageEvent(t *testing.T) {
	k, e := newKeyPackageEvent(t)
	if !strings.HasPrefix(e.Content, "AAEABQABAAEg") {
		t.Errorf("content starts %.12s", e.Content)
	}
	names := []string{"d", "mls_protocol_version", "i", "mls_ciphersuite", "mls_extensions", "mls_proposals", "app_components"}
	for i, tag := range e.Tags {
		if tag[0] != names[i] {
			t.Errorf("tag %d is %q, want %q", i, tag[0], names[i])
		}
	}
	if !k.LastResort {
		t.Error("not marked as last resort")
	}
	if got := hex.EncodeToString(appendOpaque(nil, func() []byte {
		x := k.KeyPackage.Extensions[0]
		return appendOpaque([]byte{byte(x.Type >> 8), byte(x.Type)}, x.Data)
	}())); got != "07000604030004"+"00" {
		t.Errorf("key package extensions %s", got)
	}
}
