package group

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"time"

	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// Protocol names a generation of the Marmot protocol. A group belongs to one
// for life.
type Protocol string

// The generations: the current protocol, and the numbered MIPs before it.
const (
	V2 Protocol = "v2"
	V1 Protocol = "v1"
)

// generation is all that differs between the two; nothing else in this package
// asks which one a group has. Its methods change nothing of what they are
// given.
type generation interface {
	protocol() Protocol
	envelopes
	agreement
	authority
	selection
}

// envelopes is how messages travel: kind 445 events, what is framed how inside
// them, and what a Welcome comes in.
type envelopes interface {
	// parse checks the shape of a verified kind 445 event. An error that wraps
	// errEarly says that it may be right at another time.
	parse(e *nostr.Event, now time.Time) (*envelope, error)
	seal(n *node, message []byte, at, expires nostr.Timestamp) (*nostr.Event, error)
	// kindOf says what an MLS message is, or false for a framing that is not
	// allowed.
	kindOf(m *mls.Message) (inputKind, bool)
	// private reports whether own commits are PrivateMessages.
	private() bool
	// payload reads the plaintext of a message and returns its inner event, also
	// as the rumor that is kept and shown.
	payload(plaintext []byte, sender nostr.PubKey) (e *nostr.Event, rumor []byte, err error)
	welcome(w *wire.Welcome) (*nostr.Event, error)
	// evidence is that of an own commit's event, as parse gives it to others.
	evidence(e *nostr.Event) *evidence
}

// envelope is a kind 445 event whose shape is right.
type envelope struct {
	event nostr.ID
	group [32]byte // nostr_group_id
	// open tries the key of one state and returns MLSMessage bytes.
	open     func(n *node) ([]byte, bool)
	evidence *evidence // of the event, if branch choice weighs it
}

// agreement is how the group's settings are held.
type agreement interface {
	decode(ext mls.Extensions) (*wire.Settings, error)
	// found returns the extensions of a new group.
	found(cfg CreateConfig, routing wire.Routing) (mls.Extensions, error)
	idSize() int // of MLS group ids, in bytes
	// leaf is what a leaf of this member declares.
	leaf(proof wire.IdentityProof) (mls.Capabilities, mls.Extensions)
	// vouches reports whether a leaf carries a proof of its account.
	vouches() bool
	// supports reports why somebody cannot become a member.
	supports(k *wire.KeyPackageEvent, n *node) error
	// unavailable names what of the settings this client cannot do or read.
	unavailable(set *wire.Settings) []string
	// amend returns the proposals that bring a change about, by value.
	amend(n *node, a amendment) ([]mls.Proposal, error)
}

// amendment is a change of the settings; what is nil stays.
type amendment struct {
	profile   *wire.Profile
	admins    wire.Admins
	routing   *wire.Routing
	retention *wire.Retention
}

// authority is who may do what, judged in the parent of a commit or in the
// state of a proposal, and what every resulting state must hold to.
type authority interface {
	authorize(parent *node, c *mls.VerifiedCommit, props []mls.ProposalFrom) (*commitInfo, error)
	// result sets the settings of n, which follows from parent.
	result(parent, n *node) error
	// removal checks what can be known of the result of a commit that removes
	// this member.
	removal(parent *node, props []mls.ProposalFrom) error
	// joined checks the state that a Welcome leads to and sets its settings.
	joined(n *node, parallel mls.Parallel) error
	mayPropose(n *node, p *mls.VerifiedProposal) error
	// departs reports whether this member should commit a proposal by which
	// its sender leaves.
	departs(n *node, p *mls.VerifiedProposal, self nostr.PubKey) bool
	// leave returns the proposal by which this member leaves.
	leave(n *node) (mls.Proposal, mls.FrameConfig)
	// pathOptional reports whether commits are taken that bring no new keys.
	pathOptional() bool
	// ends reports whether a group can be ended for everyone.
	ends() bool
}

// selection is how rival branches are compared.
type selection interface {
	// collect is how long a pass waits for more: after the last input, and at
	// most.
	collect() (quiet, most time.Duration)
	// witnessed reports whether messages count for the branch they are on.
	witnessed() bool
	// choose returns the state that should be canonical, or nil for no change.
	// base is the canonical epoch when the pass began.
	choose(g *Group, base uint64) *node
	// prefers compares two branches, for people: choose does not ask it.
	prefers(g *Group, a, b *branch) bool
}

// generations by name. A record without one is of the time when there was only
// one.
var generations = map[Protocol]generation{"": v2{}, V2: v2{}, V1: v1{}}

// generationOf tells by a group's state which one it has: what it holds its
// settings in.
func generationOf(g *mls.Group) generation {
	if wire.IsMIPGroup(g.Context().Extensions) {
		return v1{}
	}
	return v2{}
}

// errEarly says that an event is dated too far ahead to be taken now.
var errEarly = errors.New("group: the event is dated ahead of this clock")

// evidence is what branch choice weighs of the event that a commit came in.
type evidence struct {
	At    nostr.Timestamp `json:"at"`
	Event nostr.ID        `json:"event"`
}

// before reports whether a commit with this evidence beats one with the other.
func (e *evidence) before(other *evidence) bool {
	if e == nil || other == nil {
		return e != nil
	}
	return cmp.Or(cmp.Compare(e.At, other.At), bytes.Compare(e.Event[:], other.Event[:])) < 0
}

// evidenceRank orders evidence as before does; zero for none.
type evidenceRank [32]byte

func (e *evidence) rank() (r evidenceRank) {
	if e == nil {
		return r
	}
	binary.BigEndian.PutUint64(r[:], uint64(e.At))
	copy(r[8:], e.Event[:])
	return r
}

// weigh takes over better evidence of a commit that is known: the same bytes in
// another event are the same commit.
func (s *step) weigh(in *retained, ev *evidence) {
	if in.Kind != kindCommit || !ev.before(in.Evidence) {
		return
	}
	in.Evidence = ev
	if in.Disposition == deferred {
		in.Judged, in.Offered, s.changed = false, false, true // it may win now
	}
	s.putInput(in)
}
