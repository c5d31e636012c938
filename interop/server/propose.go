package server

import (
	"bytes"
	"context"
	"fmt"

	"github.com/marmotgo/marmot/interop/mlsclient"
	"github.com/marmotgo/marmot/mls"
)

// propose sends a proposal of the member with a state id, which make builds.
func (s *Server) propose(stateID uint32, make func(m *member) (mls.Proposal, error)) (*mlsclient.ProposalResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := find(s.members, stateID)
	if err != nil {
		return nil, err
	}
	p, err := make(m)
	if err != nil {
		return nil, refused("proposal", err)
	}
	message, _, err := m.send(p)
	if err != nil {
		return nil, refused("proposal", err)
	}
	return &mlsclient.ProposalResponse{Proposal: message}, nil
}

// send frames a proposal and remembers it.
func (m *member) send(p mls.Proposal) ([]byte, *mls.VerifiedProposal, error) {
	message, v, err := m.group.ProposeVerified(m.signer, p, mls.FrameConfig{Private: m.private})
	if err == nil {
		m.own[string(message)] = v
	}
	return message, v, err
}

// AddProposal proposes to add the owner of a KeyPackage.
func (s *Server) AddProposal(_ context.Context, req *mlsclient.AddProposalRequest) (*mlsclient.ProposalResponse, error) {
	return s.propose(req.StateId, func(*member) (mls.Proposal, error) { return addOf(req.KeyPackage) })
}

func decodeKeyPackage(b []byte) (*mls.KeyPackage, error) {
	message, err := config.DecodeMessage(b)
	if err != nil {
		return nil, err
	}
	k, ok := message.KeyPackage()
	if !ok {
		return nil, fmt.Errorf("%w: not a key package", mls.ErrMalformed)
	}
	return k, nil
}

func addOf(keyPackage []byte) (mls.Proposal, error) {
	k, err := decodeKeyPackage(keyPackage)
	return mls.Add{KeyPackage: k}, err
}

// UpdateProposal proposes a new leaf of the member.
func (s *Server) UpdateProposal(_ context.Context, req *mlsclient.UpdateProposalRequest) (*mlsclient.ProposalResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := find(s.members, req.StateId)
	if err != nil {
		return nil, err
	}
	update, key, err := m.group.NewUpdate(m.signer, nil)
	if err != nil {
		return nil, refused("update", err)
	}
	message, v, err := m.send(update)
	if err != nil {
		return nil, refused("update", err)
	}
	m.updates[v.Ref()] = key
	return &mlsclient.ProposalResponse{Proposal: message}, nil
}

// RemoveProposal proposes to remove the member with an identity.
func (s *Server) RemoveProposal(_ context.Context, req *mlsclient.RemoveProposalRequest) (*mlsclient.ProposalResponse, error) {
	return s.propose(req.StateId, func(m *member) (mls.Proposal, error) { return removeOf(m.group, req.RemovedId) })
}

func removeOf(g *mls.Group, identity []byte) (mls.Proposal, error) {
	i, err := leafOf(g.Leaves(), identity)
	return mls.Remove{Removed: i}, err
}

// ExternalPSKProposal proposes to use an external PSK.
func (s *Server) ExternalPSKProposal(_ context.Context, req *mlsclient.ExternalPSKProposalRequest) (*mlsclient.ProposalResponse, error) {
	return s.propose(req.StateId, func(m *member) (mls.Proposal, error) { return m.subject().psk(externalPSK(req.PskId)), nil })
}

// ResumptionPSKProposal proposes to use the resumption PSK of a past epoch.
func (s *Server) ResumptionPSKProposal(_ context.Context, req *mlsclient.ResumptionPSKProposalRequest) (*mlsclient.ProposalResponse, error) {
	return s.propose(req.StateId, func(m *member) (mls.Proposal, error) {
		return m.subject().psk(resumptionPSK(m.group.ID(), req.EpochId)), nil
	})
}

func resumptionPSK(groupID []byte, epoch uint64) mls.PSKID {
	return mls.PSKID{Type: mls.PSKResumption, Usage: mls.ResumptionApplication, GroupID: groupID, Epoch: epoch}
}

// GroupContextExtensionsProposal proposes other extensions of the GroupContext.
func (s *Server) GroupContextExtensionsProposal(_ context.Context, req *mlsclient.GroupContextExtensionsProposalRequest) (*mlsclient.ProposalResponse, error) {
	return s.propose(req.StateId, func(*member) (mls.Proposal, error) {
		return mls.GroupContextExtensions{Extensions: extensions(req.Extensions)}, nil
	})
}

func extensions(list []*mlsclient.Extension) mls.Extensions {
	var e mls.Extensions
	for _, x := range list {
		e = append(e, mls.Extension{Type: mls.ExtensionType(x.ExtensionType), Data: bytes.Clone(x.ExtensionData)})
	}
	return e
}

// ReInitProposal proposes to reinitialize the group.
func (s *Server) ReInitProposal(_ context.Context, req *mlsclient.ReInitProposalRequest) (*mlsclient.ProposalResponse, error) {
	return s.propose(req.StateId, func(*member) (mls.Proposal, error) {
		return reInitOf(req.GroupId, req.CipherSuite, req.Extensions), nil
	})
}

func reInitOf(groupID []byte, suite uint32, list []*mlsclient.Extension) mls.Proposal {
	return mls.ReInit{GroupID: groupID, Version: 1, Suite: mls.Suite(suite), Extensions: extensions(list)}
}

// AddExternalSigner proposes the present extensions with one external sender
// more.
func (s *Server) AddExternalSigner(_ context.Context, req *mlsclient.AddExternalSignerRequest) (*mlsclient.ProposalResponse, error) {
	return s.propose(req.StateId, func(m *member) (mls.Proposal, error) {
		return withExternalSender(m.group.Context().Extensions, req.ExternalSender)
	})
}

// subject is whom a described proposal is about: a group as a member has it,
// or as an external sender sees it.
type subject struct {
	tag     []byte // the epoch's confirmation tag
	groupID []byte
	leaves  func(func(mls.LeafIndex, *mls.LeafNode) bool)
}

func (m *member) subject() subject {
	return subject{tag: m.group.ConfirmationTag(), groupID: m.group.ID(), leaves: m.group.Leaves()}
}

// psk proposes a use of a PSK, with a nonce of its own.
func (s subject) psk(id mls.PSKID) mls.Proposal {
	id.Nonce = nonce(s.tag)
	return mls.PreSharedKey{ID: id}
}

// proposal makes what the runner describes.
func (s subject) proposal(d *mlsclient.ProposalDescription) (mls.Proposal, error) {
	switch kind := string(d.GetProposalType()); kind {
	case "add":
		return addOf(d.KeyPackage)
	case "remove":
		i, err := leafOf(s.leaves, d.RemovedId)
		return mls.Remove{Removed: i}, err
	case "externalPSK":
		return s.psk(externalPSK(d.PskId)), nil
	case "resumptionPSK":
		return s.psk(resumptionPSK(s.groupID, d.EpochId)), nil
	case "groupContextExtensions":
		return mls.GroupContextExtensions{Extensions: extensions(d.Extensions)}, nil
	case "reinit":
		return reInitOf(d.GroupId, d.CipherSuite, d.Extensions), nil
	default:
		return nil, fmt.Errorf("no proposal type %q", kind)
	}
}
