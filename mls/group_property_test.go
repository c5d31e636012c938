package mls

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// groupWorld is a group whose members do random things. Every member of an
// epoch must come to the same secrets, whatever happened before.
type groupWorld struct {
	t       *rapid.T
	tb      testing.TB
	members []*tester
	gone    []*tester // removed ones, still in the epoch before
	psks    map[string][]byte
	late    []lateMessage
}

// pick returns a random member other than those at the given positions.
func (w *groupWorld) pick(not ...int) int {
	for {
		if i := rapid.IntRange(0, len(w.members)-1).Draw(w.t, "member"); !slices.Contains(not, i) {
			return i
		}
	}
}

// round is one commit with everything around it.
type round struct {
	cfg     CommitConfig
	sent    [][]byte             // proposals by reference
	keys    map[*tester]*LeafKey // of Updates
	leaving []*tester
	joining []*tester
	psks    map[string][]byte // all that the commit may need
}

func (w *groupWorld) chance(label string, of int) bool {
	return rapid.IntRange(0, of-1).Draw(w.t, label) == 0
}

func (w *groupWorld) plan(committer int) *round {
	r := &round{keys: map[*tester]*LeafKey{}}
	r.cfg = CommitConfig{Now: testTime, Private: rapid.Bool().Draw(w.t, "private"), Path: PathMode(rapid.IntRange(0, 1).Draw(w.t, "path"))}
	for i, c := range w.members {
		if i == committer {
			continue
		}
		switch rapid.IntRange(0, 11).Draw(w.t, "does") {
		case 0:
			r.cfg.Proposals = append(r.cfg.Proposals, Remove{Removed: c.group.Self()})
			r.leaving = append(r.leaving, c)
		case 1:
			r.sent = append(r.sent, c.propose(SelfRemove{}))
			r.leaving = append(r.leaving, c)
		case 2, 3:
			update, key, err := c.group.NewUpdate(c.signer, nil)
			if err != nil {
				w.t.Fatal(err)
			}
			r.sent = append(r.sent, c.propose(update))
			r.keys[c] = key
		}
	}
	for range rapid.IntRange(0, 2).Draw(w.t, "adds") {
		c := newTester(w.tb, testSuite, "joiner")
		r.joining = append(r.joining, c)
		r.cfg.Proposals = append(r.cfg.Proposals, Add{KeyPackage: c.kp})
	}
	if w.chance("psk", 3) {
		w.addPSKs(r)
	}
	if w.chance("ephemeral", 4) {
		r.cfg.Proposals = append(r.cfg.Proposals, AppEphemeral{Component: 7, Data: []byte("x")})
	}
	if w.chance("new context", 6) {
		r.cfg.Proposals = append(r.cfg.Proposals, GroupContextExtensions{Extensions: w.members[committer].group.context.Extensions})
	}
	if rapid.Bool().Draw(w.t, "app data") {
		r.cfg.Proposals = append(r.cfg.Proposals, AppDataUpdate{Component: 0x8001, Data: []byte{byte(len(w.members))}})
	}
	for _, b := range r.sent {
		r.cfg.References = append(r.cfg.References, w.members[committer].verifyProposal(b))
	}
	return r
}

// addPSKs lets the commit use pre-shared keys, and the new members know them.
func (w *groupWorld) addPSKs(r *round) {
	external := PSKID{Type: PSKExternal, ID: []byte{byte(len(w.psks))}}
	w.psks[external.Key()] = []byte{1, 2, 3}
	past, value, err := w.members[0].group.ResumptionPSK(ResumptionApplication)
	if err != nil {
		w.t.Fatal(err)
	}
	w.psks[past.Key()] = value
	r.cfg.Proposals = append(r.cfg.Proposals, PreSharedKey{ID: external}, PreSharedKey{ID: past})
}

func (w *groupWorld) step() {
	w.abuse()
	if w.chance("external join", 5) {
		w.joinExternally()
		return
	}
	committer := w.pick()
	a := w.members[committer]
	r := w.plan(committer)
	r.cfg.PSKs = w.psks
	parent := a.group.AppendState(nil)
	if rapid.Bool().Draw(w.t, "drops one first") {
		dropped := must(a.group.Commit(a.signer, r.cfg))(w.tb)
		dropped.Next.Erase(UseAll)
	}
	if w.chance("fork", 3) {
		w.fork()
	}
	w.sendLate()
	staged := must(a.group.Commit(a.signer, r.cfg))(w.tb)
	if !bytes.Equal(a.group.AppendState(nil), parent) {
		w.t.Fatal("committing changed the group")
	}
	stay := []*tester{a}
	for i, c := range w.members {
		if i == committer {
			continue
		}
		next, err := w.follow(c, r, staged.Message)
		if slices.Contains(r.leaving, c) {
			if !errors.Is(err, ErrRemoved) {
				w.t.Fatalf("removed member got %v", err)
			}
			w.staysOut(c, r, staged.Message)
			continue
		}
		if err != nil {
			w.t.Fatal(err)
		}
		c.group = w.restart(c.group, next)
		stay = append(stay, c)
	}
	for _, c := range w.gone {
		if _, err := c.group.Verify(decode(w.tb, staged.Message)); !errors.Is(err, ErrWrongEpoch) {
			w.t.Fatalf("member of the past got %v", err)
		}
	}
	for _, c := range r.joining {
		c.joinWith(staged.Welcome, w.psks)
	}
	a.group = w.restart(a.group, staged.Next)
	w.members, w.gone = append(stay, r.joining...), append(w.gone, r.leaving...)
	agree(w.tb, w.members)
	w.check()
}

// follow applies a commit twice, once after a failure, and on the way checks
// that the parent stays as it was.
func (w *groupWorld) follow(c *tester, r *round, message []byte) (*Group, error) {
	before := save(c.group)
	v := c.verifyCommit(message)
	in := ApplyInput{Proposals: setAsMember(c, r.sent), LeafKey: r.keys[c], PSKs: w.psks, Now: testTime}
	tag := v.content.confirmationTag[0]
	v.content.confirmationTag[0] ^= 1
	if _, err := c.group.Apply(v, in); err == nil {
		w.t.Fatal("a wrong confirmation tag passed")
	}
	v.content.confirmationTag[0] = tag
	next, err := c.group.Apply(v, in)
	if err == nil {
		again := must(c.group.Apply(v, in))(w.tb)
		if !save(again).equal(save(next)) {
			w.t.Fatal("the same commit applied twice leads to two states")
		}
	}
	if !before.equal(save(c.group)) {
		w.t.Fatal("applying changed the parent")
	}
	return next, err
}

func setAsMember(c *tester, sent [][]byte) ProposalSet {
	var list []*VerifiedProposal
	for _, b := range sent {
		list = append(list, c.verifyProposal(b))
	}
	return setOf(list)
}

// restart sometimes replaces a group by what was saved of it.
func (w *groupWorld) restart(parent, g *Group) *Group {
	switch rapid.IntRange(0, 3).Draw(w.t, "restart") {
	case 0:
		return must(testSuites.DecodeState(g.AppendState(nil), g.AppendSecrets(nil), g.AppendRatchets(nil)))(w.tb)
	case 1:
		delta := must(g.AppendDelta(nil, parent))(w.tb)
		parent.Erase(UseAll) // the public part is enough
		next := must(parent.DecodeDelta(delta, g.AppendSecrets(nil), g.AppendRatchets(nil)))(w.tb)
		same2(w.t, "delta", next.AppendState(nil), g.AppendState(nil))
		return next
	}
	return g
}

func same2(t *rapid.T, what string, got, want []byte) {
	if !bytes.Equal(got, want) {
		t.Fatalf("%s: got %x, want %x", what, got, want)
	}
}

// check sends a message and compares the tree with the model.
func (w *groupWorld) check() {
	sender := w.members[w.pick()]
	w.deliver(sender)
	w.readLate()
	if err := modelOf(sender.group.tree).difference(sender.group.tree); err != nil {
		w.t.Fatal(err)
	}
}

func TestGroupProperties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		most := 9
		if rapid.IntRange(0, 11).Draw(rt, "large") == 0 {
			most = 38
		}
		w := &groupWorld{t: rt, tb: t, psks: map[string][]byte{}, members: newTesters(t, testSuite, rapid.IntRange(1, most).Draw(rt, "members"))}
		for range rapid.IntRange(1, 5).Draw(rt, "rounds") {
			w.step()
		}
	})
}
