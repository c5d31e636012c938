package relayd_test

import (
	"context"
	"encoding/json"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/nostr/relayd"
	"github.com/marmotgo/marmot/nostr/relayd/disk"
)

// starter starts a relay for a test.
type starter func(t *testing.T, cfg relayd.Config) *relayd.Running

// TestStores holds the rules of Nostr over each kind of store.
func TestStores(t *testing.T) {
	stores := map[string]starter{"memory": start, "disk": startOnDisk}
	tests := map[string]func(*testing.T, starter){
		"QueryOrderAndLimit":            testQueryOrderAndLimit,
		"Replacement":                   testReplacement,
		"Deletion":                      testDeletion,
		"Expiration":                    testExpiration,
		"GiftWrapsAreForTheirRecipient": testGiftWrapsAreForTheirRecipient,
		"AuthAndProtected":              testAuthAndProtected,
		"Refusals":                      testRefusals,
		"Count":                         testCount,
		"Full":                          testFull,
		"Matching":                      testMatching,
	}
	for kind, start := range stores {
		for name, test := range tests {
			t.Run(kind+"/"+name, func(t *testing.T) { test(t, start) })
		}
	}
}

func startOnDisk(t *testing.T, cfg relayd.Config) *relayd.Running {
	t.Helper()
	db, err := disk.Open(filepath.Join(t.TempDir(), "relay.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	cfg.Store = db
	return start(t, cfg)
}

func start(t *testing.T, cfg relayd.Config) *relayd.Running {
	t.Helper()
	r, err := relayd.Start(":0", cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// client speaks raw frames to a relay.
type client struct {
	t         *testing.T
	ws        *websocket.Conn
	challenge string
}

func dial(t *testing.T, r *relayd.Running) *client {
	t.Helper()
	ws, _, err := websocket.Dial(t.Context(), r.URL(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ws.SetReadLimit(2 << 20)
	t.Cleanup(func() { ws.CloseNow() })
	return &client{t: t, ws: ws}
}

func (c *client) send(frame string) {
	c.t.Helper()
	if err := c.ws.Write(c.t.Context(), websocket.MessageText, []byte(frame)); err != nil {
		c.t.Fatal(err)
	}
}

// read returns the next message, keeping the challenge of those that have one.
func (c *client) read() nostr.RelayMessage {
	c.t.Helper()
	for {
		ctx, cancel := context.WithTimeout(c.t.Context(), 3*time.Second)
		_, frame, err := c.ws.Read(ctx)
		cancel()
		if err != nil {
			c.t.Fatal(err)
		}
		m, err := nostr.ParseRelayMessage(frame)
		if err != nil {
			c.t.Fatalf("%s: %v", frame, err)
		}
		if m.Type != "AUTH" {
			return m
		}
		c.challenge = m.Text
	}
}

// publish returns the OK's answer, such as "true" or "false blocked: x".
func (c *client) publish(e *nostr.Event) string {
	c.t.Helper()
	c.send(`["EVENT",` + string(e.AppendJSON(nil)) + `]`)
	return c.ok(e.ID)
}

func (c *client) ok(id nostr.ID) string {
	c.t.Helper()
	m := c.read()
	if m.Type != "OK" || m.ID != id {
		c.t.Fatalf("%+v", m)
	}
	return strings.TrimSpace(strconv.FormatBool(m.OK) + " " + m.Text)
}

// query returns the contents of the stored events, and how it ended.
func (c *client) query(filters string) (contents []string, end string) {
	c.t.Helper()
	c.send(`["REQ","q",` + filters + `]`)
	for {
		switch m := c.read(); m.Type {
		case "EVENT":
			contents = append(contents, m.Event.Content)
		case "EOSE":
			c.send(`["CLOSE","q"]`)
			return contents, "EOSE"
		default:
			return contents, m.Type + " " + m.Text
		}
	}
}

func (c *client) login(k nostr.SecretKey, url string) string {
	c.t.Helper()
	if c.challenge == "" {
		c.query(`{"limit":0}`)
	}
	e := nostr.AuthEvent(c.challenge, url)
	e.CreatedAt = nostr.Timestamp(time.Now().Unix())
	if err := k.SignEvent(e); err != nil {
		c.t.Fatal(err)
	}
	c.send(`["AUTH",` + string(e.AppendJSON(nil)) + `]`)
	return c.ok(e.ID)
}

func (c *client) wantQuery(filters string, want ...string) {
	c.t.Helper()
	if got, end := c.query(filters); end != "EOSE" || !slices.Equal(got, want) {
		c.t.Errorf("%s: %q %s, want %q", filters, got, end, want)
	}
}

var alice, bob = key(3), key(4)

func key(n byte) (k nostr.SecretKey) {
	k[31] = n
	return k
}

func event(t testing.TB, k nostr.SecretKey, kind nostr.Kind, at nostr.Timestamp, content string, tags ...nostr.Tag) *nostr.Event {
	t.Helper()
	e := &nostr.Event{CreatedAt: at, Kind: kind, Content: content, Tags: tags}
	if err := k.SignEvent(e); err != nil {
		t.Fatal(err)
	}
	return e
}

func testQueryOrderAndLimit(t *testing.T, start starter) {
	r := start(t, relayd.Config{MaxLimit: 4})
	c := dial(t, r)
	var same []*nostr.Event
	for i, at := range []nostr.Timestamp{5, 1, 3, 3, 9} {
		e := event(t, alice, 1, at, strconv.Itoa(i), nostr.Tag{"h", strconv.Itoa(i % 2)})
		if at == 3 {
			same = append(same, e)
		}
		if got := c.publish(e); got != "true" {
			t.Fatal(got)
		}
		if got := c.publish(e); got != "true duplicate: already have this event" {
			t.Error(got)
		}
	}
	slices.SortFunc(same, relayd.NewestFirst)
	c.wantQuery(`{}`, "4", "0", same[0].Content, same[1].Content)
	c.wantQuery(`{"limit":1}`, "4")
	c.wantQuery(`{"limit":0}`)
	c.wantQuery(`{"until":4,"since":2}`, same[0].Content, same[1].Content)
	c.wantQuery(`{"#h":["1"]},{"since":9}`, "4", "3", "1")
	c.wantQuery(`{"since":9},{"until":9,"limit":1}`, "4")
}

func testReplacement(t *testing.T, start starter) {
	r := start(t, relayd.Config{})
	c := dial(t, r)
	d := func(v string) nostr.Tag { return nostr.Tag{"d", v} }
	for _, tt := range []struct {
		e    *nostr.Event
		want string
	}{
		{event(t, alice, 0, 10, "profile 1"), "true"},
		{event(t, alice, 0, 9, "older"), "true duplicate: have a newer event"},
		{event(t, alice, 0, 11, "profile 2"), "true"},
		{event(t, bob, 0, 5, "bob"), "true"},
		{event(t, alice, 30443, 1, "slot a", d("a")), "true"},
		{event(t, alice, 30443, 1, "slot b", d("b")), "true"},
		{event(t, alice, 30443, 2, "slot a 2", d("a")), "true"},
		{event(t, alice, 20001, 1, "ephemeral"), "true"},
	} {
		if got := c.publish(tt.e); got != tt.want {
			t.Errorf("%s: %s", tt.e.Content, got)
		}
	}
	c.wantQuery(`{}`, "profile 2", "bob", "slot a 2", "slot b")

	// At the same second the lower id stays (NIP-01).
	x, y := event(t, alice, 10002, 7, "x"), event(t, alice, 10002, 7, "y")
	if relayd.NewestFirst(x, y) > 0 {
		x, y = y, x
	}
	c.publish(y)
	c.publish(x)
	c.publish(y)
	c.wantQuery(`{"kinds":[10002]}`, x.Content)
}

func testDeletion(t *testing.T, start starter) {
	r := start(t, relayd.Config{})
	c := dial(t, r)
	mine, theirs := event(t, alice, 1, 1, "mine"), event(t, bob, 1, 1, "theirs")
	slot := event(t, alice, 30443, 5, "slot", nostr.Tag{"d", "x"})
	wrap := event(t, key(9), 1059, 1, "wrap", nostr.Tag{"p", bob.PubKey().String()})
	for _, e := range []*nostr.Event{mine, theirs, slot, wrap} {
		c.publish(e)
	}
	del := event(t, alice, 5, 6, "del", nostr.Tag{"e", mine.ID.String()}, nostr.Tag{"e", theirs.ID.String()}, nostr.Tag{"e", "x"},
		nostr.Tag{"e", wrap.ID.String()}, nostr.Tag{"a", "30443:" + alice.PubKey().String() + ":x"}, nostr.Tag{"a", "30443:" + bob.PubKey().String() + ":x"})
	if got := c.publish(del); got != "true" {
		t.Fatal(got)
	}
	c.wantQuery(`{"kinds":[1,30443]}`, "theirs")
	if len(r.Events()) != 3 {
		t.Error("a stranger deleted a gift wrap")
	}
	for _, e := range []*nostr.Event{mine, slot} {
		if got := c.publish(e); got != "false blocked: deleted by its author" {
			t.Error(got)
		}
	}
	if got := c.publish(event(t, alice, 30443, 7, "slot 2", nostr.Tag{"d", "x"})); got != "true" {
		t.Error(got)
	}
	c.publish(event(t, bob, 5, 6, "", nostr.Tag{"e", wrap.ID.String()}, nostr.Tag{"e", del.ID.String()}))
	if slices.Contains(r.Events(), wrap) || !slices.ContainsFunc(r.Events(), func(e *nostr.Event) bool { return e.ID == del.ID }) {
		t.Error("the recipient deletes a gift wrap, nobody a deletion")
	}
}

func testExpiration(t *testing.T, start starter) {
	now := time.Unix(1000, 0)
	clock := make(chan time.Time, 1)
	clock <- now
	r := start(t, relayd.Config{Now: func() time.Time { at := <-clock; clock <- at; return at }})
	c := dial(t, r)
	c.publish(event(t, alice, 1, 1, "stays"))
	if got := c.publish(event(t, alice, 445, 1, "goes", nostr.Tag{"expiration", "1001"})); got != "true" {
		t.Error(got)
	}
	if got := c.publish(event(t, alice, 1, 1, "gone", nostr.Tag{"expiration", "1000"})); got != "false invalid: event has expired" {
		t.Error(got)
	}
	if got, _ := c.query(`{}`); len(got) != 2 {
		t.Error(got)
	}
	<-clock
	clock <- now.Add(time.Second)
	c.wantQuery(`{}`, "stays")
}

func testGiftWrapsAreForTheirRecipient(t *testing.T, start starter) {
	r := start(t, relayd.Config{})
	c, eve := dial(t, r), dial(t, r)
	wrap := event(t, key(9), 1059, 1, "wrap", nostr.Tag{"p", bob.PubKey().String()})
	c.publish(wrap)
	ask := `{"kinds":[1059],"#p":["` + bob.PubKey().String() + `"]}`
	if _, end := c.query(ask); end != "CLOSED auth-required: gift wraps are for their recipient" {
		t.Error(end)
	}
	c.wantQuery(`{}`)
	c.wantQuery(`{"ids":["` + wrap.ID.String() + `"]}`)
	if got := c.login(bob, r.URL()+"/"); got != "true" {
		t.Fatal(got)
	}
	c.wantQuery(ask, "wrap")
	c.wantQuery(`{"kinds":[1059]}`, "wrap")
	if got := eve.login(alice, r.URL()); got != "true" {
		t.Fatal(got)
	}
	if _, end := eve.query(ask); end != "CLOSED restricted: gift wraps are for their recipient" {
		t.Error(end)
	}
	eve.wantQuery(`{"kinds":[1059]}`)

	// New ones follow the same rule.
	eve.send(`["REQ","live",{}]`)
	c.send(`["REQ","live",{"kinds":[1059]}]`)
	for eve.read().Type != "EOSE" {
	}
	for c.read().Type != "EOSE" {
	}
	r.Add(event(t, key(8), 1059, 2, "wrap 2", nostr.Tag{"p", bob.PubKey().String()}))
	r.Add(event(t, key(8), 1, 2, "note"))
	if m := c.read(); m.Type != "EVENT" || m.Event.Content != "wrap 2" {
		t.Errorf("%+v", m)
	}
	if m := eve.read(); m.Type != "EVENT" || m.Event.Content != "note" {
		t.Errorf("%+v", m)
	}
}

func testAuthAndProtected(t *testing.T, start starter) {
	r := start(t, relayd.Config{RequireAuth: true})
	c := dial(t, r)
	note := event(t, alice, 1, 1, "note", nostr.Tag{"-"})
	if got := c.publish(note); got != "false auth-required: log in first" {
		t.Error(got)
	}
	if _, end := c.query(`{}`); end != "CLOSED auth-required: log in first" {
		t.Error(end)
	}
	if got := c.login(alice, "ws://elsewhere"); !strings.HasPrefix(got, "false invalid:") {
		t.Error(got)
	}
	if got := c.login(bob, r.URL()); got != "true" {
		t.Error(got)
	}
	if got := c.publish(note); got != "false auth-required: only its author may publish this event" {
		t.Error(got)
	}
	if got := c.login(alice, r.URL()); got != "true" {
		t.Error(got)
	}
	if got := c.publish(note); got != "true" {
		t.Error(got)
	}
	c.challenge = "another"
	if got := c.login(key(7), r.URL()); !strings.HasPrefix(got, "false invalid:") {
		t.Error(got)
	}
}

func testRefusals(t *testing.T, start starter) {
	r := start(t, relayd.Config{MaxEvents: 2, MaxEventSize: 2000, MaxFilters: 2, MaxSubs: 1, MaxFrame: 4000})
	c := dial(t, r)
	bad := event(t, alice, 1, 1, "x")
	bad.Sig[0] ^= 1
	if got := c.publish(bad); got != "false invalid: bad id or signature" {
		t.Error(got)
	}
	if got := c.publish(event(t, alice, 22242, 1, "")); got != "false invalid: an auth event is not published" {
		t.Error(got)
	}
	if got := c.publish(event(t, alice, 1, 1, strings.Repeat("x", 2000))); got != "false invalid: event is too large" {
		t.Error(got)
	}
	for i := range 3 {
		want := "true"
		if i == 2 {
			want = "false error: relay is full"
		}
		if got := c.publish(event(t, alice, 1, 1, strconv.Itoa(i))); got != want {
			t.Error(got)
		}
	}
	if _, end := c.query(`{},{},{}`); end != "CLOSED error: too many filters" {
		t.Error(end)
	}
	c.send(`["REQ","one",{"limit":0}]`)
	c.read()
	if _, end := c.query(`{}`); end != "CLOSED error: too many subscriptions" {
		t.Error(end)
	}
	for _, frame := range []string{`x`, `["REQ","x"]`, `["COUNT","x"]`} {
		c.send(frame)
		if m := c.read(); m.Type != "NOTICE" || !strings.HasPrefix(m.Text, "invalid: ") {
			t.Errorf("%s: %+v", frame, m)
		}
	}
	c.send(`["REQ","x",` + strings.Repeat(" ", 5000) + `]`)
	if _, _, err := c.ws.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusMessageTooBig {
		t.Error(err)
	}
}

func TestDocument(t *testing.T) {
	r := start(t, relayd.Config{Name: "ours", MaxLimit: 7})
	req, _ := http.NewRequestWithContext(t.Context(), "GET", "http"+strings.TrimPrefix(r.URL(), "ws"), nil)
	req.Header.Set("Accept", "application/nostr+json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var doc struct {
		Name       string
		NIPs       []int `json:"supported_nips"`
		Limitation struct {
			MaxLimit int `json:"max_limit"`
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&doc); err != nil || doc.Name != "ours" || len(doc.NIPs) != 8 || doc.Limitation.MaxLimit != 7 {
		t.Error(doc, err)
	}
	if resp.Header.Get("Content-Type") != "application/nostr+json" || resp.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Error(resp.Header)
	}
}

func TestFaults(t *testing.T) {
	r := start(t, relayd.Config{})
	c := dial(t, r)
	for i := range 20 {
		c.publish(event(t, alice, 1, nostr.Timestamp(i), strconv.Itoa(i)))
	}
	r.SetFaults(relayd.Faults{Duplicate: 1})
	if got, _ := c.query(`{}`); len(got) != 40 {
		t.Errorf("duplicate: %d", len(got))
	}
	r.SetFaults(relayd.Faults{Drop: 0.5, Seed: 7})
	first, _ := c.query(`{}`)
	r.SetFaults(relayd.Faults{Drop: 0.5, Seed: 7})
	if again, _ := c.query(`{}`); len(first) == 0 || len(first) == 20 || !slices.Equal(first, again) {
		t.Errorf("drop: %v, then %v", first, again)
	}
	r.SetFaults(relayd.Faults{Reorder: 8, Delay: 2 * time.Millisecond})
	if got, _ := c.query(`{}`); len(got) != 20 || slices.IsSortedFunc(got, func(a, b string) int { x, _ := strconv.Atoi(a); y, _ := strconv.Atoi(b); return y - x }) {
		t.Errorf("reorder: %v", got)
	}
	r.SetFaults(relayd.Faults{PageLimit: 3})
	c.wantQuery(`{}`, "19", "18", "17")
	forged := event(t, bob, 1, 3, "forged")
	r.SetFaults(relayd.Faults{PageLimit: 1, Forge: func([]nostr.Filter) []*nostr.Event { return []*nostr.Event{forged} }})
	c.wantQuery(`{}`, "19", "forged")
	r.SetFaults(relayd.Faults{EarlyEOSE: true})
	c.wantQuery(`{"limit":1}`)
	for c.read().Type != "EVENT" {
	}
	r.SetFaults(relayd.Faults{Refuse: func(e *nostr.Event) string { return "blocked: " + e.Content }})
	if got := c.publish(event(t, alice, 1, 1, "x")); got != "false blocked: x" {
		t.Error(got)
	}
	lost := event(t, alice, 1, 1, "lost")
	r.SetFaults(relayd.Faults{Lose: func(*nostr.Event) bool { return true }})
	if got := c.publish(lost); got != "true" || len(r.Events()) != 20 {
		t.Error(got, len(r.Events()))
	}
	r.SetFaults(relayd.Faults{Silent: true})
	c.send(`["REQ","s",{}]`)
	c.send(`["EVENT",` + string(lost.AppendJSON(nil)) + `]`)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, _, err := c.ws.Read(ctx); err == nil {
		t.Error("a silent relay spoke")
	}
}

func TestCloseAndDisconnect(t *testing.T) {
	r := start(t, relayd.Config{})
	c := dial(t, r)
	c.query(`{}`)
	if r.Conns() != 1 {
		t.Error(r.Conns())
	}
	r.Disconnect()
	for {
		if _, _, err := c.ws.Read(t.Context()); err != nil {
			break
		}
	}
	d := dial(t, r)
	d.query(`{}`)
	r.Close()
	if r.Conns() != 0 {
		t.Error("connections after Close")
	}
	if _, _, err := websocket.Dial(t.Context(), r.URL(), nil); err == nil {
		t.Error("connected after Close")
	}
}
