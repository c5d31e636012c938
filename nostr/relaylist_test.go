package nostr

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestRelayList(t *testing.T) {
	list := RelayList{{"wss://a", true, true}, {"wss://b", true, false}, {"wss://c", false, true}, {"wss://d", false, false}}
	e := RelayListEvent(list, 5)
	got, err := ParseRelayList(e)
	if err != nil || !reflect.DeepEqual(got, list[:3]) || e.CreatedAt != 5 {
		t.Fatal(got, err)
	}
	if !reflect.DeepEqual(got.Writes(), []string{"wss://a", "wss://c"}) || !reflect.DeepEqual(got.Reads(), []string{"wss://a", "wss://b"}) {
		t.Error(got.Writes(), got.Reads())
	}
	e.Tags = Tags{{"r"}, {"r", "http://x"}, {"r", " wss://a ", "READ", "more"}, {"r", "wss://z", "maybe"}, {"x", "wss://y"},
		{"r", "wss://a", "write"}, {"r", "wss://b", "write"}, {"r", "wss://a"}, {"r", "wss://e", ""}}
	got, err = ParseRelayList(e)
	if want := (RelayList{{"wss://a", true, true}, {"wss://b", false, true}}); err != nil || !reflect.DeepEqual(got, want) {
		t.Error(got, err)
	}
	if _, err := ParseRelayList(&Event{Kind: 10051}); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
}

func TestInboxRelays(t *testing.T) {
	e := InboxRelaysEvent([]string{"wss://a", "wss://b/x"}, 7)
	if got, err := InboxRelays(e); err != nil || !reflect.DeepEqual(got, []string{"wss://a", "wss://b/x"}) || e.Kind != 10050 {
		t.Error(got, err)
	}
	e.Tags = append(e.Tags, Tag{"relay", "wss://a"}, Tag{"relay", "x"}, Tag{"relay"})
	if got, _ := InboxRelays(e); len(got) != 2 {
		t.Error(got)
	}
	if _, err := InboxRelays(&Event{}); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
	packages := PackageRelaysEvent([]string{"wss://a"}, 7)
	if got, err := PackageRelays(packages); err != nil || !reflect.DeepEqual(got, []string{"wss://a"}) || packages.Kind != 10051 {
		t.Error(got, err)
	}
	if _, err := PackageRelays(e); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
}

func TestRelayURLs(t *testing.T) {
	for s, want := range map[string]string{
		"wss://Relay.Example/":         "wss://relay.example",
		"WSS://relay.example:443":      "wss://relay.example",
		"ws://relay.example:80/a":      "ws://relay.example/a",
		"ws://relay.example:443":       "ws://relay.example:443",
		" wss://relay.example/Inbox/ ": "wss://relay.example/Inbox/",
		"wss://relay.example?k=v":      "wss://relay.example?k=v",
		"wss://[::1]:443/":             "wss://[::1]",
		"wss://relay.example:":         "wss://relay.example",
	} {
		if got, err := NormalizeRelayURL(s); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", s, got, err, want)
		}
	}
	for _, bad := range []string{"", "relay.example", "http://a", "wss://", "wss:///x", "wss://u@a", "wss://u:p@a", "wss://a#f", "wss://a#",
		"wss:a", "//a", "wss://a/" + strings.Repeat("x", 512), "wss://\xff", "wss://a b", "wss://a:x"} {
		if err := CheckRelayURL(bad); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v", bad, err)
		}
		if _, err := NormalizeRelayURL(bad); err == nil {
			t.Errorf("%q normalized", bad)
		}
	}
}

func FuzzRelayURL(f *testing.F) {
	f.Add("wss://Relay.Example:443/?#")
	f.Fuzz(func(t *testing.T, s string) {
		n, err := NormalizeRelayURL(s)
		if err != nil || len(n) > MaxRelayURL { // escaping may make it longer
			return
		}
		if again, err := NormalizeRelayURL(n); err != nil || again != n {
			t.Fatalf("%q: %q, then %q, %v", s, n, again, err)
		}
	})
}

func TestAuth(t *testing.T) {
	sign := func(edit func(*Event)) *Event {
		e := AuthEvent("c", "wss://relay.example/")
		e.CreatedAt = 1000
		edit(e)
		if err := secret(3).SignEvent(e); err != nil {
			t.Fatal(err)
		}
		return e
	}
	check := func(e *Event) error { return CheckAuth(e, "c", "wss://RELAY.example", 1000) }
	if err := check(sign(func(*Event) {})); err != nil {
		t.Error(err)
	}
	for name, edit := range map[string]func(*Event){
		"kind":      func(e *Event) { e.Kind = 1 },
		"challenge": func(e *Event) { e.Tags[1][1] = "d" },
		"relay":     func(e *Event) { e.Tags[0][1] = "wss://other" },
		"no relay":  func(e *Event) { e.Tags = e.Tags[1:] },
		"old":       func(e *Event) { e.CreatedAt = 399 },
		"future":    func(e *Event) { e.CreatedAt = 1601 },
	} {
		if err := check(sign(edit)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	forged := sign(func(*Event) {})
	forged.Sig[3] ^= 1
	if err := check(forged); !errors.Is(err, ErrBadSignature) {
		t.Error(err)
	}
	if CheckAuth(sign(func(*Event) {}), "", "wss://relay.example", 1000) == nil {
		t.Error("an empty challenge was answered")
	}
}
