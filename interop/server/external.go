package server

import (
	"context"
	"fmt"
	"slices"

	"github.com/marmotgo/marmot/interop/mlsclient"
	"github.com/marmotgo/marmot/mls"
)

// NewMemberAddProposal makes a KeyPackage whose owner asks to be added.
func (s *Server) NewMemberAddProposal(_ context.Context, req *mlsclient.NewMemberAddProposalRequest) (*mlsclient.NewMemberAddProposalResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	info, err := decodeGroupInfo(req.GroupInfo)
	if err != nil {
		return nil, err
	}
	j, id, private, err := s.newTransaction(info.Context.Suite, req.Identity)
	if err != nil {
		return nil, err
	}
	message, err := mls.ProposeJoin(info, j.signer, j.keyPackage, nil)
	if err != nil {
		return nil, refused("proposal", err)
	}
	return &mlsclient.NewMemberAddProposalResponse{TransactionId: id, Proposal: message,
		InitPriv: private.init, EncryptionPriv: private.encryption, SignaturePriv: private.signature}, nil
}

// CreateExternalSigner makes somebody who can be an external sender.
func (s *Server) CreateExternalSigner(_ context.Context, req *mlsclient.CreateExternalSignerRequest) (*mlsclient.CreateExternalSignerResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := newClient(mls.Suite(req.CipherSuite), req.Identity)
	if err != nil {
		return nil, refused("suite", err)
	}
	_, pub, err := c.signatureKeys()
	if err != nil {
		return nil, refused("signer", err)
	}
	id := s.newID()
	s.signers[id] = &signatory{c}
	return &mlsclient.CreateExternalSignerResponse{SignerId: id,
		ExternalSender: mls.ExternalSender{SignatureKey: pub, Credential: c.credential()}.Append(nil)}, nil
}

// ExternalSignerProposal makes a proposal of an external sender. Its index is
// found by its key, so signer_index is not needed.
func (s *Server) ExternalSignerProposal(_ context.Context, req *mlsclient.ExternalSignerProposalRequest) (*mlsclient.ProposalResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := find(s.signers, req.SignerId)
	if err != nil {
		return nil, err
	}
	info, err := decodeGroupInfo(req.GroupInfo)
	if err != nil {
		return nil, err
	}
	tree := req.RatchetTree
	if len(tree) == 0 {
		tree = nil
	}
	leaves, err := info.Leaves(tree, mls.Limits{})
	if err != nil {
		return nil, refused("group info", err)
	}
	p, err := subject{tag: info.ConfirmationTag, groupID: info.Context.GroupID, leaves: leaves}.proposal(req.Description)
	if err != nil {
		return nil, refused("proposal", err)
	}
	message, err := mls.ProposeExternal(info, c.signer, p, nil)
	if err != nil {
		return nil, refused("proposal", err)
	}
	return &mlsclient.ProposalResponse{Proposal: message}, nil
}

// withExternalSender returns the extensions e with one sender, encoded, more.
func withExternalSender(e mls.Extensions, sender []byte) (mls.Proposal, error) {
	at := slices.IndexFunc(e, func(x mls.Extension) bool { return x.Type == mls.ExtExternalSenders })
	if at < 0 {
		at = len(e)
		e = append(e, mls.Extension{Type: mls.ExtExternalSenders})
	}
	var senders []mls.ExternalSender
	if e[at].Data != nil {
		var err error
		if senders, err = mls.DecodeExternalSenders(e[at].Data); err != nil {
			return nil, err
		}
	}
	added, err := mls.DecodeExternalSenders(vector(sender))
	if err != nil {
		return nil, err
	}
	if len(added) != 1 {
		return nil, fmt.Errorf("%w: %d external senders", mls.ErrMalformed, len(added))
	}
	e[at].Data = mls.AppendExternalSenders(nil, append(senders, added...))
	return mls.GroupContextExtensions{Extensions: e}, nil
}
