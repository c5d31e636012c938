package nostr

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// The worked values are those of Marmot's own documents and two ids computed
// from text written out by hand, so that a mistake in Serialize cannot hide.
func TestEventID(t *testing.T) {
	account := secret(3).PubKey()
	proof := Tags{{"d", "marmot.account-identity-proof.v2"}, {"component", "0x8009"}, {"ciphersuite", "0x0001"},
		{"signature_scheme", "0x0807"}, {"mls_signature_key", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"}}
	const hello = "hello <b>&\u2028 \n\"q\" é"
	tests := []struct {
		name string
		e    Event
		want string
	}{
		{"plain", Event{PubKey: account, CreatedAt: 1700000000, Kind: 9, Content: "hello"},
			"64066844c0b1e7db6f7fb913081a5ebf82cccdffaf3d095b800049d3cc1de32d"},
		{"what encoding/json would escape", Event{PubKey: account, CreatedAt: 1700000000, Kind: 9, Content: hello},
			"4538ca607ced1c2cf19bd788968be3d2ce7328db9f3266cae2eaa27982b0961a"},
		{"tags", Event{PubKey: account, CreatedAt: 1700000000, Kind: 450, Tags: proof, Content: "Authorize this MLS leaf key for my Marmot account"},
			"b7e9a15dd85990fb0f49c33db3cc9875f73986207b038404ceb6b7fec4e0af6b"},
		{"all escapes", Event{PubKey: account, CreatedAt: 1, Kind: 1, Content: "\x00\x01\b\t\n\v\f\r\x1f\"\\/\x7f\u2029"},
			sha(`[0,"` + account.String() + `",1,1,[],"\u0000\u0001\b\t\n\u000b\f\r\u001f\"\\/` + "\x7f\u2029" + `"]`)},
		{"empty tag", Event{PubKey: account, Tags: Tags{{}, {""}, {"a", "\\"}}},
			sha(`[0,"` + account.String() + `",0,0,[[],[""],["a","\\"]],""]`)},
	}
	for _, tt := range tests {
		if got := tt.e.ComputeID().String(); got != tt.want {
			t.Errorf("%s: id %s, want %s\n%s", tt.name, got, tt.want, tt.e.Serialize())
		}
	}
}

func sha(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}

func TestSignAndVerify(t *testing.T) {
	e := &Event{CreatedAt: 1700000000, Kind: 1, Tags: Tags{{"t", "x"}}, Content: "a\u2028<\x00"}
	if err := secret(7).SignEvent(e); err != nil {
		t.Fatal(err)
	}
	back, err := ParseEvent(e.AppendJSON(nil))
	if err != nil || back.Verify() != nil {
		t.Fatal(err, back)
	}
	changed := *back
	changed.Content += " "
	if err := changed.Verify(); !errors.Is(err, ErrBadID) {
		t.Errorf("changed content: %v", err)
	}
	changed = *back
	changed.Sig[5] ^= 1
	if err := changed.Verify(); !errors.Is(err, ErrBadSignature) {
		t.Errorf("changed signature: %v", err)
	}
	changed = *back
	changed.PubKey = PubKey{}
	changed.ID = changed.ComputeID()
	if err := changed.Verify(); !errors.Is(err, ErrBadSignature) {
		t.Errorf("key that is no point: %v", err)
	}
}

func TestSignEventRefuses(t *testing.T) {
	for name, e := range map[string]Event{
		"kind":           {Kind: 65536},
		"negative kind":  {Kind: -1},
		"negative time":  {CreatedAt: -1},
		"time past 2^53": {CreatedAt: MaxTimestamp + 1},
		"content":        {Content: "\xff"},
		"tag":            {Tags: Tags{{"a", "\xc0"}}},
	} {
		if err := secret(1).SignEvent(&e); !errors.Is(err, ErrMalformed) || e.ID != (ID{}) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMarshalJSON(t *testing.T) {
	e := Event{Content: "<&>\u2028"}
	b, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	var back Event
	if err := json.Unmarshal(b, &back); err != nil || back.Content != e.Content {
		t.Errorf("%s: %v", b, err)
	}
	if err := json.Unmarshal([]byte(`{"id":1}`), &back); err == nil || back.Content != e.Content {
		t.Error("a failed UnmarshalJSON changed the event")
	}
}

func anyEvent() *rapid.Generator[*Event] {
	return rapid.Custom(func(t *rapid.T) *Event {
		text := rapid.OneOf(rapid.String(), rapid.StringOf(rapid.SampledFrom([]rune("\x00\x1f\"\\\n/<\u2028\u2029é😀\x7f"))))
		tags := Tags{}
		for _, l := range rapid.SliceOfN(rapid.SliceOfN(text, 0, 4), 0, 4).Draw(t, "tags") {
			tags = append(tags, Tag(l))
		}
		e := &Event{
			CreatedAt: Timestamp(rapid.Int64Range(0, MaxTimestamp).Draw(t, "time")),
			Kind:      Kind(rapid.IntRange(0, MaxKind).Draw(t, "kind")),
			Tags:      tags,
			Content:   text.Draw(t, "content"),
		}
		e.ID = e.ComputeID()
		return e
	})
}

// Whatever is written reads back as the same event, and our JSON means to
// encoding/json what it means to us.
func TestJSONRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := anyEvent().Draw(t, "event")
		b := AppendRumorJSON(nil, e)
		back, err := ParseRumor(b)
		if err != nil || string(AppendRumorJSON(nil, back)) != string(b) {
			t.Fatalf("%s: %v", b, err)
		}
		var std struct {
			Content string
			Tags    [][]string
		}
		if err := json.Unmarshal(b, &std); err != nil || std.Content != e.Content || !utf8.Valid(b) {
			t.Fatalf("%s: %v", b, err)
		}
	})
}

func TestTagRules(t *testing.T) {
	e := &Event{Tags: Tags{{}, {"expiration", "17"}, {"expiration", "18"}, {"-"}, {"p"}, {"p", "x"}}}
	if got, ok := Expiration(e); !ok || got != 17 {
		t.Error(got, ok)
	}
	if !Protected(e) || Protected(&Event{}) {
		t.Error("Protected")
	}
	n := 0
	for range e.Tags.All("p") {
		n++
	}
	if tag, ok := e.Tags.Find("p"); n != 2 || !ok || tag.Value() != "" || (Tag{}).Name() != "" {
		t.Error(n, tag)
	}
	for _, bad := range []string{"", "-1", "+1", "1.0", "9223372036854775808", "x"} {
		if _, ok := Expiration(&Event{Tags: Tags{{"expiration", bad}}}); ok {
			t.Errorf("expiration %q accepted", bad)
		}
	}
}

func TestKindClasses(t *testing.T) {
	for k, want := range map[Kind]string{0: "r", 1: "", 3: "r", 445: "", 1059: "", 9999: "", 10000: "r", 19999: "r", 20000: "e", 29999: "e", 30000: "a", 39999: "a", 40000: ""} {
		got := ""
		if k.Replaceable() {
			got += "r"
		}
		if k.Ephemeral() {
			got += "e"
		}
		if k.Addressable() {
			got += "a"
		}
		if got != want {
			t.Errorf("kind %d: %q, want %q", k, got, want)
		}
	}
}

func TestIDs(t *testing.T) {
	const s = "64066844c0b1e7db6f7fb913081a5ebf82cccdffaf3d095b800049d3cc1de32d"
	id, err := ParseID(s)
	if err != nil || id.String() != s {
		t.Fatal(err)
	}
	b, _ := json.Marshal(map[ID]PubKey{id: PubKey(id)})
	var back map[ID]PubKey
	if err := json.Unmarshal(b, &back); err != nil || back[id] != PubKey(id) {
		t.Fatal(string(b), err)
	}
	for _, bad := range []string{"", s[1:], s + "0", strings.ToUpper(s), "g" + s[1:]} {
		if _, err := ParseID(bad); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v", bad, err)
		}
		if _, err := ParsePubKey(bad); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
