package relayd_test

import (
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/marmotgo/marmot/nostr/relayd"
)

// FuzzFrame sends a frame to a running relay, which stays as it is or answers,
// and always answers the next one.
func FuzzFrame(f *testing.F) {
	r, err := relayd.Start(":0", relayd.Config{MaxEvents: 100})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { r.Close() })
	e := string(event(f, alice, 1, 1, "x").AppendJSON(nil))
	for _, seed := range []string{`["EVENT",` + e + `]`, `["REQ","s",{"kinds":[1059]}]`, `["REQ","s",{},{"#e":[]}]`, `["COUNT","s",{}]`, `["CLOSE","s"]`, `["AUTH",` + e + `]`, `[`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		ws, _, err := websocket.Dial(t.Context(), r.URL(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer ws.CloseNow()
		ws.SetReadLimit(1 << 20)
		for _, b := range [][]byte{frame, []byte(`["COUNT","the end",{"ids":[]}]`)} {
			if err := ws.Write(t.Context(), websocket.MessageText, b); err != nil {
				t.Fatal(err)
			}
		}
		for started := time.Now(); ; {
			_, answer, err := ws.Read(t.Context())
			if err != nil || time.Since(started) > time.Minute {
				t.Fatalf("%q: %v", frame, err)
			}
			if strings.HasPrefix(string(answer), `["COUNT","the end",`) {
				return
			}
		}
	})
}
