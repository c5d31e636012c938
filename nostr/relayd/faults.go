package relayd

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/marmotgo/marmot/nostr"
)

// Faults makes a relay fail on purpose, for tests. The zero value is an honest
// relay. Hooks are called from connections at the same time.
type Faults struct {
	Seed uint64 // of everything that happens by chance

	Drop      float64       // chance that an event is not sent to a subscriber
	Duplicate float64       // chance that it is sent twice
	Delay     time.Duration // each message waits a random time up to this
	Reorder   int           // events leave in random order within this many

	Refuse func(*nostr.Event) string // reason of an OK false; "" for none
	NoOK   bool                      // publish, and say nothing
	NoEOSE bool
	Silent bool // read everything, answer and deliver nothing

	Lose      func(*nostr.Event) bool             // OK true, but not kept
	Forge     func([]nostr.Filter) []*nostr.Event // added to stored answers
	EarlyEOSE bool                                // EOSE before the events
	PageLimit int                                 // answers cut at this, unannounced
}

// SetFaults replaces the faults, also while clients are connected, and starts
// their random numbers anew.
func (s *Server) SetFaults(f Faults) { s.faults.set(f) }

type faultState struct {
	mu sync.Mutex
	Faults
	random *rand.Rand
}

func (s *faultState) set(f Faults) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Faults, s.random = f, rand.New(rand.NewPCG(f.Seed, 0))
}

func (s *faultState) get() Faults {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Faults
}

func (s *faultState) delay(f *Faults) time.Duration {
	if f.Delay <= 0 {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Duration(s.random.Int64N(int64(f.Delay)))
}

func (s *faultState) pick(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.random.IntN(n)
}

// copies is how many times a message is sent.
func (s *faultState) copies(f *Faults, m *nostr.RelayMessage) int {
	switch {
	case f.Silent:
		return 0
	case m.Type != "EVENT" || f.Drop == 0 && f.Duplicate == 0:
		return 1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch x := s.random.Float64(); {
	case x < f.Drop:
		return 0
	case x < f.Drop+f.Duplicate:
		return 2
	}
	return 1
}
