package nostr

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestRelayMessages(t *testing.T) {
	event, x := goodEvent(t), strings.Repeat("ab", 32)
	for _, s := range []string{`["EVENT","s",` + event + `]`, `["OK","` + x + `",true,""]`, `["OK","` + x + `",false,"blocked: x"]`,
		`["EOSE","s"]`, `["CLOSED","s","auth-required: x"]`, `["NOTICE","x"]`, `["AUTH","c"]`, `["COUNT","s",{"count":238}]`,
		`["COUNT","s",{"count":1,"approximate":true}]`} {
		m, err := ParseRelayMessage([]byte(s))
		if err != nil || string(m.AppendJSON(nil)) != s {
			t.Errorf("%s: %s, %v", s, m.AppendJSON(nil), err)
		}
	}
	for s, want := range map[string]RelayMessage{
		`["X","s",{"y":1}]`:                    {Type: "X"},
		`["COUNT","s",{"hll":"00","count":1}]`: {Type: "COUNT", SubID: "s", Count: 1},
		`["EOSE","s","finish"]`:                {Type: "EOSE", SubID: "s"},
		`["OK","` + x + `",true]`:              {Type: "OK", OK: true},
		`["CLOSED","s"]`:                       {Type: "CLOSED", SubID: "s"},
	} {
		m, err := ParseRelayMessage([]byte(s))
		m.ID = ID{}
		if err != nil || fmt.Sprint(m) != fmt.Sprint(want) {
			t.Errorf("%s: %+v, %v", s, m, err)
		}
	}
	for _, s := range []string{``, `{}`, `[]`, `[1]`, `["EVENT","s"]`, `["EVENT","s",{}]`, `["OK","ab",true,""]`, `["OK","` + x + `","true",""]`,
		`["EOSE"]`, `["EOSE",1]`, `["NOTICE"]`, `["AUTH",null]`, `["EOSE","s"`, `["EOSE","s"]]`, `["COUNT","s",{"count":-1}]`, `["COUNT","s"]`, `["X",` + strings.Repeat("[", 100) + `]`} {
		if m, err := ParseRelayMessage([]byte(s)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %+v, %v", s, m, err)
		}
	}
}

func TestClientMessages(t *testing.T) {
	event := goodEvent(t)
	for _, s := range []string{`["EVENT",` + event + `]`, `["AUTH",` + event + `]`, `["REQ","s",{}]`, `["REQ","s",{"kinds":[1]},{"limit":0}]`, `["CLOSE","s"]`, `["COUNT","s",{"kinds":[1]}]`} {
		m, err := ParseClientMessage([]byte(s))
		if err != nil || string(m.AppendJSON(nil)) != s {
			t.Errorf("%s: %s, %v", s, m.AppendJSON(nil), err)
		}
	}
	for _, s := range []string{`["REQ","s"]`, `["REQ","",{}]`, `["REQ","` + strings.Repeat("s", 65) + `",{}]`, `["CLOSE",""]`, `["CLOSE","s","t"]`,
		`["COUNT","s"]`, `["EVENT"]`, `["EVENT",` + event + `,1]`, `["REQ","s",{"x":1}]`, `["REQ","s",1]`} {
		if m, err := ParseClientMessage([]byte(s)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %+v, %v", s, m, err)
		}
	}
}

func FuzzMessages(f *testing.F) {
	event := goodEvent(f)
	f.Add([]byte(`["EVENT","s",` + event + `]`))
	f.Add([]byte(`["EVENT",` + event + `]`))
	f.Add([]byte(`["REQ","s",{"kinds":[1]},{"limit":0}]`))
	f.Add([]byte(`["OK","` + strings.Repeat("ab", 32) + `",true,"x"]`))
	f.Add([]byte(`["COUNT","s",{"count":2,"approximate":true}]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := ParseRelayMessage(b); err == nil && memberType(m.Type) {
			if _, err := ParseRelayMessage(m.AppendJSON(nil)); err != nil {
				t.Fatalf("%q: %v", b, err)
			}
		}
		if m, err := ParseClientMessage(b); err == nil {
			if _, err := ParseClientMessage(m.AppendJSON(nil)); err != nil {
				t.Fatalf("%q: %v", b, err)
			}
		}
	})
}

func memberType(s string) bool {
	switch s {
	case "EVENT", "OK", "EOSE", "CLOSED", "NOTICE", "AUTH", "COUNT":
		return true
	}
	return false
}
