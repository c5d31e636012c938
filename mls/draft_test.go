package mls

import (
	"bytes"
	"errors"
	"testing"
)

// framed is a group whose authenticated data must be a SafeAAD.
func framed(t testing.TB, n int) []*tester {
	t.Helper()
	members := newTesters(t, testSuite, n)
	advance(t, members, 0, CommitConfig{Proposals: []Proposal{AppDataUpdate{Component: ComponentSafeAAD, Data: []byte{0}}}})
	return members
}

func TestSafeAADEncoding(t *testing.T) {
	one := SafeAAD{{ID: 0x8001, Data: []byte{0xaa, 0xbb}}}
	same(t, "one item", one.Append(nil), []byte{5, 0x80, 1, 2, 0xaa, 0xbb})
	same(t, "no item", SafeAAD{}.Append(nil), []byte{0})
	for name, bad := range map[string][]byte{
		"nothing": {}, "two equal": {6, 0, 1, 0, 0, 1, 0}, "descending": {6, 0, 2, 0, 0, 1, 0}, "more behind": {0, 0}, "cut": {5, 0x80, 1, 2},
	} {
		if _, err := DecodeSafeAAD(bad); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	again := must(DecodeSafeAAD(one.Append(nil)))(t)
	same(t, "item", again[0].Data, one[0].Data)
}

// TestSafeAAD: from the epoch after the component came, all authenticated data
// are framed, in both wire formats and from every kind of sender.
func TestSafeAAD(t *testing.T) {
	members := framed(t, 3)
	a, b := members[0], members[1]
	item := SafeAAD{{ID: 0x8001, Data: []byte{1}}}.Append(nil)
	for _, aad := range [][]byte{nil, item} {
		want := aad
		if want == nil {
			want = []byte{0}
		}
		m := decode(t, must(a.group.Protect(a.signer, []byte("x"), aad))(t).Message)
		same(t, "aad of a message", must(b.group.Unprotect(m))(t).AAD, want)
		for _, private := range []bool{false, true} {
			p := must(a.group.Propose(a.signer, Remove{Removed: 2}, FrameConfig{AAD: aad, Private: private}))(t)
			same(t, "aad of a proposal", must(b.group.Verify(decode(t, p)))(t).AAD(), want)
			staged := a.commit(CommitConfig{Path: PathAlways, AAD: aad, Private: private})
			same(t, "aad of a commit", must(b.group.Verify(decode(t, staged.Message)))(t).AAD(), want)
		}
	}
	raw := []byte("raw")
	unchanged(t, a.group, ErrInvalidConfig, func() error { _, err := a.group.Protect(a.signer, nil, raw); return err })
	unchanged(t, a.group, ErrInvalidConfig, func() error {
		_, err := a.group.Propose(a.signer, Remove{Removed: 2}, FrameConfig{AAD: raw})
		return err
	})
	unchanged(t, a.group, ErrInvalidConfig, func() error {
		_, err := a.group.Commit(a.signer, CommitConfig{AAD: raw})
		return err
	})

	// A member whose software frames nothing.
	loose := *a.group
	loose.context.Extensions = loose.context.Extensions[:1]
	for name, aad := range map[string][]byte{"raw": raw, "nothing": {}, "prefix": append([]byte{0}, raw...)} {
		sealed := must(loose.Protect(a.signer, []byte("x"), aad))(t)
		unchanged(t, b.group, ErrMalformed, unprotect(b.group, decode(t, sealed.Message)))
		for _, private := range []bool{false, true} {
			p := must(loose.Propose(a.signer, Remove{Removed: 2}, FrameConfig{AAD: aad, Private: private}))(t)
			unchanged(t, b.group, ErrMalformed, func() error { _, err := b.group.Verify(decode(t, p)); return err })
		}
		_ = name
	}
	b.reads(a.send("framed"), "framed")
	advance(t, members, 1, CommitConfig{Path: PathAlways})

	// From outside as well.
	joiner := newTester(t, testSuite, "new")
	info := must(a.group.Info(a.signer, InfoConfig{ExternalPub: true}))(t)
	cfg := ExternalConfig{Credential: joiner.kp.Leaf.Credential, Capabilities: testCapabilities(testSuite)}
	staged := must(JoinExternal(info, joiner.signer, cfg))(t)
	same(t, "aad of an external commit", b.verifyCommit(staged.Message).AAD(), []byte{0})
	cfg.AAD = raw
	if _, err := JoinExternal(info, joiner.signer, cfg); !errors.Is(err, ErrInvalidConfig) {
		t.Errorf("external commit with raw data: %v", err)
	}
	p := must(ProposeJoin(info, joiner.signer, joiner.kp, nil))(t)
	same(t, "aad of an external proposal", b.verifyProposal(p).AAD(), []byte{0})
	if _, err := ProposeJoin(info, joiner.signer, joiner.kp, raw); !errors.Is(err, ErrInvalidConfig) {
		t.Errorf("external proposal with raw data: %v", err)
	}

	// Taking the component away ends it.
	advance(t, members, 0, CommitConfig{Proposals: []Proposal{AppDataUpdate{Component: ComponentSafeAAD, Remove: true}}})
	m := decode(t, must(a.group.Protect(a.signer, []byte("x"), raw))(t).Message)
	same(t, "raw data", must(b.group.Unprotect(m))(t).AAD, raw)
}

func TestLastResortComponent(t *testing.T) {
	cfg := KeyPackageConfig{Suite: testSuite, Credential: BasicCredential([]byte("x")), Capabilities: testCapabilities(testSuite),
		Lifetime: testLifetime}
	make := func() (*KeyPackage, error) { k, _, err := NewKeyPackage(newSigner(t, testSuite), cfg); return k, err }
	if must(make())(t).LastResort() {
		t.Error("an ordinary key package is one of last resort")
	}
	cfg.LastResort = true
	k := must(make())(t)
	data, _ := k.Extensions.Find(ExtAppDataDictionary)
	same(t, "dictionary", data, []byte{3, 0, 4, 0})
	if again := must(DecodeKeyPackage(k.Bytes()))(t); !again.LastResort() || again.Validate(testTime) != nil {
		t.Error("the mark is lost")
	}
	// Beside other components, in order.
	cfg.Extensions = Extensions{{Type: ExtAppDataDictionary, Data: AppDataDictionary{{ID: 0x8001, Data: []byte{1}}}.Append(nil)}}
	data, _ = must(make())(t).Extensions.Find(ExtAppDataDictionary)
	same(t, "dictionary", data, []byte{7, 0, 4, 0, 0x80, 1, 1, 1})
	cfg.LastResort = false
	cfg.Extensions[0].Data = AppDataDictionary{{ID: ComponentLastResort, Data: []byte{1}}}.Append(nil)
	if _, err := make(); !errors.Is(err, ErrInvalidConfig) {
		t.Errorf("mark with data: %v", err)
	}
	cfg.Extensions, cfg.LastResort, cfg.Capabilities.Extensions = nil, true, nil
	if _, err := make(); !errors.Is(err, ErrInvalidConfig) {
		t.Errorf("dictionary that the leaf does not list: %v", err)
	}
}

// TestExternalCommitWithSelfRemoves: who joins from outside takes pending
// departures along.
func TestExternalCommitWithSelfRemoves(t *testing.T) {
	members := newTesters(t, testSuite, 4)
	a, b := members[0], members[1]
	leaving := []*Message{decode(t, members[2].propose(SelfRemove{})), decode(t, members[3].propose(SelfRemove{}))}
	info := must(a.group.Info(a.signer, InfoConfig{ExternalPub: true}))(t)
	joiner := newTester(t, testSuite, "new")
	cfg := ExternalConfig{Credential: joiner.kp.Leaf.Credential, Capabilities: testCapabilities(testSuite), SelfRemoves: leaving}
	staged := must(JoinExternal(info, joiner.signer, cfg))(t)
	var known []*VerifiedProposal
	for _, m := range leaving {
		known = append(known, must(b.group.Verify(m))(t).(*VerifiedProposal))
	}
	next := must(b.apply(staged.Message, known...))(t)
	same(t, "tag", next.ConfirmationTag(), staged.Next.ConfirmationTag())
	if next.Size() != 3 || staged.Next.Self() != 2 {
		t.Errorf("%d members, the new one at leaf %d", next.Size(), staged.Next.Self())
	}

	forged := decode(t, members[2].propose(SelfRemove{}))
	forged.public.content.signature[0] ^= 1
	for name, bad := range map[string]struct {
		m    *Message
		want error
	}{
		"forged":         {forged, ErrSignature},
		"a Remove":       {decode(t, members[2].propose(Remove{Removed: 3})), ErrInvalidConfig},
		"a commit":       {decode(t, a.commit(CommitConfig{}).Message), ErrInvalidConfig},
		"an application": {a.send("x"), ErrInvalidConfig},
		"nothing":        {nil, ErrInvalidConfig},
		"twice":          {leaving[0], ErrInvalidProposals},
	} {
		cfg.SelfRemoves = []*Message{leaving[0], bad.m}
		if _, err := JoinExternal(info, joiner.signer, cfg); !errors.Is(err, bad.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	advance(t, members, 0, CommitConfig{Path: PathAlways})
	info = must(a.group.Info(a.signer, InfoConfig{ExternalPub: true}))(t)
	cfg.SelfRemoves = leaving[:1]
	if _, err := JoinExternal(info, joiner.signer, cfg); !errors.Is(err, ErrWrongEpoch) {
		t.Errorf("of the epoch before: %v", err)
	}
}

func TestReserve(t *testing.T) {
	members := newTesters(t, testSuite, 2)
	c, reader := members[0], members[1]
	send := func(want uint32) *Message {
		t.Helper()
		sealed := must(c.group.Protect(c.signer, []byte("x"), nil))(t)
		if sealed.Generation != want {
			t.Fatalf("generation %d, want %d", sealed.Generation, want)
		}
		return decode(t, sealed.Message)
	}
	send(0)
	if err := c.group.Reserve(10); err != nil || c.group.Reserved() != 10 {
		t.Fatalf("%v, %d reserved", err, c.group.Reserved())
	}
	stored := save(c.group)
	early := send(1)
	send(2)
	if c.group.Reserved() != 8 || !stored.equal(save(c.group)) {
		t.Fatal("a message of the block changes what is saved")
	}
	c.group = stored.load(t) // a crash: the block is skipped
	if c.group.Reserved() != 0 {
		t.Fatal("a block is left after a crash")
	}
	late := send(11)
	reader.reads(late, "x")
	reader.reads(early, "x")

	// Past its end every message counts again.
	if err := c.group.Reserve(1); err != nil {
		t.Fatal(err)
	}
	stored = save(c.group)
	send(12)
	if !stored.equal(save(c.group)) || c.group.Reserved() != 0 {
		t.Fatal("a block of one is not used by one message")
	}
	send(13)
	if stored.equal(save(c.group)) {
		t.Fatal("a message beyond the block is not saved")
	}
	unchanged(t, c.group, ErrInvalidConfig, func() error { return c.group.Reserve(c.group.limits.Ahead + 1) })
	c.group.Erase(UseMessages)
	unchanged(t, c.group, ErrErased, func() error { return c.group.Reserve(1) })
}

// TestExportedComponentsDiffer: the component exporter gives a secret of its
// own for each component and epoch.
func TestExportedComponentsDiffer(t *testing.T) {
	members := newTesters(t, testSuite, 2)
	seen := map[string]bool{}
	for range 2 {
		for _, id := range []ComponentID{1, 2, 0x8001} {
			s := must(members[0].group.ExportComponent(id))(t)
			if seen[string(s)] || bytes.Equal(s, make([]byte, len(s))) {
				t.Fatal("a component secret occurs twice")
			}
			seen[string(s)] = true
		}
		advance(t, members, 1, CommitConfig{Path: PathAlways})
	}
}
