package marmot_test

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/marmotgo/marmot"
	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/nostr/relayd"
	"github.com/marmotgo/marmot/wire"
)

// floodSize is how many junk events BenchmarkFlood sends: 100000 is the attack
// that the design names; TestFlood sends a tenth of this.
var floodSize = flag.Int("flood", 5000, "junk events of a flood")

// junkEvents are signed group events for an address that no key opens.
func junkEvents(tb testing.TB, address [32]byte, count int) []*nostr.Event {
	tb.Helper()
	out := make([]*nostr.Event, count)
	at := nostr.Timestamp(time.Now().Unix())
	var wg sync.WaitGroup
	for w := range cores() {
		wg.Go(func() {
			for i := w; i < count; i += cores() {
				var key wire.EventKey
				key[0], key[1], key[2] = byte(i), byte(i>>8), byte(i>>16)|0x80
				e, err := wire.SealGroupEvent(key, address, make([]byte, 400), at, 0)
				if err != nil {
					tb.Error(err)
					return
				}
				out[i] = e
			}
		})
	}
	wg.Wait()
	return out
}

func roomyRelay(tb testing.TB) *relayd.Running {
	tb.Helper()
	r, err := relayd.Start("127.0.0.1:0", relayd.Config{MaxEvents: 1 << 20})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = r.Close() })
	return r
}

func addressOf(tb testing.TB, p *person) [32]byte {
	tb.Helper()
	addresses, err := p.group().Addresses(p.context())
	if err != nil {
		tb.Fatal(err)
	}
	return addresses[0].GroupID
}

// TestFlood buries a group in events that no key opens. Honest messages go
// through, what is kept stays bounded, and an honest event that found no room
// is fetched again when its time has come.
func TestFlood(t *testing.T) {
	t.Parallel()
	r := roomyRelay(t)
	alice, bob := newPerson(t, "alice", r.URL()), newPerson(t, "bob", r.URL())
	g := alice.invites(bob)
	bob.waitKind(group.EffectEpoch)
	alice.waitFor("bob's update", func(u marmot.Update) bool { return u.Effect.Kind == group.EffectEpoch && u.Effect.Epoch == 2 })
	for _, e := range junkEvents(t, addressOf(t, alice), *floodSize/10) {
		r.Add(e)
	}
	alice.say("in the flood")
	bob.waitText("in the flood")

	// The commit is withheld, so what is said after it waits, and there is no
	// room left for it.
	var withheld []*nostr.Event
	var mu sync.Mutex
	r.SetFaults(relayd.Faults{Lose: func(e *nostr.Event) bool {
		mu.Lock()
		defer mu.Unlock()
		if e.Kind == wire.KindGroupEvent && withheld == nil {
			withheld = append(withheld, e)
			return true
		}
		return false
	}})
	if err := g.SelfUpdate(alice.context()); err != nil {
		t.Fatal(err)
	}
	alice.say("ahead of its commit")
	time.Sleep(300 * time.Millisecond)
	r.SetFaults(relayd.Faults{})
	mu.Lock()
	r.Add(withheld[0])
	mu.Unlock()
	bob.waitText("ahead of its commit")
	if st, err := bob.group().Status(bob.context()); err != nil || st.Deferred > 300 {
		t.Errorf("%d events are kept, %v", st.Deferred, err)
	}
	if refused := bob.Refused(); refused[string(group.ResourceRefused)] == 0 {
		t.Errorf("nothing was refused: %v", refused)
	}
}

// BenchmarkFlood sends -flood junk events, at 5,000 a second at most, with an
// honest message after every thousandth, and tells how long those took, what
// memory and disk it cost.
func BenchmarkFlood(b *testing.B) {
	r := roomyRelay(b)
	alice, bob := newPerson(b, "alice", r.URL()), newPerson(b, "bob", r.URL())
	alice.patience, bob.patience = 5*time.Minute, 5*time.Minute
	alice.invites(bob)
	bob.waitKind(group.EffectEpoch)
	alice.waitFor("bob's update", func(u marmot.Update) bool { return u.Effect.Kind == group.EffectEpoch && u.Effect.Epoch == 2 })
	junk := junkEvents(b, addressOf(b, alice), *floodSize)
	for b.Loop() {
		floodOnce(b, r, alice, bob, junk)
	}
}

func floodOnce(b *testing.B, r *relayd.Running, alice, bob *person, junk []*nostr.Event) {
	var peak uint64
	disk := sizeOf(bob.path) + sizeOf(bob.path+"-wal")
	var delays []time.Duration
	pace := time.NewTicker(20 * time.Millisecond) // 100 events each
	defer pace.Stop()
	for i := 0; i < len(junk); i += 100 {
		<-pace.C
		for _, e := range junk[i:min(i+100, len(junk))] {
			r.Add(e)
		}
		if i%1000 == 0 {
			text := fmt.Sprint("honest ", i, time.Now().UnixNano())
			sent := time.Now()
			alice.say(text)
			bob.waitText(text)
			delays = append(delays, time.Since(sent))
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapAlloc)
		}
	}
	slices.Sort(delays)
	b.ReportMetric(float64(delays[len(delays)/2].Milliseconds()), "ms-median-delay")
	b.ReportMetric(float64(delays[len(delays)-1].Milliseconds()), "ms-longest-delay")
	b.ReportMetric(float64(peak>>20), "MB-heap-of-all")
	b.ReportMetric(float64(sizeOf(bob.path)+sizeOf(bob.path+"-wal")-disk)/1e3, "kB-disk")
}

func sizeOf(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// BenchmarkStrangers sends gift wraps from strangers, 1,000 a second at most,
// while an honest conversation goes on.
func BenchmarkStrangers(b *testing.B) {
	r := roomyRelay(b)
	alice, bob := newPerson(b, "alice", r.URL()), newPerson(b, "bob", r.URL())
	alice.patience, bob.patience = 5*time.Minute, 5*time.Minute
	alice.invites(bob)
	bob.waitKind(group.EffectEpoch)
	wraps := make([]*nostr.Event, *floodSize/5)
	for i := range wraps {
		rumor := &nostr.Event{PubKey: alice.PubKey(), CreatedAt: nostr.Timestamp(time.Now().Unix()), Kind: 14, Content: fmt.Sprint("spam ", i)}
		stranger := nostr.GenerateSecretKey()
		rumor.PubKey = stranger.PubKey()
		rumor.ID = rumor.ComputeID()
		wraps[i] = wrapped(b, stranger, rumor, bob.PubKey())
	}
	for b.Loop() {
		floodOnce(b, r, alice, bob, wraps)
	}
	if refused := bob.Refused(); refused["gift_wrap_kind"] == 0 {
		b.Errorf("no gift wrap was refused: %v", refused)
	}
}

func wrapped(b *testing.B, from nostr.SecretKey, rumor *nostr.Event, to nostr.PubKey) *nostr.Event {
	b.Helper()
	conversation, err := nostr.ConversationKey(from, to)
	if err != nil {
		b.Fatal(err)
	}
	content, err := conversation.Encrypt(nostr.AppendRumorJSON(nil, rumor))
	if err != nil {
		b.Fatal(err)
	}
	seal := nostr.SealEvent(rumor, content, rumor.CreatedAt)
	if err := from.SignEvent(seal); err != nil {
		b.Fatal(err)
	}
	e, err := nostr.WrapSeal(seal, to, rumor.CreatedAt)
	if err != nil {
		b.Fatal(err)
	}
	return e
}
