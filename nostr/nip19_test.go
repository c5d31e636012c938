package nostr

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

const (
	npub     = "npub10elfcs4fr0l0r8af98jlmgdh9c8tcxjvz9qkw038js35mp4dma8qzvjptg"
	npubHex  = "7e7e9c42a91bfef19fa929e5fda1b72e0ebc1a4c1141673e2794234d86addf4e"
	nprofile = "nprofile1qqsrhuxx8l9ex335q7he0f09aej04zpazpl0ne2cgukyawd24mayt8gpp4mhxue69uhhytnc9e3k7mgpz4mhxue69uhkg6nzv9ejuumpv34kytnrdaksjlyr9p"
)

func TestNIP19(t *testing.T) {
	for _, s := range []string{npub, strings.ToUpper(npub), npubHex} {
		if p, err := ParsePerson(s); err != nil || p.String() != npubHex || p.Npub() != npub {
			t.Errorf("%s: %v", s, err)
		}
	}
	got, err := ParseEntity(nprofile)
	profile, ok := got.(ProfilePointer)
	if err != nil || !ok || profile.PubKey.String() != "3bf0c63fcb93463407af97a5e5ee64fa883d107ef9e558472c4eb9aaaefa459d" ||
		!reflect.DeepEqual(profile.Relays, []string{"wss://r.x.com", "wss://djbas.sadkb.com"}) {
		t.Fatal(got, err)
	}
	if s, err := profile.Encode(); err != nil || s != nprofile {
		t.Error(s, err)
	}
	author, kind := secret(3).PubKey(), Kind(30443)
	for _, p := range []interface{ Encode() (string, error) }{
		EventPointer{ID: ID{1}, Relays: []string{"wss://a"}, Author: &author, Kind: &kind},
		EventPointer{ID: ID{2}},
		AddressPointer{Identifier: "", PubKey: author, Kind: kind},
		AddressPointer{Identifier: "d é", PubKey: author, Kind: 0, Relays: []string{"ws://b", "ws://c"}},
	} {
		s, err := p.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if back, err := ParseEntity(s); err != nil || !reflect.DeepEqual(back, p) {
			t.Errorf("%+v came back as %+v, %v", p, back, err)
		}
		if _, err := ParseURI("nostr:" + s); err != nil {
			t.Error(err)
		}
	}
	if back, err := ParseEntity(ID{9}.Note()); err != nil || back != (ID{9}) {
		t.Error(back, err)
	}
	if back, err := ParseEntity(secret(5).Nsec()); err != nil || back != secret(5) {
		t.Error(err)
	}
	if _, err := ParseURI("nostr:" + secret(5).Nsec()); !errors.Is(err, ErrMalformed) {
		t.Error("a URI with an nsec was read")
	}
}

func TestNIP19Refuses(t *testing.T) {
	x := strings.Repeat("\x00", 32)
	bad := []string{
		"", "npub1", "1qqqqqq", npub[:20], npub[:62] + "q", "n" + strings.ToUpper(npub[1:]), npub + " ", strings.Replace(npub, "1", "b", 1),
		strings.Repeat("q", MaxEntity+1),
		"npub10elfcs4fr0l0r8af98jlmgdh9c8tcxjvz9qkw038js35mp4dma8qzvjptq",
		encodeBech32("npub", []byte(x[:31])), encodeBech32("note", []byte(x+"\x00")), encodeBech32("nrelay", []byte(x)),
		encodeBech32("nprofile", nil), encodeBech32("nprofile", []byte{0}), encodeBech32("nprofile", []byte("\x00\x20"+x[:31])),
		encodeBech32("nprofile", []byte("\x00\x1f"+x[:31])), encodeBech32("nevent", []byte("\x00\x20"+x+"\x02\x01a")),
		encodeBech32("nevent", []byte("\x00\x20"+x+"\x03\x04\x00\x01\x00\x00")), encodeBech32("naddr", []byte("\x00\x00")),
		encodeBech32("nprofile", []byte("\x00\x20"+x+"\x01\x01\xff")),
	}
	for _, s := range bad {
		if got, err := ParseEntity(s); !errors.Is(err, ErrMalformed) {
			t.Errorf("%.70q: %v, %v", s, got, err)
		}
	}
	if _, err := ParsePerson(encodeBech32("npub", []byte(strings.Repeat("\xff", 32)))); !errors.Is(err, ErrBadKey) {
		t.Error(err)
	}
	if _, err := (ProfilePointer{Relays: []string{strings.Repeat("a", 256)}}).Encode(); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
	if _, err := (ProfilePointer{Relays: make([]string, 3000)}).Encode(); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
}

// Test strings of BIP-173.
func TestBech32(t *testing.T) {
	for _, s := range []string{"A12UEL5L", "an83characterlonghumanreadablepartthatcontainsthenumber1andtheexcludedcharactersbio1tt5tgs"} {
		prefix, data, err := decodeBech32(s)
		if err != nil || encodeBech32(prefix, data) != strings.ToLower(s) {
			t.Errorf("%s: %v", s, err)
		}
	}
	for _, s := range []string{"\x201nwldj5", "\x7f1axkwrx", "pzry9x0s0muk", "1pzry9x0s0muk", "x1b4n0q5v", "li1dgmt3", "A1G7SGD8", "10a06t8", "1qzzfhee"} {
		if _, _, err := decodeBech32(s); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q accepted", s)
		}
	}
}

func FuzzNIP19(f *testing.F) {
	f.Add(npub)
	f.Add(nprofile)
	f.Add(encodeBech32("naddr", []byte("\x00\x00\x03\x04\x00\x00\x00\x01")))
	f.Fuzz(func(t *testing.T, s string) {
		v, err := ParseEntity(s)
		if p, ok := v.(interface{ Encode() (string, error) }); ok && err == nil {
			again, err := p.Encode()
			if err != nil {
				t.Fatal(err)
			}
			if back, err := ParseEntity(again); err != nil || !reflect.DeepEqual(back, v) {
				t.Fatalf("%q: %v", s, err)
			}
		}
	})
}
