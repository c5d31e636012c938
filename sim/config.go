package sim

import (
	"time"

	"github.com/marmotgo/marmot/group"
)

// Config says what kind of history to play. A zero field is a world without
// that trouble.
type Config struct {
	Seed     uint64
	Protocol group.Protocol // of all groups; empty for v2
	Clients  int            // 2 and more
	Groups   int            // 0 stands for 1; each is founded by another client
	Relays   int            // 0 stands for 1; the first keeps what it took
	Actions  int            // things that people do
	Pace     time.Duration
	Burst    float64       // chance that the next action comes at the same moment
	Admins   float64       // share of the members that founders make admins
	Delay    time.Duration // longest time that a relay takes for anything

	Loss        float64 // chance that a live delivery is lost
	Repeat      float64 // chance that it comes twice
	Silent      float64 // chance that a relay takes an event and does not say so
	Unreachable float64 // chance that a publication does not reach a relay
	Refuse      float64 // chance that a relay refuses an event
	Crash       float64 // chance that a client stops at a write
	Cut         float64 // share of actions that part clients from relays, or bring them back
	Split       bool    // two halves reach different relays for a while
	Busy        bool    // people change the group more than they talk
	Malice      float64 // share of actions that are hostile
	Liars       bool    // relays but the first withhold, repeat, rewind and forge

	Skew time.Duration // how far the clients' clocks are apart
	Jump float64       // share of actions that set a client's clock

	Beginning  Beginning // zero founds the groups; else Begin is its template
	Begin      *Template
	JoinUpdate time.Duration // see group.Config.JoinUpdateDelay
	SQLite     bool          // each client has a real database in Dir, not a modelled disk
	Dir        string
}

// Stats counts what a history contained.
type Stats struct {
	Actions, Refused, Commits, Forks, Crashes, Messages, Withdrawn int

	// Differences that the protocol allows, each found to have this cause.
	Expired  int // messages that came after their window
	Stranded int // members invited by a commit that lost
	Beyond   int // pairs of members parted for longer than the horizon
	Newcomer int // pairs that compare branches from different starts
	Unread   int // choices of v1 that the oracle could not judge: nobody's copy opens a commit
}

// Add adds the counts of another history.
func (s *Stats) Add(o Stats) {
	s.Actions += o.Actions
	s.Refused += o.Refused
	s.Commits += o.Commits
	s.Forks += o.Forks
	s.Crashes += o.Crashes
	s.Messages += o.Messages
	s.Withdrawn += o.Withdrawn
	s.Expired += o.Expired
	s.Stranded += o.Stranded
	s.Beyond += o.Beyond
	s.Newcomer += o.Newcomer
	s.Unread += o.Unread
}
