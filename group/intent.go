package group

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

type intentKind string

const (
	intentSend       intentKind = "send"
	intentInvite     intentKind = "invite"
	intentRemove     intentKind = "remove"
	intentProfile    intentKind = "profile"
	intentAdmins     intentKind = "admins"
	intentRouting    intentKind = "routing"
	intentRetention  intentKind = "retention"
	intentLifecycle  intentKind = "lifecycle" // require the component that can end the group
	intentDisband    intentKind = "disband"
	intentUpdate     intentKind = "update"
	intentLeave      intentKind = "leave"
	intentDepartures intentKind = "departures" // commit the SelfRemoves of others
)

// intent is a local request that waits until the group is quiet. It is
// carried out on the state that is canonical then; nothing prepared earlier is
// reused (group-state.md).
type intent struct {
	Seq       uint64          `json:"seq"`
	Kind      intentKind      `json:"kind"`
	Ref       string          `json:"ref,omitempty"`
	Made      time.Time       `json:"made,omitzero"`
	NotBefore time.Time       `json:"not_before"`
	Payload   []byte          `json:"payload,omitempty"`
	Invitees  []storedInvitee `json:"invitees,omitempty"`
	Accounts  []nostr.PubKey  `json:"accounts,omitempty"` // to remove, or to grant
	Revoke    []nostr.PubKey  `json:"revoke,omitempty"`
	Profile   *wire.Profile   `json:"profile,omitempty"`
	Relays    []string        `json:"relays,omitempty"`
	NewID     bool            `json:"new_id,omitempty"`
	Retention wire.Retention  `json:"retention,omitempty"`
	Seed      []byte          `json:"seed,omitempty"`  // new signature key of an update
	Proof     []byte          `json:"proof,omitempty"` // the account's proof for it
	For       stateID         `json:"for,omitzero"`    // the commit that lost and had this purpose
}

// storedInvitee is an invitee as it survives a restart.
type storedInvitee struct {
	Event         nostr.ID     `json:"event"`
	Account       nostr.PubKey `json:"account"`
	KeyPackage    []byte       `json:"key_package"`
	Inbox         []string     `json:"inbox"`
	AnotherDevice bool         `json:"another_device,omitempty"`
}

func storeInvitees(in []Invitee) []storedInvitee {
	out := make([]storedInvitee, len(in))
	for i, v := range in {
		k := v.KeyPackage
		out[i] = storedInvitee{
			Event: k.Event, Account: k.Account, KeyPackage: k.KeyPackage.Bytes(),
			Inbox: slices.Clone(v.Inbox), AnotherDevice: v.AnotherDevice,
		}
	}
	return out
}

// ready reports whether an intent waits for nothing but time and quiet.
func (g *Group) ready(i *intent) bool {
	return i.Kind != intentUpdate || len(i.Proof) > 0 || !g.gen.vouches()
}

// proof is what the account vouches for an update's key with, if it has to.
func (i *intent) proof() (p wire.IdentityProof) {
	copy(p[:], i.Proof)
	return p
}

// due reports whether an intent's time has come. A clock that was set back
// behind the moment when it was queued does not make it wait for that time to
// come again.
func (i *intent) due(now time.Time) bool { return !now.Before(i.NotBefore) || now.Before(i.Made) }

// signatureKey is the key an update will introduce.
func (i *intent) signatureKey() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(i.Seed) }

func (i *intent) publicKey() string {
	if len(i.Seed) == 0 {
		return ""
	}
	return string(i.signatureKey().Public().(ed25519.PublicKey))
}

// admissible refuses local requests that cannot succeed in the canonical
// state. It changes nothing.
func (g *Group) admissible(in Input) error {
	switch in.(type) {
	case Received, Tick, CatchUp, RelayResult, Answer:
		return nil
	}
	switch {
	case g.meta.Removed:
		return ErrRemoved
	case g.ended(), g.meta.Cause != "":
		return ErrEnded
	case g.meta.Leaving:
		return ErrLeaving
	case g.meta.Disband != nil:
		return ErrDisbanding
	case len(g.queue) >= maxIntents:
		return ErrQueueFull
	}
	admin := g.tip.isAdmin(g.cfg.Self)
	switch in := in.(type) {
	case Send:
		if in.Payload == nil {
			return fmt.Errorf("%w: no payload", ErrRequest)
		}
		_, _, err := g.gen.payload(wire.EncodePayload(in.Payload), g.cfg.Self)
		return err
	case SelfUpdate:
		return nil
	case Leave:
		if admin {
			return ErrAdminLeave
		}
		return nil
	default:
		if !admin {
			return ErrNotAdmin
		}
		return g.admissibleChange(in)
	}
}

func (g *Group) admissibleChange(in Input) error {
	n, members := g.tip, g.tip.members()
	switch in := in.(type) {
	case Invite:
		return g.admissibleInvite(in, members)
	case Remove:
		if len(in.Accounts) == 0 {
			return fmt.Errorf("%w: nobody to remove", ErrRequest)
		}
		for _, a := range in.Accounts {
			if !members.Contains(a) || a == g.cfg.Self {
				return fmt.Errorf("%w: %s", ErrNotMember, a.Npub())
			}
		}
	case SetProfile:
		return in.Profile.Check()
	case SetRouting:
		_, err := g.routingAfter(in.Relays, in.NewID)
		return err
	case Disband:
		if !g.gen.ends() {
			return ErrNoDisband
		}
	case SetRetention:
		if in.Retention == n.settings.Retention {
			return ErrUnchanged
		}
	case SetAdmins:
		for _, a := range in.Grant {
			if !members.Contains(a) {
				return fmt.Errorf("%w: %s", ErrNotMember, a.Npub())
			}
		}
		if len(n.adminsAfter(in.Grant, in.Revoke)) == 0 {
			return ErrLastAdmin
		}
	}
	return nil
}

func (g *Group) admissibleInvite(in Invite, members wire.Admins) error {
	if len(in.Invitees) == 0 {
		return fmt.Errorf("%w: nobody to invite", ErrRequest)
	}
	for i, v := range in.Invitees {
		if v.KeyPackage == nil {
			return fmt.Errorf("%w: an invitation needs a key package", ErrRequest)
		}
		twice := slices.ContainsFunc(in.Invitees[:i], func(u Invitee) bool { return u.KeyPackage.Account == v.KeyPackage.Account })
		if (twice || members.Contains(v.KeyPackage.Account)) && !v.AnotherDevice {
			return fmt.Errorf("%w: %s", ErrAlreadyMember, v.KeyPackage.Account.Npub())
		}
		if err := g.gen.supports(v.KeyPackage, g.tip); err != nil {
			return fmt.Errorf("group: %s cannot be invited: %w", v.KeyPackage.Account.Npub(), err)
		}
		if len(v.Inbox) == 0 {
			return fmt.Errorf("%w: no inbox of %s is known", ErrRequest, v.KeyPackage.Account.Npub())
		}
	}
	return nil
}

func (n *node) adminsAfter(grant, revoke []nostr.PubKey) wire.Admins {
	all := append(slices.Clone(n.settings.Admins), grant...)
	return wire.NewAdmins(slices.DeleteFunc(all, func(a nostr.PubKey) bool { return slices.Contains(revoke, a) })...)
}

// enqueue takes an admissible local request up.
func (s *step) enqueue(in Input) {
	i := &intent{NotBefore: s.now}
	switch in := in.(type) {
	case Send:
		i.Kind, i.Ref, i.Payload = intentSend, in.Ref, wire.EncodePayload(in.Payload)
	case Invite:
		i.Kind, i.Ref, i.Invitees = intentInvite, in.Ref, storeInvitees(in.Invitees)
	case Remove:
		i.Kind, i.Ref, i.Accounts = intentRemove, in.Ref, in.Accounts
	case SetProfile:
		i.Kind, i.Ref, i.Profile = intentProfile, in.Ref, &in.Profile
	case SetAdmins:
		i.Kind, i.Ref, i.Accounts, i.Revoke = intentAdmins, in.Ref, in.Grant, in.Revoke
	case SetRouting:
		i.Kind, i.Ref, i.Relays, i.NewID = intentRouting, in.Ref, in.Relays, in.NewID
	case SetRetention:
		i.Kind, i.Ref, i.Retention = intentRetention, in.Ref, in.Retention
	case Disband:
		i.Ref = in.Ref
		if !s.g.ended() {
			s.g.meta.Disband = &disband{Ref: in.Ref}
			s.cross(Gated)
			return // pursued by pursueDisband, now and whenever it lost
		}
	case SelfUpdate:
		i.Kind, i.Ref = intentUpdate, in.Ref
	case Leave:
		i.Kind, i.Ref = intentLeave, in.Ref
		s.g.meta.Leaving = !s.g.ended()
		s.cross(Gated)
	}
	s.push(i)
}

// asked reports that a SelfRemove of ours was handed out.
func (g *Group) asked() bool { return g.meta.Leaving && g.meta.LeaveFor != stateID{} }

// push queues an intent durably. The proof that an update needs is asked for
// when it is due.
func (s *step) push(i *intent) {
	if s.g.ended() {
		s.refuse(i, ErrRemoved) // by the pass that this very step closed
		return
	}
	if s.g.asked() && i.Kind != intentLeave {
		s.refuse(i, ErrLeaving) // nothing else may follow a SelfRemove
		return
	}
	if s.g.meta.Disband != nil && i.Kind != intentDisband && i.Kind != intentLifecycle {
		s.refuse(i, ErrDisbanding)
		return
	}
	s.cross(Queued)
	i.Seq, i.Made = s.g.nextSeq(), s.now
	s.g.queue = append(s.g.queue, i)
	s.putIntent(i)
}

func (s *step) putIntent(i *intent) { s.put(intentKey(i.Seq), marshal(i), true) }

func intentKey(seq uint64) string { return fmt.Sprintf("%s%016x", keyIntent, seq) }

func (s *step) done(i *intent) {
	s.g.queue = slices.DeleteFunc(s.g.queue, func(j *intent) bool { return j == i })
	s.drop(intentKey(i.Seq))
}

// refuse ends an intent that cannot be carried out, and says so.
func (s *step) refuse(i *intent, why error) {
	s.done(i)
	if i.Ref != "" {
		s.effect(Effect{Kind: EffectFailed, Epoch: s.g.tip.epoch, Ref: i.Ref, Text: why.Error()})
	}
}

// sendQueued seals the messages that waited, in their order.
func (s *step) sendQueued() {
	for _, i := range slices.Clone(s.g.queue) {
		if i.Kind == intentSend && i.due(s.now) {
			s.send(i)
		}
	}
}

// prepareNext takes up the first request that changes the group.
func (s *step) prepareNext() { s.prepareFirst(func(*intent) bool { return true }) }

func (s *step) prepareFirst(eligible func(*intent) bool) {
	for _, i := range slices.Clone(s.g.queue) {
		if i.Kind == intentSend || !eligible(i) || !s.g.ready(i) || !i.due(s.now) {
			continue
		}
		s.prepare(i)
		if !s.g.quiet() {
			return
		}
	}
}

// scheduleDepartures queues a commit for the SelfRemoves that the canonical
// state holds, after a jitter that spreads the members (member-departure.md).
func (s *step) scheduleDepartures() {
	g := s.g
	if g.ended() || g.meta.Leaving || g.meta.Disband != nil || g.tip.proposals == nil || g.pending() != nil {
		return
	}
	if slices.ContainsFunc(g.queue, func(i *intent) bool { return i.Kind == intentDepartures }) {
		return
	}
	if refs := g.departures(); len(refs) > 0 {
		s.push(&intent{Kind: intentDepartures, NotBefore: s.now.Add(g.jitter(refs[0].Ref()))})
	}
}

// jitter is 10 to 50 ms, the same after a restart.
func (g *Group) jitter(ref mls.ProposalRef) time.Duration {
	h := sha256.New()
	for _, part := range [][]byte{[]byte("marmot departure jitter"), g.cfg.Self[:], g.id, []byte(ref)} {
		h.Write(part)
	}
	return 10*time.Millisecond + time.Duration(binary.BigEndian.Uint64(h.Sum(nil))%uint64(40*time.Millisecond))
}

// departures returns the SelfRemoves to commit now: of each leaf the one whose
// message has the lowest digest, never our own.
func (g *Group) departures() []*mls.VerifiedProposal {
	chosen := map[mls.LeafIndex]bool{}
	var out []*mls.VerifiedProposal
	inputs := g.retainedSorted(func(in *retained) bool {
		return in.Kind == kindProposal && in.proposalIn == g.tip && !in.Own && !in.Judged
	})
	slices.SortFunc(inputs, func(a, b *retained) int { return slices.Compare(a.ID[:], b.ID[:]) })
	for _, in := range inputs {
		m, err := mls.DecodeMessage(in.Bytes)
		if err != nil {
			continue
		}
		v, err := g.tip.state.Verify(m)
		if err != nil {
			continue
		}
		p, ok := v.(*mls.VerifiedProposal)
		if !ok || !g.gen.departs(g.tip, p, g.cfg.Self) || chosen[p.Sender().Leaf] || p.Sender().Leaf == g.tip.state.Self() {
			continue
		}
		chosen[p.Sender().Leaf] = true
		out = append(out, p)
	}
	return out
}
