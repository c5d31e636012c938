package relayd_test

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/nostr/relayd"
)

func (c *client) count(filters string) nostr.RelayMessage {
	c.t.Helper()
	c.send(`["COUNT","n",` + filters + `]`)
	return c.read()
}

// testCount is NIP-45: each event once, nothing that may not be read.
func testCount(t *testing.T, start starter) {
	r := start(t, relayd.Config{MaxCount: 6})
	c := dial(t, r)
	for i := range 5 {
		c.publish(event(t, alice, nostr.Kind(1+i%2), nostr.Timestamp(i), "x"))
	}
	c.publish(event(t, alice, 1059, 1, "wrap", nostr.Tag{"p", bob.PubKey().String()}))
	c.publish(event(t, bob, 9, 1, "ends", nostr.Tag{"expiration", "99999999999"}))
	for filters, want := range map[string]uint64{`{"kinds":[1]}`: 3, `{"kinds":[1]},{"since":3}`: 4, `{"kinds":[]}`: 0, `{"kinds":[9,10]}`: 1, `{}`: 6} {
		if m := c.count(filters); m.Type != "COUNT" || m.SubID != "n" || m.Count != want || m.Approximate != (want == 6) {
			t.Errorf("%s: %+v", filters, m)
		}
	}
	if m := c.count(`{"kinds":[1059]}`); m.Type != "CLOSED" || !strings.HasPrefix(m.Text, "auth-required:") {
		t.Errorf("%+v", m)
	}
	c.login(bob, r.URL())
	if m := c.count(`{"kinds":[1059]}`); m.Count != 1 {
		t.Errorf("%+v", m)
	}
}

// testFull fills a relay by number and by bytes.
func testFull(t *testing.T, start starter) {
	for name, cfg := range map[string]relayd.Config{
		"events": {MaxEvents: 4, DropOldest: true},
		"bytes":  {MaxBytes: 4 * 600, DropOldest: true},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, cfg)
			c := dial(t, r)
			profile := event(t, alice, 0, 1, strings.Repeat("p", 240))
			c.publish(profile)
			for i := range 6 {
				if got := c.publish(event(t, alice, 1, nostr.Timestamp(10+i), fmt.Sprint(i, strings.Repeat("x", 240)))); got != "true" {
					t.Error(got)
				}
			}
			got := r.Events()
			stats := r.Stats()
			if len(got) == 0 || got[0].CreatedAt != 15 || got[len(got)-1].ID != profile.ID || stats.Dropped == 0 || stats.Events != len(got) || stats.Events > 4 {
				t.Errorf("%d events, %+v", len(got), stats)
			}
		})
	}
	r := start(t, relayd.Config{MaxBytes: 10})
	if got := dial(t, r).publish(event(t, alice, 1, 1, "x")); got != "false error: relay is full" {
		t.Error(got)
	}
}

// testMatching compares what a store selects with what [nostr.Filter.Matches]
// says, for filters by chance.
func testMatching(t *testing.T, start starter) {
	r := start(t, relayd.Config{})
	random := rand.New(rand.NewPCG(3, 4))
	pick := func(n int) string { return strconv.Itoa(random.IntN(n)) }
	signers := []nostr.SecretKey{key(1), key(2), key(3)}
	var all []*nostr.Event
	for range 120 {
		var tags nostr.Tags
		for range random.IntN(4) {
			tags = append(tags, nostr.Tag{[]string{"h", "t", "long", "p"}[random.IntN(4)], pick(3)})
		}
		tags = append(tags, nostr.Tag{"t"}) // without a value
		e := event(t, signers[random.IntN(3)], nostr.Kind(7+random.IntN(3)), nostr.Timestamp(random.IntN(30)), pick(1<<30), tags...)
		all = append(all, e)
		if ok, why := r.Add(e); !ok {
			t.Fatal(why)
		}
	}
	slices.SortFunc(all, relayd.NewestFirst)
	c := dial(t, r)
	for range 150 {
		f := nostr.Filter{Limit: random.IntN(40)}
		some := func() bool { return random.IntN(3) == 0 }
		if some() {
			f.Kinds = []nostr.Kind{nostr.Kind(7 + random.IntN(3)), 8}[:1+random.IntN(2)]
		}
		if some() {
			f.Authors = []nostr.PubKey{signers[0].PubKey(), signers[random.IntN(3)].PubKey()}[:random.IntN(3)]
		}
		if some() {
			f.IDs = []nostr.ID{all[random.IntN(len(all))].ID, all[random.IntN(len(all))].ID}
		}
		for _, name := range []string{"h", "t"} {
			if some() {
				f.Tags = map[string][]string{name: []string{pick(3), pick(3)}[:random.IntN(3)]}
			}
		}
		if some() && f.Tags != nil {
			f.Tags["t"] = []string{pick(3)}
		}
		since, until := nostr.Timestamp(random.IntN(30)), nostr.Timestamp(random.IntN(30))
		if some() {
			f.Since = &since
		}
		if some() {
			f.Until = &until
		}
		var want []string
		for _, e := range all {
			if f.Matches(e) && (f.Limit == 0 || len(want) < f.Limit) {
				want = append(want, e.Content)
			}
		}
		text := string(f.AppendJSON(nil))
		got, end := c.query(text)
		if !slices.Equal(got, want) || end != "EOSE" {
			t.Fatalf("%s: %d events, want %d (%s)", text, len(got), len(want), end)
		}
		if m := c.count(text); f.Limit == 0 && m.Count != uint64(len(want)) {
			t.Errorf("%s: counted %d of %d", text, m.Count, len(want))
		}
	}
}

// TestRate refuses what would wait too long, whichever message it is, and goes
// on listening.
func TestRate(t *testing.T) {
	t.Parallel()
	r := start(t, relayd.Config{AddressRate: 0.001})
	c := dial(t, r)
	if got := c.publish(event(t, alice, 1, 1, "first")); got != "true" {
		t.Error(got)
	}
	if got := c.publish(event(t, alice, 1, 1, "second")); got != "false rate-limited: slow down" {
		t.Error(got)
	}
	if _, end := dial(t, r).query(`{}`); end != "CLOSED rate-limited: slow down" {
		t.Error(end)
	}
	if s := r.Stats(); s.RateLimited != 2 || s.Answers["rate-limited"] != 1 || s.Answers["accepted"] != 1 {
		t.Errorf("%+v", s)
	}
}

func TestConnectionLimits(t *testing.T) {
	r := start(t, relayd.Config{MaxConnsPerAddress: 1})
	first := dial(t, r)
	first.query(`{}`)
	ws, _, err := websocket.Dial(t.Context(), r.URL(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := ws.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusTryAgainLater {
		t.Error(err)
	}
	if s := r.Stats(); s.Turned != 1 || s.Conns != 1 {
		t.Errorf("%+v", s)
	}
}

func TestSubscriptionSizes(t *testing.T) {
	r := start(t, relayd.Config{MaxSubBytes: 400, MaxValues: 3, MaxAnswer: 500})
	c := dial(t, r)
	if _, end := c.query(`{"kinds":[1,2,3,4]}`); end != "CLOSED error: too many values in a filter" {
		t.Error(end)
	}
	c.send(`["REQ","a",{"#t":["` + strings.Repeat("x", 200) + `"]}]`)
	c.read()
	if _, end := c.query(`{"#t":["` + strings.Repeat("y", 200) + `"]}`); end != "CLOSED error: subscriptions are too large" {
		t.Error(end)
	}
	c.send(`["CLOSE","a"]`)
	c.wantQuery(`{"#t":["` + strings.Repeat("y", 200) + `"]}`)
	for i := range 3 {
		c.publish(event(t, alice, 1, nostr.Timestamp(i), strconv.Itoa(i)))
	}
	c.wantQuery(`{}`, "2") // two would be over MaxAnswer
}

// TestHostileFrames sends what no client would; the relay answers or ends that
// connection, and serves the next.
func TestHostileFrames(t *testing.T) {
	r := start(t, relayd.Config{MaxFrame: 1 << 16})
	deep := strings.Repeat("[", 30_000)
	for name, frame := range map[string][]byte{
		"nothing": {}, "nul": {0}, "deep": []byte(deep), "deep event": []byte(`["EVENT",{"x":` + deep), "unclosed": []byte(`["REQ","x",{`),
		"not UTF-8": []byte("[\"REQ\",\"\xff\",{}]"), "huge number": []byte(`["REQ","x",{"limit":1e999}]`), "negative": []byte(`["REQ","x",{"since":-1}]`),
		"twice": []byte(`["REQ","x",{"kinds":[1],"kinds":[2]}]`), "unknown": []byte(`["DROP","x"]`), "number": []byte(`1`),
		"many filters": []byte(`["REQ","x"` + strings.Repeat(`,{}`, 15_000) + `]`), "SQL": []byte(`["REQ","x",{"#t":["') OR 1=1 --"]}]`),
	} {
		c := dial(t, r)
		for _, typ := range []websocket.MessageType{websocket.MessageText, websocket.MessageBinary} {
			if err := c.ws.Write(t.Context(), typ, frame); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if m := c.read(); m.Type != "NOTICE" && m.Type != "CLOSED" && m.Type != "EOSE" {
				t.Errorf("%s: %+v", name, m)
			}
		}
	}
	raw := rawConn(t, r)
	fmt.Fprint(raw, "\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff") // a frame of 2^64-1 bytes
	if _, err := io.ReadAll(raw); err != nil {
		t.Log(err) // reset is as good as closed
	}
	dial(t, r).wantQuery(`{}`)
}

// rawConn is a connection after its handshake.
func rawConn(t *testing.T, r *relayd.Running) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.URL(), "ws://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(resp, err)
	}
	return conn
}

// TestCloseAnswers stops a relay with a client in the middle of publishing: each
// event that it took is answered, and the close frame says why.
func TestCloseAnswers(t *testing.T) {
	r := startOnDisk(t, relayd.Config{})
	c := dial(t, r)
	const count = 300
	for i := range count {
		c.send(`["EVENT",` + string(event(t, alice, 1, 1, strconv.Itoa(i)).AppendJSON(nil)) + `]`)
	}
	c.read()
	done := make(chan struct{})
	go func() { defer close(done); r.Close() }()
	accepted := 1
	for {
		_, frame, err := c.ws.Read(t.Context())
		if err != nil {
			if websocket.CloseStatus(err) != websocket.StatusGoingAway {
				t.Error(err)
			}
			break
		}
		if m, err := nostr.ParseRelayMessage(frame); err == nil && m.Type == "OK" && m.OK {
			accepted++
		}
	}
	<-done
	if kept := len(r.Events()); kept != accepted {
		t.Errorf("%d events are kept, %d were acknowledged", kept, accepted)
	}
}

func TestPage(t *testing.T) {
	r := start(t, relayd.Config{Name: "<b>ours", Description: "for & us"})
	resp, err := http.Get("http" + strings.TrimPrefix(r.URL(), "ws"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	for _, want := range []string{"&lt;b&gt;ours", "for &amp; us", "Nostr relay", strings.TrimPrefix(r.URL(), "ws://"), "09, 11"} {
		if !strings.Contains(string(b), want) {
			t.Errorf("the page lacks %q:\n%s", want, b)
		}
	}
	if got := resp.Header.Get("Content-Type"); got != "text/html; charset=utf-8" || resp.Header.Get("Content-Security-Policy") == "" {
		t.Error(resp.Header)
	}
}
