// Package server holds members of MLS groups and lets a test runner drive them
// over gRPC (see package mlsclient for the interface).
package server

import (
	"context"
	"crypto"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/marmotgo/marmot/interop/mlsclient"
	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/mls/suite448"
)

// Suites are those that the server offers.
var Suites = []mls.Suite{
	mls.X25519_AES128GCM_SHA256_Ed25519, mls.P256_AES128GCM_SHA256_P256, mls.X25519_CHACHA20POLY1305_SHA256_Ed25519,
	mls.X448_AES256GCM_SHA512_Ed448, mls.P521_AES256GCM_SHA512_P521, mls.X448_CHACHA20POLY1305_SHA512_Ed448,
	mls.P384_AES256GCM_SHA384_P384,
}

// config has the suites that the engine does not use unasked.
var config = &mls.Config{Suites: suite448.Suites()}

// Server implements the service. It is safe for concurrent use: one request
// runs at a time, since relatives of a group belong to one goroutine.
type Server struct {
	mlsclient.UnimplementedMLSClientServer
	name string
	now  func() time.Time

	mu      sync.Mutex
	lastID  uint32
	members map[uint32]*member    // by state id
	joins   map[uint32]*joining   // by transaction id
	renewed map[uint32]*renewal   // by reinit id
	signers map[uint32]*signatory // by signer id
}

// New returns a server without members. now is the clock by which lifetimes of
// KeyPackages are made and checked.
func New(name string, now func() time.Time) *Server {
	return &Server{name: name, now: now, members: map[uint32]*member{}, joins: map[uint32]*joining{},
		renewed: map[uint32]*renewal{}, signers: map[uint32]*signatory{}}
}

// newID returns an id that nothing else on the server has, of whatever kind.
func (s *Server) newID() uint32 {
	s.lastID++
	return s.lastID
}

// client is what somebody brings into a group.
type client struct {
	suite    mls.Suite
	identity []byte
	signer   crypto.Signer
}

// joining is a KeyPackage that waits for a Welcome.
type joining struct {
	client
	keyPackage *mls.KeyPackage
	keys       *mls.KeyPackageKeys
	psks       map[string][]byte
}

// signatory is an external sender.
type signatory struct{ client }

// Name returns the implementation's name.
func (s *Server) Name(context.Context, *mlsclient.NameRequest) (*mlsclient.NameResponse, error) {
	return &mlsclient.NameResponse{Name: s.name}, nil
}

// SupportedCiphersuites returns [Suites].
func (s *Server) SupportedCiphersuites(context.Context, *mlsclient.SupportedCiphersuitesRequest) (*mlsclient.SupportedCiphersuitesResponse, error) {
	resp := &mlsclient.SupportedCiphersuitesResponse{}
	for _, id := range Suites {
		resp.Ciphersuites = append(resp.Ciphersuites, uint32(id))
	}
	return resp, nil
}

// Free forgets a state.
func (s *Server) Free(_ context.Context, req *mlsclient.FreeRequest) (*mlsclient.FreeResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := take(s.members, req.StateId)
	if err != nil {
		return nil, err
	}
	m.forget()
	return &mlsclient.FreeResponse{}, nil
}

// find returns what a table has under an id.
func find[T any](table map[uint32]*T, id uint32) (*T, error) {
	if v, ok := table[id]; ok {
		return v, nil
	}
	return nil, status.Errorf(codes.NotFound, "no %T with id %d", (*T)(nil), id)
}

// take is find for what can be used once.
func take[T any](table map[uint32]*T, id uint32) (*T, error) {
	v, err := find(table, id)
	delete(table, id)
	return v, err
}

// refused turns an error of the engine into one of gRPC.
func refused(what string, err error) error {
	return status.Error(codes.InvalidArgument, fmt.Sprintf("%s: %v", what, err))
}
