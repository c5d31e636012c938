package wire

import (
	"bytes"
	"strings"
	"testing"

	"github.com/marmotgo/marmot/nostr"
)

// TestPackPayload packs payloads as they are written here and as others may write
// them: each comes back to the byte, the first in less room.
func TestPackPayload(t *testing.T) {
	author := nostr.PubKey{1}
	for name, e := range map[string]*nostr.Event{
		"chat":   NewPayload(author, KindChat, "hello", nil, 1_790_000_000),
		"tags":   NewPayload(author, KindReaction, "+", nostr.Tags{{"e", strings.Repeat("ab", 32)}, {}, {""}}, 0),
		"escape": NewPayload(author, 31337, "\"\\\n\x00\u2028é", nil, 1),
	} {
		b := EncodePayload(e)
		packed, id := PackPayload(b, author)
		if id != e.ID || len(packed) > len(b)-120 {
			t.Errorf("%s: %d bytes of %d are left", name, len(packed), len(b))
		}
		if got, id, err := UnpackPayload(packed, author); err != nil || !bytes.Equal(got, b) || id != e.ID {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		for other, b := range map[string][]byte{"spaces": append([]byte(" "), b...), "another order": bytes.Replace(b, []byte(`{"id"`), []byte(`{"kind":9,"id"`), 1)} {
			packed, id := PackPayload(b, author)
			if got, _, err := UnpackPayload(packed, author); err != nil || !bytes.Equal(got, b) || id != (nostr.ID{}) {
				t.Errorf("%s, %s: %q, %v", name, other, got, err)
			}
		}
		if packed, _ := PackPayload(b, nostr.PubKey{2}); !bytes.Equal(packed, b) {
			t.Errorf("%s: packed for another author", name)
		}
	}
}

func FuzzPackPayload(f *testing.F) {
	author := nostr.PubKey{1}
	for _, e := range []*nostr.Event{NewPayload(author, KindChat, "hello", nil, 1), NewPayload(author, KindEdit, "x", nostr.Tags{{"e", "y"}}, 2)} {
		f.Add(EncodePayload(e))
		packed, _ := PackPayload(EncodePayload(e), author)
		f.Add(packed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if b, _, err := UnpackPayload(b, author); err == nil {
			_, _ = PackPayload(b, author)
		}
		packed, id := PackPayload(b, author)
		if len(b) > 0 && b[0] == packedMark {
			return // no JSON, so no payload
		}
		if got, again, err := UnpackPayload(packed, author); err != nil || !bytes.Equal(got, b) || again != id {
			t.Fatalf("%q came back as %q, %v", b, got, err)
		}
	})
}
