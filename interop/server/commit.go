package server

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/marmotgo/marmot/interop/mlsclient"
	"github.com/marmotgo/marmot/mls"
)

// Commit makes a commit that waits for HandlePendingCommit. Another one may
// take its place before that.
func (s *Server) Commit(_ context.Context, req *mlsclient.CommitRequest) (*mlsclient.CommitResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := find(s.members, req.StateId)
	if err != nil {
		return nil, err
	}
	cfg := mls.CommitConfig{PSKs: m.psks, Info: mls.InfoConfig{NoTree: req.ExternalTree}, Private: m.private, Now: s.now()}
	if req.ForcePath {
		cfg.Path = mls.PathAlways
	}
	if cfg.References, err = m.proposals(req.ByReference); err != nil {
		return nil, err
	}
	for _, d := range req.ByValue {
		p, err := m.subject().proposal(d)
		if err != nil {
			return nil, refused("proposal", err)
		}
		cfg.Proposals = append(cfg.Proposals, p)
	}
	staged, err := m.group.Commit(m.signer, cfg)
	if err != nil {
		return nil, refused("commit", err)
	}
	m.pending = staged
	resp := &mlsclient.CommitResponse{Commit: staged.Message, Welcome: staged.Welcome}
	if _, ended := staged.Next.ReInit(); !ended {
		resp.RatchetTree, err = m.tree(req.ExternalTree, staged.Next)
	}
	return resp, err
}

// proposals reads handshake messages with proposals of the present epoch.
func (m *member) proposals(messages [][]byte) ([]*mls.VerifiedProposal, error) {
	var list []*mls.VerifiedProposal
	for _, b := range messages {
		p, err := m.proposal(b)
		if err != nil {
			return nil, refused("proposal by reference", err)
		}
		list = append(list, p)
	}
	return list, nil
}

func (m *member) proposal(b []byte) (*mls.VerifiedProposal, error) {
	if own, ok := m.own[string(b)]; ok {
		return own, nil
	}
	message, err := config.DecodeMessage(b)
	if err != nil {
		return nil, err
	}
	v, err := m.group.Verify(message)
	if err != nil {
		return nil, err
	}
	p, ok := v.(*mls.VerifiedProposal)
	if !ok {
		return nil, mls.ErrMalformed
	}
	return p, nil
}

// HandlePendingCommit enters the epoch of the member's own commit.
func (s *Server) HandlePendingCommit(_ context.Context, req *mlsclient.HandlePendingCommitRequest) (*mlsclient.HandleCommitResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.enterPending(req.StateId, anyEpoch)
	if err != nil {
		return nil, err
	}
	return m.handled()
}

// anyEpoch and lastEpoch say what a commit may lead to.
func anyEpoch(*mls.Group) error { return nil }

func lastEpoch(g *mls.Group) error {
	if _, ended := g.ReInit(); !ended {
		return mls.ErrInvalidContinuation
	}
	return nil
}

func (s *Server) enterPending(stateID uint32, check func(next *mls.Group) error) (*member, error) {
	m, err := find(s.members, stateID)
	if err != nil {
		return nil, err
	}
	if m.pending == nil {
		return nil, status.Error(codes.FailedPrecondition, "no commit is pending")
	}
	if err := check(m.pending.Next); err != nil {
		return nil, refused("pending commit", err)
	}
	if err := m.enter(m.pending.Next); err != nil {
		return nil, refused("pending commit", err)
	}
	return m, nil
}

// handled reports the epoch that m has entered.
func (m *member) handled() (*mlsclient.HandleCommitResponse, error) {
	authenticator, err := m.group.EpochAuthenticator()
	if err != nil {
		return nil, refused("epoch authenticator", err)
	}
	return &mlsclient.HandleCommitResponse{StateId: m.id, EpochAuthenticator: authenticator}, nil
}

// HandleCommit enters the epoch of another's commit.
func (s *Server) HandleCommit(_ context.Context, req *mlsclient.HandleCommitRequest) (*mlsclient.HandleCommitResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.follow(req, anyEpoch)
	if err != nil {
		return nil, err
	}
	return m.handled()
}

func (s *Server) follow(req *mlsclient.HandleCommitRequest, check func(next *mls.Group) error) (*member, error) {
	m, err := find(s.members, req.StateId)
	if err != nil {
		return nil, err
	}
	message, err := config.DecodeMessage(req.Commit)
	if err != nil {
		return nil, refused("commit", err)
	}
	v, err := m.group.Verify(message)
	if err != nil {
		return nil, refused("commit", err)
	}
	commit, ok := v.(*mls.VerifiedCommit)
	if !ok {
		return nil, refused("commit", mls.ErrMalformed)
	}
	proposals, err := m.proposals(req.Proposal)
	if err != nil {
		return nil, err
	}
	in := mls.ApplyInput{Proposals: mls.ProposalSet{}, PSKs: m.psks, Now: s.now()}
	for _, p := range proposals {
		in.Proposals[p.Ref()] = p
	}
	for _, ref := range commit.Refs() {
		if key, own := m.updates[ref]; own {
			in.LeafKey = key
		}
	}
	next, err := m.group.Apply(commit, in)
	if err != nil {
		return nil, refused("commit", err)
	}
	if err := check(next); err != nil {
		return nil, refused("commit", err)
	}
	if err := m.enter(next); err != nil {
		return nil, refused("commit", err)
	}
	return m, nil
}
