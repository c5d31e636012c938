package mls

import (
	"bytes"
	"errors"
	"slices"

	"pgregory.net/rapid"
)

// lateMessage is one that arrives after its epoch.
type lateMessage struct {
	message *Message
	sender  LeafIndex
	text    string
	epoch   []*Group // of readers, kept from the epoch in which it was sent
}

// deliver sends some messages, which everybody reads in an order of its own;
// read again they are refused and change nothing.
func (w *groupWorld) deliver(sender *tester) {
	texts := []string{"one", "two", "three", "four"}[:rapid.IntRange(1, 4).Draw(w.t, "messages")]
	var sent []*Message
	for _, text := range texts {
		sent = append(sent, sender.send(text))
	}
	order := rapid.Permutation(texts).Draw(w.t, "order")
	for i, c := range w.members {
		if c == sender {
			continue
		}
		if i%4 == 3 { // some restart between two messages
			c.group = save(c.group).load(w.tb)
		}
		for _, text := range order {
			m := sent[slices.Index(texts, text)]
			c.reads(m, text)
			w.refused(c.group, ErrConsumed, func() error { _, err := c.group.Unprotect(m); return err })
		}
	}
}

// refused runs a call that must fail and change nothing.
func (w *groupWorld) refused(g *Group, want error, call func() error) {
	before := save(g)
	err := call()
	if err == nil || want != nil && !errors.Is(err, want) {
		w.t.Fatalf("got %v, want %v", err, want)
	}
	if !before.equal(save(g)) {
		w.t.Fatalf("a call that failed with %v changed the group", err)
	}
}

// sendLate keeps a message of this epoch and readers of it.
func (w *groupWorld) sendLate() {
	if len(w.members) < 2 || !w.chance("late", 3) {
		return
	}
	sender := w.pick()
	l := lateMessage{message: w.members[sender].send("late"), sender: w.members[sender].group.self, text: "late"}
	for i, c := range w.members {
		if i != sender && len(l.epoch) < 3 {
			l.epoch = append(l.epoch, save(c.group).load(w.tb))
		}
	}
	w.late = append(w.late, l)
}

// readLate reads some of what was kept, by the epoch's own value.
func (w *groupWorld) readLate() {
	for _, l := range w.late {
		for _, g := range l.epoch {
			r := must(g.Unprotect(l.message))(w.tb)
			if string(r.Plaintext) != l.text || r.Sender != l.sender {
				w.t.Fatalf("late message reads %q from %d", r.Plaintext, r.Sender)
			}
		}
		for _, c := range w.members {
			if c.group.context.Epoch != l.epoch[0].context.Epoch {
				w.refused(c.group, ErrWrongEpoch, func() error { _, err := c.group.Unprotect(l.message); return err })
			}
		}
	}
	w.late = nil
}

// fork makes two rival commits, which all members follow side by side. Neither
// branch learns of the other, and the parent goes on to the real commit.
func (w *groupWorld) fork() {
	if len(w.members) < 3 {
		return
	}
	first := w.pick()
	second := w.pick(first)
	rivals := []*Staged{w.members[first].commit(CommitConfig{Path: PathAlways}),
		w.members[second].commit(CommitConfig{Proposals: []Proposal{AppDataUpdate{Component: 0x8001, Data: []byte("rival")}}})}
	if bytes.Equal(rivals[0].Next.tag, rivals[1].Next.tag) {
		w.t.Fatal("two commits lead to one epoch")
	}
	for i, c := range w.members {
		if i == first || i == second {
			continue
		}
		parent := save(c.group)
		left := must(c.apply(rivals[0].Message))(w.tb)
		before := save(left)
		right := must(c.apply(rivals[1].Message))(w.tb)
		m := decode(w.tb, must(save(rivals[1].Next).load(w.tb).Protect(w.members[second].signer, []byte("x"), nil))(w.tb).Message)
		must(right.Unprotect(m))(w.tb)
		w.refused(left, ErrAuthentication, func() error { _, err := left.Unprotect(m); return err })
		right.Erase(UseAll)
		if !bytes.Equal(left.tag, rivals[0].Next.tag) || !before.equal(save(left)) || !parent.equal(save(c.group)) {
			w.t.Fatal("one branch changed another or the parent")
		}
		if w.chance("enough", 2) {
			break
		}
	}
}

// staysOut plays a removed member that does not stop where Apply does: with all
// that it has, the next epoch's confirmation tag stays out of reach.
func (w *groupWorld) staysOut(c *tester, r *round, message []byte) {
	g, v := c.group, c.verifyCommit(message)
	in := ApplyInput{Proposals: setAsMember(c, r.sent), LeafKey: r.keys[c], PSKs: w.psks, Now: testTime}
	plan := must(g.planCommit(must(v.Proposals(in.Proposals))(w.tb), v.Sender(), nil, testTime))(w.tb)
	step := must(g.applyPlan(plan))(w.tb)
	path := v.content.commit.path
	if path == nil {
		w.t.Fatal("a removal without a path")
	}
	if err := g.mergePath(step, plan, v.Sender(), path); err != nil {
		w.t.Fatal(err)
	}
	if uint32(g.self) < step.base.leafWidth() {
		if err := g.applySecrets(step, plan, v, in); err == nil {
			w.t.Fatal("a removed member opened the path")
		}
	}
	// Without the path's secret there is the old one, and zero.
	step.initSecret, step.commitSecret, step.psk = bytes.Clone(g.secrets.get(epochInit)), make(secret, g.suite.nh), make(secret, g.suite.nh)
	if bytes.Equal(g.start(step, v.content).tag, v.content.confirmationTag) {
		w.t.Fatal("a removed member computed the next epoch")
	}
}

// joinExternally lets somebody in from outside, with pending departures.
func (w *groupWorld) joinExternally() {
	host := w.members[w.pick()]
	info := must(host.group.Info(host.signer, InfoConfig{ExternalPub: true}))(w.tb)
	joiner := newTester(w.tb, testSuite, "external")
	cfg := ExternalConfig{Credential: joiner.kp.Leaf.Credential, Capabilities: testCapabilities(testSuite), PSKs: w.psks, Now: testTime}
	r := &round{}
	if len(w.members) > 1 && w.chance("leaves", 2) {
		leaver := w.members[w.pick()]
		r.sent, r.leaving = [][]byte{leaver.propose(SelfRemove{})}, []*tester{leaver}
		cfg.SelfRemoves = []*Message{decode(w.tb, r.sent[0])}
	} else if len(w.members) > 1 && w.chance("replaces", 2) {
		old := w.members[w.pick()]
		r.leaving, cfg.Remove = []*tester{old}, &old.group.self
	}
	w.sendLate()
	staged := must(JoinExternal(info, joiner.signer, cfg))(w.tb)
	var stay []*tester
	for _, c := range w.members {
		next, err := w.follow(c, r, staged.Message)
		if slices.Contains(r.leaving, c) {
			if !errors.Is(err, ErrRemoved) {
				w.t.Fatalf("replaced member got %v", err)
			}
			continue
		}
		if err != nil {
			w.t.Fatal(err)
		}
		c.group = w.restart(c.group, next)
		stay = append(stay, c)
	}
	joiner.group = staged.Next
	w.members, w.gone = append(stay, joiner), append(w.gone, r.leaving...)
	agree(w.tb, w.members)
	w.check()
}

// abuse makes calls that fail on one member. None changes anything.
func (w *groupWorld) abuse() {
	c := w.members[w.pick()]
	g, stranger := c.group, newTester(w.tb, testSuite, "stranger")
	for _, call := range []func() error{
		func() error { _, err := g.Protect(stranger.signer, []byte("x"), nil); return err },
		func() error { _, err := g.Propose(stranger.signer, SelfRemove{}, FrameConfig{}); return err },
		func() error { _, err := g.Propose(c.signer, SelfRemove{}, FrameConfig{Private: true}); return err },
		func() error {
			_, err := g.Commit(c.signer, CommitConfig{Proposals: []Proposal{Remove{Removed: g.self}}})
			return err
		},
		func() error {
			_, err := g.Commit(c.signer, CommitConfig{Proposals: []Proposal{Add{KeyPackage: c.group.selfKeyPackage(c)}}})
			return err
		},
		func() error {
			_, err := g.Commit(c.signer, CommitConfig{Proposals: []Proposal{PreSharedKey{ID: PSKID{Type: PSKExternal, ID: []byte("?")}}}})
			return err
		},
		func() error {
			_, err := g.Commit(c.signer, CommitConfig{Private: true, Leaf: &LeafChange{Capabilities: &Capabilities{}}})
			return err
		},
		func() error { _, err := g.Commit(stranger.signer, CommitConfig{}); return err },
		func() error { _, err := g.Export("x", nil, 255*g.suite.nh+1); return err },
		func() error { return g.Reserve(g.limits.Ahead + 1) },
		func() error { _, err := g.AppendDelta(nil, g); return err },
		func() error { _, err := g.DecodeDelta([]byte("garbage"), nil, nil); return err },
		func() error { _, err := g.Unprotect(decode(w.tb, c.kpMessage())); return err },
		func() error { _, err := g.Verify(decode(w.tb, c.kpMessage())); return err },
	} {
		w.refused(g, nil, call)
	}
	if len(w.members) < 2 {
		return
	}
	other := w.members[(slices.Index(w.members, c)+1)%len(w.members)]
	forged := *other
	forged.group = save(other.group).load(w.tb)
	for i := range 3 {
		message := must(forged.group.Protect(other.signer, []byte("forged"), nil))(w.tb).Message
		message[len(message)-1-i*7] ^= 1
		w.refused(g, nil, func() error { _, err := g.Unprotect(decode(w.tb, message)); return err })
	}
	commit := must(forged.group.Commit(other.signer, CommitConfig{Path: PathAlways, Private: true}))(w.tb).Message
	commit[len(commit)-3] ^= 1
	w.refused(g, ErrAuthentication, func() error { _, err := g.Verify(decode(w.tb, commit)); return err })
}

// selfKeyPackage is a KeyPackage with the signature key of a member.
func (g *Group) selfKeyPackage(c *tester) *KeyPackage {
	k, _, err := NewKeyPackage(c.signer, KeyPackageConfig{Suite: g.suite.id, Credential: BasicCredential([]byte("again")),
		Capabilities: testCapabilities(g.suite.id), Lifetime: testLifetime, Config: g.config})
	if err != nil {
		c.t.Fatal(err)
	}
	return k
}

func (c *tester) kpMessage() []byte {
	if c.kp == nil {
		return newTester(c.t, testSuite, "x").kp.Message()
	}
	return c.kp.Message()
}
