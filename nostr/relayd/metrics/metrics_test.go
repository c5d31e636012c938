package metrics_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/nostr/relayd"
	"github.com/marmotgo/marmot/nostr/relayd/metrics"
)

func TestMetrics(t *testing.T) {
	s := relayd.New(relayd.Config{})
	defer s.Close()
	e := &nostr.Event{Kind: 1, CreatedAt: 1, Content: "a secret"}
	if err := nostr.GenerateSecretKey().SignEvent(e); err != nil {
		t.Fatal(err)
	}
	if ok, why := s.Add(e); !ok {
		t.Fatal(why)
	}
	w := httptest.NewRecorder()
	metrics.Handler(s).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	body := w.Body.String()
	for _, want := range []string{"\nmarmot_relay_stored_events 1\n", "\nmarmot_relay_connections 0\n", "\nmarmot_relay_rate_limited_total 0\n", "\ngo_goroutines "} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q in\n%s", want, body)
		}
	}
	if w.Code != 200 || strings.Contains(body, e.PubKey.String()) || strings.Contains(body, "secret") {
		t.Errorf("%d\n%s", w.Code, body)
	}
}
