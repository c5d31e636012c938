package relay

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/nostr/relayd"
)

// seconds stores one event for each time given.
func seconds(t *testing.T, r *relayd.Running, times ...nostr.Timestamp) {
	t.Helper()
	for i, at := range times {
		if ok, reason := r.Add(event(t, 445, at, fmt.Sprint(i))); !ok {
			t.Fatal(reason)
		}
	}
}

func repeat(at nostr.Timestamp, n int) (out []nostr.Timestamp) {
	for range n {
		out = append(out, at)
	}
	return out
}

func rangeOf(from, to nostr.Timestamp) (out []nostr.Timestamp) {
	for at := from; at <= to; at++ {
		out = append(out, at)
	}
	return out
}

func join(parts ...[]nostr.Timestamp) (out []nostr.Timestamp) {
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

// backfillAll runs a Backfill over [since, until] and checks that no event came
// twice.
func backfillAll(t *testing.T, p *Pool, url string, since, until nostr.Timestamp) (map[nostr.ID]*nostr.Event, Coverage, error) {
	t.Helper()
	got := make(map[nostr.ID]*nostr.Event)
	f := ofKinds(445)
	f.Since, f.Until = &since, &until
	cov, err := p.Backfill(t.Context(), PurposeGroup, url, f, func(events []*nostr.Event) error {
		for _, e := range events {
			if got[e.ID] != nil {
				t.Errorf("event at %d came twice", e.CreatedAt)
			}
			got[e.ID] = e
		}
		return nil
	})
	if cov.Events != len(got) || cov.Complete == (cov.Reason != "") || cov.Until != until {
		t.Errorf("%+v with %d events", cov, len(got))
	}
	return got, cov, err
}

func TestBackfillEvidence(t *testing.T) {
	tests := []struct {
		name      string
		maxLimit  int // announced
		pageLimit int // not announced
		times     []nostr.Timestamp
		complete  bool
		since     nostr.Timestamp // of the coverage
		events    int
	}{
		{"nothing there", 5, 0, nil, true, 10, 0},
		{"nothing in the range", 5, 0, []nostr.Timestamp{9, 101}, true, 10, 0},
		{"one event", 5, 0, []nostr.Timestamp{50}, true, 10, 1},
		{"both ends belong to it", 5, 0, []nostr.Timestamp{10, 100}, true, 10, 2},
		{"many pages", 5, 0, rangeOf(9, 101), true, 10, 91},
		{"many pages, several a second", 5, 0, join(rangeOf(20, 60), rangeOf(20, 60), rangeOf(20, 60)), true, 10, 123},
		{"exactly a page", 5, 0, rangeOf(11, 15), true, 10, 5},
		{"a second just below a page", 5, 0, join(rangeOf(20, 40), repeat(30, 3)), true, 10, 24},
		{"a second as large as a page", 5, 0, join(rangeOf(20, 40), repeat(30, 4)), false, 31, 15},
		{"a second larger than a page", 5, 0, repeat(30, 8), false, 31, 5},
		{"the first second larger than a page", 5, 0, join(repeat(10, 8), rangeOf(11, 14)), false, 11, 9},
		{"relay cuts unannounced", 500, 5, rangeOf(9, 101), true, 10, 91},
		{"relay cuts a second unannounced", 500, 5, join(rangeOf(20, 40), repeat(30, 8)), false, 31, 15},
		{"relay cuts the newest second unannounced", 500, 5, join(rangeOf(20, 40), repeat(50, 8)), false, 51, 10},
	}
	for _, tt := range tests {
		r := startRelay(t, relayd.Config{MaxLimit: tt.maxLimit, Faults: relayd.Faults{PageLimit: tt.pageLimit}})
		seconds(t, r, tt.times...)
		got, cov, err := backfillAll(t, newPool(t, nil), r.URL(), 10, 100)
		if err != nil || cov.Complete != tt.complete || cov.Since != tt.since || len(got) != tt.events {
			t.Errorf("%s: %+v, %d events, %v", tt.name, cov, len(got), err)
		}
		// What the coverage claims, it has.
		for _, e := range r.Events() {
			if e.CreatedAt >= cov.Since && e.CreatedAt <= cov.Until && got[e.ID] == nil {
				t.Errorf("%s: an event at %d is claimed and missing", tt.name, e.CreatedAt)
			}
		}
	}
}

// A second that fills a page is asked for again alone, with a larger limit.
func TestBackfillOfFullSeconds(t *testing.T) {
	for _, tt := range []struct {
		name      string
		maxLimit  int // announced
		pageLimit int // not announced
		times     []nostr.Timestamp
		complete  bool
		events    int
	}{
		{"a full second in the middle", 100, 0, join(rangeOf(20, 40), repeat(30, 40)), true, 61},
		{"two of them, at both ends", 100, 0, join(repeat(10, 20), repeat(100, 30)), true, 50},
		{"next to each other", 100, 0, join(repeat(30, 20), repeat(31, 20), repeat(32, 20)), true, 60},
		{"as large as the largest page", 25, 0, repeat(30, 25), false, 25},
		{"more than the largest page", 25, 0, repeat(30, 40), false, 25},
		{"an unannounced limit below our pages", 100, 4, join(rangeOf(20, 25), repeat(30, 12)), false, 8},
	} {
		r := startRelay(t, relayd.Config{MaxLimit: tt.maxLimit, Faults: relayd.Faults{PageLimit: tt.pageLimit}})
		seconds(t, r, tt.times...)
		p := newPool(t, func(c *Config) { c.PageSize, c.MaxFetch = 5, 50 })
		got, cov, err := backfillAll(t, p, r.URL(), 10, 100)
		if err != nil || cov.Complete != tt.complete || len(got) != tt.events {
			t.Errorf("%s: %+v, %d events, %v", tt.name, cov, len(got), err)
		}
	}
}

// A relay that does not announce a limit is trusted with small pages only.
func TestBackfillWithoutDocument(t *testing.T) {
	for n, complete := range map[int]bool{minPage - 1: true, minPage: false} {
		var events []*nostr.Event
		for i := range n {
			events = append(events, event(t, 445, 50, fmt.Sprint(i)))
		}
		url := fakeRelay(t, func(m nostr.ClientMessage) (out []string) {
			if m.Type != "REQ" {
				return nil
			}
			for _, e := range events {
				if m.Filters[0].Matches(e) {
					out = append(out, `["EVENT","`+m.SubID+`",`+string(e.AppendJSON(nil))+`]`)
				}
			}
			return append(out, `["EOSE","`+m.SubID+`"]`)
		})
		if got, cov, err := backfillAll(t, newPool(t, nil), url, 10, 100); err != nil || cov.Complete != complete || len(got) != n {
			t.Errorf("%d events: %+v, %v", n, cov, err)
		}
	}
}

func TestBackfillFailures(t *testing.T) {
	foreign := event(t, 1, 50, "another kind")
	req := func(answer func(sub string) []string) func(*testing.T) string {
		return func(t *testing.T) string {
			return fakeRelay(t, func(m nostr.ClientMessage) []string {
				if m.Type != "REQ" {
					return nil
				}
				return answer(m.SubID)
			})
		}
	}
	tests := []struct {
		name  string
		relay func(*testing.T) string
		want  error
	}{
		{"silence", req(func(string) []string { return nil }), context.DeadlineExceeded},
		{"only a notice", req(func(string) []string { return []string{`["NOTICE","no"]`} }), context.DeadlineExceeded},
		{"closed", req(func(sub string) []string { return []string{`["CLOSED","` + sub + `","error: busy"]`} }), ErrRefused},
		{"EOSE of another", req(func(sub string) []string { return []string{`["EOSE","x` + sub + `"]`} }), context.DeadlineExceeded},
		{"malformed event", req(func(sub string) []string {
			return []string{`["EVENT","` + sub + `",{"id":1}]`, `["EOSE","` + sub + `"]`}
		}), errMalformedPage},
		{"foreign event", req(func(sub string) []string {
			return []string{`["EVENT","` + sub + `",` + string(foreign.AppendJSON(nil)) + `]`, `["EOSE","` + sub + `"]`}
		}), errMalformedPage},
		{"no relay", func(*testing.T) string { return "ws://127.0.0.1:1" }, context.DeadlineExceeded},
		{"no URL", func(*testing.T) string { return "x" }, ErrRefused},
	}
	for _, tt := range tests {
		p := newPool(t, func(c *Config) { c.FetchTimeout = 100e6 })
		_, cov, err := backfillAll(t, p, tt.relay(t), 10, 100)
		if !errors.Is(err, tt.want) || cov.Complete || cov.Since <= cov.Until {
			t.Errorf("%s: %+v, %v", tt.name, cov, err)
		}
	}
}

// What was answered before the failure stays claimed, nothing more.
func TestBackfillBreaksOff(t *testing.T) {
	r := startRelay(t, relayd.Config{MaxLimit: 5})
	seconds(t, r, rangeOf(11, 40)...)
	p := newPool(t, nil)
	stop := errors.New("disk full")
	pages := 0
	since, until := nostr.Timestamp(10), nostr.Timestamp(100)
	f := ofKinds(445)
	f.Since, f.Until = &since, &until
	cov, err := p.Backfill(t.Context(), PurposeGroup, r.URL(), f, func([]*nostr.Event) error {
		if pages++; pages == 3 {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) || cov.Complete || cov.Since != 33 || cov.Events != 9 {
		t.Errorf("%+v, %v", cov, err)
	}
	pages = 0
	cov, err = p.Backfill(t.Context(), PurposeGroup, r.URL(), f, func([]*nostr.Event) error {
		if pages++; pages == 2 {
			r.Close()
		}
		return nil
	})
	if err == nil || cov.Complete || cov.Since != 33 || cov.Events != 9 {
		t.Errorf("%+v, %v", cov, err)
	}
}

func TestBackfillWithoutRange(t *testing.T) {
	r := startRelay(t, relayd.Config{MaxLimit: 3})
	seconds(t, r, rangeOf(0, 20)...)
	n := 0
	cov, err := newPool(t, nil).Backfill(t.Context(), PurposeGroup, r.URL(), ofKinds(445), func(events []*nostr.Event) error {
		n += len(events)
		return nil
	})
	if err != nil || !cov.Complete || n != 21 || cov.Since != 0 || cov.Until < 1700000000 || cov.Until == nostr.MaxTimestamp {
		t.Errorf("%+v, %d events, %v", cov, n, err)
	}
}

// Events come in while pages are read, out of order and twice.
func TestBackfillUnderFaults(t *testing.T) {
	r := startRelay(t, relayd.Config{MaxLimit: 10, Faults: relayd.Faults{Seed: 1, Duplicate: 0.3, Reorder: 6}})
	seconds(t, r, join(rangeOf(11, 60), rangeOf(20, 50))...)
	got, cov, err := backfillAll(t, newPool(t, nil), r.URL(), 10, 100)
	if err != nil || !cov.Complete || len(got) != 81 {
		t.Errorf("%+v, %d events, %v", cov, len(got), err)
	}
}

// Pages of more bytes than may be held at once are asked for again, smaller.
func TestBackfillOfLargeEvents(t *testing.T) {
	r := startRelay(t, relayd.Config{})
	for at := range nostr.Timestamp(20) {
		r.Add(event(t, 445, 20+at, strings.Repeat("x", 1000)))
	}
	p := newPool(t, func(c *Config) { c.answer = 6000 })
	if got, cov, err := backfillAll(t, p, r.URL(), 10, 100); err != nil || !cov.Complete || len(got) != 20 {
		t.Errorf("%+v, %d events, %v", cov, len(got), err)
	}
	p = newPool(t, func(c *Config) { c.answer = 1000 })
	if _, cov, err := backfillAll(t, p, r.URL(), 10, 100); !errors.Is(err, ErrTooLarge) || cov.Complete {
		t.Errorf("%+v, %v", cov, err)
	}
	if _, complete, err := p.Fetch(t.Context(), PurposeGroup, r.URL(), ofKinds(445)); !errors.Is(err, ErrTooLarge) || complete {
		t.Error(complete, err)
	}
}
