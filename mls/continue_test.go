package mls

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
)

// in returns a client of the same user for a continuation, with a new key.
func (c *tester) in(id Suite) *tester {
	c.t.Helper()
	return newTester(c.t, id, string(c.group.selfLeaf().Credential.Identity))
}

func (c *tester) continueConfig(others ...*tester) ContinueConfig {
	cfg := ContinueConfig{Credential: c.kp.Leaf.Credential, Capabilities: c.kp.Leaf.Capabilities, Lifetime: testLifetime, Now: testTime}
	for _, o := range others {
		cfg.Members = append(cfg.Members, o.kp)
	}
	return cfg
}

func (c *tester) joinContinuation(welcome []byte, old *Group) error {
	c.t.Helper()
	w, _ := decode(c.t, welcome).Welcome()
	j, err := Join(w, c.kp, c.keys, JoinConfig{Now: testTime, Signer: c.signer, Continues: old, Config: testSuites})
	if err == nil {
		c.group = j.Group
	}
	return err
}

// reinitialized returns members whose group was ended by a ReInit.
func reinitialized(t *testing.T, id Suite, n int, to ReInit) []*tester {
	t.Helper()
	members := newTesters(t, id, n)
	ref := members[1].propose(to)
	staged := members[0].commit(CommitConfig{References: []*VerifiedProposal{members[0].verifyProposal(ref)}})
	for _, c := range members[1:] {
		c.group = must(c.apply(staged.Message, c.verifyProposal(ref)))(t)
	}
	members[0].group = staged.Next
	return members
}

func TestReInit(t *testing.T) {
	for i, s := range allSuites() {
		t.Run(fmt.Sprintf("suite %d", s.id), func(t *testing.T) {
			to := ReInit{GroupID: []byte("next"), Version: 1, Suite: allSuites()[(i+1)%len(allSuites())].id, Extensions: testExtensions()}
			old := reinitialized(t, s.id, 4, to)
			next := make([]*tester, len(old))
			for i, c := range old {
				next[i] = c.in(to.Suite)
			}
			welcomer := next[2]
			cfg := welcomer.continueConfig(next[0], next[1], next[3])
			cfg.Path = PathMode(i % 2)
			staged := must(old[2].group.Reinitialize(welcomer.signer, cfg))(t)
			if staged.Message != nil {
				t.Error("a commit for nobody")
			}
			welcomer.group = staged.Next
			for i, c := range next {
				if c != welcomer {
					if err := c.joinContinuation(staged.Welcome, old[i].group); err != nil {
						t.Fatal(err)
					}
				}
			}
			agree(t, next)
			if g := next[0].group; g.Epoch() != 1 || string(g.ID()) != "next" || g.Suite() != to.Suite {
				t.Errorf("group %s, epoch %d, suite %d", g.ID(), g.Epoch(), g.Suite())
			}
			next[1].reads(welcomer.send("hello"), "hello")
			advance(t, next, 1, CommitConfig{})
		})
	}
}

// After a ReInit nothing is sent in the group and no commit applied, also
// after a restart; what was sent before can still be read.
func TestReInitEndsTheGroup(t *testing.T) {
	members := newTesters(t, testSuite, 3)
	to := ReInit{GroupID: []byte("next"), Version: 1, Suite: testSuite}
	if _, err := members[0].group.Reinitialize(members[0].signer, ContinueConfig{}); !errors.Is(err, ErrInvalidContinuation) {
		t.Errorf("without a ReInit: %v", err)
	}
	if _, err := members[0].group.Commit(members[0].signer, CommitConfig{Proposals: []Proposal{to, AppEphemeral{}}}); !errors.Is(err, ErrInvalidProposals) {
		t.Errorf("ReInit beside another proposal: %v", err)
	}
	parent := members[1].group
	advance(t, members, 0, CommitConfig{Proposals: []Proposal{to}})

	// A member that does not keep to it: the same epoch, as if it went on.
	rogue := *members[2].group
	rogue.reInit = nil
	commit := must(rogue.Commit(members[2].signer, CommitConfig{}))(t)
	message := must(rogue.Protect(members[2].signer, []byte("late"), nil))(t)

	g := members[1].group
	state := must(DecodeState(g.AppendState(nil), g.AppendSecrets(nil), g.AppendRatchets(nil)))(t)
	delta := must(parent.DecodeDelta(must(g.AppendDelta(nil, parent))(t), g.AppendSecrets(nil), g.AppendRatchets(nil)))(t)
	for name, g := range map[string]*Group{"live": g, "state": state, "delta": delta} {
		t.Run(name, func(t *testing.T) {
			if r, ended := g.ReInit(); !ended || string(r.GroupID) != "next" || r.Suite != testSuite {
				t.Errorf("ReInit is %v, %t", r, ended)
			}
			signer := members[1].signer
			_, err1 := g.Commit(signer, CommitConfig{})
			_, err2 := g.Propose(signer, AppEphemeral{}, FrameConfig{})
			_, err3 := g.Protect(signer, nil, nil)
			_, err4 := g.Info(signer, InfoConfig{ExternalPub: true})
			_, _, err5 := g.NewUpdate(signer, nil)
			_, err6 := g.Branch(signer, nil, nil, members[1].continueConfig())
			v := must(g.Verify(decode(t, commit.Message)))(t).(*VerifiedCommit)
			_, err7 := g.Apply(v, ApplyInput{})
			for i, err := range []error{err1, err2, err3, err4, err5, err6, err7} {
				if !errors.Is(err, ErrReInitialized) {
					t.Errorf("operation %d: %v", i, err)
				}
			}
			if r, err := g.Unprotect(decode(t, message.Message)); err != nil || string(r.Plaintext) != "late" {
				t.Errorf("reading: %v", err)
			}
			if _, err := g.Reinitialize(signer, members[1].continueConfig()); !errors.Is(err, ErrInvalidContinuation) {
				t.Errorf("without the others: %v", err)
			}
		})
	}
	if _, ended := parent.ReInit(); ended {
		t.Error("the parent ended too")
	}
	future := *g
	future.reInit = &ReInit{GroupID: []byte("next"), Version: 2, Suite: testSuite}
	if _, err := future.Reinitialize(members[1].signer, members[1].continueConfig()); !errors.Is(err, ErrUnsupportedVersion) {
		t.Errorf("version 2: %v", err)
	}
}

func TestBranch(t *testing.T) {
	for i, s := range allSuites() {
		t.Run(fmt.Sprintf("suite %d", s.id), func(t *testing.T) {
			old := newTesters(t, s.id, 4)
			before := old[1].group.AppendState(nil)
			next := []*tester{old[1].in(s.id), old[3].in(s.id)}
			cfg := next[0].continueConfig(next[1])
			cfg.Path = PathMode(i % 2)
			staged := must(old[1].group.Branch(next[0].signer, nil, testExtensions(), cfg))(t)
			next[0].group = staged.Next
			if err := next[1].joinContinuation(staged.Welcome, old[3].group); err != nil {
				t.Fatal(err)
			}
			agree(t, next)
			if len(next[0].group.ID()) != 32 || next[0].group.Epoch() != 1 {
				t.Errorf("group id of %d bytes, epoch %d", len(next[0].group.ID()), next[0].group.Epoch())
			}
			if !bytes.Equal(before, old[1].group.AppendState(nil)) {
				t.Error("the old group changed")
			}
			advance(t, old, 1, CommitConfig{})
			advance(t, next, 1, CommitConfig{})
			agree(t, old)

			cfg.Members[0] = newTester(t, s.id, "stranger").kp
			if _, err := old[1].group.Branch(next[0].signer, nil, nil, cfg); !errors.Is(err, ErrInvalidContinuation) {
				t.Errorf("with a stranger: %v", err)
			}
			old[1].group.Erase(UseExports)
			if _, err := old[1].group.Branch(next[0].signer, nil, nil, cfg); !errors.Is(err, ErrErased) {
				t.Errorf("after erasure: %v", err)
			}
		})
	}
}

// Credentials of one user may differ between the groups.
func TestIdentify(t *testing.T) {
	old := newTesters(t, testSuite, 2)
	a, b := newTester(t, testSuite, "creator, renewed"), newTester(t, testSuite, "member, renewed")
	cfg := a.continueConfig(b)
	cfg.Identify = func(l *LeafNode) string {
		name, _, _ := bytes.Cut(l.Credential.Identity, []byte(","))
		return string(name)
	}
	staged := must(old[0].group.Branch(a.signer, nil, nil, cfg))(t)
	if err := b.joinContinuation(staged.Welcome, old[1].group); !errors.Is(err, ErrInvalidContinuation) {
		t.Errorf("by equality: %v", err)
	}
	w, _ := decode(t, staged.Welcome).Welcome()
	must(Join(w, b.kp, b.keys, JoinConfig{Continues: old[1].group, Identify: cfg.Identify}))(t)
}

// founder is a member who continues a group against the rules.
type founder struct {
	usage      ResumptionUsage
	suite      Suite
	groupID    string
	extensions Extensions
	others     []*tester
	epochs     int
	psk        func(id *PSKID)
}

// found returns the Welcome of a continuation of old.
func (f *founder) found(t *testing.T, old *Group, self *tester) []byte {
	t.Helper()
	id, psk, _ := old.ResumptionPSK(f.usage)
	g := must(Create(self.signer, GroupConfig{Suite: f.suite, GroupID: []byte(f.groupID), Credential: self.kp.Leaf.Credential,
		Capabilities: self.kp.Leaf.Capabilities, Lifetime: testLifetime, Extensions: f.extensions}))(t)
	for range f.epochs - 1 {
		g = must(g.Commit(self.signer, CommitConfig{}))(t).Next
	}
	if id.Nonce = randomBytes(g.suite.nh); f.psk != nil {
		f.psk(&id)
	}
	g.founding = id.Usage
	proposals := []Proposal{PreSharedKey{ID: id}}
	for _, c := range f.others {
		proposals = append(proposals, Add{KeyPackage: c.kp})
	}
	return must(g.Commit(self.signer, CommitConfig{Proposals: proposals, PSKs: map[string][]byte{id.Key(): psk}}))(t).Welcome
}

func TestContinuationViolations(t *testing.T) {
	const other = P256_AES128GCM_SHA256_P256
	to := ReInit{GroupID: []byte("next"), Version: 1, Suite: testSuite, Extensions: testExtensions()}
	ended := reinitialized(t, testSuite, 3, to)
	going := newTesters(t, testSuite, 3)
	type setup struct {
		f   founder
		old *Group // of the joiner
	}
	for name, tt := range map[string]struct {
		branch bool
		change func(s *setup)
		want   error
	}{
		"reinit":                              {false, func(*setup) {}, nil},
		"branch":                              {true, func(*setup) {}, nil},
		"branch with other extensions":        {true, func(s *setup) { s.f.extensions = nil }, nil},
		"branch without a member":             {true, func(s *setup) { s.f.others = s.f.others[:1] }, nil},
		"reinit, old group not given":         {false, func(s *setup) { s.old = nil }, ErrMissingPSK},
		"branch, old group not given":         {true, func(s *setup) { s.old = nil }, ErrMissingPSK},
		"reinit to another suite":             {false, func(s *setup) { s.f.suite = other }, ErrInvalidContinuation},
		"branch to another suite":             {true, func(s *setup) { s.f.suite = other }, ErrInvalidContinuation},
		"reinit to another group id":          {false, func(s *setup) { s.f.groupID = "elsewhere" }, ErrInvalidContinuation},
		"reinit to other extensions":          {false, func(s *setup) { s.f.extensions = nil }, ErrInvalidContinuation},
		"reinit to another version":           {false, func(s *setup) { g := *s.old; g.reInit = to.clone(); g.reInit.Version = 2; s.old = &g }, ErrInvalidContinuation},
		"branch to another version":           {true, func(s *setup) { g := *s.old; g.context.Version = 2; s.old = &g }, ErrInvalidContinuation},
		"reinit at epoch 2":                   {false, func(s *setup) { s.f.epochs = 2 }, ErrInvalidContinuation},
		"branch at epoch 2":                   {true, func(s *setup) { s.f.epochs = 2 }, ErrInvalidContinuation},
		"reinit without a member":             {false, func(s *setup) { s.f.others = s.f.others[:1] }, ErrInvalidContinuation},
		"reinit with a stranger more":         {false, func(s *setup) { s.f.others = append(s.f.others, newTester(t, s.f.suite, "stranger")) }, ErrInvalidContinuation},
		"reinit with a stranger for a member": {false, func(s *setup) { s.f.others[1] = newTester(t, s.f.suite, "stranger") }, ErrInvalidContinuation},
		"branch with a stranger":              {true, func(s *setup) { s.f.others[1] = newTester(t, s.f.suite, "stranger") }, ErrInvalidContinuation},
		"reinit with a member twice":          {false, func(s *setup) { s.f.others = append(s.f.others, newTester(t, s.f.suite, "member")) }, ErrInvalidContinuation},
		"reinit of a group that goes on":      {true, func(s *setup) { s.f.usage = ResumptionReInit }, ErrInvalidContinuation},
		"PSK of another epoch":                {false, func(s *setup) { s.f.psk = func(id *PSKID) { id.Epoch-- } }, ErrInvalidContinuation},
		"PSK of another group":                {true, func(s *setup) { s.f.psk = func(id *PSKID) { id.GroupID = []byte("x") } }, ErrInvalidContinuation},
		"PSK of another usage":                {false, func(s *setup) { s.f.psk = func(id *PSKID) { id.Usage = ResumptionApplication } }, ErrInvalidContinuation},
		"erased":                              {false, func(s *setup) { g := *s.old; g.secrets = &epochSecrets{}; s.old = &g }, ErrErased},
	} {
		t.Run(name, func(t *testing.T) {
			members, usage := ended, ResumptionReInit
			if tt.branch {
				members, usage = going, ResumptionBranch
			}
			s := setup{old: members[1].group, f: founder{usage: usage, suite: testSuite, groupID: "next", extensions: testExtensions(), epochs: 1,
				others: []*tester{nil, nil}}}
			tt.change(&s)
			// The members' KeyPackages are made for the suite it came to.
			for i := range s.f.others {
				if s.f.others[i] == nil {
					s.f.others[i] = members[i+1].in(s.f.suite)
				}
			}
			welcome := s.f.found(t, members[0].group, members[0].in(s.f.suite))
			if err := s.f.others[0].joinContinuation(welcome, s.old); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}

	// A Welcome of a group by itself does not pass for a continuation.
	alice, bob := newTester(t, testSuite, "creator").create(nil), newTester(t, testSuite, "member")
	staged := alice.commit(CommitConfig{Proposals: []Proposal{Add{KeyPackage: bob.kp}}})
	if err := bob.joinContinuation(staged.Welcome, going[1].group); !errors.Is(err, ErrInvalidContinuation) {
		t.Errorf("no continuation at all: %v", err)
	}
}
