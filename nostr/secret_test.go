package nostr

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestSecretsAreRedacted(t *testing.T) {
	k := SecretKey(bytes.Repeat([]byte{0xab}, 32))
	c := Conversation(k)
	type holder struct {
		K *SecretKey
		S SecretKey
		C Conversation
	}
	// %p is not tried: fmt asks no type about it, and go vet refuses it.
	values := []any{k, &k, c, &c, holder{&k, k, c}, []any{k, c}, map[string]SecretKey{"a": k}}
	for _, v := range values {
		for verb := range strings.SplitSeq("v +v #v s q x X d o b c U t e T", " ") {
			out := strings.ToLower(fmt.Sprintf("%"+verb, v))
			if strings.Contains(out, "abab") || strings.Contains(out, "171") || strings.Contains(out, "0xab") {
				t.Errorf("%%%s of %T shows the key", verb, v)
			}
		}
		if b, err := json.Marshal(v); err != nil || bytes.Contains(b, []byte("171")) {
			t.Errorf("JSON of %T: %s %v", v, b, err)
		}
	}
	var buf bytes.Buffer
	slog.New(slog.NewJSONHandler(&buf, nil)).Info("x", "k", k, "c", c)
	slog.New(slog.NewTextHandler(&buf, nil)).Info("x", "k", k, "c", c)
	if n := strings.Count(buf.String(), redacted); n != 4 || strings.Contains(buf.String(), "171") {
		t.Error(buf.String())
	}
}

func TestParseSecretKey(t *testing.T) {
	const nsec = "nsec1vl029mgpspedva04g90vltkh6fvh240zqtv9k0t9af8935ke9laqsnlfe5"
	const hexKey = "67dea2ed018072d675f5415ecfaed7d2597555e202d85b3d65ea4e58d2d92ffa"
	for _, s := range []string{nsec, strings.ToUpper(nsec), hexKey} {
		if k, err := ParseSecretKey(s); err != nil || k.Nsec() != nsec {
			t.Errorf("ParseSecretKey: %v", err)
		}
	}
	bad := []string{"", "x", hexKey[1:], hexKey + "00", strings.Repeat("0", 64), strings.Repeat("f", 64), nsec[:40], nsec + "q",
		"npub10elfcs4fr0l0r8af98jlmgdh9c8tcxjvz9qkw038js35mp4dma8qzvjptg"}
	for _, s := range bad {
		k, err := ParseSecretKey(s)
		if err == nil || k != (SecretKey{}) && !errors.Is(err, ErrBadKey) {
			t.Errorf("%q accepted", s)
		}
		if len(s) > 8 && strings.Contains(err.Error(), s[:8]) {
			t.Errorf("the error repeats the input: %v", err)
		}
	}
	if GenerateSecretKey() == GenerateSecretKey() {
		t.Error("keys repeat")
	}
}
