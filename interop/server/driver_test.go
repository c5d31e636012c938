package server

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/marmotgo/marmot/interop/mlsclient"
	"github.com/marmotgo/marmot/mls"
)

// dial starts a server in this process and returns a client of it.
func dial(t testing.TB) mlsclient.MLSClientClient {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	g := grpc.NewServer()
	mlsclient.RegisterMLSClientServer(g, New("test", time.Now))
	go func() { _ = g.Serve(listener) }()
	t.Cleanup(g.Stop)
	conn, err := grpc.NewClient("passthrough:///memory", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return listener.Dial() }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return mlsclient.NewMLSClientClient(conn)
}

// play is one scenario: a group whose members live on several servers.
type play struct {
	t       testing.TB
	suite   mls.Suite
	private bool
	servers []mlsclient.MLSClientClient
	actors  map[string]*actor
	members []string // in the group, in the order in which they came
}

// actor is somebody with a name, on one server.
type actor struct {
	name        string
	rpc         mlsclient.MLSClientClient
	state       uint32
	transaction uint32
}

func ctx() context.Context { return context.Background() }

func must[T any](v T, err error) func(t testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// who returns the actor of a name. The first comes to the first server, the
// second to the second, and so on around.
func (p *play) who(name string) *actor {
	if p.actors[name] == nil {
		p.actors[name] = &actor{name: name, rpc: p.servers[len(p.actors)%len(p.servers)]}
	}
	return p.actors[name]
}

// create starts a group and adds members by a first commit.
func (p *play) create(creator string, members ...string) {
	p.t.Helper()
	a := p.who(creator)
	a.state = must(a.rpc.CreateGroup(ctx(), &mlsclient.CreateGroupRequest{GroupId: []byte("group of " + creator),
		CipherSuite: uint32(p.suite), EncryptHandshake: p.private, Identity: []byte(creator)}))(p.t).StateId
	p.members = []string{creator}
	if len(members) == 0 {
		return
	}
	var adds []*mlsclient.ProposalDescription
	for _, m := range members {
		adds = append(adds, describeAdd(p.keyPackage(m)))
	}
	p.commit(creator, commit{byValue: adds, joiners: members})
}

func (p *play) keyPackage(name string) []byte {
	p.t.Helper()
	a := p.who(name)
	k := must(a.rpc.CreateKeyPackage(ctx(), &mlsclient.CreateKeyPackageRequest{CipherSuite: uint32(p.suite), Identity: []byte(name)}))(p.t)
	if len(k.InitPriv) == 0 || len(k.EncryptionPriv) == 0 || len(k.SignaturePriv) == 0 || bytes.Equal(k.InitPriv, k.EncryptionPriv) {
		p.t.Error("a private key is missing")
	}
	a.transaction = k.TransactionId
	return k.KeyPackage
}

func describeAdd(keyPackage []byte) *mlsclient.ProposalDescription {
	return &mlsclient.ProposalDescription{ProposalType: []byte("add"), KeyPackage: keyPackage}
}

func describeRemove(name string) *mlsclient.ProposalDescription {
	return &mlsclient.ProposalDescription{ProposalType: []byte("remove"), RemovedId: []byte(name)}
}

// proposed unwraps the answer to a request for a proposal.
func (p *play) proposed(r *mlsclient.ProposalResponse, err error) []byte {
	p.t.Helper()
	return must(r, err)(p.t).Proposal
}

func (p *play) proposeAdd(by string, keyPackage []byte) []byte {
	p.t.Helper()
	return p.proposed(p.who(by).rpc.AddProposal(ctx(), &mlsclient.AddProposalRequest{StateId: p.who(by).state, KeyPackage: keyPackage}))
}

func (p *play) proposeUpdate(by string) []byte {
	p.t.Helper()
	return p.proposed(p.who(by).rpc.UpdateProposal(ctx(), &mlsclient.UpdateProposalRequest{StateId: p.who(by).state}))
}

func (p *play) proposeRemove(by, whom string) []byte {
	p.t.Helper()
	return p.proposed(p.who(by).rpc.RemoveProposal(ctx(), &mlsclient.RemoveProposalRequest{StateId: p.who(by).state, RemovedId: []byte(whom)}))
}

func (p *play) proposeExternalPSK(by string, id []byte) []byte {
	p.t.Helper()
	return p.proposed(p.who(by).rpc.ExternalPSKProposal(ctx(), &mlsclient.ExternalPSKProposalRequest{StateId: p.who(by).state, PskId: id}))
}

func (p *play) proposeResumptionPSK(by string, epoch uint64) []byte {
	p.t.Helper()
	return p.proposed(p.who(by).rpc.ResumptionPSKProposal(ctx(), &mlsclient.ResumptionPSKProposalRequest{StateId: p.who(by).state, EpochId: epoch}))
}

func (p *play) proposeExtensions(by string, e ...*mlsclient.Extension) []byte {
	p.t.Helper()
	return p.proposed(p.who(by).rpc.GroupContextExtensionsProposal(ctx(),
		&mlsclient.GroupContextExtensionsProposalRequest{StateId: p.who(by).state, Extensions: e}))
}

// storePSK gives an external PSK to actors and returns its id.
func (p *play) storePSK(name string, to ...string) []byte {
	p.t.Helper()
	for _, n := range to {
		a := p.who(n)
		id := a.state
		if id == 0 {
			id = a.transaction
		}
		must(a.rpc.StorePSK(ctx(), &mlsclient.StorePSKRequest{StateOrTransactionId: id, PskId: []byte(name), PskSecret: []byte("secret of " + name)}))(p.t)
	}
	return []byte(name)
}

// commit is what a commit consists of, and who comes and goes by it.
type commit struct {
	byReference [][]byte
	byValue     []*mlsclient.ProposalDescription
	joiners     []string
	leavers     []string
	path        bool
	tree        bool // beside the Welcome
}

// commit lets everybody follow a commit and compares where they come to.
func (p *play) commit(by string, c commit) {
	p.t.Helper()
	a := p.who(by)
	r := must(a.rpc.Commit(ctx(), &mlsclient.CommitRequest{StateId: a.state, ByReference: c.byReference, ByValue: c.byValue,
		ForcePath: c.path, ExternalTree: c.tree}))(p.t)
	if c.tree != (len(r.RatchetTree) > 0) {
		p.t.Errorf("a tree of %d bytes", len(r.RatchetTree))
	}
	handled := must(a.rpc.HandlePendingCommit(ctx(), &mlsclient.HandlePendingCommitRequest{StateId: a.state}))(p.t)
	a.state = handled.StateId
	p.members = slices.DeleteFunc(p.members, func(m string) bool { return slices.Contains(c.leavers, m) })
	p.follow(by, r.Commit, c.byReference, handled.EpochAuthenticator)
	for _, name := range c.joiners {
		j := p.who(name)
		joined := must(j.rpc.JoinGroup(ctx(), &mlsclient.JoinGroupRequest{TransactionId: j.transaction, Welcome: r.Welcome,
			EncryptHandshake: p.private, Identity: []byte(name), RatchetTree: r.RatchetTree}))(p.t)
		p.enter(j, joined.StateId, joined.EpochAuthenticator, handled.EpochAuthenticator)
	}
	p.members = append(p.members, c.joiners...)
	p.agree()
}

// follow lets all members but one process a commit.
func (p *play) follow(but string, message []byte, proposals [][]byte, authenticator []byte) {
	p.t.Helper()
	for _, name := range p.members {
		if name == but {
			continue
		}
		m := p.who(name)
		h := must(m.rpc.HandleCommit(ctx(), &mlsclient.HandleCommitRequest{StateId: m.state, Proposal: proposals, Commit: message}))(p.t)
		p.enter(m, h.StateId, h.EpochAuthenticator, authenticator)
	}
}

func (p *play) enter(a *actor, state uint32, authenticator, want []byte) {
	p.t.Helper()
	if !bytes.Equal(authenticator, want) {
		p.t.Fatalf("%s has another epoch authenticator", a.name)
	}
	a.state = state
}

// agree compares what all members export.
func (p *play) agree() {
	p.t.Helper()
	var want []byte
	for i, name := range p.members {
		a := p.who(name)
		secret := must(a.rpc.Export(ctx(), &mlsclient.ExportRequest{StateId: a.state, Label: "label", Context: []byte("context"), KeyLength: 40}))(p.t).ExportedSecret
		if i == 0 {
			want = secret
		}
		if len(secret) != 40 || !bytes.Equal(secret, want) {
			p.t.Fatalf("%s exports something else", name)
		}
	}
}

// externalJoin lets somebody in by the GroupInfo of adder.
func (p *play) externalJoin(adder, joiner string, removePrior, tree bool, psks ...string) {
	p.t.Helper()
	a, j := p.who(adder), p.who(joiner)
	info := must(a.rpc.GroupInfo(ctx(), &mlsclient.GroupInfoRequest{StateId: a.state, ExternalTree: tree}))(p.t)
	req := &mlsclient.ExternalJoinRequest{GroupInfo: info.GroupInfo, RatchetTree: info.RatchetTree, EncryptHandshake: p.private,
		Identity: []byte(joiner), RemovePrior: removePrior}
	for _, name := range psks {
		req.Psks = append(req.Psks, &mlsclient.PreSharedKey{PskId: []byte(name), PskSecret: []byte("secret of " + name)})
	}
	r := must(j.rpc.ExternalJoin(ctx(), req))(p.t)
	p.members = slices.DeleteFunc(p.members, func(m string) bool { return m == joiner })
	p.follow(joiner, r.Commit, nil, r.EpochAuthenticator)
	j.state = r.StateId
	p.members = append(p.members, joiner)
	p.agree()
}

// talk lets one member send and all others read.
func (p *play) talk(from string) {
	p.t.Helper()
	sealed := p.protect(from, "hello from "+from)
	for _, to := range p.members {
		if to != from {
			p.unprotect(to, sealed)
		}
	}
}

type sealedMessage struct{ ciphertext, text []byte }

func (p *play) protect(from, text string) sealedMessage {
	p.t.Helper()
	a := p.who(from)
	r := must(a.rpc.Protect(ctx(), &mlsclient.ProtectRequest{StateId: a.state, Plaintext: []byte(text), AuthenticatedData: []byte("about " + text)}))(p.t)
	return sealedMessage{r.Ciphertext, []byte(text)}
}

func (p *play) unprotect(to string, m sealedMessage) {
	p.t.Helper()
	a := p.who(to)
	r := must(a.rpc.Unprotect(ctx(), &mlsclient.UnprotectRequest{StateId: a.state, Ciphertext: m.ciphertext}))(p.t)
	if !bytes.Equal(r.Plaintext, m.text) || string(r.AuthenticatedData) != "about "+string(m.text) {
		p.t.Errorf("%s reads %q about %q", to, r.Plaintext, r.AuthenticatedData)
	}
}

// eachWay runs a scenario with every suite, and with public and private
// handshakes.
func eachWay(t *testing.T, f func(p *play)) {
	servers := []mlsclient.MLSClientClient{dial(t), dial(t)}
	for _, suite := range Suites {
		for _, private := range []bool{false, true} {
			t.Run(fmt.Sprintf("suite %d, private %t", suite, private), func(t *testing.T) {
				f(&play{t: t, suite: suite, private: private, servers: servers, actors: map[string]*actor{}})
			})
		}
	}
}
