package mls

import (
	"bytes"
	"testing"
)

// TestMessageAccessors: what a message shows before anybody looks at it as a
// member, and that the results are the caller's.
func TestMessageAccessors(t *testing.T) {
	members := newTesters(t, testSuite, 2)
	a := members[0]
	joiner := newTester(t, testSuite, "joiner")
	aad := []byte("aad")
	staged := a.commit(CommitConfig{Path: PathAlways, AAD: aad, Proposals: []Proposal{Add{KeyPackage: joiner.kp}}})
	info := must(a.group.Info(a.signer, InfoConfig{}))(t)
	for _, c := range []struct {
		b       []byte
		format  WireFormat
		content ContentType
		sender  Sender
		framed  bool
	}{
		{staged.Message, WirePublicMessage, ContentCommit, Sender{Type: SenderMember}, true},
		{must(a.group.Protect(a.signer, []byte("x"), aad))(t).Message, WirePrivateMessage, ContentApplication, Sender{}, true},
		{staged.Welcome, WireWelcome, 0, Sender{}, false},
		{info.Message(), WireGroupInfo, 0, Sender{}, false},
		{joiner.kp.Message(), WireKeyPackage, 0, Sender{}, false},
	} {
		m := decode(t, c.b)
		if m.WireFormat() != c.format || m.ContentType() != c.content || m.Sender() != c.sender {
			t.Errorf("format %d, content %d, sender %v", m.WireFormat(), m.ContentType(), m.Sender())
		}
		wantID, wantAAD, wantEpoch := []byte(nil), []byte(nil), uint64(0)
		if c.framed {
			wantID, wantAAD, wantEpoch = a.group.ID(), aad, 1
		}
		for range 2 { // the second time after the first results were overwritten
			id, data := m.GroupID(), m.AAD()
			if !bytes.Equal(id, wantID) || !bytes.Equal(data, wantAAD) || m.Epoch() != wantEpoch {
				t.Errorf("format %d: group %q, epoch %d, aad %q", c.format, id, m.Epoch(), data)
			}
			clear(id)
			clear(data)
		}
		_, isWelcome := m.Welcome()
		_, isInfo := m.GroupInfo()
		_, isKeyPackage := m.KeyPackage()
		if isWelcome != (c.format == WireWelcome) || isInfo != (c.format == WireGroupInfo) || isKeyPackage != (c.format == WireKeyPackage) {
			t.Errorf("format %d holds something else", c.format)
		}
	}
	w, _ := decode(t, staged.Welcome).Welcome()
	if refs := w.Refs(); w.Suite() != testSuite || len(refs) != 1 || !bytes.Equal(refs[0], joiner.kp.Ref()) {
		t.Errorf("Welcome of suite %d for %x", w.Suite(), refs)
	}
	for _, l := range a.group.Leaves() {
		b := l.Bytes()
		if again, err := leafNodeIn(bytes.Clone(b)); err != nil || !again.Credential.Equal(l.Credential) {
			t.Error("leaf is not its bytes")
		}
		clear(b)
		if bytes.Equal(b, l.Bytes()) {
			t.Error("Bytes gives away the leaf's own memory")
		}
	}
}
