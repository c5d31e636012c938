package group

import (
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/marmotgo/marmot/internal/compact"
	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// Keys of stored records. One record holds one thing, so that what is written
// grows with what changed.
const (
	keyMeta      = "meta"
	keyNode      = "node/"     // + state id: how the state follows from its parent, public
	keySecrets   = "secrets/"  // + state id: key schedule and path keys
	keyRatchets  = "ratchets/" // + state id: what messages consumed
	keyInput     = "input/"    // + order of arrival: neighbours are written together
	keyRaw       = "raw/"      // + event id
	keyOut       = "out/"      // + event id
	keyAsk       = "ask/"      // + request id
	keyIntent    = "intent/"   // + sequence number
	keySignature = "key/"      // + public key: an own signature key
)

// disposition of a retained message (foundation/errors.md), and two values
// for messages that have none.
type disposition string

const (
	accepted    disposition = "accepted"
	deferred    disposition = "deferred"
	invalidated disposition = "invalidated"
	rejected    disposition = "rejected" // terminal, no disposition; kept to know repeats
)

type inputKind string

const (
	kindCommit   inputKind = "commit"
	kindProposal inputKind = "proposal"
	kindApp      inputKind = "app"
)

// retained is an MLS message of the windows. Its id never depends on how it
// arrived. The names for JSON are those of records of older homes.
type retained struct {
	ID          wire.MessageID `json:"id" cbor:"1,keyasint"`
	Kind        inputKind      `json:"kind" cbor:"2,keyasint"`
	Epoch       uint64         `json:"epoch" cbor:"3,keyasint"`                     // source epoch
	Seq         uint64         `json:"seq" cbor:"4,keyasint"`                       // order of arrival; for display only
	Bytes       []byte         `json:"bytes,omitempty" cbor:"5,keyasint,omitempty"` // gone once opened or applied
	Own         bool           `json:"own,omitempty" cbor:"6,keyasint,omitempty"`
	Disposition disposition    `json:"disposition" cbor:"7,keyasint"`
	Category    Category       `json:"category,omitempty" cbor:"8,keyasint,omitempty"`
	At          time.Time      `json:"at" cbor:"-"`
	Judged      bool           `json:"judged,omitempty" cbor:"10,keyasint,omitempty"`   // a pass has seen this commit
	Turns       int            `json:"turns,omitempty" cbor:"11,keyasint,omitempty"`    // how often it became valid
	Offered     bool           `json:"offered,omitempty" cbor:"12,keyasint,omitempty"`  // counted for the open pass
	Evidence    *evidence      `json:"evidence,omitempty" cbor:"13,keyasint,omitempty"` // of a commit, if branch choice weighs it

	// Of an application message that was opened. Opening used up its key, so
	// the payload is kept until it can no longer be delivered.
	State   stateID      `json:"state,omitzero" cbor:"14,keyasint,omitzero"`
	Sender  nostr.PubKey `json:"sender,omitzero" cbor:"15,keyasint,omitzero"`
	Leaf    uint32       `json:"leaf,omitempty" cbor:"16,keyasint,omitempty"`
	Payload []byte       `json:"payload,omitempty" cbor:"17,keyasint,omitempty"`
	Inner   nostr.ID     `json:"inner,omitzero" cbor:"18,keyasint,omitzero"`
	Shown   bool         `json:"shown,omitempty" cbor:"19,keyasint,omitempty"`  // delivered and not withdrawn
	Unsaid  bool         `json:"unsaid,omitempty" cbor:"20,keyasint,omitempty"` // own message that every relay refused
	Repeat  bool         `json:"repeat,omitempty" cbor:"21,keyasint,omitempty"` // own message sent again on another branch
	Ref     string       `json:"ref,omitempty" cbor:"22,keyasint,omitempty"`

	// Of an own private proposal, which its message does not give back: what
	// [mls.VerifiedProposal.Append] wrote.
	Proposal []byte `json:"proposal,omitempty" cbor:"23,keyasint,omitempty"`

	// Of the record alone: At, and that Ref is the inner event's id.
	Nanos    int64 `json:"-" cbor:"9,keyasint,omitempty"`
	RefInner bool  `json:"-" cbor:"24,keyasint,omitempty"`

	key string // of its record; empty before the first

	// Of an application message that waits for those before it: whose it is
	// and its place in their ratchet, as the state peeked says.
	early      bool
	peeked     *node
	sender     mls.LeafIndex
	generation uint32

	// Of a proposal: the leaf that signed it, in the state it verified in.
	proposalIn *node
}

func (in *retained) opened() bool { return in.State != stateID{} }

// rawEvent is a group event that no key opens yet.
type rawEvent struct {
	Event []byte    `json:"event"` // NIP-01 JSON
	Tries int       `json:"tries"`
	At    time.Time `json:"at"`
}

// storedNode is the public record of a state.
type storedNode struct {
	Parent    stateID     `json:"parent,omitzero"`
	Epoch     uint64      `json:"epoch"`
	Commit    *commitInfo `json:"commit,omitempty"`
	Wish      *intent     `json:"wish,omitempty"`
	Removed   bool        `json:"removed,omitempty"`
	Pending   bool        `json:"pending,omitempty"`
	Abandoned bool        `json:"abandoned,omitempty"`
	Full      bool        `json:"full,omitempty"`
	Erased    bool        `json:"erased,omitempty"`
	State     []byte      `json:"state,omitempty"` // whole, or a delta against Parent
}

// MarshalText writes the id as hex.
func (id stateID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (id *stateID) UnmarshalText(b []byte) error {
	if len(b) != 2*len(id) { // hex.Decode panics on a longer one
		return fmt.Errorf("%w: state id", ErrCorrupt)
	}
	if _, err := hex.Decode(id[:], b); err != nil {
		return fmt.Errorf("%w: state id", ErrCorrupt)
	}
	return nil
}

func (in *retained) ownMessage() bool { return in.Own && in.Kind == kindApp }

// encode returns the record of a message. What another field tells is left out.
func (in *retained) encode() []byte {
	p := *in
	p.Nanos = compact.Nanos(in.At)
	if in.ownMessage() {
		p.Sender = nostr.PubKey{}
	}
	if p.RefInner = in.Ref != "" && in.Ref == in.Inner.String(); p.RefInner {
		p.Ref = ""
	}
	var id nostr.ID
	if p.Payload, id = wire.PackPayload(in.Payload, in.Sender); id == in.Inner {
		p.Inner = nostr.ID{} // unpacking gives it
	}
	return compact.Encode(p)
}

// decode reads what encode wrote, or a record of an older version. self is the
// group's own account.
func (in *retained) decode(b []byte, self nostr.PubKey) error {
	if err := compact.Decode(b, in); err != nil {
		return err
	}
	if in.ownMessage() {
		in.Sender = self
	}
	if in.At.IsZero() {
		in.At = compact.Time(in.Nanos)
	}
	payload, id, err := wire.UnpackPayload(in.Payload, in.Sender)
	if err != nil {
		return err
	}
	if in.Payload = payload; id != (nostr.ID{}) {
		in.Inner = id
	}
	if in.RefInner {
		in.Ref = in.Inner.String()
	}
	in.RefInner, in.Nanos = false, 0
	return nil
}

func marshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("group: own record does not encode: %v", err)) // our bug: the types are ours
	}
	return b
}

func (s *step) put(key string, value []byte, secret bool) {
	s.set(Record{Key: key, Value: value, Secret: secret})
}

func (s *step) drop(key string) { s.set(Record{Key: key}) }

// set keeps the last value of each key, at the place of its first.
func (s *step) set(r Record) {
	if i, ok := s.index[r.Key]; ok {
		s.out.Records[i] = r
		return
	}
	s.index[r.Key] = len(s.out.Records)
	s.out.Records = append(s.out.Records, r)
}

func (s *step) putInput(in *retained) {
	s.g.note(in)
	if in.key == "" {
		in.key = fmt.Sprintf("%s%016x", keyInput, in.Seq)
	}
	s.put(in.key, in.encode(), true)
}

func (s *step) dropInput(in *retained) {
	s.g.unnote(in)
	if in.key != "" {
		s.drop(in.key)
	}
}

func (s *step) putSignatureKey(key ed25519.PrivateKey) {
	pub := string(key.Public().(ed25519.PublicKey))
	s.g.keys[pub] = key
	s.put(keySignature+hex.EncodeToString([]byte(pub)), key.Seed(), true)
}

// putNode stores a new state: public part, secrets and ratchets.
func (s *step) putNode(n *node) error {
	stored := storedNode{Epoch: n.epoch, Commit: n.commit, Wish: n.wish, Removed: n.removed, Pending: n.pending, Abandoned: n.abandoned, Full: n.full, Erased: n.erased}
	if n.parent != nil {
		stored.Parent = n.parent.id
	}
	if n.state != nil {
		var err error
		if stored.State, err = n.encode(); err != nil {
			return err
		}
		s.put(keySecrets+n.id.String(), n.state.AppendSecrets(nil), true)
		s.putRatchets(n)
	}
	s.put(keyNode+n.id.String(), marshal(stored), false)
	return nil
}

func (n *node) encode() ([]byte, error) {
	if n.full || n.parent == nil {
		n.full = true
		return n.state.AppendState(nil), nil
	}
	return n.state.AppendDelta(nil, n.parent.state)
}

func (s *step) putRatchets(n *node) {
	s.put(keyRatchets+n.id.String(), n.state.AppendRatchets(nil), true)
}

func (s *step) dropNode(n *node) {
	for _, prefix := range []string{keyNode, keySecrets, keyRatchets} {
		s.drop(prefix + n.id.String())
	}
}
