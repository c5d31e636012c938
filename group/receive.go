package group

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/marmotgo/marmot/internal/compact"
	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

func outcome(c Category, err error) Outcome { return Outcome{Category: c, Err: err} }

// receive takes a verified kind 445 event in (inbound-processing.md). What it
// says of the event never depends on when or through whom it came.
func (s *step) receive(e *nostr.Event) Outcome {
	g := s.g
	if g.ended() {
		return outcome(UnknownGroup, nil)
	}
	ev, err := g.gen.parse(e, s.now)
	switch {
	case errors.Is(err, errEarly):
		return Outcome{Category: ResourceRefused, Err: err, Refetch: true}
	case err != nil:
		return outcome(InvalidEncoding, err)
	}
	if !g.addressed(ev) {
		return outcome(WrongRecipient, nil)
	}
	if o := g.out[ev.event]; o != nil {
		if !o.Echoed {
			o.Echoed = true
			s.putOut(o)
		}
		return outcome(OwnEcho, nil)
	}
	if g.raw[ev.event] != nil {
		return outcome(TransportDeferred, nil)
	}
	b := g.open(ev)
	if b == nil {
		return s.keepRaw(e)
	}
	return s.ingest(b, ev.evidence)
}

func (g *Group) addressed(ev *envelope) bool {
	for _, n := range g.nodes {
		if n.usable() && n.settings.Routing.GroupID == ev.group {
			return true
		}
	}
	return false
}

// open tries the outer key of every state: canonical, rival and staged.
func (g *Group) open(ev *envelope) []byte {
	for _, n := range g.states() {
		if b, ok := ev.open(n); ok {
			return b
		}
	}
	return nil
}

// keepRaw holds an event that no key opens yet. When there is no room, one
// that had its chances makes place; else the new one is refused and stays
// obtainable, so that junk cannot push out what will open.
func (s *step) keepRaw(e *nostr.Event) Outcome {
	g := s.g
	if len(g.raw) >= maxRaw {
		worst, ok := g.mostTried()
		if !ok {
			return Outcome{Category: ResourceRefused, Refetch: true}
		}
		s.dropRaw(worst)
		g.meta.Missed++
	}
	r := &rawEvent{Event: e.AppendJSON(nil), At: s.now}
	g.raw[e.ID] = r
	s.cross(Retained)
	s.put(keyRaw+e.ID.String(), compact.Encode(r), false)
	return outcome(TransportDeferred, nil)
}

// Crowded reports that there is no room for another event that no key opens.
func (g *Group) Crowded() bool {
	if len(g.raw) < maxRaw {
		return false
	}
	_, ok := g.mostTried()
	return !ok
}

// Hopeless reports that Step would refuse an event because no key opens it and
// there is no room for it: so much can be said without its signature, which
// costs more than all of this. The event has to stay obtainable.
func (g *Group) Hopeless(now time.Time, e *nostr.Event) bool {
	if g.ended() || g.damaged || !g.Crowded() {
		return false
	}
	ev, err := g.gen.parse(e, now)
	return err == nil && g.out[ev.event] == nil && g.raw[ev.event] == nil && g.addressed(ev) && g.open(ev) == nil
}

// mostTried returns the held event that has to make place for another, if there
// is one that had its chances.
func (g *Group) mostTried() (worst nostr.ID, ok bool) {
	tries := maxRawTries - 1
	for id, r := range g.raw {
		if r.Tries > tries || (r.Tries == tries && ok && slices.Compare(id[:], worst[:]) < 0) {
			worst, tries, ok = id, r.Tries, true
		}
	}
	return worst, ok
}

func (s *step) dropRaw(id nostr.ID) {
	delete(s.g.raw, id)
	s.drop(keyRaw + id.String())
}

// retryRaw tries the held events again, because the set of keys changed.
func (s *step) retryRaw() {
	g := s.g
	ids := make([]nostr.ID, 0, len(g.raw))
	for id := range g.raw {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b nostr.ID) int { return slices.Compare(a[:], b[:]) })
	for _, id := range ids {
		r := g.raw[id]
		e, err := nostr.ParseEvent(r.Event)
		if err != nil {
			s.dropRaw(id)
			continue
		}
		ev, err := g.gen.parse(e, r.At) // its date was judged then
		if err != nil {
			s.dropRaw(id)
			continue
		}
		if b := g.open(ev); b != nil {
			if !s.ingest(b, ev.evidence).Refetch {
				s.dropRaw(id)
			}
			continue
		}
		if s.counted {
			continue
		}
		if r.Tries++; r.Tries >= maxRawTries && s.now.Sub(r.At) > maxRawAge {
			s.dropRaw(id)
			g.meta.Missed++
			continue
		}
		s.put(keyRaw+id.String(), compact.Encode(r), false)
	}
	s.counted = true
}

// ingest takes in the MLSMessage bytes that came out of an envelope.
func (s *step) ingest(b []byte, ev *evidence) Outcome {
	g := s.g
	id := wire.MessageIDOf(b)
	if known := g.inputs[id]; known != nil {
		s.weigh(known, ev)
		if known.Own {
			s.revive(known)
			return outcome(OwnEcho, nil)
		}
		return outcome(Duplicate, nil)
	}
	m, err := mls.DecodeMessage(b)
	if err != nil {
		return outcome(InvalidEncoding, err)
	}
	kind, ok := g.gen.kindOf(m)
	switch {
	case !ok:
		return outcome(InvalidEncoding, errors.New("group: a message that is not framed as the protocol says"))
	case string(m.GroupID()) != string(g.id):
		return outcome(WrongRecipient, nil)
	case g.expired(m.Epoch()):
		if kind == kindApp {
			g.meta.Missed++
		}
		return outcome(StaleEpoch, nil)
	case m.Epoch() > g.tip.epoch+maxAhead, kind == kindProposal && g.held() >= maxHeld:
		return Outcome{Category: ResourceRefused, Refetch: true}
	}
	in := &retained{ID: id, Kind: kind, Epoch: m.Epoch(), Seq: g.nextSeq(), Bytes: b, Disposition: deferred, At: s.now}
	if kind == kindCommit {
		in.Evidence = ev
	}
	g.note(in)
	if g.meta.Cause != "" {
		in.Category = MissingHistory // kept for a repair, applied to nothing
	} else {
		err = s.place(in, m)
	}
	if in.waiting() && g.held() > maxHeld {
		g.unnote(in)
		return Outcome{Category: ResourceRefused, Refetch: true}
	}
	s.putInput(in)
	s.cross(Retained)
	s.makeRoom()
	return outcome(in.Category, err)
}

// revive makes an abandoned commit a candidate, and lets an own message count
// again: its bytes came back from a
// relay, so others have seen what every relay refused.
func (s *step) revive(in *retained) {
	if in.Unsaid {
		in.Unsaid, s.g.meta.Witnessed, s.changed = false, true, true
		s.putInput(in)
	}
	n := s.g.nodes[in.State]
	if in.Kind != kindCommit || n == nil || !n.abandoned {
		return
	}
	s.release(n)
}

func (g *Group) nextSeq() uint64 {
	g.meta.NextSeq++
	return g.meta.NextSeq
}

// place tries to find the state a message belongs to. The error says why it
// was refused for good; a message that finds no state waits.
func (s *step) place(in *retained, m *mls.Message) error {
	switch in.Kind {
	case kindCommit:
		return s.placeCommit(in, m)
	case kindProposal:
		return s.placeProposal(in, m)
	}
	return s.placeApp(in, m)
}

// reject ends a message for good. Its id is kept so that a repeat is known.
func (s *step) reject(in *retained, c Category, err error) error {
	in.Disposition, in.Category, in.Bytes = rejected, c, nil
	return err
}

// retry places what waits, after states, keys or proposals changed.
func (s *step) retry() {
	for s.changed || s.reopen {
		keys := s.changed
		s.changed, s.reopen = false, false
		if s.g.ended() || s.g.meta.Cause != "" {
			return
		}
		if keys {
			s.retryRaw()
		}
		waiting := sorted(s.g.index.open, func(in *retained) bool { return in.waiting() })
		slices.SortStableFunc(waiting, func(a, b *retained) int {
			return cmp.Or(cmp.Compare(a.Epoch, b.Epoch), cmp.Compare(a.generation, b.generation))
		})
		for _, in := range waiting {
			if s.g.stillEarly(in) {
				continue
			}
			m, err := mls.DecodeMessage(in.Bytes)
			if err != nil {
				s.fail(err)
				return
			}
			before := *in
			if _ = s.place(in, m); in.differs(&before) {
				s.putInput(in)
			}
		}
	}
}

// waiting reports whether a message still looks for its state.
func (in *retained) waiting() bool {
	if in.Kind == kindProposal {
		return in.Disposition == deferred && in.proposalIn == nil
	}
	return in.Disposition == deferred && !in.Own && !in.opened()
}

func (in *retained) differs(old *retained) bool {
	return in.Disposition != old.Disposition || in.State != old.State || len(in.Bytes) != len(old.Bytes) ||
		in.Category != old.Category || in.proposalIn != old.proposalIn
}
