package group

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/marmotgo/marmot/internal/compact"
	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

type outKind string

const (
	outMessage  outKind = "message"
	outCommit   outKind = "commit"
	outProposal outKind = "proposal"
	outWelcome  outKind = "welcome"
)

// Retries of events that no relay accepted yet.
const (
	firstRetry = 2 * time.Second
	lastRetry  = 5 * time.Minute
	giveUp     = 24 * time.Hour // for all but commits, which cannot be given up
)

// outbound is a signed event and what is known of each relay of the snapshot
// that was taken when it was signed (transports/nostr.md, "Publishing"). The
// obligation ends when every relay was tried and one accepted.
type outbound struct {
	Kind     outKind         `json:"kind"`
	Ref      string          `json:"ref,omitempty"`
	Event    []byte          `json:"event"` // NIP-01 JSON, sent byte for byte
	Relays   []target        `json:"relays"`
	Made     time.Time       `json:"made"`
	RetryAt  time.Time       `json:"retry_at,omitzero"`
	Rounds   int             `json:"rounds,omitempty"`
	Commit   stateID         `json:"commit,omitzero"` // of a commit: the staged state
	Welcome  []byte          `json:"welcome,omitempty"`
	Invitees []storedInvitee `json:"invitees,omitempty"`
	Done     bool            `json:"done,omitempty"` // a relay accepted it
	Message  wire.MessageID  `json:"message,omitzero"`
	Echoed   bool            `json:"echoed,omitempty"` // it came back from a relay, whatever they answer

	id nostr.ID
}

// target is one relay of a snapshot.
type target struct {
	URL      string `json:"url"`
	Tried    bool   `json:"tried,omitempty"` // at least once; survives a restart
	Accepted bool   `json:"accepted,omitempty"`
	Refused  bool   `json:"refused,omitempty"` // said no; silence is not a no

	answered bool // in the current round
}

func targets(relays []string) []target {
	out := make([]target, len(relays))
	for i, u := range relays {
		out[i].URL = u
	}
	return out
}

func (s *step) publish(o *outbound, e *nostr.Event) {
	if o.Kind == outMessage {
		s.cross(Sealed)
	} else {
		s.cross(Prepared)
	}
	o.id, o.Event, o.Made = e.ID, e.AppendJSON(nil), s.now
	s.g.out[o.id] = o
	s.putOut(o)
	s.emit(o, e)
}

func (s *step) putOut(o *outbound) { s.put(keyOut+o.id.String(), compact.Encode(o), true) }

func (s *step) dropOut(id nostr.ID) {
	delete(s.g.out, id)
	s.drop(keyOut + id.String())
}

// emit hands an event out for the relays that still need it.
func (s *step) emit(o *outbound, e *nostr.Event) {
	var urls []string
	for i := range o.Relays {
		t := &o.Relays[i]
		if t.Accepted || (o.Done && t.Tried) {
			t.answered = true
			continue
		}
		t.answered = false
		urls = append(urls, t.URL)
	}
	if len(urls) > 0 {
		s.out.Publish = append(s.out.Publish, Publication{Event: e, Relays: urls})
	}
}

// retry reports whether the next round is due. No wait is longer than
// lastRetry, so one that is comes from a clock that was set back.
func (o *outbound) retry(now time.Time) bool {
	return !o.RetryAt.IsZero() && (!now.Before(o.RetryAt) || o.RetryAt.Sub(now) > lastRetry)
}

// republish starts the next round of events that no relay accepted.
func (s *step) republish() {
	for _, o := range s.g.sortedOut() {
		if !o.retry(s.now) {
			continue
		}
		e, err := nostr.ParseEvent(o.Event)
		if err != nil {
			s.fail(err)
			return
		}
		o.RetryAt = time.Time{}
		s.emit(o, e)
	}
}

func (g *Group) sortedOut() []*outbound {
	out := make([]*outbound, 0, len(g.out))
	for _, o := range g.out {
		out = append(out, o)
	}
	slices.SortFunc(out, func(a, b *outbound) int {
		if c := a.Made.Compare(b.Made); c != 0 {
			return c
		}
		return slices.Compare(a.id[:], b.id[:])
	})
	return out
}

// relayResult notes what one relay said.
func (s *step) relayResult(r RelayResult) {
	o := s.g.out[r.Event]
	if o == nil {
		return
	}
	i := slices.IndexFunc(o.Relays, func(t target) bool { return t.URL == r.Relay })
	if i < 0 {
		return
	}
	t := &o.Relays[i]
	t.Tried, t.answered = true, true
	t.Accepted = t.Accepted || r.Accepted
	t.Refused = r.Rejected && !t.Accepted
	if r.Accepted && !o.Done {
		o.Done = true
		s.succeeded(o)
	}
	if s.g.out[o.id] != o {
		return // the group ended with it
	}
	s.afterResult(o)
}

// afterResult ends the obligation, waits for more answers, or plans the next
// round.
func (s *step) afterResult(o *outbound) {
	has := func(f func(target) bool) bool { return slices.ContainsFunc(o.Relays, f) }
	untried := has(func(t target) bool { return !t.Tried })
	waiting := has(func(t target) bool { return !t.answered })
	allRefused := !has(func(t target) bool { return !t.Refused })
	switch {
	case o.Done && !untried:
		s.dropOut(o.id)
		return
	case waiting || o.Done:
	case allRefused || (o.Kind != outCommit && s.now.Sub(o.Made) > giveUp):
		s.giveUp(o)
		return
	default:
		wait := firstRetry << min(o.Rounds, 10)
		o.Rounds++
		o.RetryAt = s.now.Add(min(wait, lastRetry))
	}
	s.putOut(o)
}

// succeeded carries out what waited for the first acceptance.
func (s *step) succeeded(o *outbound) {
	s.cross(Acknowledged)
	if o.Kind == outCommit {
		s.confirm(o)
	}
	if o.Ref != "" {
		s.effect(Effect{Kind: EffectPublished, Epoch: s.g.tip.epoch, Ref: o.Ref})
	}
}

// confirm merges the own commit that a relay accepted, then lets its Welcomes
// go. Rivals that came meanwhile are judged in a pass of their own.
func (s *step) confirm(o *outbound) {
	n := s.g.nodes[o.Commit]
	if n == nil || !n.pending || s.g.meta.Cause != "" {
		return
	}
	n.pending = false
	if n.commit.Disbands {
		s.release(n) // never applied by itself: a pass decides, rival or not
		return
	}
	s.rewriteNode(n)
	s.advance(n)
	s.invite(n, o)
}

// invite asks for the seals of the Welcomes, one for each new member.
func (s *step) invite(n *node, o *outbound) {
	for i, v := range o.Invitees {
		rumor, err := s.g.welcomeRumor(n, o.Welcome, v, s.now)
		if err != nil {
			s.fail(err) // its size was checked before the commit
			return
		}
		s.ask(&ask{
			ID: fmt.Sprintf("seal/%s/%d", n.id, i), Kind: RequestSeal, Event: nostr.AppendRumorJSON(nil, rumor),
			Recipient: v.Account, Relays: v.Inbox, Ref: welcomeRef(o.Ref, v.Account),
		})
	}
	o.Welcome, o.Invitees = nil, nil
}

// welcomeRef names the delivery of one invitation in effects.
func welcomeRef(ref string, to nostr.PubKey) string {
	if ref == "" {
		return ""
	}
	return ref + "/" + to.String()
}

// giveUp ends an obligation that every relay refused: the state before it
// stands, unless the event turns up after all.
func (s *step) giveUp(o *outbound) {
	s.dropOut(o.id)
	s.cross(GivenUp)
	e := Effect{Kind: EffectFailed, Epoch: s.g.tip.epoch, Ref: o.Ref, Text: errNoRelay.Error()}
	if n := s.g.nodes[o.Commit]; o.Kind == outCommit && n != nil && n.pending {
		n.pending, n.abandoned = false, true
		if o.Echoed || s.g.followed(n) {
			s.release(n)
			e.Kind, e.Text = EffectPublished, ""
		} else {
			s.rewriteNode(n)
			s.tryLater(n)
		}
		s.changed = true
	}
	if o.Kind == outMessage {
		s.unsaid(o)
	}
	if o.Ref != "" {
		s.effect(e)
	}
}

// unsaid takes an own message back as a witness: nobody else can count what
// every relay refused, and members who count differently choose differently.
func (s *step) unsaid(o *outbound) {
	in := s.g.inputs[o.Message]
	if in == nil || o.Echoed {
		return
	}
	in.Unsaid, s.g.meta.Witnessed, s.changed = true, true, true
	s.putInput(in)
}

// followed reports whether others have built on an own commit or talked after
// it: then a relay has let it through, whatever it said.
func (g *Group) followed(n *node) bool {
	if len(n.children) > 0 {
		return true
	}
	for _, in := range g.inputs {
		if in.Kind == kindApp && !in.Own && in.State == n.id {
			return true
		}
	}
	return false
}

// release makes an abandoned commit a candidate, because others know it.
func (s *step) release(n *node) {
	n.abandoned = false
	s.rewriteNode(n)
	if in := s.g.inputs[wire.MessageID(n.id)]; in != nil {
		in.Judged, in.Offered = false, false
		s.putInput(in)
	}
	s.changed = true
}

// tryLater plans again, at leisure, what nobody asked for by hand.
func (s *step) tryLater(n *node) {
	switch {
	case n.wish != nil && n.wish.Kind == intentDisband:
		s.push(&intent{Kind: intentDisband, NotBefore: s.now.Add(lastRetry)})
	case n.wish == nil && len(n.commit.Left) > 0:
		s.push(&intent{Kind: intentDepartures, NotBefore: s.now.Add(lastRetry)})
	case n.wish != nil && n.wish.Kind == intentUpdate && n.wish.Ref == "":
		s.push(&intent{Kind: intentUpdate, NotBefore: s.now.Add(askAgain)})
	}
}

var errNoRelay = errors.New("group: no relay accepted it")

// rewriteNode stores a state's record again after a mark on it changed.
func (s *step) rewriteNode(n *node) {
	if err := s.putNode(n); err != nil {
		s.fail(err)
	}
}

// sortedNodes returns all states by epoch, then by id.
func (g *Group) sortedNodes() []*node {
	out := make([]*node, 0, len(g.nodes))
	for _, n := range g.nodes {
		out = append(out, n)
	}
	slices.SortFunc(out, func(a, b *node) int {
		if a.epoch != b.epoch {
			if a.epoch < b.epoch {
				return -1
			}
			return 1
		}
		return slices.Compare(a.id[:], b.id[:])
	})
	return out
}

func hexOf(s string) string { return hex.EncodeToString([]byte(s)) }

func componentName(id mls.ComponentID) string { return fmt.Sprintf("0x%04x", uint16(id)) }
