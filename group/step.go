package group

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/marmotgo/marmot/wire"
)

// step collects what one call of Step changes and causes.
type step struct {
	g          *Group
	now        time.Time
	out        Output
	index      map[string]int // key of a record to its place in out.Records
	touched    map[*node]bool // states whose ratchets moved
	changed    bool           // states or keys changed: waiting input may fit now
	reopen     bool           // messages that wait for others may be opened now
	counted    bool           // this step's try of the events that do not open
	superseded []*node        // own commits that lost in this step
	err        error          // a failure of our own; the caller reloads
}

func (g *Group) begin(now time.Time) *step {
	return &step{g: g, now: now, index: map[string]int{}, touched: map[*node]bool{}}
}

// Step applies one input at time now and returns the work it causes. It never
// blocks. An error concerns a local request, and the group is then unchanged;
// what is wrong with an input from outside is told in [Output.Outcome]. After
// an error that wraps [ErrCorrupt] the group must be loaded again.
func (g *Group) Step(now time.Time, in Input) (Output, error) {
	if g.damaged {
		return g.stepDamaged(in)
	}
	if err := g.admissible(in); err != nil {
		return Output{}, err
	}
	s := g.begin(now)
	s.trace(traceLine{op: opStep, kind: inputName(in)})
	s.catchUpOver()
	s.closePass() // input at the cutoff or later belongs to the next pass
	s.handle(in)
	s.settle()
	return s.finish()
}

func (s *step) handle(in Input) {
	switch in := in.(type) {
	case Received:
		s.out.Outcome = s.receive(in.Event)
	case Tick:
	case CatchUp:
		s.catchUp(in)
	case RelayResult:
		s.relayResult(in)
	case Answer:
		s.answer(in)
	default:
		s.enqueue(in)
	}
}

// settle does all that can be done now: link what waited, close a pass that
// is due, deliver, and take up local requests.
func (s *step) settle() {
	for {
		s.retry()
		s.offer()
		s.closePass()
		if !s.changed {
			break
		}
	}
	s.deliver()
	s.pursueDisband()
	s.scheduleDepartures()
	s.scheduleUpdate()
	s.askDue()
	if s.g.quiet() {
		s.sendQueued()
		s.prepareNext()
	}
	s.republish()
}

func (s *step) finish() (Output, error) {
	if s.err != nil {
		return Output{}, fmt.Errorf("%w: %w", ErrCorrupt, s.err)
	}
	for n := range s.touched {
		if n.usable() && s.g.nodes[n.id] == n {
			s.putRatchets(n)
		}
	}
	s.traceEnd()
	s.countRows()
	s.putMeta()
	// One transaction has no order. Sorted, no map's order reaches the output.
	slices.SortFunc(s.out.Records, func(a, b Record) int { return cmp.Compare(a.Key, b.Key) })
	s.out.Wake = s.g.wake(s.now)
	return s.out, nil
}

func (s *step) fail(err error) {
	if s.err == nil {
		s.err = err
	}
}

func (s *step) putMeta() {
	g := s.g
	g.meta.Version, g.meta.ID, g.meta.Tip = recordVersion, g.id, g.tip.id
	if g.meta.Protocol = g.gen.protocol(); g.meta.Protocol == V2 {
		g.meta.Protocol = "" // as it was before there were two
	}
	if b := marshal(g.meta); string(b) != string(g.saved) {
		g.saved = b
		s.put(keyMeta, b, false)
	}
}

// effect records something to tell. Effects of a commit are identified by its
// digest, so that a restart or a second client comes to the same identity.
func (s *step) effect(e Effect) {
	e.At = s.now
	if e.ID == "" {
		e.ID = effectID(e)
	}
	s.out.Effects = append(s.out.Effects, e)
}

// effectID is the stable identity of an effect (durability.md, "Effects").
func effectID(e Effect) string {
	id := string(e.Kind)
	if e.Commit != (wire.MessageID{}) {
		id += "/" + e.Commit.String()
	}
	if e.order > 0 {
		id += fmt.Sprintf("/%012x", e.order) // neighbours in the log's index are written together
	}
	if e.Message != (wire.MessageID{}) {
		id += "/" + e.Message.String()
	}
	switch e.Kind {
	case EffectAdded, EffectRemoved, EffectLeft, EffectAdminAdded, EffectAdminGone:
		id += "/" + e.Subject.String()
	case EffectSettings:
		id += "/" + e.Text
	case EffectPublished, EffectFailed:
		id += "/" + e.Ref
	}
	if e.Turn > 1 || (e.Turn == 0 && e.Kind == EffectInvalidated) { // 0: it was never valid here
		id += "#" + strconv.Itoa(e.Turn)
	}
	return id
}

// wake returns when the next Tick is due.
func (g *Group) wake(now time.Time) time.Time {
	var at time.Time
	sooner := func(t time.Time) {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	if g.meta.Pass != nil && g.meta.Cause == "" {
		sooner(g.meta.Pass.cutoff())
	}
	if g.quiet() {
		for _, i := range g.queue {
			if g.ready(i) {
				sooner(i.NotBefore)
			}
			if g.ready(i) && i.due(now) {
				sooner(now)
			}
		}
	}
	for _, i := range g.queue {
		if !g.ready(i) && !i.due(now) {
			sooner(i.NotBefore)
		}
	}
	for _, o := range g.out {
		sooner(o.RetryAt)
	}
	sooner(g.updateDue())
	sooner(g.hold.wake(now))
	sooner(g.hold.behind)
	if !at.IsZero() && at.Before(now) {
		at = now
	}
	return at
}
