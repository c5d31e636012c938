package nostr

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

const goodRumor = `{"id":"64066844c0b1e7db6f7fb913081a5ebf82cccdffaf3d095b800049d3cc1de32d","pubkey":"f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9","created_at":1700000000,"kind":9,"tags":[],"content":"hello"}`

func goodEvent(t testing.TB) string {
	e := &Event{CreatedAt: 1700000000, Kind: 445, Tags: Tags{{"h", "00"}, {"expiration", "1"}}, Content: "x"}
	if err := secret(3).SignEvent(e); err != nil {
		t.Fatal(err)
	}
	return string(e.AppendJSON(nil))
}

func TestRumorGolden(t *testing.T) {
	e, err := ParseRumor([]byte(goodRumor))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(AppendRumorJSON(nil, e)); got != goodRumor {
		t.Errorf("%s", got)
	}
	// Order and white space are the sender's choice.
	if _, err := ParseRumor([]byte(" { \"content\":\"\\u0068ello\" ,\n" + goodRumor[1:len(goodRumor)-len(`,"content":"hello"}`)] + "}\t")); err != nil {
		t.Error(err)
	}
}

// Each case is one edit of a good rumor or event that must be refused.
func TestParseRefuses(t *testing.T) {
	edits := []struct{ name, old, new string }{
		{"float time", `1700000000`, `1700000000.0`},
		{"exponent", `1700000000`, `17e8`},
		{"string time", `1700000000`, `"1700000000"`},
		{"negative time", `1700000000`, `-1`},
		{"leading zero", `1700000000`, `01700000000`},
		{"time past 2^53", `1700000000`, `9007199254740992`},
		{"huge time", `1700000000`, strings.Repeat("9", 30)},
		{"null time", `1700000000`, `null`},
		{"null tags", `"tags":[`, `"tags":null,"x":[`},
		{"number in tags", `"tags":[`, `"tags":[[1],`},
		{"string in tags", `"tags":[`, `"tags":["a",`},
		{"deep tags", `"tags":[`, `"tags":[[["a"]],`},
		{"number content", `"content":"`, `"content":1,"y":"`},
		{"content twice", `"content":"`, `"content":"","content":"`},
		{"escaped name twice", `"content":"`, `"c\u006fntent":"","content":"`},
		{"missing content", `"content":"`, `"z":"`},
		{"uppercase hex", `"pubkey":"f9`, `"pubkey":"F9`},
		{"short hex", `"pubkey":"f9`, `"pubkey":"f`},
		{"name in another case", `"kind"`, `"Kind"`},
		{"kind too large", `"kind":`, `"kind":65536,"k":`},
		{"trailing comma", `}`, `,}`},
		{"data after", `}`, `}{}`},
		{"no end", `}`, ``},
		{"byte order mark", `{`, "\ufeff{"},
		{"array", `{`, `[{`},
		{"raw newline", `"content":"`, "\"content\":\"\n"},
		{"raw NUL", `"content":"`, "\"content\":\"\x00"},
		{"lone high surrogate", `"content":"`, `"content":"\ud83d`},
		{"lone low surrogate", `"content":"`, `"content":"\ude00`},
		{"two high surrogates", `"content":"`, `"content":"\ud83d\ud83d`},
		{"unknown escape", `"content":"`, `"content":"\x`},
		{"invalid UTF-8", `"content":"`, "\"content\":\"\xff"},
		{"overlong UTF-8", `"content":"`, "\"content\":\"\xc0\x80"},
	}
	for _, tt := range edits {
		for _, good := range []string{goodRumor, goodEvent(t)} {
			bad := strings.Replace(good, tt.old, tt.new, 1)
			if bad == good {
				t.Fatalf("%s: edit changed nothing", tt.name)
			}
			if _, err := ParseEvent([]byte(bad)); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s: ParseEvent: %v", tt.name, err)
			}
			if _, err := ParseRumor([]byte(bad)); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s: ParseRumor: %v", tt.name, err)
			}
		}
	}
}

func TestRumorHasSixMembers(t *testing.T) {
	event := goodEvent(t)
	withUnknown := strings.Replace(goodRumor, "{", `{"x":1,`, 1)
	for _, bad := range []string{event, withUnknown, `{}`, ``} {
		if _, err := ParseRumor([]byte(bad)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	otherID := strings.Replace(goodRumor, "640668", "640669", 1)
	if _, err := ParseRumor([]byte(otherID)); !errors.Is(err, ErrBadID) {
		t.Error(err)
	}
}

func TestEventUnknownMembers(t *testing.T) {
	event := goodEvent(t)
	with := func(member string) error {
		_, err := ParseEvent([]byte(strings.Replace(event, "{", "{"+member+",", 1)))
		return err
	}
	if err := with(`"seen":{"a":[1,-2.5e+3,true,false,null,"\u00e9"]}`); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{
		`"x":1,"x":1`, `"x":01`, `"x":-`, `"x":1.`, `"x":.5`, `"x":1e`, `"x":+1`, `"x":nul`, `"x":tru`, `"x":`,
		`"x":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000),
		`"x":` + strings.Repeat(`{"a":`, 9) + "1" + strings.Repeat("}", 9),
		strings.Repeat(`"a":1,"b":1,`, 9) + `"c":1`,
	} {
		if err := with(bad); !errors.Is(err, ErrMalformed) {
			t.Errorf("%.40s: %v", bad, err)
		}
	}
	if _, err := ParseEvent(make([]byte, MaxEventSize+1)); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
}

func FuzzParseEvent(f *testing.F) {
	f.Add([]byte(goodEvent(f)))
	f.Add([]byte(goodRumor))
	f.Add([]byte(`{"tags":[["\ud83d\ude00"]],"x":{"y":[1e9]}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := ParseEvent(b)
		if err != nil {
			return
		}
		again, err := ParseEvent(e.AppendJSON(nil))
		if err != nil || !bytes.Equal(again.Serialize(), e.Serialize()) || again.Sig != e.Sig {
			t.Fatalf("%q: %v", b, err)
		}
		// What we accept, encoding/json reads with the same content.
		var std struct{ Content string }
		if !json.Valid(b) || json.Unmarshal(e.AppendJSON(nil), &std) != nil || std.Content != e.Content {
			t.Fatalf("%q", b)
		}
	})
}

func FuzzParseRumor(f *testing.F) {
	f.Add([]byte(goodRumor))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := ParseRumor(b)
		if err != nil {
			return
		}
		if again, err := ParseRumor(AppendRumorJSON(nil, e)); err != nil || again.ID != e.ID {
			t.Fatalf("%q: %v", b, err)
		}
	})
}

func BenchmarkParseEvent(b *testing.B) {
	e := []byte(goodEvent(b))
	for b.Loop() {
		if _, err := ParseEvent(e); err != nil {
			b.Fatal(err)
		}
	}
}
