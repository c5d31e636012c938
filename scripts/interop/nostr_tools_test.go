//go:build interop

package interop

import (
	"encoding/hex"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/nostr/relayd"
)

// texts are what serializers and ciphers get wrong.
var texts = []string{
	"hello", " ", "<b>&amp;</b>", "\u2028\u2029", "\b\t\n\f\r\"\\/", "\x00\x01\x0b\x1f\x7f", "é 日本 😀 \U0010ffff", "\ufeffbom", "{\"a\":[1]}",
	strings.Repeat("x", 31), strings.Repeat("x", 32), strings.Repeat("x", 33), strings.Repeat("ä", 5000), strings.Repeat("z", 65408),
}

func secret(t *testing.T) (nostr.SecretKey, string) {
	t.Helper()
	k := nostr.GenerateSecretKey()
	return k, hex.EncodeToString(k[:])
}

// raw keeps our own escaping on the way to the peer's JSON parser.
func raw(e *nostr.Event) json.RawMessage { return e.AppendJSON(nil) }

// template is what nostr-tools signs and wraps: an event without its proofs.
func template(e *nostr.Event) args {
	tags := [][]string{}
	for _, t := range e.Tags {
		tags = append(tags, t)
	}
	return args{"kind": e.Kind, "created_at": e.CreatedAt, "tags": tags, "content": e.Content}
}

func TestEvents(t *testing.T) {
	p := startPeer(t, "nostr-tools.mjs")
	k, sec := secret(t)
	var pub string
	if p.call("pubkey", args{"sec": sec}, &pub); pub != k.PubKey().String() {
		t.Fatalf("public key %s, ours %s", pub, k.PubKey())
	}
	for i, text := range texts {
		e := &nostr.Event{CreatedAt: nostr.Timestamp(1700000000 + i), Kind: nostr.Kind(i * 3000), Content: text,
			Tags: nostr.Tags{{"t", text}, {"e", "", text, ""}, {"-"}}}
		if err := k.SignEvent(e); err != nil {
			t.Fatal(err)
		}
		var id string
		var valid bool
		if p.call("hash", args{"event": raw(e)}, &id); id != e.ID.String() {
			t.Errorf("text %d: id %s, ours %s", i, id, e.ID)
		}
		if p.call("verify", args{"event": raw(e)}, &valid); !valid {
			t.Errorf("text %d: our event is refused", i)
		}
		forged := *e
		forged.Sig[i] ^= 1
		if p.call("verify", args{"event": raw(&forged)}, &valid); valid {
			t.Errorf("text %d: a forged event is taken", i)
		}
		var theirs json.RawMessage
		p.call("sign", args{"event": template(e), "sec": sec}, &theirs)
		if got, err := nostr.ParseEvent(theirs); err != nil || got.Verify() != nil || got.ID != e.ID {
			t.Errorf("text %d: their event: %v", i, err)
		}
	}
}

func TestNIP19(t *testing.T) {
	p := startPeer(t, "nostr-tools.mjs")
	k, sec := secret(t)
	pub, id, kind := k.PubKey(), nostr.ID{1, 2, 3}, nostr.Kind(30443)
	relays := []string{"wss://relay.example", "ws://localhost:7777/x"}
	encode := func(v interface{ Encode() (string, error) }) string {
		s, err := v.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	profile := nostr.ProfilePointer{PubKey: pub, Relays: relays}
	event := nostr.EventPointer{ID: id, Relays: relays, Author: &pub, Kind: &kind}
	address := nostr.AddressPointer{Identifier: "d é", PubKey: pub, Kind: kind, Relays: relays}
	for _, tt := range []struct {
		typ, ours string
		value     any // as nostr-tools has it
		parsed    any
	}{
		{"npub", pub.Npub(), pub.String(), pub},
		{"nsec", k.Nsec(), sec, k},
		{"note", id.Note(), id.String(), id},
		{"nprofile", encode(profile), args{"pubkey": pub, "relays": relays}, profile},
		{"nevent", encode(event), args{"id": id, "relays": relays, "author": pub, "kind": kind}, event},
		{"naddr", encode(address), args{"identifier": "d é", "pubkey": pub, "kind": kind, "relays": relays}, address},
	} {
		var decoded struct {
			Type string
			Data any
		}
		p.call("decode", args{"code": tt.ours}, &decoded)
		if want := generic(t, tt.value); decoded.Type != tt.typ || !reflect.DeepEqual(decoded.Data, want) {
			t.Errorf("%s: they read %+v, want %v", tt.typ, decoded, want)
		}
		var theirs string
		p.call(tt.typ, args{"value": tt.value}, &theirs)
		if got, err := nostr.ParseEntity(theirs); err != nil || !reflect.DeepEqual(got, tt.parsed) {
			t.Errorf("%s: we read %v, %v", tt.typ, got, err)
		}
	}
	if e := p.try("decode", args{"code": pub.Npub()[:62] + "q"}, nil); e == "" {
		t.Error("they read a broken checksum")
	}
}

// generic is v as [json.Unmarshal] into any has it.
func generic(t *testing.T, v any) (out any) {
	t.Helper()
	b, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(b, &out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestNIP44(t *testing.T) {
	p := startPeer(t, "nostr-tools.mjs")
	ours, _ := secret(t)
	theirs, sec := secret(t)
	ck, err := nostr.ConversationKey(ours, theirs.PubKey())
	if err != nil {
		t.Fatal(err)
	}
	pub := ours.PubKey().String()
	var key string
	if p.call("conversationKey", args{"sec": sec, "pub": pub}, &key); key != hex.EncodeToString(ck[:]) {
		t.Fatal("conversation keys differ")
	}
	for i, text := range texts {
		payload, err := ck.Encrypt([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		var got string
		// JavaScript's TextDecoder takes a byte order mark off the front, so theirs does.
		if p.call("decrypt", args{"sec": sec, "pub": pub, "payload": payload}, &got); got != strings.TrimPrefix(text, "\ufeff") {
			t.Errorf("text %d: they read %.40q", i, got)
		}
		p.call("encrypt", args{"sec": sec, "pub": pub, "text": text}, &payload)
		if back, err := ck.Decrypt(payload); err != nil || string(back) != text {
			t.Errorf("text %d: we read %.40q, %v", i, back, err)
		}
		broken := payload[:60] + flip(payload[60]) + payload[61:]
		if e := p.try("decrypt", args{"sec": sec, "pub": pub, "payload": broken}, nil); e == "" {
			t.Errorf("text %d: they read a changed payload", i)
		}
		if _, err := ck.Decrypt(broken); err == nil {
			t.Errorf("text %d: we read a changed payload", i)
		}
	}
}

func flip(c byte) string {
	if c == 'A' {
		return "B"
	}
	return "A"
}

func TestGiftWraps(t *testing.T) {
	p := startPeer(t, "nostr-tools.mjs")
	ours, _ := secret(t)
	theirs, sec := secret(t)
	for i, text := range texts {
		if len(text) > 40000 { // larger rumors do not fit two layers
			text = text[:40000]
		}
		rumor := &nostr.Event{PubKey: ours.PubKey(), CreatedAt: 1700000000, Kind: nostr.KindMarmotWelcome, Content: text,
			Tags: nostr.Tags{{"e", strings.Repeat("ab", 32)}, {"relays", "wss://relay.example"}}}
		rumor.ID = rumor.ComputeID()

		// From us to them.
		wrap := giftWrap(t, ours, theirs.PubKey(), rumor)
		var valid bool
		if p.call("verify", args{"event": raw(wrap)}, &valid); !valid {
			t.Errorf("text %d: our gift wrap is refused", i)
		}
		var got json.RawMessage
		p.call("unwrap", args{"event": raw(wrap), "sec": sec}, &got)
		if back, err := nostr.ParseRumor(got); err != nil || back.ID != rumor.ID || back.Content != text {
			t.Errorf("text %d: they unwrap %.80s, %v", i, got, err)
		}

		// From them to us.
		p.call("wrap", args{"event": template(rumor), "sec": sec, "pub": ours.PubKey()}, &got)
		wrap, err := nostr.ParseEvent(got)
		if err != nil {
			t.Fatal(err)
		}
		seal, back, err := nostr.Unwrap(ours, wrap)
		if err != nil {
			t.Errorf("text %d: %v", i, err)
			continue
		}
		if seal.PubKey != theirs.PubKey() || back.PubKey != theirs.PubKey() || back.Content != text || back.Kind != rumor.Kind || !reflect.DeepEqual(back.Tags, rumor.Tags) {
			t.Errorf("text %d: we unwrap %.80s", i, nostr.AppendRumorJSON(nil, back))
		}
	}
}

func giftWrap(t *testing.T, author nostr.SecretKey, recipient nostr.PubKey, rumor *nostr.Event) *nostr.Event {
	t.Helper()
	ck, err := nostr.ConversationKey(author, recipient)
	if err != nil {
		t.Fatal(err)
	}
	content, err := ck.Encrypt(nostr.AppendRumorJSON(nil, rumor))
	if err != nil {
		t.Fatal(err)
	}
	seal := nostr.SealEvent(rumor, content, nostr.RandomPast(1700000000, nil))
	if err := author.SignEvent(seal); err != nil {
		t.Fatal(err)
	}
	wrap, err := nostr.WrapSeal(seal, recipient, nostr.RandomPast(1700000000, nil))
	if err != nil {
		t.Fatal(err)
	}
	return wrap
}

// Their client at our relay: publishing, refusals, queries, and a login to read
// a gift wrap.
func TestRelay(t *testing.T) {
	r, err := relayd.Start(":0", relayd.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p := startPeer(t, "nostr-tools.mjs")
	ours, _ := secret(t)
	theirs, sec := secret(t)
	rumor := &nostr.Event{PubKey: ours.PubKey(), Kind: 14, Content: "hi"}
	rumor.ID = rumor.ComputeID()
	wrap := giftWrap(t, ours, theirs.PubKey(), rumor)
	note := &nostr.Event{Kind: 1, CreatedAt: 5, Content: "a\u2028b"}
	if err := ours.SignEvent(note); err != nil {
		t.Fatal(err)
	}
	forged := *note
	forged.Sig[0] ^= 1

	type answer struct {
		Found  []json.RawMessage
		Closed string
	}
	var got struct {
		Answers       []string
		Before, After answer
	}
	p.call("converse", args{
		"url": r.URL(), "sec": sec, "events": []any{raw(note), raw(wrap), raw(&forged)},
		"filter": nostr.Filter{Kinds: []nostr.Kind{nostr.KindGiftWrap}, Tags: map[string][]string{"p": {theirs.PubKey().String()}}},
	}, &got)
	if len(got.Answers) != 3 || !strings.HasPrefix(got.Answers[2], "invalid:") || len(r.Events()) != 2 {
		t.Errorf("answers %q, %d events kept", got.Answers, len(r.Events()))
	}
	if !strings.HasPrefix(got.Before.Closed, "auth-required:") || len(got.Before.Found) != 0 {
		t.Errorf("before the login: %+v", got.Before)
	}
	if len(got.After.Found) != 1 || got.After.Closed != "" {
		t.Fatalf("after the login: %d events, %q", len(got.After.Found), got.After.Closed)
	}
	if e, err := nostr.ParseEvent(got.After.Found[0]); err != nil || e.ID != wrap.ID {
		t.Error(err)
	}
}
