package relayd

import (
	"net/http"
	"testing"
	"time"
)

func TestBucket(t *testing.T) {
	var b bucket
	now := time.Unix(1000, 0)
	for i := range 50 { // 10 a second, saved up for 5 s
		if wait, ok := b.take(10, now); wait != 0 || !ok {
			t.Fatal(i, wait, ok)
		}
	}
	for i := range 20 {
		if wait, ok := b.take(10, now); wait != time.Duration(i+1)*100*time.Millisecond || !ok {
			t.Fatal(i, wait, ok)
		}
	}
	if _, ok := b.take(10, now); ok || b.idle(now) {
		t.Error("more than two seconds of waiting")
	}
	if wait, ok := b.take(10, now.Add(time.Second)); wait != 1100*time.Millisecond || !ok {
		t.Error(wait, ok)
	}
	if _, ok := b.take(0, now); !ok || !b.idle(now.Add(time.Hour)) {
		t.Error("a limit of 0 is none")
	}
}

func TestAddressOf(t *testing.T) {
	direct, proxied := &Server{}, &Server{cfg: Config{BehindProxy: true}}
	for _, c := range []struct{ remote, forwarded, direct, proxied string }{
		{"192.0.2.7:1234", "", "192.0.2.7", "192.0.2.7"},
		{"[2001:db8:1:2:3::4]:1", "", "2001:db8:1:2::/64", "2001:db8:1:2::/64"},
		{"[::ffff:192.0.2.7]:1", "", "192.0.2.7", "192.0.2.7"},
		{"192.0.2.7:1", "198.51.100.1, 198.51.100.2", "192.0.2.7", "198.51.100.2"},
		{"192.0.2.7:1", "nonsense", "192.0.2.7", ""},
		{"@", "", "", ""},
	} {
		r := &http.Request{RemoteAddr: c.remote, Header: http.Header{}}
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		if got, got2 := direct.addressOf(r), proxied.addressOf(r); got != c.direct || got2 != c.proxied {
			t.Errorf("%+v: %q, %q", c, got, got2)
		}
	}
}
