package mls

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// TestSecretsDoNotPrint formats every type that holds key material, alone, by
// pointer and inside other values, under every verb, and as JSON and log text.
func TestSecretsDoNotPrint(t *testing.T) {
	key := secret(bytes.Repeat([]byte{0xa7}, 32))
	s := must(testSuites.suiteOf(testSuite))(t)
	message := messageKey{key: [32]byte(key)}
	r := ratchet{secret: key, skipped: []skippedKey{{key: message}}}
	node := frontierNode{value: key}
	step := frontierStep{siblings: []frontierNode{node}, leaf: key}
	front := frontier{width: 1, nodes: []frontierNode{node}}
	leaves := leafRatchets{handshake: r, application: r}
	tree := secretTree{frontier: &front, ratchets: map[LeafIndex]*leafRatchets{0: &leaves}}
	epoch := epochSecrets{all: bytes.Repeat(key, epochSecretCount), held: 255}
	group := Group{suite: s, secrets: &epoch, messages: &tree, components: &front, keys: newPathKeys(key)}
	values := []any{
		key, &key, message, &message, r, &r, r.skipped, &r.skipped[0], node, &node, step, &step, front, &front,
		leaves, &leaves, tree, &tree, epoch, &epoch, group, &group, *group.keys, group.keys,
		Staged{Next: &group}, &Staged{Next: &group}, Joined{Group: &group}, &Joined{Group: &group},
		treeRoots{encryption: key}, &treeRoots{encryption: key},
		KeyPackageKeys{initKey: key, leafKey: key}, &KeyPackageKeys{initKey: key, leafKey: key},
		LeafKey{key: key}, &LeafKey{key: key}, groupSecrets{joiner: key}, &groupSecrets{joiner: key},
		transition{initSecret: key, commitSecret: key}, &transition{psk: key}, started{joiner: key}, &started{member: key},
		joiner{member: key}, &joiner{member: key}, pathResult{commitSecret: key}, &pathResult{commitSecret: key},
		opened{ratchets: &leaves, step: &step}, &opened{ratchets: &leaves, step: &step},
	}
	for _, v := range values {
		for _, wrapped := range []any{v, []any{v}, struct{ V any }{v}, map[string]any{"k": v}} {
			for verb := 'A'; verb <= 'z'; verb++ {
				if verb == 'w' || verb == 'p' {
					continue // for errors and pointers only: go vet refuses them, and fmt calls no method
				}
				for _, flags := range []string{"", "+", "#", "-8", "08", " "} {
					leaks(t, v, fmt.Sprintf("%"+flags+string(verb), wrapped))
				}
			}
			for _, text := range direct(v) {
				leaks(t, v, text)
			}
			text, _ := json.Marshal(wrapped)
			leaks(t, v, string(text))
			var log bytes.Buffer
			slog.New(slog.NewTextHandler(&log, nil)).Info("x", "v", wrapped)
			slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "v", wrapped)
			leaks(t, v, log.String())
		}
	}
}

// direct calls the methods by which a value is turned into text.
func direct(v any) (texts []string) {
	if s, ok := v.(fmt.Stringer); ok {
		texts = append(texts, s.String())
	}
	if s, ok := v.(fmt.GoStringer); ok {
		texts = append(texts, s.GoString())
	}
	if s, ok := v.(encoding.TextMarshaler); ok {
		b, _ := s.MarshalText()
		texts = append(texts, string(b))
	}
	if s, ok := v.(slog.LogValuer); ok {
		texts = append(texts, s.LogValue().String())
	}
	return texts
}

func leaks(t *testing.T, v any, text string) {
	t.Helper()
	lower := strings.ToLower(text)
	for _, sign := range []string{"a7a7", "a7 a7", "0xa7, 0xa7", "167 167", "167, 167", "247 247",
		"p6en", "\xa7\xa7", "§§", "1010011110100111", "10100111 10100111", "u+00a7 u+00a7", "u00a7"} {
		if strings.Contains(lower, sign) {
			t.Fatalf("%T prints its secret: %.80q", v, text)
		}
	}
}

func TestEraseKeyPackageKeys(t *testing.T) {
	c := newTester(t, testSuite, "x")
	encoded := c.keys.AppendSecret(nil)
	again := must(DecodeKeyPackageKeys(encoded))(t)
	same(t, "keys", again.AppendSecret(nil), encoded)
	held := again.initKey
	again.Erase()
	if !bytes.Equal(held, make([]byte, len(held))) || again.initKey != nil {
		t.Fatal("key is still there")
	}
}
