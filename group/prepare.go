package group

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"slices"
	"time"

	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

var errNoKey = fmt.Errorf("%w: own signature key is missing", ErrCorrupt)

// send seals one payload in the canonical epoch. The ratchet's new position
// and the event are in the same records.
func (s *step) send(i *intent) {
	n := s.g.tip
	payload, err := nostr.ParseRumor(i.Payload)
	if err != nil {
		s.refuse(i, err)
		return
	}
	signer, ok := s.g.signer(n)
	if !ok {
		s.fail(errNoKey)
		return
	}
	sealed, err := n.state.Protect(signer, i.Payload, nil)
	if err != nil {
		s.refuse(i, err)
		return
	}
	s.touched[n] = true
	expires, _ := n.settings.Retention.Expiry(payload.CreatedAt)
	event, err := s.g.gen.seal(n, sealed.Message, payload.CreatedAt, expires)
	if err != nil {
		s.fail(err)
		return
	}
	in := &retained{
		ID: wire.MessageIDOf(sealed.Message), Kind: kindApp, Epoch: n.epoch, Seq: s.g.nextSeq(), Own: true,
		Disposition: deferred, At: s.now, State: n.id, Sender: s.g.cfg.Self, Leaf: uint32(n.state.Self()),
		Payload: i.Payload, Inner: payload.ID, Ref: i.Ref,
	}
	s.g.note(in)
	s.putInput(in)
	s.done(i)
	s.publish(&outbound{Kind: outMessage, Ref: i.Ref, Message: in.ID, Relays: targets(n.settings.Routing.Relays)}, event)
	s.deliver()
}

// prepare turns an intent into a commit (or a proposal, for leaving) on the
// canonical state.
func (s *step) prepare(i *intent) {
	if i.Kind == intentLeave {
		s.proposeLeave(i)
		return
	}
	if i.Kind == intentUpdate && len(i.Seed) == 0 {
		i.Seed = newSeed() // nobody has to vouch for it
	}
	cfg, err := s.g.commitConfig(i)
	if err != nil {
		s.refuse(i, err)
		return
	}
	if i.Kind == intentDepartures && len(cfg.References) == 0 {
		s.done(i)
		return
	}
	cfg.Now, cfg.Parallel = s.now, s.g.cfg.Parallel
	s.commit(i, cfg)
}

// commitConfig says what an intent means on the canonical state.
func (g *Group) commitConfig(i *intent) (mls.CommitConfig, error) {
	tip := g.tip
	if i.Kind != intentUpdate && i.Kind != intentDepartures && !tip.isAdmin(g.cfg.Self) {
		return mls.CommitConfig{}, ErrNotAdmin
	}
	switch i.Kind {
	case intentInvite:
		adds, err := g.adds(i.Invitees)
		return mls.CommitConfig{Proposals: adds, Path: mls.PathAlways}, err
	case intentRemove:
		return g.removal(i.Accounts)
	case intentProfile:
		return g.amended(amendment{profile: i.Profile})
	case intentAdmins:
		return g.adminChange(i.Accounts, i.Revoke)
	case intentRouting:
		r, err := g.routingAfter(i.Relays, i.NewID)
		if err != nil {
			return mls.CommitConfig{}, err
		}
		return g.amended(amendment{routing: &r})
	case intentRetention:
		if i.Retention == tip.settings.Retention {
			return mls.CommitConfig{}, ErrUnchanged
		}
		return g.amended(amendment{retention: &i.Retention})
	case intentLifecycle:
		return tip.lifecycleEnablement(), nil
	case intentDisband:
		return tip.disbandment(g.cfg.Self), nil
	case intentUpdate:
		caps, ext := g.gen.leaf(i.proof())
		return mls.CommitConfig{Path: mls.PathAlways, Leaf: &mls.LeafChange{
			Signer: i.signatureKey(), Capabilities: &caps, Extensions: &ext,
		}}, nil
	case intentDepartures:
		return mls.CommitConfig{References: g.departures(), Path: mls.PathAlways}, nil
	}
	return mls.CommitConfig{}, fmt.Errorf("%w: unknown request %q", ErrCorrupt, i.Kind)
}

func (g *Group) adds(invitees []storedInvitee) ([]mls.Proposal, error) {
	var out []mls.Proposal
	members := g.tip.members()
	for _, v := range invitees {
		if members.Contains(v.Account) && !v.AnotherDevice {
			return nil, fmt.Errorf("%w: %s", ErrAlreadyMember, v.Account.Npub())
		}
		kp, err := mls.DecodeKeyPackage(v.KeyPackage)
		if err != nil {
			return nil, err
		}
		out = append(out, mls.Add{KeyPackage: kp})
	}
	return out, nil
}

// removal removes every leaf of the accounts, and their admin rights in the
// same commit.
func (g *Group) removal(accounts []nostr.PubKey) (mls.CommitConfig, error) {
	n := g.tip
	cfg := mls.CommitConfig{Path: mls.PathAlways}
	for _, a := range accounts {
		leaves := n.leavesOf(a)
		if len(leaves) == 0 {
			return cfg, fmt.Errorf("%w: %s", ErrNotMember, a.Npub())
		}
		for _, leaf := range leaves {
			cfg.Proposals = append(cfg.Proposals, mls.Remove{Removed: leaf})
		}
	}
	rest := n.adminsAfter(nil, accounts)
	if len(rest) == 0 {
		return cfg, ErrLastAdmin
	}
	if len(rest) == len(n.settings.Admins) {
		return cfg, nil
	}
	dismiss, err := g.gen.amend(n, amendment{admins: rest})
	cfg.Proposals = append(cfg.Proposals, dismiss...)
	return cfg, err
}

func (g *Group) adminChange(grant, revoke []nostr.PubKey) (mls.CommitConfig, error) {
	n := g.tip
	members := n.members()
	after := n.adminsAfter(grant, revoke)
	for _, a := range after {
		if !members.Contains(a) {
			return mls.CommitConfig{}, fmt.Errorf("%w: %s", ErrNotMember, a.Npub())
		}
	}
	switch {
	case len(after) == 0:
		return mls.CommitConfig{}, ErrLastAdmin
	case slices.Equal(after, n.settings.Admins):
		return mls.CommitConfig{}, ErrUnchanged
	}
	return g.amended(amendment{admins: after})
}

// amended is a commit that changes the settings.
func (g *Group) amended(a amendment) (mls.CommitConfig, error) {
	proposals, err := g.gen.amend(g.tip, a)
	return mls.CommitConfig{Proposals: proposals}, err
}

// routingAfter returns the routing with other relays or a fresh random id.
func (g *Group) routingAfter(relays []string, newID bool) (wire.Routing, error) {
	was := g.tip.settings.Routing
	if relays == nil {
		relays = was.Relays
	}
	r := wire.NewRouting(was.GroupID, relays)
	if newID {
		_, _ = rand.Read(r.GroupID[:]) // never fails
	} else if slices.Equal(r.Relays, was.Relays) {
		return r, ErrUnchanged
	}
	return r, r.Check()
}

// commit stages a commit, judges it as a peer would, and makes it a durable
// obligation. It becomes canonical only when a relay accepted it.
func (s *step) commit(i *intent, cfg mls.CommitConfig) {
	parent := s.g.tip
	signer, ok := s.g.signer(parent)
	if !ok {
		s.fail(errNoKey)
		return
	}
	n, staged, err := s.stage(parent, signer, cfg)
	if err == nil {
		err = s.g.welcomesFit(n, staged.Welcome, i.Invitees, s.now)
	}
	if err != nil {
		s.judgeDepartures(i)
		s.refuse(i, err)
		return
	}
	if i.Kind == intentUpdate {
		s.putSignatureKey(i.signatureKey())
	}
	id := wire.MessageIDOf(staged.Message)
	n.id, n.pending, n.commit.Own, n.wish = stateID(id), true, true, i.wish()
	s.addNode(n, parent)
	own := &retained{
		ID: id, Kind: kindCommit, Epoch: parent.epoch, Seq: s.g.nextSeq(), Own: true,
		Disposition: deferred, Judged: true, At: s.now, State: n.id,
	}
	event, err := s.g.gen.seal(parent, staged.Message, nostr.Timestamp(s.now.Unix()), 0)
	if err != nil {
		s.fail(err)
		return
	}
	own.Evidence = s.g.gen.evidence(event)
	s.g.note(own)
	s.putInput(own)
	s.done(i)
	s.publish(&outbound{
		Kind: outCommit, Ref: i.Ref, Relays: targets(parent.settings.Routing.Relays),
		Commit: n.id, Welcome: staged.Welcome, Invitees: i.Invitees,
	}, event)
}

// judgeDepartures keeps proposals that cannot be committed from being tried
// for ever.
func (s *step) judgeDepartures(i *intent) {
	if i.Kind != intentDepartures {
		return
	}
	for _, in := range s.g.inputs {
		if in.Kind == kindProposal && in.proposalIn == s.g.tip {
			in.Judged = true
			s.putInput(in)
		}
	}
}

// stage makes a commit on parent and holds it to the rules for others'.
func (s *step) stage(parent *node, signer ed25519.PrivateKey, cfg mls.CommitConfig) (*node, *mls.Staged, error) {
	gen := s.g.gen
	cfg.Private = gen.private()
	s.touched[parent] = s.touched[parent] || cfg.Private // it uses up a key
	staged, err := parent.state.Commit(signer, cfg)
	if err != nil {
		return nil, nil, err
	}
	commit, err := staged.Verified()
	if err != nil {
		return nil, nil, err
	}
	props, err := commit.Proposals(parent.proposals)
	if err != nil {
		return nil, nil, err
	}
	info, err := gen.authorize(parent, commit, props)
	if err != nil {
		return nil, nil, err
	}
	n := &node{commit: info, state: staged.Next}
	return n, staged, gen.result(parent, n)
}

// welcomesFit refuses an Add whose invitations could not be delivered.
func (g *Group) welcomesFit(n *node, welcome []byte, invitees []storedInvitee, now time.Time) error {
	for _, v := range invitees {
		if _, err := g.welcomeRumor(n, welcome, v, now); err != nil {
			return err
		}
	}
	return nil
}

func (g *Group) welcomeRumor(n *node, welcome []byte, v storedInvitee, now time.Time) (*nostr.Event, error) {
	w := &wire.Welcome{
		Author: g.cfg.Self, KeyPackage: v.Event, Relays: n.settings.Routing.Relays,
		Message: welcome, CreatedAt: nostr.Timestamp(now.Unix()),
	}
	return g.gen.welcome(w)
}

// proposeLeave sends a SelfRemove for the canonical epoch. The same bytes are
// never made twice for one epoch.
func (s *step) proposeLeave(i *intent) {
	g, n := s.g, s.g.tip
	if n.isAdmin(g.cfg.Self) {
		g.meta.Leaving, g.meta.LeaveFor = false, stateID{}
		s.refuse(i, ErrAdminLeave)
		return
	}
	signer, ok := g.signer(n)
	if !ok {
		s.fail(errNoKey)
		return
	}
	proposal, frame := g.gen.leave(n)
	message, verified, err := n.state.ProposeVerified(signer, proposal, frame)
	if err != nil {
		s.refuse(i, err)
		return
	}
	m, err := mls.DecodeMessage(message)
	if err != nil {
		s.fail(err)
		return
	}
	in := &retained{
		ID: wire.MessageIDOf(message), Kind: kindProposal, Epoch: n.epoch, Seq: g.nextSeq(),
		Bytes: message, Own: true, Disposition: deferred, At: s.now,
	}
	if frame.Private {
		in.Proposal = verified.Append(nil)
		s.touched[n] = true // it used up a key
	}
	g.note(in)
	if err := s.placeProposal(in, m); err != nil {
		s.fail(err)
		return
	}
	s.putInput(in)
	event, err := g.gen.seal(n, message, nostr.Timestamp(s.now.Unix()), 0)
	if err != nil {
		s.fail(err)
		return
	}
	g.meta.LeaveFor = n.id
	s.done(i)
	for _, other := range slices.Clone(g.queue) {
		s.refuse(other, ErrLeaving)
	}
	s.publish(&outbound{Kind: outProposal, Ref: i.Ref, Relays: targets(n.settings.Routing.Relays)}, event)
}

// renewLeave asks again in a newer epoch: a SelfRemove dies with its own.
func (s *step) renewLeave() {
	g := s.g
	if !g.meta.Leaving || g.meta.LeaveFor == g.tip.id {
		return
	}
	if !slices.ContainsFunc(g.queue, func(i *intent) bool { return i.Kind == intentLeave }) {
		s.push(&intent{Kind: intentLeave, NotBefore: s.now})
	}
}

// newSeed makes the seed of a signature key.
func newSeed() []byte {
	seed := make([]byte, ed25519.SeedSize)
	_, _ = rand.Read(seed) // never fails
	return seed
}
