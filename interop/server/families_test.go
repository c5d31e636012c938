package server

import (
	"bytes"
	"testing"

	"github.com/marmotgo/marmot/interop/mlsclient"
	"github.com/marmotgo/marmot/mls"
)

// The eight families of scenarios of the working group, in our own words; the
// eighth, deep random, is in random_test.go.

func TestWelcomeJoin(t *testing.T) {
	eachWay(t, func(p *play) {
		for i, c := range []commit{{}, {path: true}, {tree: true}, {path: true, tree: true}} {
			p.actors = map[string]*actor{}
			p.create("alice")
			add := p.proposeAdd("alice", p.keyPackage("bob"))
			psk := p.storePSK("psk", "alice", "bob")
			c.byReference, c.joiners = [][]byte{add}, []string{"bob"}
			if i%2 == 1 {
				c.byReference = append(c.byReference, p.proposeExternalPSK("alice", psk))
			}
			p.commit("alice", c)
			p.talk("bob")
			p.commit("bob", commit{})
		}
	})
}

func TestCommit(t *testing.T) {
	eachWay(t, func(p *play) {
		p.create("alice", "bob", "charlie")
		p.commit("bob", commit{})
		p.commit("alice", commit{byReference: [][]byte{p.proposeUpdate("bob"), p.proposeUpdate("charlie")}})
		p.commit("charlie", commit{byReference: [][]byte{p.proposeAdd("alice", p.keyPackage("dave")), p.proposeAdd("charlie", p.keyPackage("erin"))},
			byValue: []*mlsclient.ProposalDescription{describeAdd(p.keyPackage("frank"))}, joiners: []string{"dave", "erin", "frank"}})
		p.commit("frank", commit{path: true})
		p.commit("alice", commit{byReference: [][]byte{p.proposeRemove("bob", "dave"), p.proposeRemove("alice", "erin")},
			byValue: []*mlsclient.ProposalDescription{describeRemove("frank")}, leavers: []string{"dave", "erin", "frank"}})

		first, second, third := p.storePSK("1", p.members...), p.storePSK("2", p.members...), p.storePSK("3", p.members...)
		for _, path := range []bool{false, true} {
			p.commit("alice", commit{byReference: [][]byte{p.proposeExternalPSK("alice", first), p.proposeExternalPSK("bob", second)},
				byValue: []*mlsclient.ProposalDescription{{ProposalType: []byte("externalPSK"), PskId: third}}, path: path})
			p.commit("bob", commit{byReference: [][]byte{p.proposeResumptionPSK("alice", 1), p.proposeResumptionPSK("charlie", 2)},
				byValue: []*mlsclient.ProposalDescription{{ProposalType: []byte("resumptionPSK"), EpochId: 3}}, path: path})
		}

		required := &mlsclient.Extension{ExtensionType: uint32(mls.ExtRequiredCapabilities), ExtensionData: []byte{0, 0, 0}}
		senders := &mlsclient.Extension{ExtensionType: uint32(mls.ExtExternalSenders), ExtensionData: []byte{0}}
		p.commit("alice", commit{byReference: [][]byte{p.proposeExtensions("charlie", required, senders)}})
		p.commit("alice", commit{byReference: [][]byte{p.proposeExtensions("bob")}})
		p.commit("bob", commit{byValue: []*mlsclient.ProposalDescription{
			{ProposalType: []byte("groupContextExtensions"), Extensions: []*mlsclient.Extension{required}}}})

		p.commit("alice", commit{byReference: [][]byte{p.proposeUpdate("charlie"), p.proposeRemove("charlie", "bob"),
			p.proposeAdd("charlie", p.keyPackage("gina")), p.proposeExternalPSK("charlie", p.storePSK("4", "alice", "charlie", "gina")),
			p.proposeExtensions("charlie")}, leavers: []string{"bob"}, joiners: []string{"gina"}})
		p.talk("gina")
	})
}

func TestApplication(t *testing.T) {
	eachWay(t, func(p *play) {
		p.create("alice", "bob")
		one, two, three := p.protect("alice", "one"), p.protect("alice", "two"), p.protect("alice", "three")
		p.unprotect("bob", three)
		p.unprotect("bob", one)
		p.commit("alice", commit{})
		four, five := p.protect("alice", "four"), p.protect("alice", "")
		p.unprotect("bob", five)
		p.unprotect("bob", four)
		p.unprotect("bob", two)
		bob := p.who("bob")
		if _, err := bob.rpc.Unprotect(ctx(), &mlsclient.UnprotectRequest{StateId: bob.state, Ciphertext: two.ciphertext}); err == nil {
			p.t.Error("a message is read twice")
		}
	})
}

func TestExternalJoin(t *testing.T) {
	eachWay(t, func(p *play) {
		p.create("alice")
		p.externalJoin("alice", "bob", false, false)
		p.externalJoin("bob", "charlie", false, true)
		p.externalJoin("charlie", "bob", true, false)
		p.storePSK("psk", "alice", "bob", "charlie")
		p.externalJoin("bob", "dave", false, false, "psk")
		p.commit("dave", commit{})
		p.talk("dave")
	})
}

func TestExternalProposals(t *testing.T) {
	eachWay(t, func(p *play) {
		p.create("alice", "bob")
		a, newcomer := p.who("alice"), p.who("charlie")
		info := must(a.rpc.GroupInfo(ctx(), &mlsclient.GroupInfoRequest{StateId: a.state}))(p.t)
		asked := must(newcomer.rpc.NewMemberAddProposal(ctx(), &mlsclient.NewMemberAddProposalRequest{GroupInfo: info.GroupInfo, Identity: []byte("charlie")}))(p.t)
		newcomer.transaction = asked.TransactionId
		p.commit("alice", commit{byReference: [][]byte{asked.Proposal}, joiners: []string{"charlie"}})

		signers := []*externalSigner{p.newExternalSigner("ds1"), p.newExternalSigner("ds2")}
		for _, s := range signers {
			p.commit("bob", commit{byReference: [][]byte{p.proposed(a.rpc.AddExternalSigner(ctx(),
				&mlsclient.AddExternalSignerRequest{StateId: a.state, ExternalSender: s.sender}))}})
		}
		psk := p.storePSK("psk", "alice", "bob", "charlie")
		p.commit("alice", commit{byReference: [][]byte{p.external(signers[0], describeAdd(p.keyPackage("erin")))}, joiners: []string{"erin"}})
		p.commit("alice", commit{byReference: [][]byte{p.external(signers[1], describeRemove("bob"))}, leavers: []string{"bob"}})
		p.storePSK("psk", "erin")
		p.commit("charlie", commit{byReference: [][]byte{
			p.external(signers[0], &mlsclient.ProposalDescription{ProposalType: []byte("externalPSK"), PskId: psk}),
			p.external(signers[1], &mlsclient.ProposalDescription{ProposalType: []byte("resumptionPSK"), EpochId: 6})}})
		p.commit("erin", commit{byReference: [][]byte{p.external(signers[1], &mlsclient.ProposalDescription{
			ProposalType: []byte("groupContextExtensions")})}})
	})
}

type externalSigner struct {
	*actor
	id     uint32
	sender []byte
}

func (p *play) newExternalSigner(name string) *externalSigner {
	p.t.Helper()
	a := p.who(name)
	r := must(a.rpc.CreateExternalSigner(ctx(), &mlsclient.CreateExternalSignerRequest{CipherSuite: uint32(p.suite), Identity: []byte(name)}))(p.t)
	return &externalSigner{a, r.SignerId, r.ExternalSender}
}

func (p *play) external(s *externalSigner, d *mlsclient.ProposalDescription) []byte {
	p.t.Helper()
	a := p.who("alice")
	info := must(a.rpc.GroupInfo(ctx(), &mlsclient.GroupInfoRequest{StateId: a.state, ExternalTree: true}))(p.t)
	return p.proposed(s.rpc.ExternalSignerProposal(ctx(), &mlsclient.ExternalSignerProposalRequest{SignerId: s.id,
		GroupInfo: info.GroupInfo, RatchetTree: info.RatchetTree, Description: d}))
}

func TestReInit(t *testing.T) {
	for i, welcomer := range []string{"alice", "bob", "charlie"} {
		eachWay(t, func(p *play) {
			p.create("alice", "bob", "charlie")
			next := Suites[(int(p.suite)+i)%len(Suites)]
			alice := p.who("alice")
			var proposal []byte
			if i == 2 {
				ds := p.newExternalSigner("ds")
				p.commit("bob", commit{byReference: [][]byte{p.proposed(alice.rpc.AddExternalSigner(ctx(),
					&mlsclient.AddExternalSignerRequest{StateId: alice.state, ExternalSender: ds.sender}))}})
				proposal = p.external(ds, &mlsclient.ProposalDescription{ProposalType: []byte("reinit"), GroupId: []byte("next"), CipherSuite: uint32(next)})
			} else {
				proposal = p.proposed(alice.rpc.ReInitProposal(ctx(), &mlsclient.ReInitProposalRequest{StateId: alice.state, CipherSuite: uint32(next),
					GroupId: []byte("next")}))
			}
			p.reinit("bob", welcomer, proposal, i%2 == 1)
			p.suite = next
			p.talk("charlie")
			p.commit("alice", commit{path: true})
			p.commit("bob", commit{byValue: []*mlsclient.ProposalDescription{describeAdd(p.keyPackage("dave"))}, joiners: []string{"dave"}})
		})
	}
}

// reinit commits a ReInit and moves everybody to the new group.
func (p *play) reinit(committer, welcomer string, proposal []byte, both bool) {
	p.t.Helper()
	c := p.who(committer)
	r := must(c.rpc.ReInitCommit(ctx(), &mlsclient.CommitRequest{StateId: c.state, ByReference: [][]byte{proposal}}))(p.t)
	pending := must(c.rpc.HandlePendingReInitCommit(ctx(), &mlsclient.HandlePendingCommitRequest{StateId: c.state}))(p.t)
	answers := map[string]*mlsclient.HandleReInitCommitResponse{committer: pending}
	for _, name := range p.members {
		a := p.who(name)
		if name != committer {
			answers[name] = must(a.rpc.HandleReInitCommit(ctx(), &mlsclient.HandleCommitRequest{StateId: a.state, Proposal: [][]byte{proposal}, Commit: r.Commit}))(p.t)
		}
		if !bytes.Equal(answers[name].EpochAuthenticator, pending.EpochAuthenticator) {
			p.t.Fatalf("%s has another epoch authenticator", name)
		}
		if _, err := a.rpc.Protect(ctx(), &mlsclient.ProtectRequest{StateId: a.state}); err == nil {
			p.t.Errorf("%s talks in the old group", name)
		}
	}
	var keyPackages [][]byte
	for _, name := range p.members {
		if name != welcomer {
			keyPackages = append(keyPackages, answers[name].KeyPackage)
		}
	}
	w := p.who(welcomer)
	founded := must(w.rpc.ReInitWelcome(ctx(), &mlsclient.ReInitWelcomeRequest{ReinitId: answers[welcomer].ReinitId, KeyPackage: keyPackages,
		ForcePath: both, ExternalTree: both}))(p.t)
	for _, name := range p.members {
		a := p.who(name)
		if a == w {
			a.state = founded.StateId
			continue
		}
		j := must(a.rpc.HandleReInitWelcome(ctx(), &mlsclient.HandleReInitWelcomeRequest{ReinitId: answers[name].ReinitId,
			Welcome: founded.Welcome, RatchetTree: founded.RatchetTree}))(p.t)
		p.enter(a, j.StateId, j.EpochAuthenticator, founded.EpochAuthenticator)
	}
	p.agree()
}

func TestBranch(t *testing.T) {
	eachWay(t, func(p *play) {
		p.create("alice", "bob", "charlie", "dave")
		for i, both := range []bool{false, true} {
			old := []uint32{p.who("alice").state, p.who("bob").state, p.who("charlie").state}
			keyPackages := [][]byte{p.keyPackage("bob"), p.keyPackage("charlie")}
			alice := p.who("alice")
			founded := must(alice.rpc.CreateBranch(ctx(), &mlsclient.CreateBranchRequest{StateId: alice.state, GroupId: []byte{byte(i)},
				KeyPackages: keyPackages, ForcePath: both, ExternalTree: both,
				Extensions: []*mlsclient.Extension{{ExtensionType: uint32(mls.ExtExternalSenders), ExtensionData: []byte{0}}}}))(p.t)
			alice.state = founded.StateId
			for _, name := range []string{"bob", "charlie"} {
				a := p.who(name)
				j := must(a.rpc.HandleBranch(ctx(), &mlsclient.HandleBranchRequest{StateId: a.state, TransactionId: a.transaction,
					Welcome: founded.Welcome, RatchetTree: founded.RatchetTree}))(p.t)
				p.enter(a, j.StateId, j.EpochAuthenticator, founded.EpochAuthenticator)
			}
			all := p.members
			p.members = []string{"alice", "bob", "charlie"}
			p.agree()
			p.commit("bob", commit{})
			p.talk("charlie")
			// The old group goes on.
			p.who("alice").state, p.who("bob").state, p.who("charlie").state = old[0], old[1], old[2]
			p.members = all
			p.commit("dave", commit{})
			p.talk("alice")
		}
	})
}
