package group

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"slices"
	"time"

	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// Bounds on what one group keeps, each in entries. What does not fit is
// refused as resource_refused and stays obtainable from the relays.
const (
	maxInputs     = 4096 // remembered messages of the windows; what waits comes on top
	maxHeld       = 1024 // messages that wait for a state, and standalone proposals
	maxRaw        = 256  // events that no key opens yet
	maxRawTries   = 32   // changed contexts after which such an event makes room for others
	maxIntents    = 256  // local requests waiting
	maxRivals     = 64   // states outside of the canonical branch, by one account
	maxAhead      = 64   // epochs ahead of the tip
	fullStateStep = 64   // epochs between states stored whole
)

// maxRawAge is how long an event that no key opens is kept at most.
const maxRawAge = 30 * 24 * time.Hour

// defaultJoinUpdate is how long a new member waits before it renews its leaf:
// long enough to catch up first.
const defaultJoinUpdate = 500 * time.Millisecond

// Config says whose copy of the group this is.
type Config struct {
	Self nostr.PubKey // the account
	// JoinUpdateDelay is the earliest time after joining at which the leaf is
	// renewed; 0 means half a second. A jitter of up to as much is added.
	JoinUpdateDelay time.Duration
	// UpdateInterval is how long this member's leaf keeps its keys at most; 0
	// means 30 days. A leaf whose lifetime ends is renewed well before.
	UpdateInterval time.Duration
	Parallel       mls.Parallel // may be nil
	// Trace makes every Output carry what a [Tracer] writes.
	Trace bool
}

// Group is one account's copy of one group. It is not safe for concurrent use.
type Group struct {
	cfg    Config
	gen    generation
	id     []byte
	nodes  map[stateID]*node
	tip    *node // canonical
	inputs map[wire.MessageID]*retained
	index  index
	raw    map[nostr.ID]*rawEvent
	out    map[nostr.ID]*outbound
	asks   map[string]*ask
	queue  []*intent                     // in order
	keys   map[string]ed25519.PrivateKey // own signature keys by public key
	meta   meta
	saved  []byte // the meta record as stored

	rows    rowSet
	hold    hold     // see CatchUp
	tracing *tracing // nil unless a trace is wanted
	damaged bool     // see Damaged
}

// meta is the part of a group that is one small record.
type meta struct {
	Version   int       `json:"version"`
	Protocol  Protocol  `json:"protocol,omitempty"` // empty: v2
	ID        []byte    `json:"id"`
	Tip       stateID   `json:"tip"`
	Pass      *pass     `json:"pass,omitempty"`
	Leaving   bool      `json:"leaving,omitempty"`
	Disband   *disband  `json:"disband,omitempty"` // a request to end the group that is not resolved
	Removed   bool      `json:"removed,omitempty"`
	Disbanded bool      `json:"disbanded,omitempty"`
	Cause     string    `json:"cause,omitempty"` // why it is Unrecoverable
	NextSeq   uint64    `json:"next_seq"`
	LeaveFor  stateID   `json:"leave_for,omitzero"`  // the state the last SelfRemove was made for
	Last      *lastSeen `json:"last,omitempty"`      // of a copy that has ended
	Missed    int       `json:"missed,omitempty"`    // see Status
	Rows      *rowSum   `json:"rows,omitempty"`      // of all records but this one
	Witnessed bool      `json:"witnessed,omitempty"` // a message was opened that may count for a branch
	Renewed   time.Time `json:"renewed,omitzero"`    // when this member's canonical leaf got its keys
}

const recordVersion = 1

// ID returns the MLS group id. It is private: it never appears on the wire.
func (g *Group) ID() []byte { return bytes.Clone(g.id) }

// Settings returns what the members agree on in the canonical epoch.
func (g *Group) Settings() *wire.Settings { return g.tip.settings }

// Epoch returns the canonical epoch.
func (g *Group) Epoch() uint64 { return g.tip.epoch }

// Busy reports whether the group has something to publish, to ask its account for or
// to do that a person asked for: after a restart it has to be loaded for that.
func (g *Group) Busy() bool { return len(g.out)+len(g.asks)+len(g.queue) > 0 }

// Idle reports whether the group neither is busy nor collects, so that dropping it
// and loading it later changes nothing.
func (g *Group) Idle() bool { return !g.Busy() && g.convergence() != Syncing }

// Status describes the group. It changes nothing.
func (g *Group) Status() Status {
	s := Status{
		Protocol:  g.gen.protocol(),
		Lifecycle: g.lifecycle(), Convergence: g.convergence(), Epoch: g.tip.epoch,
		Removed: g.meta.Removed, Leaving: g.meta.Leaving, Disbanding: g.meta.Disband != nil, Cause: g.meta.Cause, Missed: g.meta.Missed,
		Outstanding: len(g.out) + len(g.asks), Queued: len(g.queue), Deferred: len(g.raw),
	}
	if set := g.tip.settings; set != nil {
		s.Admins, s.Retention = slices.Clone(set.Admins), uint64(set.Retention)
		s.Unavailable = g.gen.unavailable(set)
		if set.Profile != nil {
			s.Name, s.Description = set.Profile.Name, set.Profile.Description
		}
	}
	s.Members = g.tip.members()
	if g.meta.Last != nil {
		s.Members = g.meta.Last.Members
	}
	for _, n := range g.nodes {
		if n.ends() && !n.leadsTo(g.tip) && !n.private() {
			s.Branches++
		}
	}
	for _, in := range g.index.open {
		if in.Disposition == deferred {
			s.Deferred++
		}
	}
	return s
}

// lifecycle derives the state of group-state.md from the facts.
func (g *Group) lifecycle() Lifecycle {
	switch {
	case g.meta.Cause != "":
		return Unrecoverable
	case g.meta.Disbanded:
		return Disbanded
	case g.pending() != nil:
		return PendingPublish
	case g.meta.Pass != nil && g.forked():
		return Recovering
	}
	return Stable
}

func (g *Group) convergence() Convergence {
	switch {
	case g.meta.Cause != "":
		return Blocked
	case g.meta.Pass != nil, g.waitsForMore():
		return Syncing
	}
	return Settled
}

// ended reports that this copy takes no further part.
func (g *Group) ended() bool { return g.meta.Removed || g.meta.Disbanded }

// quiet reports whether a local commit may be prepared and a message sealed.
func (g *Group) quiet() bool {
	return !g.ended() && g.meta.Cause == "" && g.meta.Pass == nil && g.pending() == nil && !g.waitsForMore()
}

// pending returns the own commit that waits for a relay, or nil.
func (g *Group) pending() *node {
	for _, n := range g.tip.children {
		if n.pending {
			return n
		}
	}
	return nil
}

// anchor is the oldest epoch from which a branch can be rebuilt.
func (g *Group) anchor() uint64 {
	if g.tip.epoch < maxRewind {
		return 0
	}
	return g.tip.epoch - maxRewind
}

// expired reports whether an epoch fell out of both windows, which are equal.
func (g *Group) expired(epoch uint64) bool { return epoch < g.anchor() }

// states returns every usable state, the canonical tip first, then by
// falling epoch and by id.
func (g *Group) states() []*node { return g.statesWhere(func(*node) bool { return true }) }

// statesAt returns the usable states of one epoch.
func (g *Group) statesAt(epoch uint64) []*node {
	return g.statesWhere(func(n *node) bool { return n.epoch == epoch })
}

func (g *Group) statesWhere(keep func(*node) bool) []*node {
	var out []*node
	for _, n := range g.nodes {
		if n.usable() && keep(n) {
			out = append(out, n)
		}
	}
	slices.SortFunc(out, func(a, b *node) int {
		if (a == g.tip) != (b == g.tip) {
			if a == g.tip {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(b.epoch, a.epoch), slices.Compare(a.id[:], b.id[:]))
	})
	return out
}

// Addresses returns where the group's events are found: the current address
// first, then prior ones whose epochs are still in a window.
func (g *Group) Addresses() []Address {
	if g.ended() || g.damaged {
		return nil
	}
	var out []Address
	for _, n := range g.states() {
		r := n.settings.Routing
		a := Address{GroupID: r.GroupID, Relays: r.Relays}
		if !slices.ContainsFunc(out, func(b Address) bool {
			return a.GroupID == b.GroupID && slices.Equal(a.Relays, b.Relays)
		}) {
			out = append(out, a)
		}
	}
	return out
}

// signer returns the signature key of this member's leaf in a state.
func (g *Group) signer(n *node) (ed25519.PrivateKey, bool) {
	leaf, ok := n.state.Leaf(n.state.Self())
	if !ok {
		return nil, false
	}
	key, ok := g.keys[string(leaf.SignatureKey)]
	return key, ok
}

// retainedSorted returns the retained messages in a stable order.
func (g *Group) retainedSorted(keep func(*retained) bool) []*retained { return sorted(g.inputs, keep) }
