package wire

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/marmotgo/marmot/internal/vectors"
	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/nostr"
)

type groupDataVector struct {
	Name   string `json:"name"`
	Hex    string `json:"hex"`
	Layout string `json:"layout"`
	Fields struct {
		Version   uint16   `json:"version"`
		ID        string   `json:"nostr_group_id"`
		Name      string   `json:"name"`
		About     string   `json:"description"`
		Admins    []string `json:"admin_pubkeys"`
		Relays    []string `json:"relays"`
		Hash      string   `json:"image_hash"`
		Key       string   `json:"image_key"`
		Nonce     string   `json:"image_nonce"`
		UploadKey string   `json:"image_upload_key"`
		Secs      *uint64  `json:"disappearing_message_secs"`
	} `json:"fields"`
	Defined bool `json:"implementation_defined"`
}

func readMIP[T any](t testing.TB, name string) (v T) {
	t.Helper()
	if err := json.Unmarshal(vectors.Read(t, "mip/"+name), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestGroupDataVectors reads the published encodings of every version, and
// writes those again that are written today.
func TestGroupDataVectors(t *testing.T) {
	file := readMIP[struct {
		Accept  []groupDataVector `json:"accept"`
		Future  []groupDataVector `json:"accept_future"`
		Reject  []groupDataVector `json:"reject"`
		Layouts []groupDataVector `json:"layout_variants"`
	}](t, "group-data.json")
	for _, v := range append(file.Accept, file.Future...) {
		d, err := DecodeGroupData(unhex(t, v.Hex))
		if err != nil {
			t.Errorf("%s: %v", v.Name, err)
			continue
		}
		f := v.Fields
		secs := uint64(0)
		if f.Secs != nil {
			secs = *f.Secs
		}
		same := d.Version == f.Version && hex.EncodeToString(d.GroupID[:]) == f.ID && d.Name == f.Name && d.Description == f.About &&
			len(d.Admins) == len(f.Admins) && len(d.Relays) == len(f.Relays) && hex.EncodeToString(d.Image.Hash) == f.Hash &&
			hex.EncodeToString(d.Image.Key) == f.Key && hex.EncodeToString(d.Image.Nonce) == f.Nonce &&
			hex.EncodeToString(d.Image.UploadKey) == f.UploadKey && uint64(d.Retention) == secs
		for _, a := range f.Admins {
			same = same && d.Admins.Contains(nostr.PubKey(unhex(t, a)))
		}
		if !same {
			t.Errorf("%s: %+v", v.Name, d)
		}
		if d.Newer() != (f.Version > 3) {
			t.Errorf("%s: newer is %v", v.Name, d.Newer())
		}
		if (f.Version == 2 || f.Version == 3) && slices.IsSorted(f.Relays) { // MDK writes sets sorted, as we do
			if got := d.Append(nil); hex.EncodeToString(got) != v.Hex {
				t.Errorf("%s: written as %x", v.Name, got)
			}
		}
	}
	for _, v := range file.Layouts {
		if d, err := DecodeGroupData(unhex(t, v.Hex)); err != nil || len(d.Admins) == 0 {
			t.Errorf("%s: %v, %+v", v.Name, err, d)
		}
	}
	for _, v := range file.Reject {
		if d, err := DecodeGroupData(unhex(t, v.Hex)); err == nil && !v.Defined {
			t.Errorf("%s is read as %+v", v.Name, d)
		}
	}
}

func TestGroupDataVersion(t *testing.T) {
	d := &GroupData{Version: 2, Admins: NewAdmins(nostr.PubKey{1}), Relays: []string{"wss://a.example"}}
	for _, step := range []struct {
		secs Retention
		want uint16
	}{{0, 2}, {60, 3}, {0, 3}} {
		d.Retention = step.secs
		again, err := DecodeGroupData(d.Append(nil))
		if err != nil || again.Version != step.want || again.Retention != step.secs {
			t.Fatalf("with %d seconds: %+v, %v", step.secs, again, err)
		}
		d = again
	}
}

func TestGroupImageVectors(t *testing.T) {
	v := readMIP[struct {
		Plaintext string `json:"plaintext"`
		Key       string `json:"image_key"`
		Nonce     string `json:"image_nonce"`
		UploadKey string `json:"image_upload_key"`
		V2        struct {
			Encrypted string `json:"encrypted"`
			Hash      string `json:"image_hash"`
			Upload    string `json:"upload_secret"`
		} `json:"v2"`
		V1 struct {
			Encrypted string `json:"encrypted"`
			Hash      string `json:"image_hash"`
		} `json:"v1"`
	}](t, "group-image.json")
	image := GroupImage{Key: unhex(t, v.Key), Nonce: unhex(t, v.Nonce), UploadKey: unhex(t, v.UploadKey)}
	for name, c := range map[string][2]string{"v2": {v.V2.Encrypted, v.V2.Hash}, "v1": {v.V1.Encrypted, v.V1.Hash}} {
		image.Hash = unhex(t, c[1])
		got, err := image.Open(unhex(t, c[0]))
		if err != nil || hex.EncodeToString(got) != v.Plaintext {
			t.Errorf("%s: %x, %v", name, got, err)
		}
		if _, err := image.Open(append(unhex(t, c[0]), 0)); err == nil {
			t.Errorf("%s: another picture was taken for it", name)
		}
	}
	if secret, err := image.UploadSecret(); err != nil || hex.EncodeToString(secret) != v.V2.Upload {
		t.Errorf("upload secret %x, %v", secret, err)
	}
	if _, err := (GroupImage{Hash: image.Hash}).Open(unhex(t, v.V1.Encrypted)); err == nil {
		t.Error("opened without a key")
	}
}

func TestMIPGroupEventVectors(t *testing.T) {
	v := readMIP[struct {
		Outer struct {
			Key       string `json:"key"`
			Plaintext string `json:"plaintext"`
			Content   string `json:"content"`
		} `json:"outer"`
		Reject []struct{ Name, Content string } `json:"reject"`
		Legacy struct {
			Secret    string `json:"secret"`
			Plaintext string `json:"plaintext"`
			Content   string `json:"content"`
		} `json:"legacy_nip44"`
	}](t, "group-event.json")
	tags := nostr.Tags{{"h", hex.EncodeToString(make([]byte, 32))}}
	open := func(content string) ([]byte, bool) {
		ev, err := ParseMIPGroupEvent(&nostr.Event{Kind: KindGroupEvent, Tags: tags, Content: content})
		if err != nil {
			return nil, false
		}
		return ev.Open(EventKey(unhex(t, v.Outer.Key)))
	}
	if b, ok := open(v.Outer.Content); !ok || hex.EncodeToString(b) != v.Outer.Plaintext {
		t.Errorf("the published event gives %x", b)
	}
	for _, r := range v.Reject {
		if _, ok := open(r.Content); ok {
			t.Errorf("%s is opened", r.Name)
		}
	}
	key, err := legacyKey(unhex(t, v.Legacy.Secret))
	if err != nil {
		t.Fatal(err)
	}
	ev, err := ParseMIPGroupEvent(&nostr.Event{Kind: KindGroupEvent, Tags: tags, Content: v.Legacy.Content})
	if err != nil {
		t.Fatal(err)
	}
	if b, ok := ev.OpenLegacy(key); !ok || hex.EncodeToString(b) != v.Legacy.Plaintext {
		t.Errorf("the older layer gives %x", b)
	}
	if _, ok := ev.Open(EventKey(unhex(t, v.Outer.Key))); ok {
		t.Error("the older layer opens as the newer one")
	}
}

func TestMIPKeyPackage(t *testing.T) {
	_, signer, _ := ed25519.GenerateKey(nil)
	account := nostr.GenerateSecretKey()
	now := time.Now()
	kp, _, err := mls.NewKeyPackage(signer, MIPKeyPackageConfig(account.PubKey(), now))
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []nostr.Kind{KindMIPKeyPackage, KindKeyPackage} {
		e := NewMIPKeyPackageEvent(account.PubKey(), kind, hex.EncodeToString(make([]byte, 32)), []string{"wss://a.example"}, kp, 5)
		if err := account.SignEvent(e); err != nil {
			t.Fatal(err)
		}
		got, err := ParseMIPKeyPackageEvent(e, now)
		if err != nil || !got.MIP || !got.LastResort || got.Account != account.PubKey() || !bytes.Equal(got.KeyPackage.Bytes(), kp.Bytes()) {
			t.Errorf("kind %d: %+v, %v", kind, got, err)
		}
		if !LooksMIP(e) {
			t.Errorf("kind %d is not seen to be of v1", kind)
		}
		older := *e
		older.Content = hex.EncodeToString(kp.Bytes())
		older.Tags = nostr.Tags{{"mls_protocol_version", "1.0"}, {"ciphersuite", "0x0001"}, {"relays", "wss://a.example"}}
		if _, err := ParseMIPKeyPackageEvent(&older, now); err != nil {
			t.Errorf("kind %d, as in 2025: %v", kind, err)
		}
		other := *e
		other.PubKey = nostr.PubKey{9}
		if _, err := ParseMIPKeyPackageEvent(&other, now); err == nil {
			t.Errorf("kind %d: somebody else's key package was taken", kind)
		}
		wrong := *e
		wrong.Tags = append(nostr.Tags{{"i", hex.EncodeToString(make([]byte, 32))}}, wrong.Tags...)
		if _, err := ParseMIPKeyPackageEvent(&wrong, now); err == nil {
			t.Errorf("kind %d: a wrong reference was taken", kind)
		}
	}
}

func TestMIPPayload(t *testing.T) {
	author := nostr.PubKey{7}
	e := NewPayload(author, KindChat, "hi", nil, 9)
	whole := string(EncodePayload(e))
	for name, c := range map[string]struct {
		json string
		ok   bool
	}{
		"as it should be": {whole, true},
		"without its id":  {`{"pubkey":"` + author.String() + `","created_at":9,"kind":9,"tags":[],"content":"hi"}`, true},
		"signed":          {whole[:len(whole)-1] + `,"sig":"00"}`, true},
		"another's":       {`{"pubkey":"` + nostr.PubKey{8}.String() + `","created_at":9,"kind":9,"tags":[],"content":"hi"}`, false},
		"with a group":    {`{"pubkey":"` + author.String() + `","created_at":9,"kind":9,"tags":[["h","x"]],"content":"hi"}`, false},
		"a wrong id":      {`{"id":"` + nostr.ID{1}.String() + `","pubkey":"` + author.String() + `","created_at":9,"kind":9,"tags":[],"content":"hi"}`, false},
		"no object":       {`[1]`, false},
		"nothing":         {``, false},
	} {
		got, rumor, err := DecodeMIPPayload([]byte(c.json), author)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil {
			continue
		}
		if again, err := DecodePayload(rumor, author); got.ID != e.ID || err != nil || again.ID != e.ID {
			t.Errorf("%s: id %s, kept as %s, %v", name, got.ID, rumor, err)
		}
	}
}

func FuzzMIPGroupData(f *testing.F) {
	f.Add((&GroupData{Version: 2, Name: "a", Relays: []string{"wss://a.example"}, Admins: NewAdmins(nostr.PubKey{1})}).Append(nil))
	f.Add((&GroupData{Retention: 60}).Append(nil))
	f.Add(append([]byte{0, 1}, make([]byte, 200)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := DecodeGroupData(b)
		if err != nil || d.Newer() {
			return
		}
		again, err := DecodeGroupData(d.Append(nil))
		if err != nil || again.Name != d.Name || len(again.Admins) != len(d.Admins) || len(again.Relays) != len(d.Relays) {
			t.Fatalf("%+v becomes %+v, %v", d, again, err)
		}
	})
}

func FuzzMIPPayload(f *testing.F) {
	f.Add([]byte(`{"pubkey":"` + nostr.PubKey{7}.String() + `","created_at":9,"kind":9,"tags":[],"content":"hi"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, rumor, err := DecodeMIPPayload(b, nostr.PubKey{7})
		if err != nil {
			return
		}
		if _, err := DecodePayload(rumor, nostr.PubKey{7}); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzMIPKeyPackageEvent(f *testing.F) {
	f.Add("AAEAASCw", "base64")
	f.Add("0001", "hex")
	f.Fuzz(func(t *testing.T, content, encoding string) {
		e := &nostr.Event{Kind: KindMIPKeyPackage, Content: content, Tags: nostr.Tags{{"encoding", encoding}}}
		_, _ = ParseMIPKeyPackageEvent(e, time.Unix(1, 0))
		_ = LooksMIP(e)
		_, _ = ParseAnyWelcome(&nostr.Event{Kind: KindWelcome, Content: content, Tags: e.Tags})
	})
}

// TestMIPGolden holds the bytes that v1 peers depend on, also where the
// published vectors are not at hand.
func TestMIPGolden(t *testing.T) {
	d := &GroupData{
		GroupID: [32]byte{1, 31: 2}, Name: "Bau", Description: "ü", Admins: NewAdmins(nostr.PubKey{4}, nostr.PubKey{3}),
		Relays: []string{"wss://a.example", "wss://b.example"},
		Image:  GroupImage{Hash: bytes.Repeat([]byte{5}, 32), Key: bytes.Repeat([]byte{6}, 32), Nonce: bytes.Repeat([]byte{7}, 12), UploadKey: bytes.Repeat([]byte{8}, 32)},
	}
	id := "01" + strings.Repeat("00", 30) + "02"
	body := id + "03" + "426175" + "02" + "c3bc" + "4040" + "03" + strings.Repeat("00", 31) + "04" + strings.Repeat("00", 31) +
		"20" + "0f" + hex.EncodeToString([]byte("wss://a.example")) + "0f" + hex.EncodeToString([]byte("wss://b.example")) +
		"20" + strings.Repeat("05", 32) + "20" + strings.Repeat("06", 32) + "0c" + strings.Repeat("07", 12) + "20" + strings.Repeat("08", 32)
	if got := hex.EncodeToString(d.Append(nil)); got != "0002"+body {
		t.Errorf("version 2 is %s", got)
	}
	d.Retention = 3600
	if got := hex.EncodeToString(d.Append(nil)); got != "0003"+body+"080000000000000e10" {
		t.Errorf("version 3 is %s", got)
	}
	text := func(s string) string { return fmt.Sprintf("%04x%x", len(s), s) }
	old := "0001" + id + text("Bau") + text("ü") + text(strings.Repeat("04", 32)) + text("wss://a.example,wss://b.example") +
		strings.Repeat("05", 32) + strings.Repeat("06", 32) + strings.Repeat("07", 12)
	got, err := DecodeGroupData(unhex(t, old))
	if err != nil || got.Version != 1 || got.Name != "Bau" || len(got.Admins) != 1 || len(got.Relays) != 2 || len(got.Image.UploadKey) != 0 {
		t.Errorf("the layout of 2025: %+v, %v", got, err)
	}
	ext := MIPExtensions(d, true)
	if ext[0].Type != 0xF2EE || ext[1].Type != 3 || hex.EncodeToString(ext[1].Data) != "02f2ee02000a00" {
		t.Errorf("extensions %x %x", ext[0].Type, ext[1].Data)
	}
	if ext := MIPExtensions(d, false); hex.EncodeToString(ext[1].Data) != "02f2ee0000" {
		t.Errorf("required without SelfRemove: %x", ext[1].Data)
	}
	var kp mls.KeyPackage
	caps := MIPLeafCapabilities()
	kp.Suite, kp.Leaf = 1, &mls.LeafNode{Capabilities: caps}
	e := NewMIPKeyPackageEvent(nostr.PubKey{1}, KindKeyPackage, "d0", []string{"wss://a.example", "wss://b.example"}, &kp, 1)
	want := `[["d","d0"],["mls_protocol_version","1.0"],["mls_ciphersuite","0x0001"],["mls_extensions","0x000a","0xf2ee"],["mls_proposals","0x000a"],` +
		`["relays","wss://a.example","wss://b.example"],["i",`
	if tags, _ := json.Marshal(e.Tags); !strings.HasPrefix(string(tags), want) || !strings.HasSuffix(string(tags), `["encoding","base64"]]`) {
		t.Errorf("tags %s", tags)
	}
}
