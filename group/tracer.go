package group

import (
	"fmt"
	"slices"
	"time"

	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// Tracer writes traces of the groups of one account. Names stand for ids:
// those of states and accounts keep the ids' order, because branch choice
// compares them, and tell nothing else. So do those of the events that commits
// came in, for v1. Times count from the first line.
type Tracer struct {
	start    time.Time
	states   orderedNames[stateID]
	accounts orderedNames[nostr.PubKey]
	evidence orderedNames[evidenceRank]
	messages map[wire.MessageID]string
	groups   map[string]string
}

// NewTracer returns a Tracer for a new file.
func NewTracer() *Tracer {
	return &Tracer{
		states: newOrderedNames[stateID]("s"), accounts: newOrderedNames[nostr.PubKey]("a"), evidence: newOrderedNames[evidenceRank]("e"),
		messages: map[wire.MessageID]string{}, groups: map[string]string{},
	}
}

// traceVersion is that of the file format.
const traceVersion = 1

// traceRecord is a line of the file. Fields are only ever added.
type traceRecord struct {
	Op    traceOp `json:"op"`
	Time  int64   `json:"t"` // microseconds since the first line
	Group string  `json:"g,omitempty"`

	Protocol Protocol `json:"protocol,omitempty"` // of op "begin"; none for v2
	Version  int      `json:"version,omitempty"`  // of op "trace", the first line
	Name     string   `json:"name,omitempty"`     // of op "name": a new name,
	After    string   `json:"after,omitempty"`    // and the one before it in order; none for the lowest

	State      string `json:"s,omitempty"`
	Parent     string `json:"parent,omitempty"`
	Epoch      uint64 `json:"epoch,omitempty"`
	Committer  string `json:"by,omitempty"`
	Privileged bool   `json:"privileged,omitempty"`
	Own        bool   `json:"own,omitempty"`
	Removed    bool   `json:"removed,omitempty"`
	Disbands   bool   `json:"disbands,omitempty"`
	Pending    bool   `json:"pending,omitempty"`
	Abandoned  bool   `json:"abandoned,omitempty"`
	Unusable   bool   `json:"unusable,omitempty"`

	Message     string      `json:"m,omitempty"`
	Evidence    string      `json:"evidence,omitempty"`
	Kind        string      `json:"kind,omitempty"` // of a message, or of a step's input
	Disposition disposition `json:"disposition,omitempty"`
	Judged      bool        `json:"judged,omitempty"`
	Offered     bool        `json:"offered,omitempty"`

	Pass        *tracePass  `json:"pass,omitempty"`
	Lifecycle   Lifecycle   `json:"lifecycle,omitempty"`
	Convergence Convergence `json:"convergence,omitempty"`
	Stopped     bool        `json:"stopped,omitempty"`
	Gone        bool        `json:"gone,omitempty"`
	Ended       bool        `json:"ended,omitempty"`
	Witnessed   bool        `json:"witnessed,omitempty"`
	Held        bool        `json:"held,omitempty"`
}

// tracePass is a pass with its times in microseconds since the first line.
type tracePass struct {
	Base     uint64 `json:"base"`
	Opened   int64  `json:"opened"`
	Quiesce  int64  `json:"quiesce"`
	Deadline int64  `json:"deadline"`
}

// Append appends what an Output of a group tells, one JSON object a line. key
// is any name of the group that stays; it does not reach the trace.
func (t *Tracer) Append(b []byte, key string, out Output) []byte {
	for _, l := range out.trace {
		if t.start.IsZero() {
			t.start = l.at
			b = appendRecord(b, traceRecord{Op: "trace", Version: traceVersion})
		}
		if t.groups[key] == "" {
			t.groups[key] = fmt.Sprintf("g%d", len(t.groups)+1)
		}
		r := traceRecord{Op: l.op, Time: t.since(l.at), Group: t.groups[key], Kind: l.kind, Lifecycle: l.life, Convergence: l.conv}
		b = t.fill(b, &r, l)
		b = appendRecord(b, r)
	}
	return b
}

func appendRecord(b []byte, r traceRecord) []byte { return append(append(b, marshal(r)...), '\n') }

func (t *Tracer) since(at time.Time) int64 { return at.Sub(t.start).Microseconds() }

// fill sets what the line's kind has, and introduces new names before it.
func (t *Tracer) fill(b []byte, r *traceRecord, l traceLine) []byte {
	switch l.op {
	case opBegin:
		if l.gen != V2 {
			r.Protocol = l.gen
		}
	case opState:
		n := l.node
		if n.parent != (stateID{}) {
			b, r.Parent = t.states.name(b, n.parent)
		}
		if n.committer != (nostr.PubKey{}) {
			b, r.Committer = t.accounts.name(b, n.committer)
		}
		b, r.State = t.states.name(b, l.state)
		r.Epoch, r.Privileged, r.Own, r.Removed, r.Disbands = n.epoch, n.privileged, n.own, n.removed, n.disbands
		r.Pending, r.Abandoned, r.Unusable = n.pending, n.abandoned, !n.usable
	case opGone, opTip, opChose:
		b, r.State = t.states.name(b, l.state)
	case opInput:
		in := l.about
		if in.state != (stateID{}) {
			b, r.State = t.states.name(b, in.state)
		}
		if in.sender != (nostr.PubKey{}) {
			b, r.Committer = t.accounts.name(b, in.sender)
		}
		if in.evidence != (evidenceRank{}) {
			b, r.Evidence = t.evidence.name(b, in.evidence)
		}
		r.Message, r.Kind, r.Epoch = t.message(l.input), string(in.kind), in.epoch
		r.Disposition, r.Judged, r.Offered, r.Own = in.disposition, in.judged, in.offered, in.own
	case opDrop:
		r.Message = t.message(l.input)
	}
	if p := l.pass; p != nil {
		r.Pass = &tracePass{p.Base, t.since(p.Opened), t.since(p.Quiesce), t.since(p.Deadline)}
	}
	r.Stopped, r.Gone, r.Ended, r.Witnessed, r.Held = l.flags.stopped, l.flags.removed, l.flags.disbanded, l.flags.witnessed, l.flags.held
	return b
}

func (t *Tracer) message(id wire.MessageID) string {
	if t.messages[id] == "" {
		t.messages[id] = fmt.Sprintf("m%d", len(t.messages)+1)
	}
	return t.messages[id]
}

// orderedNames gives names to 32-byte ids and tells the place of each new one
// in the order of those before.
type orderedNames[T ~[32]byte] struct {
	prefix string
	names  map[T]string
	sorted []T
}

func newOrderedNames[T ~[32]byte](prefix string) orderedNames[T] {
	return orderedNames[T]{prefix: prefix, names: map[T]string{}}
}

// name returns an id's name; a new one is introduced in b.
func (o *orderedNames[T]) name(b []byte, id T) ([]byte, string) {
	if name := o.names[id]; name != "" {
		return b, name
	}
	at, _ := slices.BinarySearchFunc(o.sorted, id, func(x, y T) int { return slices.Compare(x[:], y[:]) })
	r := traceRecord{Op: "name", Name: fmt.Sprintf("%s%d", o.prefix, len(o.names)+1)}
	if at > 0 {
		r.After = o.names[o.sorted[at-1]]
	}
	o.names[id] = r.Name
	o.sorted = slices.Insert(o.sorted, at, id)
	return appendRecord(b, r), r.Name
}
