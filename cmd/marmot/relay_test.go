package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/marmotgo/marmot/nostr"
)

// serve runs relay serve until stop is called, which returns its exit code and
// what it printed last.
func (s shell) serve(args ...string) (line relayLine, stop func() (int, string)) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	r, w := io.Pipe()
	var errs bytes.Buffer
	code := make(chan int, 1)
	go func() {
		a := &app{in: strings.NewReader(""), out: w, err: &errs}
		code <- a.run(ctx, append([]string{"--home", s.home, "--json", "relay", "serve", "--listen", "127.0.0.1:0"}, args...))
		w.Close()
	}()
	out := bufio.NewReader(r)
	first, err := out.ReadBytes('\n')
	if err != nil || json.Unmarshal(first, &line) != nil {
		s.t.Fatalf("relay serve says %q (%v): %s", first, err, errs.String())
	}
	return line, func() (int, string) {
		cancel()
		rest, err := io.ReadAll(out)
		if err != nil {
			s.t.Error(err)
		}
		return <-code, string(rest)
	}
}

func TestRelayServe(t *testing.T) {
	s := shell{t, t.TempDir()}
	line, stop := s.serve("--metrics", "127.0.0.1:0", "--name", "ours")
	if line.Type != "relay" || line.Store != filepath.Join(s.home, fileRelay) {
		t.Errorf("%+v", line)
	}
	e := &nostr.Event{Kind: 1, CreatedAt: 1, Content: "kept"}
	if err := nostr.GenerateSecretKey().SignEvent(e); err != nil {
		t.Fatal(err)
	}
	ws, _, err := websocket.Dial(t.Context(), line.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	request := nostr.ClientMessage{Type: "EVENT", Event: e}
	if err := ws.Write(t.Context(), websocket.MessageText, request.AppendJSON(nil)); err != nil {
		t.Fatal(err)
	}
	for ok := false; !ok; {
		_, frame, err := ws.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		m, err := nostr.ParseRelayMessage(frame)
		if err != nil {
			t.Fatal(err)
		}
		ok = m.Type == "OK" && m.OK
	}
	ws.CloseNow()
	resp, err := http.Get(line.Metrics)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || !strings.Contains(string(b), "\nmarmot_relay_stored_events 1\n") {
		t.Errorf("%v: %s", err, b)
	}
	s.fails(exitError, "relay", "serve", "--listen", "127.0.0.1:0") // the file is in use
	for range 2 {
		code, last := stop()
		if code != exitDone || last != `{"type":"relay_stopped","events":1}`+"\n" {
			t.Errorf("exit %d, %q", code, last)
		}
		_, stop = s.serve()
	}
	stop()
	line, stop = s.serve("--store", "memory")
	if code, last := stop(); code != exitDone || line.Store != "memory" || !strings.Contains(last, `"events":0`) {
		t.Errorf("exit %d, %+v, %q", code, line, last)
	}
	for _, args := range []string{"--when-full=never", "--max-size=0", "--rate=-1", "--rate=NaN", "--url=http://x"} {
		s.fails(exitUsage, "relay", "serve", args)
	}
	bad := filepath.Join(s.home, "bad.db")
	if err := os.WriteFile(bad, bytes.Repeat([]byte("x"), 5000), 0o600); err != nil {
		t.Fatal(err)
	}
	s.fails(exitError, "relay", "serve", "--store", bad)
}
