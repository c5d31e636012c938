package wire

import (
	"crypto/ed25519"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/nostr"
)

var testTime = time.Unix(1_790_000_000, 0)

// newKeyPackageEvent makes a signed kind 30443 event of a fixed account.
func newKeyPackageEvent(t testing.TB, edit ...func(*mls.KeyPackageConfig)) (*KeyPackageEvent, *nostr.Event) {
	t.Helper()
	e, err := makeKeyPackageEvent(t, edit...)
	if err != nil {
		t.Fatal(err)
	}
	k, err := ParseKeyPackageEvent(e, testTime)
	if err != nil {
		t.Fatal(err)
	}
	return k, e
}

func makeKeyPackageEvent(t testing.TB, edit ...func(*mls.KeyPackageConfig)) (*nostr.Event, error) {
	t.Helper()
	var secret nostr.SecretKey
	secret[31] = 3
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	wanted := ProofEvent(secret.PubKey(), 1, key.Public().(ed25519.PublicKey), nostr.Timestamp(testTime.Unix()))
	signed := *wanted
	if err := secret.SignEvent(&signed); err != nil {
		t.Fatal(err)
	}
	proof, err := NewIdentityProof(wanted, &signed)
	if err != nil {
		t.Fatal(err)
	}
	cfg := KeyPackageConfig(secret.PubKey(), proof, testTime)
	for _, f := range edit {
		f(&cfg)
	}
	kp, _, err := mls.NewKeyPackage(key, cfg)
	if err != nil {
		t.Fatal(err)
	}
	e, err := NewKeyPackageEvent(secret.PubKey(), strings.Repeat("0d", 32), kp, nostr.Timestamp(testTime.Unix()))
	if err != nil {
		return nil, err
	}
	return e, secret.SignEvent(e)
}

func TestKeyPackageRefusals(t *testing.T) {
	_, good := newKeyPackageEvent(t)
	for name, edit := range map[string]func(e *nostr.Event){
		"kind":              func(e *nostr.Event) { e.Kind = 443 },
		"author":            func(e *nostr.Event) { e.PubKey[0] ^= 1 },
		"no d":              func(e *nostr.Event) { e.Tags = e.Tags[1:] },
		"d repeated":        func(e *nostr.Event) { e.Tags = append(e.Tags, e.Tags[0]) },
		"d with two values": func(e *nostr.Event) { e.Tags[0] = append(e.Tags[0], "x") },
		"d short":           func(e *nostr.Event) { e.Tags[0] = nostr.Tag{"d", "00"} },
		"d in upper case":   func(e *nostr.Event) { e.Tags[0] = nostr.Tag{"d", strings.Repeat("0D", 32)} },
		"version":           func(e *nostr.Event) { e.Tags[1] = nostr.Tag{"mls_protocol_version", "2.0"} },
		"reference":         func(e *nostr.Event) { e.Tags[2] = nostr.Tag{"i", strings.Repeat("00", 32)} },
		"suite":             func(e *nostr.Event) { e.Tags[3] = nostr.Tag{"mls_ciphersuite", "0x0002"} },
		"suite not hex":     func(e *nostr.Event) { e.Tags[3] = nostr.Tag{"mls_ciphersuite", "1"} },
		"extension missing": func(e *nostr.Event) { e.Tags[4] = e.Tags[4][:len(e.Tags[4])-1] },
		"extension added":   func(e *nostr.Event) { e.Tags[4] = append(e.Tags[4], "0x1234") },
		"proposal repeated": func(e *nostr.Event) { e.Tags[5] = append(e.Tags[5], e.Tags[5][1]) },
		"list twice":        func(e *nostr.Event) { e.Tags = append(e.Tags, e.Tags[5]) },
		"list empty":        func(e *nostr.Event) { e.Tags[6] = nostr.Tag{"app_components"} },
		"component in caps": func(e *nostr.Event) { e.Tags[6] = append(e.Tags[6], "0X8008") },
		"base64":            func(e *nostr.Event) { e.Content = strings.TrimRight(e.Content, "=") + "!" },
		"base64 of a URL":   func(e *nostr.Event) { e.Content = "-" + e.Content[1:] },
		"empty":             func(e *nostr.Event) { e.Content = "" },
		"truncated":         func(e *nostr.Event) { e.Content = e.Content[:len(e.Content)-8] },
		"byte changed":      func(e *nostr.Event) { e.Content = e.Content[:200] + "AAAA" + e.Content[204:] },
	} {
		e := *good
		e.Tags = nil
		for _, tag := range good.Tags {
			e.Tags = append(e.Tags, slices.Clone(tag))
		}
		edit(&e)
		if _, err := ParseKeyPackageEvent(&e, testTime); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestKeyPackageContentRefusals(t *testing.T) {
	withExtensions := func(f func(d mls.AppDataDictionary) mls.AppDataDictionary) func(*mls.KeyPackageConfig) {
		return func(c *mls.KeyPackageConfig) {
			d, err := mls.DecodeAppDataDictionary(c.LeafExtensions[0].Data)
			if err != nil {
				t.Fatal(err)
			}
			c.LeafExtensions = mls.Extensions{{Type: mls.ExtAppDataDictionary, Data: f(d).Append(nil)}}
		}
	}
	for name, edit := range map[string]func(*mls.KeyPackageConfig){
		"expired":    func(c *mls.KeyPackageConfig) { c.Lifetime.NotAfter = uint64(testTime.Unix()) - 1 },
		"not yet":    func(c *mls.KeyPackageConfig) { c.Lifetime.NotBefore = uint64(testTime.Unix()) + 10 },
		"too long":   func(c *mls.KeyPackageConfig) { c.Lifetime.NotAfter++ },
		"identity":   func(c *mls.KeyPackageConfig) { c.Credential = mls.BasicCredential([]byte("alice")) },
		"account":    func(c *mls.KeyPackageConfig) { c.Credential.Identity = slices.Repeat([]byte{0xff}, 32) },
		"no update":  func(c *mls.KeyPackageConfig) { c.Capabilities.Proposals = c.Capabilities.Proposals[1:] },
		"no proof":   withExtensions(func(d mls.AppDataDictionary) mls.AppDataDictionary { return d[:2] }),
		"no list":    withExtensions(func(d mls.AppDataDictionary) mls.AppDataDictionary { return d[1:] }),
		"proof size": withExtensions(func(d mls.AppDataDictionary) mls.AppDataDictionary { d[2].Data = d[2].Data[1:]; return d }),
		"proof bytes": withExtensions(func(d mls.AppDataDictionary) mls.AppDataDictionary {
			d[2].Data = append(slices.Clone(d[2].Data[:103]), d[2].Data[103]^1)
			return d
		}),
	} {
		e, err := makeKeyPackageEvent(t, edit)
		if err == nil { // some cannot even be put into an event
			_, err = ParseKeyPackageEvent(e, testTime)
		}
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestCandidates(t *testing.T) {
	k, _ := newKeyPackageEvent(t)
	older, single := *k, *k
	older.CreatedAt--
	single.LastResort = false
	single.CreatedAt -= 100
	if !k.Better(&older) || older.Better(k) {
		t.Error("the newer one is not preferred")
	}
	if !single.Better(k) || k.Better(&single) {
		t.Error("one that is not last resort is not preferred")
	}
}

func TestGroupEventShape(t *testing.T) {
	h := nostr.Tag{"h", strings.Repeat("ab", 32)}
	content := strings.Repeat("A", 40) // 30 bytes
	for _, c := range []struct {
		name string
		e    nostr.Event
		ok   bool
	}{
		{"plain", nostr.Event{Kind: 445, Content: content, Tags: nostr.Tags{h}}, true},
		{"expiration", nostr.Event{Kind: 445, Content: content, Tags: nostr.Tags{h, {"expiration", "17"}}}, true},
		{"expiration first", nostr.Event{Kind: 445, Content: content, Tags: nostr.Tags{{"expiration", "17"}, h}}, true},
		{"kind", nostr.Event{Kind: 444, Content: content, Tags: nostr.Tags{h}}, false},
		{"no tag", nostr.Event{Kind: 445, Content: content}, false},
		{"h twice", nostr.Event{Kind: 445, Content: content, Tags: nostr.Tags{h, h}}, false},
		{"h with more", nostr.Event{Kind: 445, Content: content, Tags: nostr.Tags{{"h", h[1], ""}}}, false},
		{"h in upper case", nostr.Event{Kind: 445, Content: content, Tags: nostr.Tags{{"h", strings.ToUpper(h[1])}}}, false},
		{"h short", nostr.Event{Kind: 445, Content: content, Tags: nostr.Tags{{"h", h[1][2:]}}}, false},
		{"encoding tag", nostr.Event{Kind: 445, Content: content, Tags: nostr.Tags{h, {"encoding", "base64"}}}, false},
		{"expiration twice", nostr.Event{Kind: 445, Content: content, Tags: nostr.Tags{h, {"expiration", "1"}, {"expiration", "1"}}}, false},
		{"expiration no number", nostr.Event{Kind: 445, Content: content, Tags: nostr.Tags{h, {"expiration", "soon"}}}, false},
		{"expiration negative", nostr.Event{Kind: 445, Content: content, Tags: nostr.Tags{h, {"expiration", "-1"}}}, false},
		{"not base64", nostr.Event{Kind: 445, Content: content[:39] + "*", Tags: nostr.Tags{h}}, false},
		{"no padding", nostr.Event{Kind: 445, Content: content + "AA", Tags: nostr.Tags{h}}, false},
		{"line break", nostr.Event{Kind: 445, Content: content + "\n", Tags: nostr.Tags{h}}, false},
		{"short", nostr.Event{Kind: 445, Content: strings.Repeat("A", 36), Tags: nostr.Tags{h}}, false},
	} {
		_, err := ParseGroupEvent(&c.e)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
		if err != nil && !errors.Is(err, ErrEncoding) {
			t.Errorf("%s: error %v is not typed", c.name, err)
		}
	}
}

func TestSealGroupEvent(t *testing.T) {
	e, err := SealGroupEvent(EventKey{1}, counting(), []byte("message"), 17, 99)
	if err != nil {
		t.Fatal(err)
	}
	f, err := SealGroupEvent(EventKey{1}, counting(), []byte("message"), 17, 0)
	if err != nil {
		t.Fatal(err)
	}
	if e.PubKey == f.PubKey || e.Content == f.Content {
		t.Error("a key pair or a nonce was used twice")
	}
	if err := e.Verify(); err != nil {
		t.Error(err)
	}
	g, err := ParseGroupEvent(e)
	if err != nil {
		t.Fatal(err)
	}
	if b, ok := g.Open(EventKey{1}); !ok || string(b) != "message" {
		t.Errorf("%q %v", b, ok)
	}
}

func TestWelcomeRumor(t *testing.T) {
	welcome := unhex(t, "0001 0003 0001 00 00") // a Welcome with nothing in it
	w := &Welcome{Author: account3(), KeyPackage: nostr.ID{1}, Relays: []string{"wss://a.example"}, Message: welcome, CreatedAt: 5}
	rumor, err := w.Rumor()
	if err != nil {
		t.Fatal(err)
	}
	if m, err := mls.DecodeMessage(welcome); err == nil {
		if _, ok := m.Welcome(); ok {
			if got, err := ParseWelcome(rumor); err != nil || got.KeyPackage != w.KeyPackage || got.Relays[0] != w.Relays[0] {
				t.Errorf("%+v, %v", got, err)
			}
		}
	}
	e, relays := rumor.Tags[0], rumor.Tags[1]
	for name, tags := range map[string]nostr.Tags{
		"no e":           {relays},
		"no relays":      {e},
		"e twice":        {e, e, relays},
		"relays twice":   {e, relays, relays},
		"e with relay":   {{"e", e[1], "wss://a.example"}, relays},
		"relays empty":   {e, {"relays"}},
		"relay repeated": {e, {"relays", "wss://a.example", "wss://a.example"}},
		"relay is http":  {e, {"relays", "https://a.example"}},
		"too many":       {e, append(nostr.Tag{"relays"}, manyRelays(17)...)},
	} {
		bad := *rumor
		bad.Tags = tags
		if _, err := ParseWelcome(&bad); !errors.Is(err, ErrEncoding) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.Message = make([]byte, 31_000)
	if _, err := w.Rumor(); !errors.Is(err, ErrWelcomeTooLarge) {
		t.Errorf("31 kB: %v", err)
	}
	w.Message = make([]byte, 30_000)
	if _, err := w.Rumor(); err != nil {
		t.Errorf("30 kB: %v", err)
	}
}

func manyRelays(n int) (out []string) {
	for i := range n {
		out = append(out, "wss://"+string(rune('a'+i))+".example")
	}
	return out
}

// TestWelcomeFitsAGiftWrap proves the bound: the largest rumor goes through
// seal and wrap, whose plaintexts every client can read.
func TestWelcomeFitsAGiftWrap(t *testing.T) {
	var secret nostr.SecretKey
	secret[31] = 3
	w := &Welcome{Author: secret.PubKey(), Relays: []string{"wss://a.example"}, Message: make([]byte, 30_400)}
	rumor, err := w.Rumor()
	if err != nil {
		t.Fatal(err)
	}
	c, err := nostr.ConversationKey(secret, secret.PubKey())
	if err != nil {
		t.Fatal(err)
	}
	content, err := c.Encrypt(nostr.AppendRumorJSON(nil, rumor))
	if err != nil {
		t.Fatal(err)
	}
	seal := nostr.SealEvent(rumor, content, 1)
	if err := secret.SignEvent(seal); err != nil {
		t.Fatal(err)
	}
	if _, err := nostr.WrapSeal(seal, secret.PubKey(), 1); err != nil {
		t.Errorf("a rumor of %d bytes does not fit: %v", len(nostr.AppendRumorJSON(nil, rumor)), err)
	}
}
