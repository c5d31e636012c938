package group

import (
	"fmt"
	"slices"
	"time"

	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// askAgain is how long a request the account refused is left alone.
const askAgain = time.Hour

// ask is work for the account's key that has not been answered.
type ask struct {
	ID        string       `json:"id"`
	Kind      RequestKind  `json:"kind"`
	Event     []byte       `json:"event"` // unsigned, as rumor JSON
	Recipient nostr.PubKey `json:"recipient,omitzero"`
	Relays    []string     `json:"relays,omitempty"` // where the sealed event goes
	Ref       string       `json:"ref,omitempty"`
	Intent    uint64       `json:"intent,omitempty"` // that waits for the answer
}

func (a *ask) request() (Request, error) {
	e, err := nostr.ParseRumor(a.Event)
	if err != nil {
		return Request{}, fmt.Errorf("%w: request: %w", ErrCorrupt, err)
	}
	return Request{ID: a.ID, Kind: a.Kind, Event: e, Recipient: a.Recipient}, nil
}

// ask stores a request and hands it out.
func (s *step) ask(a *ask) {
	r, err := a.request()
	if err != nil {
		s.fail(err)
		return
	}
	s.g.asks[a.ID] = a
	s.put(keyAsk+a.ID, marshal(a), true)
	s.out.Requests = append(s.out.Requests, r)
}

func (s *step) dropAsk(id string) {
	delete(s.g.asks, id)
	s.drop(keyAsk + id)
}

// askProof asks the account to vouch for an update's new signature key.
func (s *step) askProof(i *intent) {
	if len(i.Seed) == 0 {
		i.Seed = newSeed()
	}
	e := wire.ProofEvent(s.g.cfg.Self, mls.X25519_AES128GCM_SHA256_Ed25519, []byte(i.publicKey()), nostr.Timestamp(s.now.Unix()))
	s.ask(&ask{ID: fmt.Sprintf("proof/%d", i.Seq), Kind: RequestSign, Event: nostr.AppendRumorJSON(nil, e), Intent: i.Seq})
}

// answer takes the account's answer. What differs from the request is treated
// as a refusal.
func (s *step) answer(in Answer) {
	a := s.g.asks[in.Request]
	if a == nil {
		return
	}
	s.dropAsk(a.ID)
	switch {
	case a.Kind == RequestSeal:
		s.sealed(a, in)
	default:
		s.proved(a, in)
	}
}

func (s *step) sealed(a *ask, in Answer) {
	e, err := in.Event, in.Err
	if err == nil {
		err = checkSeal(e, s.g.cfg.Self)
	}
	if err == nil {
		e, err = nostr.WrapSeal(e, a.Recipient, nostr.RandomPast(nostr.Timestamp(s.now.Unix()), nil))
	}
	if err != nil {
		if a.Ref != "" {
			s.effect(Effect{Kind: EffectFailed, Epoch: s.g.tip.epoch, Ref: a.Ref, Text: "the invitation was not signed: " + err.Error()})
		}
		return
	}
	s.publish(&outbound{Kind: outWelcome, Ref: a.Ref, Relays: targets(a.Relays)}, e)
}

func checkSeal(e *nostr.Event, self nostr.PubKey) error {
	if e == nil || e.Kind != nostr.KindSeal || e.PubKey != self {
		return fmt.Errorf("%w: not a seal of this account", ErrUnauthorized)
	}
	return e.Verify()
}

func (s *step) proved(a *ask, in Answer) {
	at := slices.IndexFunc(s.g.queue, func(i *intent) bool { return i.Seq == a.Intent })
	if at < 0 {
		return
	}
	i := s.g.queue[at]
	proof, err := a.proof(in)
	if err != nil {
		s.refuse(i, err)
		if i.Ref == "" {
			s.push(&intent{Kind: intentUpdate, NotBefore: s.now.Add(askAgain)})
		}
		return
	}
	i.Proof = proof[:]
	s.putIntent(i)
}

func (a *ask) proof(in Answer) (wire.IdentityProof, error) {
	if in.Err == nil && in.Event == nil {
		return wire.IdentityProof{}, fmt.Errorf("%w: an answer without an event", ErrRequest)
	}
	if in.Err != nil {
		return wire.IdentityProof{}, fmt.Errorf("group: the account did not vouch for the new key: %w", in.Err)
	}
	wanted, err := nostr.ParseRumor(a.Event)
	if err != nil {
		return wire.IdentityProof{}, fmt.Errorf("%w: request: %w", ErrCorrupt, err)
	}
	return wire.NewIdentityProof(wanted, in.Event)
}

// askDue asks for the proofs of updates that have become due.
func (s *step) askDue() {
	for _, i := range s.g.queue {
		if !s.g.ready(i) && i.due(s.now) && s.g.asks[fmt.Sprintf("proof/%d", i.Seq)] == nil {
			s.askProof(i)
			s.putIntent(i)
		}
	}
}
