package server

import (
	"bytes"
	"context"

	"github.com/marmotgo/marmot/interop/mlsclient"
	"github.com/marmotgo/marmot/mls"
)

// GroupInfo returns a GroupInfo that allows external commits.
func (s *Server) GroupInfo(_ context.Context, req *mlsclient.GroupInfoRequest) (*mlsclient.GroupInfoResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := find(s.members, req.StateId)
	if err != nil {
		return nil, err
	}
	info, err := m.group.Info(m.signer, mls.InfoConfig{ExternalPub: true, NoTree: req.ExternalTree})
	if err != nil {
		return nil, refused("group info", err)
	}
	tree, err := m.tree(req.ExternalTree, m.group)
	return &mlsclient.GroupInfoResponse{GroupInfo: info.Message(), RatchetTree: tree}, err
}

// tree returns the content of a ratchet_tree extension if it is wanted apart.
func (m *member) tree(wanted bool, g *mls.Group) ([]byte, error) {
	if !wanted {
		return nil, nil
	}
	info, err := g.Info(m.signer, mls.InfoConfig{})
	if err != nil {
		return nil, refused("tree", err)
	}
	tree, _ := info.Extensions.Find(mls.ExtRatchetTree)
	return tree, nil
}

// StateAuth returns the epoch authenticator.
func (s *Server) StateAuth(_ context.Context, req *mlsclient.StateAuthRequest) (*mlsclient.StateAuthResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := find(s.members, req.StateId)
	if err != nil {
		return nil, err
	}
	authenticator, err := m.group.EpochAuthenticator()
	if err != nil {
		return nil, refused("epoch authenticator", err)
	}
	return &mlsclient.StateAuthResponse{StateAuthSecret: authenticator}, nil
}

// Export returns an exported secret of the present epoch.
func (s *Server) Export(_ context.Context, req *mlsclient.ExportRequest) (*mlsclient.ExportResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := find(s.members, req.StateId)
	if err != nil {
		return nil, err
	}
	secret, err := m.group.Export(req.Label, req.Context, int(req.KeyLength))
	if err != nil {
		return nil, refused("export", err)
	}
	return &mlsclient.ExportResponse{ExportedSecret: secret}, nil
}

// Protect encrypts an application message.
func (s *Server) Protect(_ context.Context, req *mlsclient.ProtectRequest) (*mlsclient.ProtectResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := find(s.members, req.StateId)
	if err != nil {
		return nil, err
	}
	sealed, err := m.group.Protect(m.signer, req.Plaintext, req.AuthenticatedData)
	if err != nil {
		return nil, refused("protect", err)
	}
	return &mlsclient.ProtectResponse{Ciphertext: sealed.Message}, nil
}

// Unprotect decrypts an application message of the present or a past epoch.
func (s *Server) Unprotect(_ context.Context, req *mlsclient.UnprotectRequest) (*mlsclient.UnprotectResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := find(s.members, req.StateId)
	if err != nil {
		return nil, err
	}
	message, err := config.DecodeMessage(req.Ciphertext)
	if err != nil {
		return nil, refused("unprotect", err)
	}
	g, err := m.epoch(message.Epoch())
	if err != nil {
		return nil, refused("unprotect", err)
	}
	r, err := g.Unprotect(message)
	if err != nil {
		return nil, refused("unprotect", err)
	}
	return &mlsclient.UnprotectResponse{AuthenticatedData: r.AAD, Plaintext: r.Plaintext}, nil
}

// StorePSK gives an external PSK to a member, or to one who is about to join.
func (s *Server) StorePSK(_ context.Context, req *mlsclient.StorePSKRequest) (*mlsclient.StorePSKResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var psks map[string][]byte
	if j, waits := s.joins[req.StateOrTransactionId]; waits {
		psks = j.psks
	} else {
		m, err := find(s.members, req.StateOrTransactionId)
		if err != nil {
			return nil, err
		}
		psks = m.psks
	}
	psks[externalPSK(req.PskId).Key()] = bytes.Clone(req.PskSecret)
	return &mlsclient.StorePSKResponse{}, nil
}
