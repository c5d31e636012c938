package mls

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
)

// records are the saved form of a group.
type records struct{ state, secrets, ratchets []byte }

func save(g *Group) records {
	return records{g.AppendState(nil), g.AppendSecrets(nil), g.AppendRatchets(nil)}
}

func (r records) equal(o records) bool {
	return bytes.Equal(r.state, o.state) && bytes.Equal(r.secrets, o.secrets) && bytes.Equal(r.ratchets, o.ratchets)
}

func (r records) load(t testing.TB) *Group {
	t.Helper()
	return must(testSuites.DecodeState(r.state, r.secrets, r.ratchets))(t)
}

// unchanged runs f, which must fail with want, and checks that g is as before.
func unchanged(t *testing.T, g *Group, want error, f func() error) {
	t.Helper()
	before := save(g)
	if err := f(); !errors.Is(err, want) {
		t.Fatalf("got %v, want %v", err, want)
	}
	if !before.equal(save(g)) {
		t.Fatalf("a call that failed with %v changed the group", want)
	}
}

func unprotect(g *Group, m *Message) func() error {
	return func() error { _, err := g.Unprotect(m); return err }
}

func TestMessageOrder(t *testing.T) {
	members := newTesters(t, testSuite, 3)
	a, b := members[0], members[1]
	var sent []*Message
	for range 103 {
		sent = append(sent, a.send("m"))
	}
	b.reads(sent[102], "m")
	b.group = reload2(t, b.group)
	b.reads(sent[5], "m")
	unchanged(t, b.group, ErrConsumed, unprotect(b.group, sent[5]))
	unchanged(t, b.group, ErrConsumed, unprotect(b.group, sent[102]))
	b.group = reload2(t, b.group)
	unchanged(t, b.group, ErrConsumed, unprotect(b.group, sent[5]))
	unchanged(t, b.group, ErrTooOld, unprotect(b.group, sent[2]))
	b.reads(sent[3], "m") // next is 103, so this is the oldest that is kept
	// The next generation that b expects is 103; 1103 is 1000 ahead.
	for range 1000 {
		a.send("skipped")
	}
	at, beyond := a.send("at the limit"), a.send("beyond")
	unchanged(t, members[2].group, ErrTooFarAhead, unprotect(members[2].group, at))
	unchanged(t, b.group, ErrTooFarAhead, unprotect(b.group, beyond))
	b.reads(at, "at the limit")
	b.reads(beyond, "beyond")
}

func reload2(t testing.TB, g *Group) *Group {
	t.Helper()
	before := save(g)
	g = before.load(t)
	if !before.equal(save(g)) {
		t.Fatal("a group read back is saved differently")
	}
	return g
}

func TestFailuresChangeNothing(t *testing.T) {
	members := newTesters(t, testSuite, 4)
	a, b := members[0], members[1]
	good := must(a.group.Protect(a.signer, []byte("hello"), []byte("aad")))(t)
	for i := range good.Message {
		broken := bytes.Clone(good.Message)
		broken[i] ^= 1
		m, err := testSuites.DecodeMessage(broken)
		if err != nil {
			continue
		}
		before := save(b.group)
		if _, err := b.group.Unprotect(m); err == nil {
			t.Fatalf("byte %d can be changed", i)
		}
		if !before.equal(save(b.group)) {
			t.Fatalf("byte %d: a message that does not open changed the group", i)
		}
	}
	b.reads(decode(t, good.Message), "hello")

	staged := a.commit(CommitConfig{Path: PathAlways})
	before := save(b.group)
	for i := range staged.Message {
		broken := bytes.Clone(staged.Message)
		broken[i] ^= 1
		m, err := testSuites.DecodeMessage(broken)
		if err != nil {
			continue
		}
		if _, err := b.group.Verify(m); err == nil {
			t.Fatalf("byte %d of a commit can be changed", i)
		}
	}
	if !before.equal(save(b.group)) {
		t.Fatal("a commit that does not verify changed the group")
	}
	// A committer who confirms what nobody else computes.
	v := b.verifyCommit(staged.Message)
	v.content.confirmationTag[31] ^= 1
	if _, err := b.group.Apply(v, ApplyInput{}); !errors.Is(err, ErrConfirmation) {
		t.Fatalf("wrong confirmation tag: %v", err)
	}
	if !before.equal(save(b.group)) {
		t.Fatal("a commit that does not apply changed the group")
	}
	b.group = must(b.apply(staged.Message))(t)
	same(t, "tag", b.group.ConfirmationTag(), staged.Next.ConfirmationTag())
}

func TestErase(t *testing.T) {
	members := newTesters(t, testSuite, 3)
	a, b := members[0], members[1]
	message := a.send("early")
	staged := a.commit(CommitConfig{Path: PathAlways})
	commit := b.verifyCommit(staged.Message)
	next := must(b.group.Apply(commit, ApplyInput{}))(t)
	full := save(b.group)

	checks := map[Use]func(g *Group) error{
		UseAdvance: func(g *Group) error {
			_, err := g.Apply(commit, ApplyInput{})
			_, err2 := g.Verify(decode(t, staged.Message))
			_, err3 := g.Commit(b.signer, CommitConfig{})
			return errors.Join(err, err2, err3)
		},
		UseMessages: func(g *Group) error {
			_, err := g.Unprotect(message)
			_, err2 := g.Protect(b.signer, nil, nil)
			return errors.Join(err, err2)
		},
		UseExports: func(g *Group) error {
			_, err := g.Export("x", nil, 32)
			_, err2 := g.EpochAuthenticator()
			_, err3 := g.ExportComponent(7)
			_, _, err4 := g.ResumptionPSK(ResumptionApplication)
			return errors.Join(err, err2, err3, err4)
		},
	}
	for use := Use(1); use <= UseAll; use++ {
		g := full.load(t)
		g.Erase(use)
		g.Erase(use)
		for _, g := range []*Group{g, reload2(t, g)} {
			for one, check := range checks {
				err := check(g)
				switch {
				case use&one == 0 && err != nil:
					t.Fatalf("erased %b: use %b gives %v", use, one, err)
				case use&one != 0 && !errors.Is(err, ErrErased):
					t.Fatalf("erased %b: use %b gives %v", use, one, err)
				}
				if use&one != 0 {
					for _, e := range err.(interface{ Unwrap() []error }).Unwrap() {
						if !errors.Is(e, ErrErased) {
							t.Fatalf("erased %b: use %b gives %v", use, one, e)
						}
					}
				}
			}
		}
	}
	// Erased groups still carry deltas, and their children are not affected.
	b.group.Erase(UseAll)
	restored := must(testSuites.DecodeState(b.group.AppendState(nil), b.group.AppendSecrets(nil), b.group.AppendRatchets(nil)))(t)
	delta := must(next.AppendDelta(nil, b.group))(t)
	saved := save(next)
	b.group = must(restored.DecodeDelta(delta, saved.secrets, saved.ratchets))(t)
	if !saved.equal(save(b.group)) {
		t.Fatal("child of an erased group came back differently")
	}
	a.group = staged.Next
	members[2].group = must(members[2].apply(staged.Message))(t)
	advance(t, members, 1, CommitConfig{Path: PathAlways})
}

func TestExportComponentOnce(t *testing.T) {
	members := newTesters(t, testSuite, 2)
	a, b := members[0].group, members[1].group
	for _, id := range []ComponentID{0, 0x8001, 0xffff, 0x8000} {
		same(t, "component secret", must(a.ExportComponent(id))(t), must(b.ExportComponent(id))(t))
		unchanged(t, a, ErrConsumed, func() error { _, err := a.ExportComponent(id); return err })
		a = reload2(t, a)
		unchanged(t, a, ErrConsumed, func() error { _, err := a.ExportComponent(id); return err })
	}
}

func TestProtectAfterRestart(t *testing.T) {
	members := newTesters(t, testSuite, 2)
	c := members[0]
	for want := range uint32(5) {
		sealed := must(c.group.Protect(c.signer, []byte("x"), nil))(t)
		if sealed.Generation != want {
			t.Fatalf("generation %d, want %d", sealed.Generation, want)
		}
		c.group = reload2(t, c.group)
	}
}

// TestRestarts lets a group live through random events while every member is
// saved and read back at random moments.
func TestRestarts(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	members := newTesters(t, testSuite, 6)
	for round := range 40 {
		from := r.IntN(len(members))
		cfg := CommitConfig{}
		var welcome *tester
		kind := r.IntN(4)
		switch {
		case kind == 0 && len(members) < 12:
			welcome = newTester(t, testSuite, "new")
			cfg.Proposals = []Proposal{Add{KeyPackage: welcome.kp}}
			cfg.Path = PathMode(r.IntN(2))
		case kind == 1 && len(members) > 3:
			victim := (from + 1 + r.IntN(len(members)-1)) % len(members)
			cfg.Proposals = []Proposal{Remove{Removed: members[victim].group.Self()}}
			members = append(members[:victim], members[victim+1:]...)
			if victim < from {
				from--
			}
		case kind == 2:
			cfg.Proposals = []Proposal{AppDataUpdate{Component: 0x8001, Data: []byte{byte(round)}}}
		default:
			cfg.Path = PathAlways
		}
		parents := make([]*Group, len(members))
		for i, c := range members {
			parents[i] = c.group
		}
		staged := advance(t, members, from, cfg)
		for i, c := range members {
			c.group = reload(t, parents[i], c.group)
		}
		if welcome != nil {
			welcome.join(staged.Welcome)
			members = append(members, welcome)
		}
		agree(t, members)
		m := members[from].send("round")
		for i, c := range members {
			if i != from {
				c.reads(m, "round")
			}
			c.group = reload2(t, c.group)
		}
	}
}

func TestSavedStateChecks(t *testing.T) {
	members := newTesters(t, testSuite, 3)
	g := members[0].group
	r := save(g)
	staged := members[0].commit(CommitConfig{Path: PathAlways})
	other := save(staged.Next)
	for name, bad := range map[string]records{
		"secrets of another epoch":  {r.state, other.secrets, r.ratchets},
		"ratchets of another epoch": {r.state, r.secrets, other.ratchets},
	} {
		if _, err := DecodeState(bad.state, bad.secrets, bad.ratchets); !errors.Is(err, ErrSavedState) {
			t.Fatalf("%s: %v", name, err)
		}
	}
	for name, record := range map[string][]byte{"state": r.state, "secrets": r.secrets, "ratchets": r.ratchets} {
		for n := range record {
			cut := r
			switch name {
			case "state":
				cut.state = record[:n]
			case "secrets":
				cut.secrets = record[:n]
			case "ratchets":
				cut.ratchets = record[:n]
			}
			if _, err := DecodeState(cut.state, cut.secrets, cut.ratchets); err == nil && (name == "state" || n > 0) {
				t.Fatalf("%s cut to %d bytes was read", name, n)
			}
		}
	}
	delta := must(staged.Next.AppendDelta(nil, g))(t)
	if _, err := staged.Next.DecodeDelta(delta, nil, nil); !errors.Is(err, ErrSavedState) {
		t.Fatalf("delta on another parent: %v", err)
	}
	if _, err := g.AppendDelta(nil, staged.Next); !errors.Is(err, ErrInvalidConfig) {
		t.Fatalf("delta to a child: %v", err)
	}
	for n := range delta {
		if _, err := g.DecodeDelta(delta[:n], nil, nil); err == nil {
			t.Fatalf("delta cut to %d bytes was read", n)
		}
	}
}

// TestUsedKeysAreForgotten looks for what could decrypt a message in all that
// is left once it was read or sent.
func TestUsedKeysAreForgotten(t *testing.T) {
	members := newTesters(t, testSuite, 5)
	a, b := members[1], members[3]
	s := a.group.suite
	root := bytes.Clone(b.group.messages.frontier.nodes[0].value)
	for generation := range uint32(3) {
		l, _, err := b.group.messages.sender(s, a.group.Self())
		if err != nil {
			t.Fatal(err)
		}
		key := must(l.application.key(s, generation, b.group.limits))(t)
		ratchetSecret := bytes.Clone(l.application.secret)
		b.reads(a.send("x"), "x")
		for who, c := range map[string]*tester{"receiver": b, "sender": a} {
			r := save(c.group)
			left := append(append(r.state, r.secrets...), r.ratchets...)
			for what, gone := range map[string][]byte{"root": root, "key": key.key[:16], "ratchet": ratchetSecret} {
				if bytes.Contains(left, gone) {
					t.Fatalf("generation %d: the %s still has the %s", generation, who, what)
				}
			}
		}
	}
}

func TestPadding(t *testing.T) {
	members := newTesters(t, testSuite, 3)
	a, b := members[0], members[1]
	sizes := map[int]bool{}
	for _, text := range []string{"", "x", "hello"} {
		sealed := must(a.group.ProtectPadded(a.signer, []byte(text), nil, 100-len(text)))(t)
		sizes[len(sealed.Message)] = true
		b.reads(decode(t, sealed.Message), text)
	}
	if len(sizes) != 1 {
		t.Errorf("padded messages of %d sizes", len(sizes))
	}
	short := must(a.group.Propose(a.signer, Remove{Removed: 2}, FrameConfig{Private: true}))(t)
	long := must(a.group.Propose(a.signer, Remove{Removed: 2}, FrameConfig{Private: true, Padding: 256}))(t)
	if len(long) != len(short)+256+1 && len(long) != len(short)+256 {
		t.Errorf("padded proposal of %d bytes, unpadded %d", len(long), len(short))
	}
	b.verifyProposal(long)
	staged := a.commit(CommitConfig{Path: PathAlways, Private: true, Padding: 1000})
	same(t, "tag", must(b.apply(staged.Message))(t).ConfirmationTag(), staged.Next.ConfirmationTag())
	for _, n := range []int{-1, maxMessageBytes, 1 << 62} {
		unchanged(t, a.group, ErrInvalidConfig, func() error { _, err := a.group.ProtectPadded(a.signer, nil, nil, n); return err })
	}
}
