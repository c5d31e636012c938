package server

import (
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/marmotgo/marmot/interop/mlsclient"
	"github.com/marmotgo/marmot/mls"
)

func TestName(t *testing.T) {
	c := dial(t)
	if name := must(c.Name(ctx(), &mlsclient.NameRequest{}))(t).Name; name != "test" {
		t.Errorf("name %q", name)
	}
	if n := len(must(c.SupportedCiphersuites(ctx(), &mlsclient.SupportedCiphersuitesRequest{}))(t).Ciphersuites); n != len(Suites) {
		t.Errorf("%d suites", n)
	}
}

// What a runner asks for wrongly is an error, and the state is as it was.
func TestRefusals(t *testing.T) {
	p := &play{t: t, suite: mls.X25519_AES128GCM_SHA256_Ed25519, servers: []mlsclient.MLSClientClient{dial(t)}, actors: map[string]*actor{}}
	p.create("alice", "bob")
	a, b := p.who("alice"), p.who("bob")
	junk, id := []byte("junk"), a.state
	kp := p.keyPackage("charlie")
	tx := p.who("charlie").transaction
	before := must(a.rpc.StateAuth(ctx(), &mlsclient.StateAuthRequest{StateId: id}))(t).StateAuthSecret
	call := func(name string, want codes.Code, err error) {
		t.Helper()
		if status.Code(err) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	check := func(name string, f func() error) { t.Helper(); call(name, codes.InvalidArgument, f()) }
	check("unknown suite", func() error {
		_, err := a.rpc.CreateGroup(ctx(), &mlsclient.CreateGroupRequest{CipherSuite: 0x7777})
		return err
	})
	check("key package of an unknown suite", func() error {
		_, err := a.rpc.CreateKeyPackage(ctx(), &mlsclient.CreateKeyPackageRequest{CipherSuite: 0x7777})
		return err
	})
	check("Welcome", func() error {
		_, err := a.rpc.JoinGroup(ctx(), &mlsclient.JoinGroupRequest{TransactionId: tx, Welcome: junk})
		return err
	})
	check("KeyPackage for a Welcome", func() error {
		_, err := a.rpc.JoinGroup(ctx(), &mlsclient.JoinGroupRequest{TransactionId: tx, Welcome: kp})
		return err
	})
	check("GroupInfo", func() error {
		_, err := a.rpc.ExternalJoin(ctx(), &mlsclient.ExternalJoinRequest{GroupInfo: junk})
		return err
	})
	check("ciphertext", func() error {
		_, err := a.rpc.Unprotect(ctx(), &mlsclient.UnprotectRequest{StateId: id, Ciphertext: junk})
		return err
	})
	check("export", func() error {
		_, err := a.rpc.Export(ctx(), &mlsclient.ExportRequest{StateId: id, KeyLength: 1 << 20})
		return err
	})
	check("Add", func() error {
		_, err := a.rpc.AddProposal(ctx(), &mlsclient.AddProposalRequest{StateId: id, KeyPackage: junk})
		return err
	})
	check("Remove", func() error {
		_, err := a.rpc.RemoveProposal(ctx(), &mlsclient.RemoveProposalRequest{StateId: id, RemovedId: junk})
		return err
	})
	check("external sender", func() error {
		_, err := a.rpc.AddExternalSigner(ctx(), &mlsclient.AddExternalSignerRequest{StateId: id, ExternalSender: junk})
		return err
	})
	check("proposal type", func() error {
		_, err := a.rpc.Commit(ctx(), &mlsclient.CommitRequest{StateId: id, ByValue: []*mlsclient.ProposalDescription{{ProposalType: junk}}})
		return err
	})
	check("proposal by reference", func() error {
		_, err := a.rpc.Commit(ctx(), &mlsclient.CommitRequest{StateId: id, ByReference: [][]byte{kp}})
		return err
	})
	check("unknown PSK", func() error {
		_, err := a.rpc.Commit(ctx(), &mlsclient.CommitRequest{StateId: id, ByReference: [][]byte{p.proposeExternalPSK("bob", junk)}})
		return err
	})
	check("commit", func() error {
		_, err := a.rpc.HandleCommit(ctx(), &mlsclient.HandleCommitRequest{StateId: id, Commit: p.proposeUpdate("bob")})
		return err
	})
	check("branch with junk", func() error {
		_, err := a.rpc.CreateBranch(ctx(), &mlsclient.CreateBranchRequest{StateId: id, KeyPackages: [][]byte{junk}})
		return err
	})
	check("branch with a stranger", func() error {
		_, err := a.rpc.CreateBranch(ctx(), &mlsclient.CreateBranchRequest{StateId: id, KeyPackages: [][]byte{kp}})
		return err
	})
	c := must(b.rpc.Commit(ctx(), &mlsclient.CommitRequest{StateId: b.state}))(t)
	check("own commit without ReInit", func() error {
		_, err := b.rpc.HandlePendingReInitCommit(ctx(), &mlsclient.HandlePendingCommitRequest{StateId: b.state})
		return err
	})
	check("another's commit without ReInit", func() error {
		_, err := a.rpc.HandleReInitCommit(ctx(), &mlsclient.HandleCommitRequest{StateId: id, Commit: c.Commit})
		return err
	})
	if after := must(a.rpc.StateAuth(ctx(), &mlsclient.StateAuthRequest{StateId: id}))(t).StateAuthSecret; string(after) != string(before) {
		t.Error("the state changed")
	}

	_, err := a.rpc.HandlePendingCommit(ctx(), &mlsclient.HandlePendingCommitRequest{StateId: id})
	call("nothing pending", codes.FailedPrecondition, err)
	must(a.rpc.Free(ctx(), &mlsclient.FreeRequest{StateId: id}))(t)
	_, err = a.rpc.Free(ctx(), &mlsclient.FreeRequest{StateId: id})
	call("freed twice", codes.NotFound, err)
	_, err = a.rpc.StateAuth(ctx(), &mlsclient.StateAuthRequest{StateId: id})
	call("freed", codes.NotFound, err)
	_, err = a.rpc.ReInitWelcome(ctx(), &mlsclient.ReInitWelcomeRequest{ReinitId: id})
	call("unknown reinit id", codes.NotFound, err)
	_, err = a.rpc.ExternalSignerProposal(ctx(), &mlsclient.ExternalSignerProposalRequest{SignerId: id})
	call("unknown signer", codes.NotFound, err)
}

// The private keys that CreateKeyPackage gives away are those of the
// KeyPackage.
func TestRawKeys(t *testing.T) {
	s := New("test", time.Now)
	for _, suite := range Suites {
		j, _, private, err := s.newTransaction(suite, []byte("alice"))
		if err != nil {
			t.Fatal(err)
		}
		if len(private.init) == 0 || len(private.init) != len(private.encryption) {
			t.Errorf("suite %d: keys of %d and %d bytes", suite, len(private.init), len(private.encryption))
		}
		if !j.keyPackage.Leaf.Credential.Equal(mls.BasicCredential([]byte("alice"))) {
			t.Error("another credential")
		}
	}
}
