package nostr

import (
	"errors"
	"strings"
	"testing"
)

// wrapParts makes a gift wrap of a rumor by author to recipient.
func wrapParts(t testing.TB, author SecretKey, recipient PubKey, rumor *Event) *Event {
	t.Helper()
	rumor.PubKey = author.PubKey()
	rumor.ID = rumor.ComputeID()
	return wrapSealed(t, author, recipient, SealEvent(rumor, encryptFor(t, author, recipient, AppendRumorJSON(nil, rumor)), 1699999999))
}

func encryptFor(t testing.TB, k SecretKey, p PubKey, plain []byte) string {
	t.Helper()
	c, err := ConversationKey(k, p)
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Encrypt(plain)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func wrapSealed(t testing.TB, author SecretKey, recipient PubKey, seal *Event) *Event {
	t.Helper()
	if err := author.SignEvent(seal); err != nil {
		t.Fatal(err)
	}
	wrap, err := WrapSeal(seal, recipient, 1699999998)
	if err != nil {
		t.Fatal(err)
	}
	return wrap
}

func TestGiftWrap(t *testing.T) {
	alice, bob := secret(3), secret(4)
	rumor := &Event{CreatedAt: 1700000000, Kind: KindMarmotWelcome, Tags: Tags{{"e", "x"}}, Content: "w\u2028"}
	wrap := wrapParts(t, alice, bob.PubKey(), rumor)
	if len(wrap.Tags) != 1 || len(wrap.Tags[0]) != 2 || wrap.PubKey == alice.PubKey() || wrap.CreatedAt != 1699999998 {
		t.Errorf("%s", wrap.AppendJSON(nil))
	}
	seal, got, err := Unwrap(bob, wrap)
	if err != nil || got.ID != rumor.ID || got.Sig != [64]byte{} || seal.PubKey != alice.PubKey() || len(seal.Tags) != 0 {
		t.Fatal(got, err)
	}
	if _, _, err := Unwrap(alice, wrap); !errors.Is(err, ErrWrongRecipient) {
		t.Error(err)
	}
	again := wrapParts(t, alice, bob.PubKey(), rumor)
	if again.PubKey == wrap.PubKey {
		t.Error("the wrapping key was used twice")
	}
	expiring, err := WrapSeal(seal, bob.PubKey(), 1, 99)
	if at, ok := Expiration(expiring); err != nil || !ok || at != 99 {
		t.Error(at, ok, err)
	}
}

func TestUnwrapRefuses(t *testing.T) {
	alice, bob, eve := secret(3), secret(4), secret(5)
	rumor := &Event{CreatedAt: 1, Kind: 444, PubKey: alice.PubKey()}
	rumor.ID = rumor.ComputeID()
	json := AppendRumorJSON(nil, rumor)
	sealOf := func(k SecretKey, plain []byte) *Event {
		return SealEvent(rumor, encryptFor(t, k, bob.PubKey(), plain), 1)
	}
	signed := *rumor
	if err := alice.SignEvent(&signed); err != nil {
		t.Fatal(err)
	}
	tagged := sealOf(alice, json)
	tagged.Tags = Tags{{"p", bob.PubKey().String()}}
	otherKind := sealOf(alice, json)
	otherKind.Kind = 14

	rewrap := func(edit func(*Event)) *Event {
		w := wrapSealed(t, alice, bob.PubKey(), sealOf(alice, json))
		edit(w)
		if err := eve.SignEvent(w); err != nil {
			t.Fatal(err)
		}
		return w
	}
	broken := wrapSealed(t, alice, bob.PubKey(), sealOf(alice, json))
	broken.Sig[0] ^= 1
	badSeal := sealOf(alice, json)
	if err := alice.SignEvent(badSeal); err != nil {
		t.Fatal(err)
	}
	badSeal.Sig[0] ^= 1
	unsignedSeal, err := WrapSeal(badSeal, bob.PubKey(), 1)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		wrap *Event
		want error
	}{
		{"wrap signature", broken, ErrBadSignature},
		{"wrap kind", rewrap(func(w *Event) { w.Kind = 21059 }), ErrMalformed},
		{"no p", rewrap(func(w *Event) { w.Tags = nil }), ErrMalformed},
		{"two p", rewrap(func(w *Event) { w.Tags = append(w.Tags, w.Tags[0]) }), ErrMalformed},
		{"p with relay", rewrap(func(w *Event) { w.Tags[0] = append(w.Tags[0], "wss://a") }), ErrMalformed},
		{"wrap by another key", rewrap(func(w *Event) {}), ErrDecrypt},
		{"seal by another author", wrapSealed(t, eve, bob.PubKey(), sealOf(eve, json)), ErrBadSignature},
		{"seal signature", unsignedSeal, ErrBadSignature},
		{"seal with tags", wrapSealed(t, alice, bob.PubKey(), tagged), ErrMalformed},
		{"seal kind", wrapSealed(t, alice, bob.PubKey(), otherKind), ErrMalformed},
		{"rumor with sig", wrapSealed(t, alice, bob.PubKey(), sealOf(alice, signed.AppendJSON(nil))), ErrMalformed},
		{"rumor id", wrapSealed(t, alice, bob.PubKey(), sealOf(alice, []byte(strings.Replace(string(json), `"kind":444`, `"kind":445`, 1)))), ErrBadID},
		{"not JSON", wrapSealed(t, alice, bob.PubKey(), sealOf(alice, []byte("x"))), ErrMalformed},
	}
	for _, tt := range tests {
		if _, _, err := Unwrap(bob, tt.wrap); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	huge := &Event{Content: strings.Repeat("x", MaxPlaintext)}
	if _, err := WrapSeal(huge, bob.PubKey(), 1); !errors.Is(err, ErrPlaintextLength) {
		t.Error(err)
	}
	if _, err := WrapSeal(rumor, PubKey{}, 1); !errors.Is(err, ErrBadKey) {
		t.Error(err)
	}
}

func TestRandomPast(t *testing.T) {
	const now = 1700000000
	lowest, highest := Timestamp(now), Timestamp(0)
	for range 2000 {
		got := RandomPast(now, nil)
		lowest, highest = min(lowest, got), max(highest, got)
	}
	if lowest < now-maxPast || highest > now || highest-lowest < maxPast/2 {
		t.Error(lowest, highest)
	}
	if got := RandomPast(now, strings.NewReader("\x00\x00\x00\x00\x00\x00\x00\x05")); got != now-5 {
		t.Error(got)
	}
	if got := RandomPast(now, strings.NewReader("")); got > now || got < now-maxPast {
		t.Error(got)
	}
}
