package wire

import (
	"bytes"
	"crypto/ed25519"
	"testing"

	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/nostr"
)

// TestPeerLeafBytes builds a key package like the reference's and finds the
// checklist's bytes in it.
func TestPeerLeafBytes(t *testing.T) {
	_, e := newKeyPackageEvent(t, func(c *mls.KeyPackageConfig) {
		c.Capabilities.Extensions = []mls.ExtensionType{3, 6, RoleReceive, RoleSend, RoleFanout}
		c.Capabilities.Proposals = []mls.ProposalType{mls.ProposalSelfRemove, mls.ProposalAppDataUpdate}
		d, err := mls.DecodeAppDataDictionary(c.LeafExtensions[0].Data)
		if err != nil {
			t.Fatal(err)
		}
		d[0].Data = unhex(t, "18 0001 8001 8002 8003 8004 8005 8006 8007 8008 8009 800b 800c")
		c.LeafExtensions[0].Data = d.Append(nil)
	})
	kp, err := DecodeKeyPackage(e.Content)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"capabilities":    "020001 020001 0a 0003 0006 f2d1 f2d2 f2d4 04 000a 0008 02 0001",
		"leaf extensions": "4092 0006 408e 408c 0001 19 180001800180028003800480058006800780088009800b800c 0002 01 00 8009 4068",
		"last resort":     "07 0006 04 03 0004 00",
		"credential":      "0001 20 f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9",
	} {
		if !bytes.Contains(kp.Bytes(), unhex(t, want)) {
			t.Errorf("%s: not in %x", name, kp.Bytes())
		}
	}
}

// TestProposalsInCommits finds the checklist's proposals in real commits.
func TestProposalsInCommits(t *testing.T) {
	first, err := nostr.ParsePubKey("79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")
	if err != nil {
		t.Fatal(err)
	}
	ext, err := NewGroupExtensions(Profile{Name: "x"}, NewAdmins(account3()), NewRouting(counting(), []string{"wss://a.example"}), 5)
	if err != nil {
		t.Fatal(err)
	}
	account := account3()
	signer := ed25519.NewKeyFromSeed(make([]byte, 32))
	g, err := mls.Create(signer, mls.GroupConfig{
		Suite: 1, GroupID: []byte{1}, Credential: mls.BasicCredential(account[:]), Capabilities: LeafCapabilities(),
		LeafExtensions: LeafExtensions(IdentityProof(unhex(t, proofHex))), Lifetime: LeafLifetime(testTime), Extensions: ext,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		p    mls.Proposal
		want string
	}{
		{"rename", mls.AppDataUpdate{Component: ComponentProfile, Data: Profile{Name: "New name"}.Append(nil)},
			"11 01 0008 8001 01 0a 08 4e6577206e616d65 00"},
		{"admins", mls.AppDataUpdate{Component: ComponentAdmins, Data: NewAdmins(account, first).Append(nil)},
			"01 0008 8003 01 4042 4040 79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798 f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9"},
		{"retention", mls.AppDataUpdate{Component: ComponentRetention, Data: Retention(86400).Append(nil)},
			"01 0008 8005 01 08 0000000000015180"},
		{"removal", mls.AppDataUpdate{Component: ComponentRetention, Remove: true}, "01 0008 8005 02"},
	} {
		staged, err := g.Commit(signer, mls.CommitConfig{Proposals: []mls.Proposal{c.p}})
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if !bytes.Contains(staged.Message, unhex(t, c.want)) {
			t.Errorf("%s: not in %x", c.name, staged.Message)
		}
	}
	message, err := g.Propose(signer, mls.SelfRemove{}, mls.FrameConfig{})
	if err != nil {
		t.Fatal(err)
	}
	// version, PublicMessage, group id, epoch, member 0, no data, proposal, SelfRemove
	if want := unhex(t, "0001 0001 0101 0000000000000000 01 00000000 00 02 000a"); !bytes.HasPrefix(message, want) {
		t.Errorf("SelfRemove is framed as %x", message)
	}
}
