package relay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/nostr/relayd"
)

func TestPublishAndSubscribe(t *testing.T) {
	r := startRelay(t, relayd.Config{})
	p := newPool(t, nil)
	l := newLog(t)
	if res := p.Publish(t.Context(), PurposeGroup, r.URL(), event(t, 1, 1, "stored")); !res.Accepted || res.Err != nil || res.URL != r.URL() {
		t.Fatal(res)
	}
	sub := p.Subscribe(PurposeGroup, r.URL(), []nostr.Filter{ofKinds(1)}, l.deliver)
	l.want("connected|stored|EOSE")
	p.Publish(t.Context(), PurposeGroup, r.URL()+"/", event(t, 1, 2, "live"))
	p.Publish(t.Context(), PurposeGroup, r.URL(), event(t, 2, 2, "another kind"))
	l.want("live")
	sub.Update([]nostr.Filter{ofKinds(2)})
	l.want("another kind|EOSE")
	p.Publish(t.Context(), PurposeGroup, r.URL(), event(t, 1, 3, "not asked for any more"))
	p.Publish(t.Context(), PurposeGroup, r.URL(), event(t, 2, 3, "live 2"))
	l.want("live 2")
	if st := p.Status(); len(st) != 1 || !st[0].Connected || st[0].Subscriptions != 1 || st[0].Publications != 0 || r.Conns() != 1 {
		t.Errorf("%+v", st)
	}
	sub.Close()
	sub.Close()
	p.Publish(t.Context(), PurposeGroup, r.URL(), event(t, 2, 4, "after close"))
	l.wantNothing()
}

func TestPublishAnswers(t *testing.T) {
	r := startRelay(t, relayd.Config{})
	p := newPool(t, func(c *Config) { c.PublishTimeout = 100 * time.Millisecond })
	r.SetFaults(relayd.Faults{Refuse: func(*nostr.Event) string { return "blocked: no" }})
	if res := p.Publish(t.Context(), "x", r.URL(), event(t, 1, 1, "")); res.Accepted || res.Err != nil || res.Reason != "blocked: no" {
		t.Error(res)
	}
	r.SetFaults(relayd.Faults{NoOK: true})
	if res := p.Publish(t.Context(), "x", r.URL(), event(t, 1, 1, "")); res.Accepted || !errors.Is(res.Err, context.DeadlineExceeded) {
		t.Error(res)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if res := p.Publish(ctx, "x", r.URL(), event(t, 1, 1, "")); !errors.Is(res.Err, context.Canceled) {
		t.Error(res)
	}
	if res := p.Publish(t.Context(), "x", "http://x", event(t, 1, 1, "")); !errors.Is(res.Err, nostr.ErrMalformed) {
		t.Error(res)
	}
	if st := p.Status(); st[0].Publications != 0 {
		t.Errorf("%+v", st)
	}
}

// Every purpose has a connection of its own, and only the one that must logs in.
func TestPurposesAreApart(t *testing.T) {
	r := startRelay(t, relayd.Config{})
	var purposes []Purpose
	p := newPool(t, func(c *Config) { c.Auth = authAs(bob, &purposes) })
	r.Add(event(t, 1059, 1, "wrap", nostr.Tag{"p", bob.PubKey().String()}))
	group, inbox := newLog(t), newLog(t)
	p.Subscribe(PurposeGroup, r.URL(), []nostr.Filter{ofKinds(445)}, group.deliver)
	group.want("connected|EOSE")
	p.Subscribe(PurposeInbox, r.URL(), []nostr.Filter{{Kinds: []nostr.Kind{1059}, Tags: map[string][]string{"p": {bob.PubKey().String()}}}}, inbox.deliver)
	inbox.want("connected|wrap|EOSE")
	if st := p.Status(); len(st) != 2 || st[0].Purpose != PurposeGroup || st[0].Authenticated || !st[1].Authenticated || r.Conns() != 2 {
		t.Errorf("%+v", st)
	}
	// A second request that needs the login rides on the first.
	events, complete, err := p.Fetch(t.Context(), PurposeInbox, r.URL(), ofKinds(1059))
	if len(events) != 1 || !complete || err != nil || len(purposes) != 1 || purposes[0] != PurposeInbox {
		t.Error(events, complete, err, purposes)
	}
	// And after a reconnect it logs in again.
	r.Disconnect()
	inbox.want("disconnected|connected|wrap|EOSE")
	if len(purposes) != 2 {
		t.Error(purposes)
	}
}

func TestPublishLogsInOnce(t *testing.T) {
	r := startRelay(t, relayd.Config{RequireAuth: true})
	var purposes []Purpose
	p := newPool(t, func(c *Config) { c.Auth = authAs(alice, &purposes) })
	for i := range 3 {
		if res := p.Publish(t.Context(), "x", r.URL(), event(t, 1, nostr.Timestamp(i), "", nostr.Tag{"-"})); !res.Accepted {
			t.Error(res)
		}
	}
	if len(purposes) != 1 {
		t.Error(purposes)
	}
	// A login that does not help is final, not a loop.
	other := newPool(t, func(c *Config) { c.Auth = authAs(bob, &purposes) })
	if res := other.Publish(t.Context(), "x", r.URL(), event(t, 1, 9, "", nostr.Tag{"-"})); res.Accepted || !strings.HasPrefix(res.Reason, "auth-required:") {
		t.Error(res)
	}
}

func TestNoLogin(t *testing.T) {
	r := startRelay(t, relayd.Config{RequireAuth: true})
	refuse := func(c *Config) {
		c.Auth = func(context.Context, Purpose, *nostr.Event) error { return errors.New("the user says no") }
	}
	wrong := func(c *Config) {
		c.Auth = func(_ context.Context, _ Purpose, e *nostr.Event) error {
			e.CreatedAt = 1
			return alice.SignEvent(e)
		}
	}
	for name, edit := range map[string]func(*Config){"no signer": nil, "refused": refuse, "not accepted": wrong} {
		p := newPool(t, edit)
		if res := p.Publish(t.Context(), "x", r.URL(), event(t, 1, 1, "")); res.Accepted || res.Reason == "" || res.Err != nil {
			t.Error(name, res)
		}
		l := newLog(t)
		p.Subscribe("y", r.URL(), []nostr.Filter{ofKinds(1)}, l.deliver)
		l.want("connected")
		if got := <-l.ch; !strings.HasPrefix(got, "CLOSED ") {
			t.Error(name, got)
		}
		if st := p.Status(); !st[0].Connected || st[0].Authenticated {
			t.Errorf("%s: %+v", name, st)
		}
	}
}

func TestReconnect(t *testing.T) {
	r := startRelay(t, relayd.Config{})
	p := newPool(t, nil)
	l := newLog(t)
	sub := p.Subscribe(PurposeGroup, r.URL(), []nostr.Filter{ofKinds(1)}, l.deliver)
	l.want("connected|EOSE")
	since := nostr.Timestamp(10)
	r.Disconnect()
	l.want("disconnected")
	sub.Update([]nostr.Filter{{Kinds: []nostr.Kind{1}, Since: &since}})
	r.Add(event(t, 1, 9, "before since"))
	r.Add(event(t, 1, 11, "while away"))
	deadline := time.After(3 * time.Second)
	for word := ""; word != "EOSE"; { // it may have reconnected before the Update
		select {
		case word = <-l.ch:
		case <-deadline:
			t.Fatal("no EOSE")
		}
	}
	// A publish under way survives the loss.
	r.SetFaults(relayd.Faults{NoOK: true})
	done := make(chan PublishResult)
	e := event(t, 1, 12, "published")
	go func() { done <- p.Publish(t.Context(), PurposeGroup, r.URL(), e) }()
	eventually(t, "the event did not arrive", func() bool { return len(r.Events()) == 3 })
	r.SetFaults(relayd.Faults{})
	r.Disconnect()
	if res := <-done; !res.Accepted || !strings.HasPrefix(res.Reason, "duplicate:") {
		t.Error(res)
	}
}

// A relay that comes up late is found, and so is one that comes back.
func TestRelayComesLate(t *testing.T) {
	relay := relayd.New(relayd.Config{})
	defer relay.Close()
	var up atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !up.Load() {
			http.Error(w, "starting", http.StatusServiceUnavailable)
			return
		}
		relay.ServeHTTP(w, r)
	}))
	defer server.Close()
	p := newPool(t, nil)
	log := newLog(t)
	p.Subscribe(PurposeGroup, "ws"+strings.TrimPrefix(server.URL, "http"), []nostr.Filter{ofKinds(1)}, log.deliver)
	eventually(t, "no failed attempt", func() bool { st := p.Status(); return st[0].Attempts > 0 && st[0].LastError != "" })
	up.Store(true)
	log.want("connected|EOSE")
	up.Store(false)
	relay.Disconnect()
	log.want("disconnected")
	up.Store(true)
	log.want("connected|EOSE")
}

// listenSilently accepts connections and never says a word.
func listenSilently(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
		}
	}()
	return "ws://" + l.Addr().String()
}

func TestSlowRelaysDelayNobody(t *testing.T) {
	good, mute, slow := startRelay(t, relayd.Config{}), startRelay(t, relayd.Config{}), startRelay(t, relayd.Config{})
	mute.SetFaults(relayd.Faults{Silent: true})
	slow.SetFaults(relayd.Faults{Delay: time.Minute})
	p := newPool(t, nil)
	var others []string
	others = append(others, mute.URL(), slow.URL(), listenSilently(t), "ws://127.0.0.1:1")
	for _, url := range others {
		p.Subscribe(PurposeGroup, url, []nostr.Filter{ofKinds(1)}, func(Delivery) {})
		go p.Publish(t.Context(), PurposeGroup, url, event(t, 1, 1, "x"))
	}
	// A subscriber of the good relay that hangs holds up its own connection only.
	hang := make(chan struct{})
	defer close(hang)
	p.Subscribe("hanging", good.URL(), []nostr.Filter{ofKinds(1)}, func(d Delivery) { <-hang })

	started := time.Now()
	l := newLog(t)
	p.Subscribe(PurposeGroup, good.URL(), []nostr.Filter{ofKinds(1)}, l.deliver)
	for range 20 {
		if res := p.Publish(t.Context(), PurposeGroup, good.URL(), event(t, 2, 1, "y")); !res.Accepted {
			t.Fatal(res)
		}
	}
	l.want("connected|EOSE")
	if took := time.Since(started); took > time.Second {
		t.Errorf("took %v", took)
	}
}

// fakeRelay answers each frame with what script returns for it.
func fakeRelay(t *testing.T, script func(m nostr.ClientMessage) []string) string {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer ws.CloseNow()
		for {
			_, frame, err := ws.Read(r.Context())
			if err != nil {
				return
			}
			m, err := nostr.ParseClientMessage(frame)
			if err != nil {
				t.Errorf("we sent %s: %v", frame, err)
			}
			for _, answer := range script(m) {
				if ws.Write(r.Context(), websocket.MessageText, []byte(answer)) != nil {
					return
				}
			}
		}
	}))
	t.Cleanup(srv.Close)
	return "ws" + strings.TrimPrefix(srv.URL, "http")
}

func TestNoiseIsDroppedAndCounted(t *testing.T) {
	good := event(t, 1, 1, "good")
	frame := func(sub string, e *nostr.Event) string {
		return `["EVENT","` + sub + `",` + string(e.AppendJSON(nil)) + `]`
	}
	url := fakeRelay(t, func(m nostr.ClientMessage) []string {
		if m.Type != "REQ" {
			return nil
		}
		return []string{`{`, `["EVENT","` + m.SubID + `",{}]`, `["HELLO",{"a":[1]}]`, `["NOTICE","hi"]`, `["EOSE","no such"]`, `["OK","` + strings.Repeat("0", 64) + `",true,""]`,
			frame("no such", good), frame(m.SubID, event(t, 2, 1, "not asked for")), frame(m.SubID, good), `["EOSE","` + m.SubID + `"]`, `["CLOSED","` + m.SubID + `"]`}
	})
	p := newPool(t, nil)
	l := newLog(t)
	p.Subscribe("x", url, []nostr.Filter{ofKinds(1)}, l.deliver)
	l.want("connected|good|EOSE|CLOSED error: closed without a reason")
	if st := p.Status(); st[0].Malformed != 2 || st[0].Unmatched != 1 || st[0].Notices != 1 || st[0].Received != 11 {
		t.Errorf("%+v", st)
	}
	events, complete, err := p.Fetch(t.Context(), "y", url, ofKinds(1))
	if len(events) != 1 || complete || err != nil {
		t.Error("a fetch with malformed frames is complete", complete, err)
	}
}

func TestLargeFrames(t *testing.T) {
	r := startRelay(t, relayd.Config{MaxEventSize: 1 << 20})
	p := newPool(t, nil)
	big := event(t, 1, 1, strings.Repeat("x", 1000_000))
	if res := p.Publish(t.Context(), "x", r.URL(), big); !res.Accepted {
		t.Fatal(res)
	}
	events, complete, err := p.Fetch(t.Context(), "x", r.URL(), ofKinds(1))
	if len(events) != 1 || !complete || err != nil || events[0].Verify() != nil {
		t.Error(len(events), complete, err)
	}
	small := newPool(t, func(c *Config) { c.MaxFrame = 5000 })
	if _, complete, err := small.Fetch(t.Context(), "x", r.URL(), ofKinds(1)); complete || !errors.Is(err, ErrDisconnected) {
		t.Error(complete, err)
	}
}

func TestFetch(t *testing.T) {
	r := startRelay(t, relayd.Config{})
	for i := range 5 {
		r.Add(event(t, 1, nostr.Timestamp(i), "x"))
	}
	p := newPool(t, func(c *Config) { c.FetchTimeout = 100 * time.Millisecond; c.MaxFetch = 4 })
	f := ofKinds(1)
	f.Limit = 3
	if events, complete, err := p.Fetch(t.Context(), "x", r.URL(), f); len(events) != 3 || complete || err != nil {
		t.Error(len(events), complete, err)
	}
	if events, complete, err := p.Fetch(t.Context(), "x", r.URL(), ofKinds(1)); len(events) != 4 || complete || !errors.Is(err, ErrTooMany) {
		t.Error(len(events), complete, err)
	}
	if _, complete, err := p.Fetch(t.Context(), "x", r.URL(), ofKinds(1059)); complete || !errors.Is(err, ErrRefused) {
		t.Error(complete, err)
	}
	r.SetFaults(relayd.Faults{NoEOSE: true})
	f.Limit = 2
	if events, complete, err := p.Fetch(t.Context(), "x", r.URL(), f); len(events) != 2 || complete || !errors.Is(err, context.DeadlineExceeded) {
		t.Error(len(events), complete, err)
	}
	eventually(t, "subscriptions are left", func() bool { return p.Status()[0].Subscriptions == 0 })
}

func TestIdleConnectionsEnd(t *testing.T) {
	r := startRelay(t, relayd.Config{})
	p := newPool(t, func(c *Config) { c.IdleTimeout = 20 * time.Millisecond; c.PingInterval = 10 * time.Millisecond })
	l := newLog(t)
	sub := p.Subscribe("x", r.URL(), []nostr.Filter{ofKinds(1)}, l.deliver)
	l.want("connected|EOSE")
	time.Sleep(60 * time.Millisecond) // pings are answered meanwhile
	if st := p.Status(); len(st) != 1 || !st[0].Connected {
		t.Errorf("%+v", st)
	}
	sub.Close()
	eventually(t, "the idle connection stays", func() bool { return len(p.Status()) == 0 && r.Conns() == 0 })
	if res := p.Publish(t.Context(), "x", r.URL(), event(t, 1, 1, "")); !res.Accepted {
		t.Error(res)
	}
}

func TestClose(t *testing.T) {
	before := runtime.NumGoroutine()
	r := startRelay(t, relayd.Config{})
	p := NewPool(Config{})
	l := newLog(t)
	p.Subscribe("x", r.URL(), []nostr.Filter{ofKinds(1)}, l.deliver)
	p.Subscribe("x", listenSilently(t), []nostr.Filter{ofKinds(1)}, l.deliver)
	l.want("connected|EOSE")
	r.SetFaults(relayd.Faults{NoOK: true})
	done := make(chan PublishResult)
	go func() { done <- p.Publish(t.Context(), "x", r.URL(), event(t, 2, 1, "")) }()
	eventually(t, "not published", func() bool { return len(r.Events()) == 1 })
	p.Close()
	p.Close()
	if res := <-done; !errors.Is(res.Err, ErrClosed) {
		t.Error(res)
	}
	if res := p.Publish(t.Context(), "x", r.URL(), event(t, 2, 1, "")); !errors.Is(res.Err, ErrClosed) {
		t.Error(res)
	}
	l.want("disconnected")
	dead := p.Subscribe("x", r.URL(), nil, l.deliver)
	l.want("CLOSED error: relay: pool is closed")
	dead.Update(nil)
	dead.Close()
	r.Close()
	eventually(t, "goroutines are left", func() bool { return runtime.NumGoroutine() <= before+2 }) // listenSilently has one
}

// TestUpdateLosesNothing replaces the filters of a subscription again and again
// while events come: each is heard, also those on their way for an older request.
func TestUpdateLosesNothing(t *testing.T) {
	r := startRelay(t, relayd.Config{})
	p := newPool(t, nil)
	const n = 300
	var mu sync.Mutex
	got := map[nostr.ID]bool{}
	filter := ofKinds(445)
	filter.Limit = 1
	sub := p.Subscribe(PurposeGroup, r.URL(), []nostr.Filter{filter}, func(d Delivery) {
		if d.Event != nil {
			mu.Lock()
			got[d.Event.ID] = true
			mu.Unlock()
		}
	})
	heard := func() int { mu.Lock(); defer mu.Unlock(); return len(got) }
	r.Add(event(t, 445, 1, "first"))
	for range 3000 {
		if heard() > 0 {
			break
		}
		time.Sleep(2 * time.Millisecond)
	}
	var events []*nostr.Event
	for i := range n {
		events = append(events, event(t, 445, nostr.Timestamp(10+i), fmt.Sprint(i)))
	}
	for _, e := range events {
		r.Add(e)
		sub.Update([]nostr.Filter{filter})
	}
	for range 3000 {
		if heard() == n+1 {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
	t.Errorf("%d of %d were heard", heard(), n+1)
}
