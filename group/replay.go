package group

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// ErrTrace reports a trace that cannot be read, or in which this code decides
// otherwise than the trace says.
var ErrTrace = errors.New("group: trace")

// Bounds of a trace that somebody sends us.
const (
	maxTraceLine  = 1 << 16 // bytes
	maxTraceNames = 1 << 20
)

// Decision is a pass that a replay resolved.
type Decision struct {
	Group  string        // name in the trace
	At     time.Duration // since the first line
	Base   uint64        // canonical epoch when the pass was opened
	Before string        // canonical state
	After  string
	Rivals []Candidate // the branches that were compared, the best first
}

// Candidate is one branch of a [Decision].
type Candidate struct {
	Tip        string
	Epoch      uint64
	Depth      uint64 // with the boost of a quorum
	Quorum     bool
	Witnesses  int
	Privileged bool
	Committer  string
	// Evidence names the event of the tip's commit, in a group of v1.
	Evidence string
}

// Rule names the first criterion by which c beats the next candidate, in the
// words of convergence.md; v1 has one of its own.
func (c Candidate) Rule(next Candidate) string {
	switch {
	case c.Evidence != "":
		return "earliest_commit" // of the two by which the branches part (MIP-03)
	case c.Depth != next.Depth:
		return "effective_commit_depth"
	case c.Quorum != next.Quorum:
		return "witness_quorum_met"
	case c.Witnesses != next.Witnesses:
		return "app_witness_score"
	case c.Privileged != next.Privileged:
		return "tip_priority"
	case c.Committer != next.Committer:
		return "tip_committer"
	}
	return "tip_digest"
}

// Replay reads what a [Tracer] wrote and runs scheduler and branch choice
// again, with the code that runs in a live group. It calls decided for every
// pass that closed, and returns the number of steps. The error wraps [ErrTrace]
// and names the line where the trace is damaged or decides otherwise.
func Replay(r io.Reader, decided func(Decision)) (steps int, err error) {
	p := &replayer{
		groups: map[string]*replayed{}, states: newOrder("s"), accounts: newOrder("a"), evidence: newOrder("e"), messages: map[string]wire.MessageID{}, decided: decided,
	}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxTraceLine)
	for n := 1; lines.Scan(); n++ {
		var rec traceRecord
		if err := json.Unmarshal(lines.Bytes(), &rec); err != nil {
			return p.steps, fmt.Errorf("%w: line %d is no record", ErrTrace, n)
		}
		if err := p.line(n, rec); err != nil {
			return p.steps, fmt.Errorf("%w: line %d: %w", ErrTrace, n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return p.steps, fmt.Errorf("%w: %w", ErrTrace, err)
	}
	return p.steps, nil
}

type replayer struct {
	groups   map[string]*replayed
	states   *order
	accounts *order
	evidence *order
	messages map[string]wire.MessageID
	decided  func(Decision)
	steps    int
}

// replayed is a group without keys: its graph, its messages and its pass.
type replayed struct {
	g       *Group
	expects stateID // that the last pass chose here
	decided bool
}

var epochZero = time.Unix(0, 0)

func at(micros int64) time.Time { return epochZero.Add(time.Duration(micros) * time.Microsecond) }

func (p *replayer) line(n int, r traceRecord) error {
	switch {
	case n == 1:
		if r.Op != "trace" || r.Version != traceVersion {
			return fmt.Errorf("not a trace of version %d", traceVersion)
		}
		return nil
	case r.Op == "name":
		return p.introduce(r)
	case r.Op == opBegin:
		gen := generations[r.Protocol]
		if gen == nil {
			return fmt.Errorf("a group of an unknown protocol")
		}
		p.groups[r.Group] = &replayed{g: newGroup(Config{}, gen)}
		return nil
	}
	v := p.groups[r.Group]
	if v == nil {
		return fmt.Errorf("a group that has not begun")
	}
	return p.apply(v, r)
}

func (p *replayer) introduce(r traceRecord) error {
	for _, o := range []*order{p.states, p.evidence} {
		if strings.HasPrefix(r.Name, o.prefix) {
			return o.add(r.Name, r.After)
		}
	}
	return p.accounts.add(r.Name, r.After)
}

// apply takes a verdict over, or decides again what the line says was decided.
func (p *replayer) apply(v *replayed, r traceRecord) error {
	g := v.g
	switch r.Op {
	case opState:
		return p.state(g, r)
	case opGone:
		id, err := p.states.id(r.State)
		if n := g.nodes[id]; err == nil && n != nil {
			n.unlink()
			delete(g.nodes, id)
		}
		return err
	case opInput:
		return p.message(g, r)
	case opDrop:
		if in := g.inputs[p.messageID(r.Message)]; in != nil {
			g.unnote(in)
		}
		return nil
	case opTip:
		id, err := p.states.id(r.State)
		if err != nil || g.nodes[id] == nil {
			return fmt.Errorf("a tip that is not there")
		}
		g.tip = g.nodes[id]
		return nil
	case opStep:
		p.steps++
		return nil
	case opChose:
		if id, err := p.states.id(r.State); err != nil || id != v.expects {
			return fmt.Errorf("the pass chose %s, here it is %s", r.State, p.states.nameOf(v.expects))
		}
		return nil
	case opOffer, opClose, opEnd:
		return p.decide(v, r)
	}
	return fmt.Errorf("unknown op %q", r.Op)
}

func (p *replayer) state(g *Group, r traceRecord) error {
	id, err := p.states.id(r.State)
	if err != nil {
		return err
	}
	n := g.nodes[id]
	if n == nil {
		n = &node{id: id, settings: &wire.Settings{}}
		g.nodes[id] = n
	}
	n.epoch, n.removed, n.pending, n.abandoned, n.bare, n.erased = r.Epoch, r.Removed, r.Pending, r.Abandoned, !r.Removed, r.Unusable && !r.Removed
	n.unlink()
	n.parent = nil
	for _, c := range slices.Clone(n.children) {
		if c.epoch != n.epoch+1 { // no trace of ours; without this it could make a circle
			c.unlink()
			c.parent = nil
		}
	}
	if r.Parent != "" {
		parent, err := p.states.id(r.Parent)
		if err != nil {
			return err
		}
		if m := g.nodes[parent]; m != nil {
			if m.epoch+1 != n.epoch {
				return fmt.Errorf("a state that does not follow from its parent")
			}
			n.link(m)
		}
	}
	n.commit = &commitInfo{Privileged: r.Privileged, Own: r.Own, Disbands: r.Disbands}
	if r.Committer != "" {
		by, err := p.accounts.id(r.Committer)
		n.commit.Committer = nostr.PubKey(by)
		return err
	}
	return nil
}

func (p *replayer) message(g *Group, r traceRecord) error {
	before := p.messageID(r.Message)
	in := &retained{
		ID: before, Kind: inputKind(r.Kind), Epoch: r.Epoch, Disposition: r.Disposition, Judged: r.Judged,
		Offered: r.Offered, Own: r.Own, Seq: uint64(len(g.inputs)),
	}
	if r.State != "" {
		id, err := p.states.id(r.State)
		if err != nil {
			return err
		}
		in.State = id
		if in.Kind == kindCommit { // the state that a commit leads to has its name
			in.ID = wire.MessageID(id)
			p.messages[r.Message] = in.ID
		}
	}
	if r.Evidence != "" {
		id, err := p.evidence.id(r.Evidence)
		if err != nil {
			return err
		}
		in.Evidence = &evidence{Event: nostr.ID(id)}
	}
	if r.Committer != "" {
		by, err := p.accounts.id(r.Committer)
		if err != nil {
			return err
		}
		in.Sender = nostr.PubKey(by)
	}
	for _, id := range []wire.MessageID{before, in.ID} {
		if old := g.inputs[id]; old != nil {
			g.unnote(old)
		}
	}
	g.note(in)
	return nil
}

func (p *replayer) messageID(name string) wire.MessageID {
	id, ok := p.messages[name]
	if !ok {
		binary.BigEndian.PutUint64(id[:], uint64(len(p.messages)+1))
		p.messages[name] = id
	}
	return id
}

// decide compares what the code here came to with what the trace says, and
// runs the next decision.
func (p *replayer) decide(v *replayed, r traceRecord) error {
	g := v.g
	if g.tip == nil || g.tip.settings == nil {
		return fmt.Errorf("a decision without a canonical state")
	}
	g.meta.Removed, g.meta.Disbanded, g.meta.Witnessed, g.meta.Cause = r.Gone, r.Ended, r.Witnessed, ""
	g.hold = hold{on: r.Held}
	if r.Stopped {
		g.meta.Cause = "stopped"
	}
	if g.ended() || r.Stopped {
		g.meta.Pass = nil
	}
	want := r.Pass.pass()
	if v.decided && !samePass(g.meta.Pass, want) {
		return fmt.Errorf("the pass is %+v, here it is %+v", want, g.meta.Pass)
	}
	g.meta.Pass, v.decided = want, true // what was loaded may have one already
	s := g.begin(at(r.Time))
	switch r.Op {
	case opOffer:
		s.offer()
	case opClose:
		return p.close(v, s, r)
	case opEnd:
		if life, conv := g.lifecycle(), g.convergence(); life != r.Lifecycle || conv != r.Convergence {
			return fmt.Errorf("the group is %s %s, here it is %s %s", r.Lifecycle, r.Convergence, life, conv)
		}
	}
	return nil
}

func (p *replayer) close(v *replayed, s *step, r traceRecord) error {
	g := v.g
	if !g.passDue(s.now) {
		return fmt.Errorf("a pass was closed that is not due here")
	}
	d := Decision{Group: r.Group, At: time.Duration(r.Time) * time.Microsecond, Base: g.meta.Pass.Base, Before: p.states.nameOf(g.tip.id)}
	d.Rivals = p.candidates(g)
	winner := s.resolve()
	if winner == nil {
		winner = g.tip
	}
	v.expects, d.After = winner.id, p.states.nameOf(winner.id)
	if p.decided != nil {
		p.decided(d)
	}
	return nil
}

// candidates describes the branches of the open pass, the best first.
func (p *replayer) candidates(g *Group) []Candidate {
	root := g.tip.ancestor(g.commonStart(g.meta.Pass.Base))
	if root == nil {
		return nil
	}
	var all []*branch
	for _, tip := range leavesBelow(root, nil) {
		all = append(all, g.measure(tip, root))
	}
	slices.SortFunc(all, func(a, b *branch) int {
		if g.gen.prefers(g, a, b) {
			return -1
		}
		return 1
	})
	var out []Candidate
	for _, b := range all {
		c := Candidate{
			Tip: p.states.nameOf(b.tip.id), Epoch: b.tip.epoch, Depth: b.effective(), Quorum: b.quorum, Witnesses: b.score,
			Privileged: b.tip.commit.Privileged, Committer: p.accounts.nameOf(stateID(b.tip.commit.Committer)),
		}
		if ev := g.evidenceOf(b.tip); ev != nil {
			c.Evidence = p.evidence.nameOf(stateID(ev.Event))
		}
		out = append(out, c)
	}
	return out
}

func (t *tracePass) pass() *pass {
	if t == nil {
		return nil
	}
	return &pass{Base: t.Base, Opened: at(t.Opened), Quiesce: at(t.Quiesce), Deadline: at(t.Deadline)}
}

func samePass(a, b *pass) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Base == b.Base && a.Opened.Equal(b.Opened) && a.Quiesce.Equal(b.Quiesce) && a.Deadline.Equal(b.Deadline)
}

// order turns names back into ids with the same order: each gets a number
// between its neighbours'.
type order struct {
	prefix string
	ids    map[string]stateID
	names  map[stateID]string
	sorted []string
}

func newOrder(prefix string) *order {
	return &order{prefix: prefix, ids: map[string]stateID{}, names: map[stateID]string{}}
}

func (o *order) id(name string) (stateID, error) {
	id, ok := o.ids[name]
	if !ok {
		return id, fmt.Errorf("a name that was not introduced")
	}
	return id, nil
}

func (o *order) nameOf(id stateID) string { return o.names[id] }

// add places a new name behind another, or first.
func (o *order) add(name, after string) error {
	place := 0
	if after != "" {
		if place = slices.Index(o.sorted, after) + 1; place == 0 {
			return fmt.Errorf("a name behind an unknown one")
		}
	}
	if _, twice := o.ids[name]; twice || !strings.HasPrefix(name, o.prefix) || len(o.sorted) >= maxTraceNames {
		return fmt.Errorf("a name that cannot be")
	}
	id, ok := between(o.neighbour(place-1), o.neighbour(place), place == len(o.sorted))
	if !ok {
		return fmt.Errorf("too many names in one place")
	}
	o.sorted = slices.Insert(o.sorted, place, name)
	o.ids[name], o.names[id] = id, name
	return nil
}

func (o *order) neighbour(i int) stateID {
	if i < 0 || i >= len(o.sorted) {
		return stateID{}
	}
	return o.ids[o.sorted[i]]
}

// between returns an id strictly between two others: half of their sum, as
// 256-bit numbers.
func between(low, high stateID, top bool) (stateID, bool) {
	var out stateID
	carry := 0
	if top {
		carry = 1 // the end of the range stands for high
	}
	sum := [33]int{}
	sum[0] = carry
	for i := range out {
		sum[i+1] = int(low[i]) + int(high[i])
	}
	for i := 32; i > 0; i-- {
		sum[i-1] += sum[i] >> 8
		sum[i] &= 0xff
	}
	rest := sum[0]
	for i := range out {
		v := rest<<8 | sum[i+1]
		out[i], rest = byte(v>>1), v&1
	}
	return out, out != low && out != high
}
