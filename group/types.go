package group

import (
	"errors"
	"time"

	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// Protocol constants (convergence.md, "Convergence policy"). Every client must
// use exactly these.
const (
	maxRewind   = 5                       // epochs a branch may reach back
	appWindow   = 5                       // epochs within which messages are delivered
	quiescence  = 1000 * time.Millisecond // quiet time before a pass may close
	maxPass     = 5000 * time.Millisecond // a pass never collects longer
	quorumSize  = 2                       // accounts that make an epoch count
	quorumBoost = 1                       // depth added by a quorum
)

// Errors of local requests. The group is unchanged after each of them.
var (
	ErrNotAdmin      = errors.New("group: only an admin may do this")
	ErrNotMember     = errors.New("group: no such member")
	ErrAlreadyMember = errors.New("group: already a member")
	ErrAdminLeave    = errors.New("group: an admin must hand over and step down before leaving")
	ErrLastAdmin     = errors.New("group: the group would be left without an admin")
	ErrLeaving       = errors.New("group: leaving was requested; nothing more can be sent")
	ErrDisbanding    = errors.New("group: ending the group was requested; nothing more can be sent")
	ErrNoDisband     = errors.New("group: only a group of protocol v2 can be ended for everyone; remove the others and leave, or move it to v2")
	ErrUnchanged     = errors.New("group: nothing to change: it is so already")
	ErrRemoved       = errors.New("group: this member was removed")
	ErrEnded         = errors.New("group: the group has ended or cannot be recovered")
	ErrRequest       = errors.New("group: the request is not complete")
	ErrQueueFull     = errors.New("group: too many requests are waiting")
	ErrCorrupt       = errors.New("group: stored state is incomplete or damaged")
)

// Errors that say why an input from outside was refused; see [Outcome].
var (
	ErrUnauthorized  = errors.New("group: the sender may not do this")
	ErrInvalidResult = errors.New("group: the commit leads to an invalid group")
)

// Errors of [Join]: the invitation is refused, nothing was changed.
var (
	ErrInvitation = errors.New("group: invitation not valid")
)

// Input is what [Group.Step] takes: one of the types below.
type Input interface{ input() }

type (
	// Received is a kind 445 event whose id and signature were verified.
	Received struct{ Event *nostr.Event }

	// Tick lets time-driven work happen; due at [Output.Wake].
	Tick struct{}

	// CatchUp says that what was missed is being fetched until the given time
	// at most: until then input is taken in and opened, but no pass is admitted,
	// so that the tip does not leave epochs behind whose messages are still on
	// their way from another relay. A zero time says that no pass has to wait.
	// Until Behind, a message whose opening would erase the keys of earlier ones
	// waits for those. It is not durable: a restart begins without.
	CatchUp struct{ Until, Behind time.Time }

	// RelayResult says how one relay took one event of [Output.Publish].
	// Accepted means an OK; Rejected means an explicit refusal, anything else
	// (silence, no connection) is neither.
	RelayResult struct {
		Event    nostr.ID
		Relay    string
		Accepted bool
		Rejected bool
	}

	// Answer is the account's answer to a [Request]: the signed event, or the
	// error that says why there is none.
	Answer struct {
		Request string
		Event   *nostr.Event
		Err     error
	}

	// Send sends an application payload. Ref names the request in effects.
	Send struct {
		Ref     string
		Payload *nostr.Event // from wire.NewPayload
	}

	// Invite adds members in one commit.
	Invite struct {
		Ref      string
		Invitees []Invitee
	}

	// Remove removes every leaf of these accounts, and their admin rights.
	Remove struct {
		Ref      string
		Accounts []nostr.PubKey
	}

	// SetProfile replaces name and description.
	SetProfile struct {
		Ref     string
		Profile wire.Profile
	}

	// SetAdmins grants and revokes admin rights.
	SetAdmins struct {
		Ref    string
		Grant  []nostr.PubKey
		Revoke []nostr.PubKey
	}

	// SetRouting replaces the group's relays, and its public id on request:
	// whoever was removed in an earlier commit does not learn the new one. The
	// old address is served while its epochs are in a window.
	SetRouting struct {
		Ref    string
		Relays []string // 1 to 16; nil keeps them
		NewID  bool
	}

	// SetRetention says for how long messages should be kept; 0 is for ever.
	SetRetention struct {
		Ref       string
		Retention wire.Retention
	}

	// Disband ends the group for everyone, for good. It cannot be taken back:
	// from now on nothing else leaves, and the request goes on until a disband
	// commit of somebody is selected, or this member is no admin any more.
	// A group without a lifecycle component gets one first.
	Disband struct{ Ref string }

	// SelfUpdate renews this member's leaf, with a new signature key.
	SelfUpdate struct{ Ref string }

	// Leave asks the others to remove this member (SelfRemove).
	Leave struct{ Ref string }
)

func (Received) input()     {}
func (Tick) input()         {}
func (CatchUp) input()      {}
func (RelayResult) input()  {}
func (Answer) input()       {}
func (Send) input()         {}
func (Invite) input()       {}
func (Remove) input()       {}
func (SetProfile) input()   {}
func (SetAdmins) input()    {}
func (SetRouting) input()   {}
func (SetRetention) input() {}
func (Disband) input()      {}
func (SelfUpdate) input()   {}
func (Leave) input()        {}

// Invitee is one account to invite, with the key package chosen for it and
// the relays (kind 10050) where its inbox is.
type Invitee struct {
	KeyPackage *wire.KeyPackageEvent
	Inbox      []string
	// AnotherDevice allows an account that is a member already: its further
	// leaf is another device.
	AnotherDevice bool
}

// Output is carried out in field order: Records and Effects are durable, in
// one transaction, before anything of Publish or Requests leaves.
type Output struct {
	Records  []Record
	Effects  []Effect
	Publish  []Publication
	Requests []Request
	Wake     time.Time  // a Tick is due by then; zero for none
	Outcome  Outcome    // of a Received input
	Crossed  []Boundary // in this order; for tests and traces

	trace []traceLine // see Tracer; only with [Config.Trace]
}

// Record is one stored value of a group. A nil Value deletes the key.
type Record struct {
	Key    string
	Value  []byte
	Secret bool // to be sealed at rest
}

// Publication is a signed event and the relays where it has still to be
// tried. Each attempt is answered with a [RelayResult]. After a restart [Load]
// repeats what is outstanding, byte for byte.
type Publication struct {
	Event  *nostr.Event
	Relays []string
}

// RequestKind says what the account's key is needed for.
type RequestKind string

const (
	// RequestSign asks for Event to be signed as it is. Kind 450 events are
	// local templates and must not be published.
	RequestSign RequestKind = "sign"
	// RequestSeal asks for a signed NIP-59 seal (kind 13) of the rumor Event
	// for Recipient.
	RequestSeal RequestKind = "seal"
)

// Request is work for the account's key. It is durable: [Load] repeats it
// until it is answered.
type Request struct {
	ID        string
	Kind      RequestKind
	Event     *nostr.Event
	Recipient nostr.PubKey
}

// Category says what became of an input (foundation/errors.md).
type Category string

// The categories. Accepted is not a category of the protocol; it stands for
// no rejection.
const (
	Accepted           Category = ""
	Duplicate          Category = "duplicate"
	OwnEcho            Category = "own_echo"
	WrongRecipient     Category = "wrong_recipient"
	UnknownGroup       Category = "unknown_group"
	InvalidEncoding    Category = "invalid_encoding"
	InvalidSignature   Category = "invalid_signature"
	UnsupportedFeature Category = "unsupported_required_feature"
	AuthFailed         Category = "authorization_failed"
	StaleEpoch         Category = "stale_epoch"
	MissingHistory     Category = "missing_history"
	TransportDeferred  Category = "transport_deferred"
	ResourceRefused    Category = "resource_refused"
)

// Outcome tells what became of a [Received] input.
type Outcome struct {
	Category Category
	Err      error // why, for a rejected input; never contains secrets
	// Refetch is true when the event must stay obtainable: it was neither
	// processed nor retained, and its range is not synchronized.
	Refetch bool
}

// Lifecycle is the state of group-state.md.
type Lifecycle string

// The lifecycle states.
const (
	Stable         Lifecycle = "Stable"
	PendingPublish Lifecycle = "PendingPublish"
	Merging        Lifecycle = "Merging"
	Recovering     Lifecycle = "Recovering"
	Unrecoverable  Lifecycle = "Unrecoverable"
	Disbanded      Lifecycle = "Disbanded"
)

// Convergence is the derived status of group-state.md.
type Convergence string

// The convergence states. Resolving happens within one Step and is never seen
// from outside.
const (
	Syncing Convergence = "Syncing"
	Settled Convergence = "Settled"
	Blocked Convergence = "Blocked"
)

// Status is what a person would ask of a group.
type Status struct {
	Protocol    Protocol       `json:"protocol"`
	Lifecycle   Lifecycle      `json:"lifecycle"`
	Convergence Convergence    `json:"convergence"`
	Epoch       uint64         `json:"epoch"`
	Name        string         `json:"name"`
	Description string         `json:"description"`
	Members     []nostr.PubKey `json:"members"` // accounts, sorted, without repetition
	Admins      []nostr.PubKey `json:"admins"`
	Removed     bool           `json:"removed"` // this member was removed
	Leaving     bool           `json:"leaving"`
	Disbanding  bool           `json:"disbanding,omitempty"` // this member asked for the end of the group
	Branches    int            `json:"branches"`             // tips that compete with the canonical one
	Deferred    int            `json:"deferred"`             // inputs that wait for something
	Outstanding int            `json:"outstanding"`          // events not yet tried at every relay, and requests not yet answered
	Queued      int            `json:"queued"`               // local requests that wait
	Missed      int            `json:"missed,omitempty"`     // messages that came too late to be read, and events given up that no key opened
	Cause       string         `json:"cause"`
	Retention   uint64         `json:"retention,omitempty"` // seconds that messages should be kept; 0 for ever
	// Unavailable names the features that the group uses and this client does
	// not have yet.
	Unavailable []string `json:"unavailable,omitempty"`
}

// EffectKind says what happened.
type EffectKind string

// The effects. Those of a commit carry its digest and are withdrawn together
// by an EffectSuperseded with the same digest.
const (
	EffectJoined      EffectKind = "joined"       // this member joined; Subject is the inviter
	EffectEpoch       EffectKind = "epoch"        // the group advanced
	EffectAdded       EffectKind = "member_added" // Subject
	EffectRemoved     EffectKind = "member_removed"
	EffectLeft        EffectKind = "member_left" // removed on its own request
	EffectAdminAdded  EffectKind = "admin_added"
	EffectAdminGone   EffectKind = "admin_removed"
	EffectRenamed     EffectKind = "group_renamed" // Text is the new name
	EffectSettings    EffectKind = "settings"      // another component changed
	EffectSelfRemoved EffectKind = "self_removed"
	EffectDisbanded   EffectKind = "group_disbanded"
	EffectSuperseded  EffectKind = "superseded" // a commit lost; its effects are withdrawn
	EffectRecovered   EffectKind = "branch_recovered"
	EffectMessage     EffectKind = "message"     // Payload was delivered
	EffectInvalidated EffectKind = "invalidated" // the message Message is withdrawn, or never shown
	EffectRestored    EffectKind = "restored"    // an invalidated message is valid again
	EffectPublished   EffectKind = "published"   // a relay accepted what Ref asked for
	EffectFailed      EffectKind = "failed"      // what Ref asked for will not happen; Text says why
	EffectHelp        EffectKind = "needs_help"  // the group cannot go on by itself; Text says why
)

// Effect is something the application must learn. ID is stable: the same
// effect is never stored twice.
type Effect struct {
	ID      string         `json:"id"`
	Kind    EffectKind     `json:"kind"`
	At      time.Time      `json:"at"` // when this client learned it
	Epoch   uint64         `json:"epoch"`
	Commit  wire.MessageID `json:"commit,omitzero"`
	Message wire.MessageID `json:"message,omitzero"`
	Actor   nostr.PubKey   `json:"actor,omitzero"`
	Subject nostr.PubKey   `json:"subject,omitzero"`
	Text    string         `json:"text,omitempty"`
	Ref     string         `json:"ref,omitempty"`
	Own     bool           `json:"own,omitempty"`
	Leaf    uint32         `json:"leaf,omitempty"`    // sender's leaf index
	Payload []byte         `json:"payload,omitempty"` // inner event JSON
	Turn    int            `json:"turn,omitempty"`    // above 1: valid again after it was withdrawn

	order uint64 // of a message: when it arrived
}

// Address is where events of a group are published and fetched in some epoch.
type Address struct {
	GroupID [32]byte // value of the h tag
	Relays  []string
}
