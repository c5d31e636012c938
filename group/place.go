package group

import (
	"errors"

	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/wire"
)

// placeCommit looks for the state that authenticates a commit. A state that
// does not is not its parent, which says nothing about the commit; once the
// parent is found, every failure is final (convergence.md, "Candidate
// branches").
func (s *step) placeCommit(in *retained, m *mls.Message) error {
	for _, parent := range s.g.statesAt(in.Epoch) {
		v, err := parent.authenticate(m)
		if err != nil {
			return s.notOurs(in, err)
		}
		if commit, ok := v.(*mls.VerifiedCommit); ok {
			return s.extend(in, parent, commit)
		}
	}
	return nil
}

// authenticate tries a handshake on one state. It returns nothing when the
// message is not this state's, which says nothing about the message: a rival
// state may lack its sender. A bad signature behind a good membership tag is
// an error and final.
func (n *node) authenticate(m *mls.Message) (mls.Verified, error) {
	v, err := n.state.Verify(m)
	switch {
	case errors.Is(err, mls.ErrSignature), errors.Is(err, mls.ErrOwnMessage), errors.Is(err, mls.ErrOwnCopy):
		return nil, err
	case err != nil:
		return nil, nil
	}
	return v, nil
}

// proposal authenticates a standalone proposal. An own private one cannot be
// read back; what it said was kept.
func (n *node) proposal(in *retained, m *mls.Message) (mls.Verified, error) {
	if len(in.Proposal) == 0 {
		return n.authenticate(m)
	}
	v, err := n.state.RestoreProposal(in.Proposal)
	if err != nil {
		return nil, nil // it is of another branch
	}
	return v, nil
}

// notOurs refuses a handshake for good: its signature is wrong, or it is
// encrypted as this member's and this copy does not know it.
func (s *step) notOurs(in *retained, err error) error {
	switch {
	case errors.Is(err, mls.ErrOwnCopy):
		s.unrecoverable(causeCopy)
		return s.reject(in, MissingHistory, err)
	case errors.Is(err, mls.ErrOwnMessage):
		return s.reject(in, OwnEcho, err) // any member can write our leaf into it
	}
	return s.reject(in, InvalidSignature, err)
}

// extend adds the state that a commit leads to, if it is a valid edge.
func (s *step) extend(in *retained, parent *node, commit *mls.VerifiedCommit) error {
	if commit.Sender().Leaf == parent.state.Self() {
		// Only this member's key makes this; so another copy of it is in use.
		s.unrecoverable(causeCopy)
		return s.reject(in, MissingHistory, mls.ErrOwnMessage)
	}
	committer, err := parent.account(commit.Sender().Leaf)
	if err != nil {
		return s.reject(in, AuthFailed, err)
	}
	if !s.g.room(stateID(in.ID), parent, committer) {
		in.Category = ResourceRefused
		return nil
	}
	n, err := s.g.edge(parent, commit)
	if errors.Is(err, mls.ErrUnknownProposal) {
		return nil // the proposal may still come
	}
	if err != nil {
		return s.reject(in, categoryOf(err), err)
	}
	s.crowdOut(parent, committer)
	n.id = stateID(in.ID)
	in.Category, in.State = Accepted, n.id // its bytes stay while it may have to make room
	s.addNode(n, parent)
	if parent.abandoned {
		s.release(parent)
	}
	return nil
}

func categoryOf(err error) Category {
	switch {
	case errors.Is(err, ErrUnauthorized):
		return AuthFailed
	case errors.Is(err, mls.ErrAuthentication):
		return InvalidSignature
	case errors.Is(err, wire.ErrUnsupportedFeature), errors.Is(err, mls.ErrUnsupportedProposal):
		return UnsupportedFeature
	}
	return InvalidEncoding
}

// addNode makes n a child of parent and stores it.
func (s *step) addNode(n, parent *node) {
	n.epoch = parent.epoch + 1
	n.link(parent)
	n.full = n.epoch%fullStateStep == 0
	s.g.nodes[n.id] = n
	if err := s.putNode(n); err != nil {
		s.fail(err)
	}
	s.changed = true
}

// placeProposal verifies a standalone proposal and keeps it for the commits
// that refer to it.
func (s *step) placeProposal(in *retained, m *mls.Message) error {
	for _, n := range s.g.statesAt(in.Epoch) {
		v, err := n.proposal(in, m)
		if err != nil {
			return s.notOurs(in, err)
		}
		p, ok := v.(*mls.VerifiedProposal)
		if !ok {
			continue
		}
		if err := s.g.gen.mayPropose(n, p); err != nil {
			return s.reject(in, categoryOf(err), err)
		}
		if n.proposals == nil {
			n.proposals = mls.ProposalSet{}
		}
		n.proposals[p.Ref()] = p
		in.proposalIn, in.State = n, n.id
		s.changed = true
		return nil
	}
	return nil
}

// placeApp opens an application message. Success uses up its key: the payload
// and the ratchet go into the same transaction, whatever branch it is on.
func (s *step) placeApp(in *retained, m *mls.Message) error {
	for _, n := range s.g.statesAt(in.Epoch) {
		if s.g.tooEarly(in, n, m) {
			return nil
		}
		got, err := n.state.Unprotect(m)
		switch {
		case errors.Is(err, mls.ErrConsumed), errors.Is(err, mls.ErrTooOld):
			return s.reject(in, StaleEpoch, err) // if it is lost, it was counted when its key was erased
		case errors.Is(err, mls.ErrOwnCopy):
			s.unrecoverable(causeCopy)
			return s.reject(in, MissingHistory, err)
		case errors.Is(err, mls.ErrOwnMessage):
			// Nothing is authenticated yet: any member can write our leaf into it.
			return s.reject(in, OwnEcho, err)
		case err != nil:
			continue
		}
		s.touched[n] = true
		s.g.meta.Missed += int(got.Lost)
		if n.abandoned {
			s.release(n)
		}
		return s.opened(in, n, got)
	}
	return nil
}

func (s *step) opened(in *retained, n *node, got mls.Received) error {
	sender, err := wire.LeafAccount(got.Leaf)
	if err != nil {
		return s.reject(in, InvalidEncoding, err)
	}
	payload, rumor, err := s.g.gen.payload(got.Plaintext, sender)
	if err != nil {
		return s.reject(in, InvalidEncoding, err)
	}
	if in.early {
		in.Seq = s.g.nextSeq() // it came before those that it waited for
	}
	in.Bytes = nil
	in.State, in.Sender, in.Leaf = n.id, sender, uint32(got.Sender)
	in.Payload, in.Inner = rumor, payload.ID
	s.witness(in, n)
	return nil
}

// causeCopy is told when something came that only this member's keys can have
// made, and this copy did not: its home was copied or restored.
const causeCopy = "another copy of this account's data is active in the group"

// unrecoverable stops the group with a cause a person can read.
func (s *step) unrecoverable(cause string) {
	if s.g.meta.Cause == "" {
		s.g.meta.Cause, s.g.meta.Pass = cause, nil
		s.cross(Stopped)
		s.effect(Effect{Kind: EffectHelp, Epoch: s.g.tip.epoch, Text: cause})
	}
}
