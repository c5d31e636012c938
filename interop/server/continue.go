package server

import (
	"context"

	"github.com/marmotgo/marmot/interop/mlsclient"
	"github.com/marmotgo/marmot/mls"
)

// renewal is a member of a group that was reinitialized, on the way to the new
// group.
type renewal struct {
	old *member
	new *joining
}

// ReInitCommit is Commit; the proposal makes the difference.
func (s *Server) ReInitCommit(ctx context.Context, req *mlsclient.CommitRequest) (*mlsclient.CommitResponse, error) {
	return s.Commit(ctx, req)
}

// HandlePendingReInitCommit enters the last epoch by an own commit.
func (s *Server) HandlePendingReInitCommit(_ context.Context, req *mlsclient.HandlePendingCommitRequest) (*mlsclient.HandleReInitCommitResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.enterPending(req.StateId, lastEpoch)
	if err != nil {
		return nil, err
	}
	return s.renew(m)
}

// HandleReInitCommit enters the last epoch by another's commit.
func (s *Server) HandleReInitCommit(_ context.Context, req *mlsclient.HandleCommitRequest) (*mlsclient.HandleReInitCommitResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.follow(req, lastEpoch)
	if err != nil {
		return nil, err
	}
	return s.renew(m)
}

// renew makes the KeyPackage for the new group of a member in its last epoch.
func (s *Server) renew(m *member) (*mlsclient.HandleReInitCommitResponse, error) {
	to, _ := m.group.ReInit()
	c, err := newClient(to.Suite, m.identity)
	if err != nil {
		return nil, refused("reinit", err)
	}
	j, err := s.newJoining(c)
	if err != nil {
		return nil, err
	}
	handled, err := m.handled()
	if err != nil {
		return nil, err
	}
	id := s.newID()
	s.renewed[id] = &renewal{old: m, new: j}
	return &mlsclient.HandleReInitCommitResponse{ReinitId: id, KeyPackage: j.keyPackage.Message(),
		EpochAuthenticator: handled.EpochAuthenticator}, nil
}

// ReInitWelcome founds the new group.
func (s *Server) ReInitWelcome(_ context.Context, req *mlsclient.ReInitWelcomeRequest) (*mlsclient.CreateSubgroupResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := find(s.renewed, req.ReinitId)
	if err != nil {
		return nil, err
	}
	cfg, err := s.continueConfig(r.new.client, req.KeyPackage, req.ForcePath, req.ExternalTree)
	if err != nil {
		return nil, err
	}
	staged, err := r.old.group.Reinitialize(r.new.signer, cfg)
	if err != nil {
		return nil, refused("reinit", err)
	}
	delete(s.renewed, req.ReinitId)
	return s.founded(r.new.client, staged, r.old.private, req.ExternalTree)
}

// HandleReInitWelcome joins the new group.
func (s *Server) HandleReInitWelcome(_ context.Context, req *mlsclient.HandleReInitWelcomeRequest) (*mlsclient.JoinGroupResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := find(s.renewed, req.ReinitId)
	if err != nil {
		return nil, err
	}
	m, err := s.join(r.new, req.Welcome, req.RatchetTree, r.old.private, r.old.group)
	if err != nil {
		return nil, err
	}
	delete(s.renewed, req.ReinitId)
	return s.joined(m)
}

// CreateBranch founds a subgroup. The member stays in the old group as well.
func (s *Server) CreateBranch(_ context.Context, req *mlsclient.CreateBranchRequest) (*mlsclient.CreateSubgroupResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := find(s.members, req.StateId)
	if err != nil {
		return nil, err
	}
	c, err := newClient(m.suite, m.identity)
	if err != nil {
		return nil, refused("branch", err)
	}
	cfg, err := s.continueConfig(c, req.KeyPackages, req.ForcePath, req.ExternalTree)
	if err != nil {
		return nil, err
	}
	staged, err := m.group.Branch(c.signer, req.GroupId, extensions(req.Extensions), cfg)
	if err != nil {
		return nil, refused("branch", err)
	}
	return s.founded(c, staged, m.private, req.ExternalTree)
}

// HandleBranch joins a subgroup. The member stays in the old group as well.
func (s *Server) HandleBranch(_ context.Context, req *mlsclient.HandleBranchRequest) (*mlsclient.HandleBranchResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, err := find(s.members, req.StateId)
	if err != nil {
		return nil, err
	}
	j, err := find(s.joins, req.TransactionId)
	if err != nil {
		return nil, err
	}
	m, err := s.join(j, req.Welcome, req.RatchetTree, old.private, old.group)
	if err != nil {
		return nil, err
	}
	delete(s.joins, req.TransactionId)
	joined, err := s.joined(m)
	if err != nil {
		return nil, err
	}
	return &mlsclient.HandleBranchResponse{StateId: joined.StateId, EpochAuthenticator: joined.EpochAuthenticator}, nil
}

func (s *Server) continueConfig(c client, keyPackages [][]byte, path, externalTree bool) (mls.ContinueConfig, error) {
	cfg := mls.ContinueConfig{Credential: c.credential(), Capabilities: capabilities(), Lifetime: lifetime(s.now()),
		Info: mls.InfoConfig{NoTree: externalTree}, Now: s.now()}
	if path {
		cfg.Path = mls.PathAlways
	}
	for _, b := range keyPackages {
		k, err := decodeKeyPackage(b)
		if err != nil {
			return cfg, refused("key package", err)
		}
		cfg.Members = append(cfg.Members, k)
	}
	return cfg, nil
}

// founded makes the founder of a continuation a member of it.
func (s *Server) founded(c client, staged *mls.Staged, private, externalTree bool) (*mlsclient.CreateSubgroupResponse, error) {
	m, err := newMember(c, staged.Next, private, nil)
	if err != nil {
		return nil, refused("new group", err)
	}
	tree, err := m.tree(externalTree, m.group)
	if err != nil {
		return nil, err
	}
	joined, err := s.joined(m)
	if err != nil {
		return nil, err
	}
	return &mlsclient.CreateSubgroupResponse{StateId: joined.StateId, Welcome: staged.Welcome, RatchetTree: tree,
		EpochAuthenticator: joined.EpochAuthenticator}, nil
}
