package server

import (
	"bytes"
	"context"
	"crypto/rand"

	"github.com/marmotgo/marmot/interop/mlsclient"
	"github.com/marmotgo/marmot/mls"
)

// CreateGroup starts a group with its creator as the only member.
func (s *Server) CreateGroup(_ context.Context, req *mlsclient.CreateGroupRequest) (*mlsclient.CreateGroupResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := newClient(mls.Suite(req.CipherSuite), req.Identity)
	if err != nil {
		return nil, refused("suite", err)
	}
	g, err := mls.Create(c.signer, mls.GroupConfig{Suite: c.suite, GroupID: req.GroupId, Credential: c.credential(),
		Capabilities: capabilities(), Lifetime: lifetime(s.now()), Config: config})
	if err != nil {
		return nil, refused("create", err)
	}
	m, err := newMember(c, g, req.EncryptHandshake, nil)
	if err != nil {
		return nil, refused("create", err)
	}
	return &mlsclient.CreateGroupResponse{StateId: s.add(m)}, nil
}

// CreateKeyPackage makes a KeyPackage and starts a transaction for it.
func (s *Server) CreateKeyPackage(_ context.Context, req *mlsclient.CreateKeyPackageRequest) (*mlsclient.CreateKeyPackageResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j, id, private, err := s.newTransaction(mls.Suite(req.CipherSuite), req.Identity)
	if err != nil {
		return nil, err
	}
	return &mlsclient.CreateKeyPackageResponse{TransactionId: id, KeyPackage: j.keyPackage.Message(),
		InitPriv: private.init, EncryptionPriv: private.encryption, SignaturePriv: private.signature}, nil
}

// privateKeys are those of a KeyPackage.
type privateKeys struct{ init, encryption, signature []byte }

func (s *Server) newTransaction(suite mls.Suite, identity []byte) (*joining, uint32, privateKeys, error) {
	var private privateKeys
	c, err := newClient(suite, identity)
	if err != nil {
		return nil, 0, private, refused("suite", err)
	}
	j, err := s.newJoining(c)
	if err != nil {
		return nil, 0, private, err
	}
	if private.signature, _, err = c.signatureKeys(); err != nil {
		return nil, 0, private, refused("key package", err)
	}
	private.init, private.encryption = rawKeys(j.keys)
	id := s.newID()
	s.joins[id] = j
	return j, id, private, nil
}

// rawKeys returns the private keys of a KeyPackage, which the engine gives away
// in its own encoding only: a version byte and the two keys as vectors.
func rawKeys(keys *mls.KeyPackageKeys) (initKey, leafKey []byte) {
	initKey, rest := cutVector(keys.AppendSecret(nil)[1:])
	leafKey, _ = cutVector(rest)
	return initKey, leafKey
}

// JoinGroup processes a Welcome.
func (s *Server) JoinGroup(_ context.Context, req *mlsclient.JoinGroupRequest) (*mlsclient.JoinGroupResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j, err := find(s.joins, req.TransactionId)
	if err != nil {
		return nil, err
	}
	m, err := s.join(j, req.Welcome, req.RatchetTree, req.EncryptHandshake, nil)
	if err != nil {
		return nil, err
	}
	delete(s.joins, req.TransactionId)
	return s.joined(m)
}

func (s *Server) joined(m *member) (*mlsclient.JoinGroupResponse, error) {
	authenticator, err := m.group.EpochAuthenticator()
	if err != nil {
		return nil, refused("epoch authenticator", err)
	}
	return &mlsclient.JoinGroupResponse{StateId: s.add(m), EpochAuthenticator: authenticator}, nil
}

// decodeGroupInfo reads an MLSMessage with a GroupInfo.
func decodeGroupInfo(b []byte) (*mls.GroupInfo, error) {
	m, err := config.DecodeMessage(b)
	if err != nil {
		return nil, refused("group info", err)
	}
	info, ok := m.GroupInfo()
	if !ok {
		return nil, refused("group info", mls.ErrMalformed)
	}
	return info, nil
}

// ExternalJoin makes an external commit and enters its epoch.
func (s *Server) ExternalJoin(_ context.Context, req *mlsclient.ExternalJoinRequest) (*mlsclient.ExternalJoinResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	info, err := decodeGroupInfo(req.GroupInfo)
	if err != nil {
		return nil, err
	}
	c, err := newClient(info.Context.Suite, req.Identity)
	if err != nil {
		return nil, refused("suite", err)
	}
	tree := req.RatchetTree
	if len(tree) == 0 {
		tree = nil
	}
	cfg := mls.ExternalConfig{Credential: c.credential(), Capabilities: capabilities(), Tree: tree, PSKs: map[string][]byte{}, Now: s.now(), Config: config}
	if req.RemovePrior {
		leaves, err := info.Leaves(tree, mls.Limits{})
		if err != nil {
			return nil, refused("group info", err)
		}
		prior, err := leafOf(leaves, req.Identity)
		if err != nil {
			return nil, refused("prior leaf", err)
		}
		cfg.Remove = &prior
	}
	for _, psk := range req.Psks {
		id := externalPSK(psk.PskId)
		cfg.PSKs[id.Key()] = bytes.Clone(psk.PskSecret)
		id.Nonce = nonce(info.ConfirmationTag)
		cfg.Proposals = append(cfg.Proposals, mls.PreSharedKey{ID: id})
	}
	staged, err := mls.JoinExternal(info, c.signer, cfg)
	if err != nil {
		return nil, refused("external join", err)
	}
	m, err := newMember(c, staged.Next, req.EncryptHandshake, cfg.PSKs)
	if err != nil {
		return nil, refused("external join", err)
	}
	joined, err := s.joined(m)
	if err != nil {
		return nil, err
	}
	return &mlsclient.ExternalJoinResponse{StateId: joined.StateId, Commit: staged.Message, EpochAuthenticator: joined.EpochAuthenticator}, nil
}

func externalPSK(id []byte) mls.PSKID { return mls.PSKID{Type: mls.PSKExternal, ID: bytes.Clone(id)} }

// nonce returns the fresh nonce of one use of a PSK, as long as a hash of the
// suite, which the epoch's confirmation tag is as well.
func nonce(confirmationTag []byte) []byte {
	b := make([]byte, len(confirmationTag))
	_, _ = rand.Read(b) // does not fail
	return b
}
