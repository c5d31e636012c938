package mls

import (
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"testing"
)

var updateGolden = flag.Bool("update", false, "make testdata/golden.json anew")

// MarshalJSON is the reverse of UnmarshalJSON.
func (h hexBytes) MarshalJSON() ([]byte, error) { return json.Marshal(hex.EncodeToString(h)) }

const goldenFile = "testdata/golden.json"

// golden is what one member of a small group of our own received, and what it
// must make of it. It guards every byte format, also that of saved groups,
// where the published vectors are not at hand.
type golden struct {
	KeyPackage hexBytes
	Keys       hexBytes
	Welcome    hexBytes
	Steps      []goldenStep
	State      hexBytes // of the last epoch
	Delta      hexBytes // from the epoch before
	Secrets    hexBytes
	Ratchets   hexBytes
}

type goldenStep struct {
	Proposals     []hexBytes
	Commit        hexBytes // none in the first step
	Message       hexBytes // an application message in the resulting epoch
	Plaintext     string
	Authenticator hexBytes
	Exported      hexBytes // label "golden", context "context", 32 bytes
	Component     hexBytes // of component 0x8001
}

func readGolden(t testing.TB) *golden {
	t.Helper()
	g := new(golden)
	if err := json.Unmarshal(must(os.ReadFile(goldenFile))(t), g); err != nil {
		t.Fatal(err)
	}
	return g
}

// replay follows the messages as the member did. The results are compared, or
// with record set noted down.
func (v *golden) replay(t testing.TB, record bool) (parent, g *Group) {
	t.Helper()
	check := func(what string, got []byte, want *hexBytes) {
		t.Helper()
		if record {
			*want = got
		} else if string(got) != string(*want) {
			t.Fatalf("%s: got %x, want %x", what, got, *want)
		}
	}
	kp, _ := decode(t, v.KeyPackage).KeyPackage()
	w, _ := decode(t, v.Welcome).Welcome()
	g = must(Join(w, kp, must(DecodeKeyPackageKeys(v.Keys))(t), JoinConfig{Now: testTime}))(t).Group
	for i := range v.Steps {
		s := &v.Steps[i]
		if len(s.Commit) > 0 {
			parent = g
			g = must(follow(g, s.Proposals, s.Commit, nil))(t)
		}
		if r := must(g.Unprotect(decode(t, s.Message)))(t); string(r.Plaintext) != s.Plaintext {
			t.Fatalf("step %d: read %q", i, r.Plaintext)
		}
		check("authenticator", must(g.EpochAuthenticator())(t), &s.Authenticator)
		check("export", must(g.Export("golden", []byte("context"), 32))(t), &s.Exported)
		check("component", must(g.ExportComponent(0x8001))(t), &s.Component)
	}
	check("state", g.AppendState(nil), &v.State)
	check("delta", must(g.AppendDelta(nil, parent))(t), &v.Delta)
	check("secrets", g.AppendSecrets(nil), &v.Secrets)
	check("ratchets", g.AppendRatchets(nil), &v.Ratchets)
	return parent, g
}

func TestGolden(t *testing.T) {
	if *updateGolden {
		v := makeGolden(t)
		v.replay(t, true)
		b := must(json.MarshalIndent(v, "", "\t"))(t)
		if err := os.WriteFile(goldenFile, append(b, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	v := readGolden(t)
	parent, g := v.replay(t, false)
	for _, b := range v.messages() {
		same(t, "message", reencodeMessage(decode(t, b)), b)
	}
	stored := must(DecodeState(v.State, v.Secrets, v.Ratchets))(t)
	same(t, "stored", stored.AppendState(nil), g.AppendState(nil))
	stored = must(parent.DecodeDelta(v.Delta, v.Secrets, v.Ratchets))(t)
	same(t, "stored delta", stored.AppendRatchets(nil), g.AppendRatchets(nil))
	// Computed with another implementation of HMAC.
	s := must(testSuites.suiteOf(testSuite))(t)
	want := must(hex.DecodeString("526035c0eda1a8aaeaf00a8c687e74d03409bf23d330a1c922d83e63897c583e"))(t)
	same(t, "expand", s.expandWithLabel([]byte{31: 1}, "label", []byte("context"), 32), want)
}

func (v *golden) messages() []hexBytes {
	list := []hexBytes{v.KeyPackage, v.Welcome}
	for _, s := range v.Steps {
		list = append(append(list, s.Proposals...), s.Message)
		if len(s.Commit) > 0 {
			list = append(list, s.Commit)
		}
	}
	return list
}

func makeGolden(t testing.TB) *golden {
	t.Helper()
	alice := newTester(t, testSuite, "alice").create(testExtensions())
	bob, carol, dave := newTester(t, testSuite, "bob"), newTester(t, testSuite, "carol"), newTester(t, testSuite, "dave")
	staged := alice.commit(CommitConfig{Path: PathAlways,
		Proposals: []Proposal{Add{KeyPackage: bob.kp}, Add{KeyPackage: carol.kp}, Add{KeyPackage: dave.kp}}})
	v := &golden{KeyPackage: bob.kp.Message(), Keys: bob.keys.AppendSecret(nil), Welcome: staged.Welcome}
	alice.group = staged.Next
	members := []*tester{alice, bob, carol, dave}
	for _, c := range members[1:] {
		c.join(staged.Welcome)
	}
	say := func(c *tester, text string) goldenStep {
		return goldenStep{Message: must(c.group.Protect(c.signer, []byte(text), nil))(t).Message, Plaintext: text}
	}
	v.Steps = append(v.Steps, say(alice, "welcome"))

	staged = advance(t, members, 2, CommitConfig{Path: PathAlways})
	s := say(carol, "updated")
	s.Commit = staged.Message
	v.Steps = append(v.Steps, s)

	leave := carol.propose(SelfRemove{})
	staged = alice.commit(CommitConfig{References: []*VerifiedProposal{alice.verifyProposal(leave)}, Private: true})
	dave.group = must(dave.apply(staged.Message, dave.verifyProposal(leave)))(t)
	alice.group = staged.Next
	s = say(dave, "bye carol")
	s.Proposals, s.Commit = []hexBytes{leave}, staged.Message
	v.Steps = append(v.Steps, s)

	staged = dave.commit(CommitConfig{Proposals: []Proposal{AppDataUpdate{Component: 0x8001, Data: []byte("renamed")}}})
	dave.group = staged.Next
	dave.send("lost")
	s = say(dave, "new name")
	s.Commit = staged.Message
	v.Steps = append(v.Steps, s)
	return v
}
