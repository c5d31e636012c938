package relayd

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/marmotgo/marmot/nostr"
)

// TestIndex asks a memory for what it keeps, with and without a look at every event.
func TestIndex(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	m := newMemory()
	pick := func(n int) string { return fmt.Sprint(r.IntN(n)) }
	var all []*nostr.Event
	for i := range 600 {
		e := &nostr.Event{ID: nostr.ID{byte(r.Uint32()), byte(i), byte(i >> 8)}, PubKey: nostr.PubKey{byte(r.IntN(5))}, Kind: 445, CreatedAt: nostr.Timestamp(r.IntN(50))}
		for range r.IntN(4) {
			e.Tags = append(e.Tags, nostr.Tag{string("hpx"[r.IntN(3)]), pick(9)})
		}
		if i%50 == 0 {
			for n := range 2 * maxIndexed {
				e.Tags = append(e.Tags, nostr.Tag{"h", fmt.Sprint(n % 100)})
			}
		}
		if err := m.Insert(e); err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
		if r.IntN(3) == 0 {
			gone := r.IntN(len(all))
			if err := m.Remove(all[gone].ID); err != nil {
				t.Fatal(err)
			}
			all = slices.Delete(all, gone, gone+1)
		}
	}
	slices.SortFunc(all, NewestFirst)
	for range 2000 {
		f := nostr.Filter{Tags: map[string][]string{}}
		for _, name := range "hpx" {
			for n := r.IntN(6) - 3; n > 0; n-- {
				f.Tags[string(name)] = append(f.Tags[string(name)], pick(12))
			}
		}
		if r.IntN(4) == 0 {
			f.Authors = []nostr.PubKey{{byte(r.IntN(6))}, {byte(r.IntN(6))}}[:r.IntN(3)]
		}
		if r.IntN(6) == 0 {
			f.IDs = []nostr.ID{all[r.IntN(len(all))].ID, all[r.IntN(len(all))].ID, {}}
		}
		if r.IntN(2) == 0 {
			until, since := nostr.Timestamp(r.IntN(50)), nostr.Timestamp(r.IntN(50))
			f.Until, f.Since = &until, &since
		}
		limit := 1 + r.IntN(20)
		var want []*nostr.Event
		for _, e := range all {
			if f.Matches(e) && len(want) < limit {
				want = append(want, e)
			}
		}
		got, _, err := m.Query(&f, Scope{All: true}, limit, 1<<20)
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("%s: %d events, want %d, %v", f.AppendJSON(nil), len(got), len(want), err)
		}
		one := nostr.Filter{IDs: []nostr.ID{all[0].ID}}
		both := []nostr.Filter{f, one}
		n := 0
		for _, e := range all {
			if f.Matches(e) || one.Matches(e) {
				n++
			}
		}
		if got, err := m.Count(both, Scope{All: true}, limit); err != nil || got != min(n, limit) {
			t.Fatalf("%s: counted %d, want %d, %v", f.AppendJSON(nil), got, min(n, limit), err)
		}
	}
	for _, e := range all {
		if err := m.Remove(e.ID); err != nil {
			t.Fatal(err)
		}
	}
	if len(m.index) != 0 {
		t.Errorf("%d keys are left of nothing", len(m.index))
	}
}

// BenchmarkQuery asks for the 100 events of one of 1,000 groups. The floor is to write
// them.
func BenchmarkQuery(b *testing.B) {
	m := newMemory()
	for i := range 100_000 {
		e := &nostr.Event{ID: nostr.ID{byte(i), byte(i >> 8), byte(i >> 16)}, Kind: 445, CreatedAt: nostr.Timestamp(i), Tags: nostr.Tags{{"h", fmt.Sprint(i / 100)}}, Content: string(make([]byte, 700))}
		if err := m.Insert(e); err != nil {
			b.Fatal(err)
		}
	}
	f := nostr.Filter{Kinds: []nostr.Kind{445}, Tags: map[string][]string{"h": {"7"}}}
	var found []*nostr.Event
	for b.Loop() {
		var err error
		if found, _, err = m.Query(&f, Scope{All: true}, 500, 1<<20); err != nil || len(found) != 100 {
			b.Fatal(len(found), err)
		}
	}
	began := time.Now()
	for _, e := range found {
		e.AppendJSON(nil)
	}
	b.ReportMetric(float64(time.Since(began).Nanoseconds()), "floor-ns")
}
