package group

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// A trace tells what the scheduler and branch choice had before them and what
// they decided, without keys, payloads or identities: [Tracer] writes it, and
// [Replay] runs the same code on it again. What cryptography found out (which
// state a commit extends, whose message opened where) stands in it as verdicts.

// traceOp says what a line of a trace is.
type traceOp string

const (
	opBegin traceOp = "begin" // a copy of the group was founded, joined or loaded: nothing before counts
	opState traceOp = "state" // a state, new or changed
	opGone  traceOp = "gone"  // a state that is kept no more
	opInput traceOp = "input" // a message, new or changed
	opDrop  traceOp = "drop"  // a message that is kept no more
	opOffer traceOp = "offer" // the scheduler looked for reasons to open or prolong a pass
	opClose traceOp = "close" // a pass was due: branches were compared
	opChose traceOp = "chose" // the canonical state after that
	opTip   traceOp = "tip"   // the canonical state as it is now
	opStep  traceOp = "step"  // an input was taken; what follows belongs to it
	opEnd   traceOp = "end"   // of a step: what a person would see
)

// traceLine is one line, with real ids: the Tracer replaces them.
type traceLine struct {
	op    traceOp
	at    time.Time
	state stateID
	node  traceNode
	input wire.MessageID
	about traceInput
	pass  *pass
	kind  string   // of the input a step took
	gen   Protocol // of opBegin
	life  Lifecycle
	conv  Convergence
	flags traceFlags
}

// traceNode is what branch choice knows of a state.
type traceNode struct {
	parent     stateID
	epoch      uint64
	committer  nostr.PubKey
	privileged bool
	own        bool
	removed    bool
	disbands   bool
	pending    bool
	abandoned  bool
	usable     bool
}

// traceInput is what the scheduler and branch choice know of a message.
type traceInput struct {
	kind        inputKind
	epoch       uint64
	state       stateID
	sender      nostr.PubKey
	disposition disposition
	judged      bool
	offered     bool
	own         bool
	evidence    evidenceRank
}

// traceFlags are facts of the group that decide what it may do.
type traceFlags struct {
	stopped, removed, disbanded, witnessed, held bool
}

// tracing remembers what the lines so far say. It exists only while a trace is
// wanted.
type tracing struct {
	nodes  map[stateID]traceNode
	inputs map[wire.MessageID]traceInput
	tip    stateID
	begun  bool
}

func newTracing() *tracing {
	return &tracing{nodes: map[stateID]traceNode{}, inputs: map[wire.MessageID]traceInput{}}
}

func (n *node) traced() traceNode {
	t := traceNode{epoch: n.epoch, removed: n.removed, pending: n.pending, abandoned: n.abandoned, usable: n.usable()}
	if n.parent != nil {
		t.parent = n.parent.id
	}
	if c := n.commit; c != nil {
		t.committer, t.privileged, t.own, t.disbands = c.Committer, c.Privileged, c.Own, c.Disbands
	}
	return t
}

func (in *retained) traced() traceInput {
	return traceInput{in.Kind, in.Epoch, in.State, in.Sender, in.Disposition, in.Judged, in.Offered, in.Own, in.Evidence.rank()}
}

func (g *Group) flags() traceFlags {
	return traceFlags{g.meta.Cause != "", g.meta.Removed, g.meta.Disbanded, g.meta.Witnessed, g.hold.on}
}

// trace adds a line, behind lines for all that changed since the last one.
func (s *step) trace(l traceLine) {
	if s.g.tracing == nil {
		return
	}
	s.traceChanges()
	l.at = s.now
	s.out.trace = append(s.out.trace, l)
}

// traceChanges tells what differs from what the trace says so far, parents
// before children.
func (s *step) traceChanges() {
	g, t := s.g, s.g.tracing
	add := func(l traceLine) {
		l.at = s.now
		s.out.trace = append(s.out.trace, l)
	}
	if !t.begun {
		t.begun = true
		add(traceLine{op: opBegin, gen: g.gen.protocol()})
	}
	for _, n := range g.sortedNodes() {
		if now := n.traced(); t.nodes[n.id] != now {
			t.nodes[n.id] = now
			add(traceLine{op: opState, state: n.id, node: now})
		}
	}
	for _, id := range sortedIDs(t.nodes) {
		if g.nodes[id] == nil {
			delete(t.nodes, id)
			add(traceLine{op: opGone, state: id})
		}
	}
	for _, in := range g.retainedSorted(func(in *retained) bool { return t.inputs[in.ID] != in.traced() }) {
		t.inputs[in.ID] = in.traced()
		add(traceLine{op: opInput, input: in.ID, about: in.traced()})
	}
	for _, id := range slices.SortedFunc(maps.Keys(t.inputs), func(a, b wire.MessageID) int { return slices.Compare(a[:], b[:]) }) {
		if g.inputs[id] == nil {
			delete(t.inputs, id)
			add(traceLine{op: opDrop, input: id})
		}
	}
	if t.tip != g.tip.id {
		t.tip = g.tip.id
		add(traceLine{op: opTip, state: g.tip.id})
	}
}

// sortedIDs returns states by epoch, then by id.
func sortedIDs(nodes map[stateID]traceNode) []stateID {
	return slices.SortedFunc(maps.Keys(nodes), func(a, b stateID) int {
		return cmp.Or(cmp.Compare(nodes[a].epoch, nodes[b].epoch), slices.Compare(a[:], b[:]))
	})
}

// traceEnd closes the lines of a step.
func (s *step) traceEnd() {
	s.trace(traceLine{op: opEnd, pass: copyPass(s.g.meta.Pass), life: s.g.lifecycle(), conv: s.g.convergence(), flags: s.g.flags()})
}

func copyPass(p *pass) *pass {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}

func inputName(in Input) string {
	switch in.(type) {
	case Received:
		return "received"
	case Tick:
		return "tick"
	case CatchUp:
		return "catch_up"
	case RelayResult:
		return "relay"
	case Answer:
		return "answer"
	}
	return "request"
}
