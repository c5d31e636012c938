package nostr

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func at(t Timestamp) *Timestamp { return &t }

func TestFilterMatches(t *testing.T) {
	e := &Event{ID: ID{1}, PubKey: PubKey{2}, CreatedAt: 100, Kind: 445, Tags: Tags{{"h", "x"}, {"h", "y"}, {"p"}, {"e", "1", "2"}}}
	for name, tt := range map[string]struct {
		f    Filter
		want bool
	}{
		"empty":           {Filter{}, true},
		"all":             {Filter{IDs: []ID{{9}, {1}}, Authors: []PubKey{{2}}, Kinds: []Kind{445}, Tags: map[string][]string{"h": {"y", "z"}}, Since: at(100), Until: at(100)}, true},
		"id":              {Filter{IDs: []ID{{9}}}, false},
		"empty list":      {Filter{Kinds: []Kind{}}, false},
		"author":          {Filter{Authors: []PubKey{{1}}}, false},
		"kind":            {Filter{Kinds: []Kind{1}}, false},
		"since":           {Filter{Since: at(101)}, false},
		"until":           {Filter{Until: at(99)}, false},
		"tag":             {Filter{Tags: map[string][]string{"h": {"z"}}}, false},
		"tag not there":   {Filter{Tags: map[string][]string{"d": {""}}}, false},
		"tag valueless":   {Filter{Tags: map[string][]string{"p": {""}}}, false},
		"second value":    {Filter{Tags: map[string][]string{"e": {"2"}}}, false},
		"limit is no one": {Filter{Limit: -1}, true},
	} {
		if got := tt.f.Matches(e); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestFilterJSON(t *testing.T) {
	x := strings.Repeat("0", 63) + "1"
	full := `{"ids":["` + x + `"],"authors":["` + x + `"],"kinds":[0,65535],"#h":["<"],"#p":["` + x + `"],"since":0,"until":9007199254740991,"limit":5}`
	for _, s := range []string{full, `{}`, `{"ids":[]}`, `{"#d":[]}`, `{"limit":0}`} {
		var f Filter
		if err := f.UnmarshalJSON([]byte(s)); err != nil {
			t.Errorf("%s: %v", s, err)
		} else if b, _ := f.MarshalJSON(); string(b) != s {
			t.Errorf("%s came back as %s", s, b)
		}
	}
	bad := []string{``, `[]`, `null`, `{"ids":null}`, `{"ids":["abc"]}`, `{"ids":["` + strings.ToUpper(x[:60]) + `ABCD"]}`, `{"kinds":[65536]}`, `{"kinds":[-1]}`,
		`{"kinds":["1"]}`, `{"since":1.5}`, `{"limit":-1}`, `{"limit":1,"limit":1}`, `{"search":"x"}`, `{"#":["x"]}`, `{"#hh":["x"]}`, `{"#1":["x"]}`, `{"#h":"x"}`,
		`{"#p":["x"]}`, `{"#e":["x"]}`, `{"since":9007199254740992}`, `{"limit":2147483648}`, `{} {}`}
	for _, s := range bad {
		f := Filter{Limit: 7}
		if err := f.UnmarshalJSON([]byte(s)); !errors.Is(err, ErrMalformed) || f.Limit != 7 {
			t.Errorf("%s: %v", s, err)
		}
	}
}

func FuzzFilter(f *testing.F) {
	f.Add([]byte(`{"kinds":[1],"#h":["a"],"since":1,"limit":0}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var got, again Filter
		if got.UnmarshalJSON(b) != nil {
			return
		}
		if j, _ := got.MarshalJSON(); !json.Valid(j) || again.UnmarshalJSON(j) != nil || !reflect.DeepEqual(got, again) {
			t.Fatalf("%q became %s", b, j)
		}
	})
}
