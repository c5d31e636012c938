package server

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/cloudflare/circl/sign/ed448"

	"github.com/marmotgo/marmot/mls"
)

// newClient returns a client with a fresh signature key.
func newClient(suite mls.Suite, identity []byte) (client, error) {
	signer, err := newSigner(suite)
	return client{suite: suite, identity: identity, signer: signer}, err
}

func newSigner(suite mls.Suite) (crypto.Signer, error) {
	switch suite {
	case mls.P256_AES128GCM_SHA256_P256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case mls.P384_AES256GCM_SHA384_P384:
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case mls.P521_AES256GCM_SHA512_P521:
		return ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case mls.X25519_AES128GCM_SHA256_Ed25519, mls.X25519_CHACHA20POLY1305_SHA256_Ed25519:
		_, priv, err := ed25519.GenerateKey(rand.Reader)
		return priv, err
	case mls.X448_AES256GCM_SHA512_Ed448, mls.X448_CHACHA20POLY1305_SHA512_Ed448:
		_, priv, err := ed448.GenerateKey(rand.Reader)
		return priv, err
	}
	return nil, fmt.Errorf("%w: 0x%04x", mls.ErrUnsupportedSuite, uint16(suite))
}

// signatureKeys returns the keys of the signer as MLS encodes them.
func (c client) signatureKeys() (priv, pub []byte, err error) {
	switch k := c.signer.(type) {
	case ed25519.PrivateKey:
		return k.Seed(), k.Public().(ed25519.PublicKey), nil
	case ed448.PrivateKey:
		return k.Seed(), k.Public().(ed448.PublicKey), nil
	case *ecdsa.PrivateKey:
		if priv, err = k.Bytes(); err == nil {
			pub, err = k.PublicKey.Bytes()
		}
		return priv, pub, err
	}
	return nil, nil, fmt.Errorf("signer is a %T", c.signer)
}

func (c client) credential() mls.Credential { return mls.BasicCredential(c.identity) }

// capabilities lists every suite, since a group may be reinitialized with
// another one.
func capabilities() mls.Capabilities {
	return mls.Capabilities{Versions: []uint16{1}, Suites: Suites, Credentials: []mls.CredentialType{mls.CredentialBasic}}
}

// lifetime is valid from an hour ago, for clocks that differ, to in 90 days.
func lifetime(now time.Time) mls.Lifetime {
	return mls.Lifetime{NotBefore: uint64(now.Add(-time.Hour).Unix()), NotAfter: uint64(now.AddDate(0, 0, 90).Unix())}
}

// newJoining makes a KeyPackage for c.
func (s *Server) newJoining(c client) (*joining, error) {
	k, keys, err := mls.NewKeyPackage(c.signer, mls.KeyPackageConfig{Suite: c.suite, Credential: c.credential(),
		Capabilities: capabilities(), Lifetime: lifetime(s.now()), Config: config})
	if err != nil {
		return nil, refused("key package", err)
	}
	return &joining{client: c, keyPackage: k, keys: keys, psks: map[string][]byte{}}, nil
}

// join processes a Welcome for j. old is the group that the new one continues,
// or nil.
func (s *Server) join(j *joining, welcome, tree []byte, private bool, old *mls.Group) (*member, error) {
	m, err := config.DecodeMessage(welcome)
	if err != nil {
		return nil, refused("welcome", err)
	}
	w, ok := m.Welcome()
	if !ok {
		return nil, refused("welcome", mls.ErrMalformed)
	}
	if len(tree) == 0 {
		tree = nil
	}
	joined, err := mls.Join(w, j.keyPackage, j.keys, mls.JoinConfig{Tree: tree, PSKs: j.psks, Now: s.now(), Signer: j.signer,
		Continues: old, Config: config})
	if err != nil {
		return nil, refused("join", err)
	}
	j.keys.Erase()
	return newMember(j.client, joined.Group, private, j.psks)
}
