package group

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// craft makes an event that a member's client of ours would never make.
func (c *client) craft(message []byte) *nostr.Event {
	c.w.t.Helper()
	n := c.g.tip
	key, err := n.eventKey()
	if err != nil {
		c.w.t.Fatal(err)
	}
	e, err := wire.SealGroupEvent(key, n.settings.Routing.GroupID, message, nostr.Timestamp(c.w.now.Unix()), 0)
	if err != nil {
		c.w.t.Fatal(err)
	}
	return e
}

// commit has MLS make a commit without asking any rule of ours.
func (c *client) commit(cfg mls.CommitConfig) []byte {
	c.w.t.Helper()
	signer, _ := c.g.signer(c.g.tip)
	cfg.Path = mls.PathAlways
	staged, err := c.g.tip.state.Commit(signer, cfg)
	if err != nil {
		c.w.t.Fatalf("MLS does not make it: %v", err)
	}
	return staged.Message
}

func (c *client) propose(p mls.Proposal) []byte {
	c.w.t.Helper()
	signer, _ := c.g.signer(c.g.tip)
	message, err := c.g.tip.state.Propose(signer, p, mls.FrameConfig{})
	if err != nil {
		c.w.t.Fatal(err)
	}
	return message
}

// quartet is a settled group with an admin and three members.
func quartet(t testing.TB) (w *world, alice, bob, carol, dave *client) {
	w = newWorld(t, "alice", "bob", "carol", "dave", "eve")
	alice, bob, carol, dave = w.client("alice"), w.client("bob"), w.client("carol"), w.client("dave")
	alice.create("g", bob, carol, dave)
	w.flood()
	w.sameTip("alice", "bob", "carol", "dave")
	for _, c := range w.clients {
		c.sent = nil
	}
	return w, alice, bob, carol, dave
}

func set(id mls.ComponentID, data []byte) mls.Proposal {
	return mls.AppDataUpdate{Component: id, Data: data}
}

func TestBadCommits(t *testing.T) {
	_, alice, bob, carol, dave := quartet(t)
	eve := carol.w.client("eve")
	leaf := func(c *client) mls.LeafIndex { return alice.g.tip.leavesOf(c.pub())[0] }
	noProof := func() *mls.KeyPackage {
		key, proof := eve.signatureKey()
		proof[100] ^= 1
		kp, _, err := mls.NewKeyPackage(key, wire.KeyPackageConfig(eve.pub(), proof, eve.w.now))
		if err != nil {
			t.Fatal(err)
		}
		return kp
	}()
	rename := set(wire.ComponentProfile, wire.Profile{Name: "bad"}.Append(nil))
	disband := set(wire.ComponentLifecycle, wire.Disbanded.Append(nil))
	onlyAlice := set(wire.ComponentAdmins, wire.NewAdmins(alice.pub()).Append(nil))
	everybody := []mls.Proposal{mls.Remove{Removed: leaf(bob)}, mls.Remove{Removed: leaf(carol)}, mls.Remove{Removed: leaf(dave)}}
	other := mls.BasicCredential(bytes.Clone(keyOf(bob)))
	empty := mls.Extensions{}
	context := alice.g.tip.state.Context().Extensions
	for name, c := range map[string]struct {
		who  *client
		cfg  mls.CommitConfig
		want Category
	}{
		"rename by a member":     {dave, mls.CommitConfig{Proposals: []mls.Proposal{rename}}, AuthFailed},
		"removal by a member":    {dave, mls.CommitConfig{Proposals: []mls.Proposal{mls.Remove{Removed: leaf(bob)}}}, AuthFailed},
		"add by a member":        {dave, mls.CommitConfig{Proposals: []mls.Proposal{mls.Add{KeyPackage: eve.keyPackage().event.KeyPackage}}}, AuthFailed},
		"admin grab":             {dave, mls.CommitConfig{Proposals: []mls.Proposal{set(wire.ComponentAdmins, wire.NewAdmins(dave.pub()).Append(nil))}}, AuthFailed},
		"context by a member":    {dave, mls.CommitConfig{Proposals: []mls.Proposal{mls.GroupContextExtensions{Extensions: context}}}, AuthFailed},
		"another account's leaf": {dave, mls.CommitConfig{Leaf: &mls.LeafChange{Credential: &other}}, InvalidEncoding},
		"proof dropped":          {dave, mls.CommitConfig{Leaf: &mls.LeafChange{Extensions: &empty}}, InvalidEncoding},
		"admins removed":         {alice, mls.CommitConfig{Proposals: []mls.Proposal{mls.AppDataUpdate{Component: wire.ComponentAdmins, Remove: true}}}, InvalidEncoding},
		"admins empty":           {alice, mls.CommitConfig{Proposals: []mls.Proposal{set(wire.ComponentAdmins, wire.NewAdmins().Append(nil))}}, InvalidEncoding},
		"admin without a leaf":   {alice, mls.CommitConfig{Proposals: []mls.Proposal{set(wire.ComponentAdmins, wire.NewAdmins(alice.pub(), eve.pub()).Append(nil))}}, InvalidEncoding},
		"lifecycle removed":      {alice, mls.CommitConfig{Proposals: []mls.Proposal{mls.AppDataUpdate{Component: wire.ComponentLifecycle, Remove: true}}}, InvalidEncoding},
		"profile not UTF-8":      {alice, mls.CommitConfig{Proposals: []mls.Proposal{set(wire.ComponentProfile, []byte{1, 0xff, 0})}}, InvalidEncoding},
		"proof in the group":     {alice, mls.CommitConfig{Proposals: []mls.Proposal{set(wire.ComponentIdentityProof, make([]byte, 104))}}, InvalidEncoding},
		"add without a proof":    {alice, mls.CommitConfig{Proposals: []mls.Proposal{mls.Add{KeyPackage: noProof}}}, InvalidEncoding},
		"required list cut":      {alice, mls.CommitConfig{Proposals: []mls.Proposal{set(wire.ComponentAppComponents, wire.AppendComponents(nil, []mls.ComponentID{wire.ComponentAdmins}))}}, InvalidEncoding},
		"disband, members stay":  {alice, mls.CommitConfig{Proposals: []mls.Proposal{disband, onlyAlice}}, InvalidEncoding},
		"disband, no admin list": {alice, mls.CommitConfig{Proposals: append(slices.Clone(everybody), disband)}, InvalidEncoding},
		"disband and rename":     {alice, mls.CommitConfig{Proposals: append(slices.Clone(everybody), disband, onlyAlice, rename)}, InvalidEncoding},
		"disband by a member":    {dave, mls.CommitConfig{Proposals: []mls.Proposal{disband}}, AuthFailed},
		"private":                {alice, mls.CommitConfig{Private: true}, InvalidEncoding},
		"required caps gone":     {alice, mls.CommitConfig{Proposals: []mls.Proposal{mls.GroupContextExtensions{Extensions: withoutRequired(context)}}}, InvalidEncoding},
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, carol, c.who.craft(c.who.commit(c.cfg)), c.want)
		})
	}
}

func withoutRequired(ext mls.Extensions) mls.Extensions {
	return slices.DeleteFunc(ext.Clone(), func(e mls.Extension) bool { return e.Type == mls.ExtRequiredCapabilities })
}

// refused delivers a bad event: a category and an error, nothing changed but
// the note about it, and honest input behind it works.
func refused(t *testing.T, to *client, e *nostr.Event, want Category) {
	t.Helper()
	c := to.fork()
	disk, effects, tip := maps.Clone(c.disk), len(c.effects), c.g.tip.id
	c.receive(e)
	if c.last.Category != want || c.last.Err == nil || c.last.Refetch {
		t.Errorf("outcome %q (%v), want %q", c.last.Category, c.last.Err, want)
	}
	for range 3 {
		c.w.advance(1100 * 1e6)
	}
	for key, r := range c.disk { // a message that was opened has used up its key
		if key != keyMeta && !strings.HasPrefix(key, keyInput) && !strings.HasPrefix(key, keyRatchets) && !bytes.Equal(r.Value, disk[key].Value) {
			t.Errorf("%s changed", kindOf(key))
		}
	}
	if c.g.tip.id != tip || len(c.effects) != effects || c.g.lifecycle() != Stable || c.g.convergence() != Settled || len(c.g.nodes) != len(to.g.nodes) {
		t.Errorf("changed: %s %s, %d effects", c.g.lifecycle(), c.g.convergence(), len(c.effects)-effects)
	}
	c.receive(e)
	if got := c.last.Category; got != Duplicate && got != want {
		t.Errorf("a repeat is %q", got)
	}
	alice := c.w.adopt(to.w.client("alice"))
	alice.say("honest")
	alice.step(SetProfile{Profile: wire.Profile{Name: "honest"}})
	c.receive(alice.sent...)
	c.w.advance(1100 * 1e6)
	if c.g.Status().Name != "honest" || c.count(EffectMessage) == 0 {
		t.Error("it blocks what comes behind it")
	}
}

// adopt copies another client into this world.
func (w *world) adopt(from *client) *client {
	c := from.fork()
	c.w = w
	c.sent = nil
	w.clients[c.name] = c
	return c
}

func TestBadMessages(t *testing.T) {
	_, alice, bob, carol, dave := quartet(t)
	tip := dave.g.tip.state
	signer, _ := dave.g.signer(dave.g.tip)
	sealed := func(payload []byte) []byte {
		s, err := dave.fork().g.tip.state.Protect(signer, payload, nil)
		if err != nil {
			t.Fatal(err)
		}
		return s.Message
	}
	valid := wire.NewPayload(dave.pub(), wire.KindChat, "x", nil, 1)
	foreign := wire.NewPayload(bob.pub(), wire.KindChat, "x", nil, 1)
	renamed := alice.commit(mls.CommitConfig{Proposals: []mls.Proposal{set(wire.ComponentProfile, wire.Profile{Name: "n"}.Append(nil))}})
	flip := func(b []byte, at int) []byte {
		b = bytes.Clone(b)
		b[len(b)-at] ^= 1
		return b
	}
	private, err := tip.Propose(signer, mls.Remove{Removed: 0}, mls.FrameConfig{Private: true})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		message []byte
		want    Category
	}{
		"nothing":                {[]byte{0}, InvalidEncoding},
		"random":                 {bytes.Repeat([]byte{7}, 90), InvalidEncoding},
		"trailing byte":          {append(bytes.Clone(renamed), 0), InvalidEncoding},
		"another author inside":  {sealed(wire.EncodePayload(foreign)), InvalidEncoding},
		"no payload inside":      {sealed([]byte("hello")), InvalidEncoding},
		"a signature inside":     {sealed([]byte(strings.Replace(string(wire.EncodePayload(valid)), "{", `{"sig":"00",`, 1))), InvalidEncoding},
		"SelfRemove of an admin": {alice.propose(mls.SelfRemove{}), AuthFailed},
		"removal proposed":       {dave.propose(mls.Remove{Removed: 0}), AuthFailed},
		"PSK proposed":           {alice.propose(mls.PreSharedKey{ID: mls.PSKID{Type: 1, ID: []byte("x"), Nonce: make([]byte, 32)}}), UnsupportedFeature},
		"proposal in private":    {private, InvalidEncoding},
		"key package in a group": {bob.keyPackage().event.KeyPackage.Message(), InvalidEncoding},
	} {
		t.Run(name, func(t *testing.T) { refused(t, carol, dave.craft(c.message), c.want) })
	}
	// A membership tag that no state of ours made may be of a branch not seen.
	c := carol.fork()
	c.receive(dave.craft(flip(renamed, 1)))
	if in := c.g.inputs[wire.MessageIDOf(flip(renamed, 1))]; in == nil || in.Disposition != deferred || c.g.convergence() != Settled {
		t.Errorf("a wrong membership tag: %v", in)
	}
	// Another group's message in our envelope.
	other := newWorld(t, "alice")
	other.client("alice").create("other")
	c.receive(dave.craft(other.client("alice").commit(mls.CommitConfig{})))
	if c.last.Category != WrongRecipient {
		t.Errorf("another group's message is %q", c.last.Category)
	}
	// Envelopes.
	e := *dave.craft(renamed)
	for name, tags := range map[string]nostr.Tags{
		"no h": {{"encoding", "base64"}}, "two h": append(slices.Clone(e.Tags), e.Tags...), "none": nil,
	} {
		bad := e
		bad.Tags = tags
		c.receive(&bad)
		if c.last.Category != InvalidEncoding || c.last.Err == nil {
			t.Errorf("%s: %q", name, c.last.Category)
		}
	}
	bad := e
	bad.Content = "%%%"
	if c.receive(&bad); c.last.Category != InvalidEncoding {
		t.Errorf("bad base64: %q", c.last.Category)
	}
}

// TestNobodySpeaksForUs: a member can name our leaf as the sender of a message
// without our keys. That must not stop the group.
func TestNobodySpeaksForUs(t *testing.T) {
	_, _, _, carol, _ := quartet(t)
	carol.say("mine")
	c := carol.fork()
	c.g.inputs = map[wire.MessageID]*retained{} // as if it were not hers
	c.g.out = map[nostr.ID]*outbound{}
	c.receive(carol.sent...)
	if c.last.Category != OwnEcho || c.g.Status().Cause != "" {
		t.Errorf("%q, cause %q", c.last.Category, c.g.Status().Cause)
	}
}

func TestBadWelcomes(t *testing.T) {
	w := newWorld(t, "alice", "bob", "carol", "dave")
	alice, bob, carol, dave := w.client("alice"), w.client("bob"), w.client("carol"), w.client("dave")
	b, other := carol.keyPackage(), carol.keyPackage()
	key, proof := alice.signatureKey()
	g, out, err := Create(w.now, CreateConfig{
		Config: alice.cfg, Profile: wire.Profile{Name: "g"}, Relays: []string{"wss://a.example"}, Signer: key, Proof: proof,
		Invitees: []Invitee{{KeyPackage: b.event, Inbox: []string{"wss://i.example"}}},
	})
	alice.g = g
	alice.apply(out, err)
	good, err := carol.welcome(alice, b)
	if err != nil {
		t.Fatal(err)
	}
	fresh := func(change func(*JoinConfig)) JoinConfig {
		cfg, err := carol.welcome(alice, b)
		if err != nil {
			t.Fatal(err)
		}
		change(&cfg)
		return cfg
	}
	for name, cfg := range map[string]JoinConfig{
		"another author":      fresh(func(c *JoinConfig) { c.Welcome.Author = bob.pub() }),
		"another key package": fresh(func(c *JoinConfig) { c.KeyPackage, c.Keys, c.Signer = other.event.KeyPackage, other.keys, other.key }),
		"another account":     fresh(func(c *JoinConfig) { c.Self = dave.pub() }),
		"tampered": fresh(func(c *JoinConfig) {
			c.Welcome.Message = bytes.Clone(c.Welcome.Message)
			c.Welcome.Message[len(c.Welcome.Message)-9] ^= 1
		}),
		"cut":        fresh(func(c *JoinConfig) { c.Welcome.Message = c.Welcome.Message[:90] }),
		"no welcome": fresh(func(c *JoinConfig) { c.Welcome.Message = alice.commit(mls.CommitConfig{}) }),
	} {
		if _, _, err := Join(w.now, cfg); !errors.Is(err, ErrInvitation) {
			t.Errorf("%s: %v", name, err)
		}
	}
	g, out, err = Join(w.now, good) // nothing was consumed
	carol.g = g
	carol.apply(out, err)
	w.flood()
	w.sameTip("alice", "carol")

	// A member who is no admin invites by MLS alone.
	d := dave.keyPackage()
	signer, _ := carol.g.signer(carol.g.tip)
	staged, err := carol.g.tip.state.Commit(signer, mls.CommitConfig{Proposals: []mls.Proposal{mls.Add{KeyPackage: d.event.KeyPackage}}, Path: mls.PathAlways})
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = Join(w.now, JoinConfig{
		Config: dave.cfg, Welcome: &wire.Welcome{Author: carol.pub(), Message: staged.Welcome},
		KeyPackage: d.event.KeyPackage, Keys: d.keys, Signer: d.key,
	})
	if !errors.Is(err, ErrInvitation) || !errors.Is(err, ErrUnauthorized) {
		t.Errorf("a member invites: %v", err)
	}
}

// TestSecretsAreNotPrinted tries every verb on what holds keys.
func TestSecretsAreNotPrinted(t *testing.T) {
	w := newWorld(t, "alice")
	alice := w.client("alice")
	alice.create("g")
	var secrets [][]byte
	for _, r := range alice.records() {
		if r.Secret && strings.HasPrefix(r.Key, keySignature) {
			secrets = append(secrets, r.Value)
		}
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, v := range []any{alice.g, alice.records(), alice.records()[0], CreateConfig{Signer: keyOfSeed(secrets[0])}, JoinConfig{Signer: keyOfSeed(secrets[0])}} {
			got := fmt.Sprintf(verb, v)
			for _, s := range secrets {
				if strings.Contains(got, string(s)) || strings.Contains(got, fmt.Sprintf("%x", s)) || strings.Contains(got, strings.Trim(fmt.Sprint(s), "[]")) {
					t.Errorf("%s of a %T prints a key", verb, v)
				}
			}
		}
	}
}

func renameConfig(name string) mls.CommitConfig {
	return mls.CommitConfig{Proposals: []mls.Proposal{set(wire.ComponentProfile, wire.Profile{Name: name}.Append(nil))}}
}

// TestInvalidRemoval removes an admin without taking the rights back. The
// others refuse that, so the one it names must not believe it is removed.
func TestInvalidRemoval(t *testing.T) {
	_, alice, bob, _ := rivals(t)
	a, b := alice.fork(), bob.fork()
	leaf := b.g.tip.leavesOf(alice.pub())[0]
	message := b.commit(mls.CommitConfig{Proposals: []mls.Proposal{mls.Remove{Removed: leaf}}})
	e := b.craft(message)
	a.receive(bob.sent[0])
	a.receive(e)
	if in := a.g.inputs[wire.MessageIDOf(message)]; in == nil || in.Disposition != rejected || !errors.Is(a.last.Err, ErrInvalidResult) {
		t.Errorf("%q, %v", a.last.Category, a.last.Err)
	}
	for range 3 {
		a.w.advance(quiescence)
	}
	if a.g.Status().Removed {
		t.Error("believes an invalid removal")
	}
}

// TestEffectIdentities: a message that is withdrawn before it was ever shown,
// shown later and withdrawn again makes two withdrawals.
func TestEffectIdentities(t *testing.T) {
	never := effectID(Effect{Kind: EffectInvalidated, Message: wire.MessageID{1}})
	first := effectID(Effect{Kind: EffectInvalidated, Message: wire.MessageID{1}, Turn: 1})
	second := effectID(Effect{Kind: EffectInvalidated, Message: wire.MessageID{1}, Turn: 2})
	if never == first || first == second || never == second {
		t.Error("different occurrences share an identity")
	}
}
