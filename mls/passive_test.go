package mls

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/marmotgo/marmot/mls/internal/wire"
)

type passiveVector struct {
	Suite Suite `json:"cipher_suite"`
	PSKs  []struct {
		ID  hexBytes `json:"psk_id"`
		PSK hexBytes
	} `json:"external_psks"`
	KeyPackage     hexBytes `json:"key_package"`
	SignaturePriv  hexBytes `json:"signature_priv"`
	EncryptionPriv hexBytes `json:"encryption_priv"`
	InitPriv       hexBytes `json:"init_priv"`
	Welcome        hexBytes
	RatchetTree    hexBytes `json:"ratchet_tree"`
	Initial        hexBytes `json:"initial_epoch_authenticator"`
	Epochs         []struct {
		Proposals     []hexBytes
		Commit        hexBytes
		Authenticator hexBytes `json:"epoch_authenticator"`
	}
}

func TestVectorsPassiveWelcome(t *testing.T) { testPassive(t, "passive-client-welcome", 56, 0) }
func TestVectorsPassiveHandlingCommit(t *testing.T) {
	testPassive(t, "passive-client-handling-commit", 91, 182)
}
func TestVectorsPassiveRandom(t *testing.T) { testPassive(t, "passive-client-random", 1, 200) }

// testPassive joins by each Welcome and follows all commits. Every epoch is
// also saved and read back, and the group that came from storage goes on.
func testPassive(t *testing.T, name string, entries, wantEpochs int) {
	epochs, trees := 0, 0
	forSuites(t, readVectors[passiveVector](t, name), func(v *passiveVector) Suite { return v.Suite }, entries, func(t *testing.T, s *cipherSuite, v *passiveVector) {
		psks := map[string][]byte{}
		for _, p := range v.PSKs {
			psks[PSKID{Type: PSKExternal, ID: p.ID}.Key()] = p.PSK
		}
		if v.RatchetTree != nil {
			trees++
		}
		kp, _ := must(testSuites.DecodeMessage(v.KeyPackage))(t).KeyPackage()
		w, _ := must(testSuites.DecodeMessage(v.Welcome))(t).Welcome()
		keys := &KeyPackageKeys{initKey: padKey(s, v.InitPriv), leafKey: padKey(s, v.EncryptionPriv)}
		joined, err := Join(w, kp, keys, JoinConfig{Tree: v.RatchetTree, Config: testSuites, PSKs: psks, Signer: signerOf(t, s, v.SignaturePriv)})
		if err != nil {
			t.Fatal(err)
		}
		g := joined.Group
		remember := func(g *Group) {
			id, psk, err := g.ResumptionPSK(ResumptionApplication)
			if err != nil {
				t.Fatal(err)
			}
			psks[id.Key()] = psk
		}
		same(t, "initial authenticator", must(g.EpochAuthenticator())(t), v.Initial)
		for i, e := range v.Epochs {
			remember(g)
			next, err := follow(g, e.Proposals, e.Commit, psks)
			if err != nil {
				t.Fatalf("epoch %d: %v", i, err)
			}
			same(t, fmt.Sprintf("authenticator after commit %d", i), must(next.EpochAuthenticator())(t), e.Authenticator)
			g = reload(t, g, next)
			epochs++
		}
	})
	if epochs != wantEpochs || entries == 56 && trees == 0 {
		t.Fatalf("%d epochs and %d out-of-band trees ran", epochs, trees)
	}
}

// padKey restores leading zeros of a private key on a NIST curve; the vectors
// lack them, RFC 9180 has them.
func padKey(s *cipherSuite, priv []byte) secret {
	scheme, ok := s.signature.(*ecdsaScheme)
	if !ok {
		return priv
	}
	size := (scheme.curve.Params().BitSize + 7) / 8
	return append(make([]byte, max(0, size-len(priv))), priv...)
}

func follow(g *Group, proposals []hexBytes, commit []byte, psks map[string][]byte) (*Group, error) {
	set := ProposalSet{}
	for _, b := range proposals {
		m, err := testSuites.DecodeMessage(b)
		if err != nil {
			return nil, err
		}
		v, err := g.Verify(m)
		if err != nil {
			return nil, err
		}
		p := v.(*VerifiedProposal)
		set[p.Ref()] = p
	}
	m, err := testSuites.DecodeMessage(commit)
	if err != nil {
		return nil, err
	}
	v, err := g.Verify(m)
	if err != nil {
		return nil, err
	}
	return g.Apply(v.(*VerifiedCommit), ApplyInput{Proposals: set, PSKs: psks})
}

// reload saves next, once whole and once as a delta to parent, reads both
// back and returns the one from the delta.
func reload(t testing.TB, parent, next *Group) *Group {
	t.Helper()
	state, secrets, ratchets := next.AppendState(nil), next.AppendSecrets(nil), next.AppendRatchets(nil)
	whole := must(testSuites.DecodeState(state, secrets, ratchets))(t)
	delta := must(next.AppendDelta(nil, parent))(t)
	public := must(testSuites.DecodeState(parent.AppendState(nil), nil, nil))(t)
	again := must(public.DecodeDelta(delta, secrets, ratchets))(t)
	for _, g := range []*Group{whole, again} {
		if !bytes.Equal(g.AppendState(nil), state) || !bytes.Equal(g.AppendSecrets(nil), secrets) ||
			!bytes.Equal(g.AppendRatchets(nil), ratchets) {
			t.Fatal("a group read back is saved differently")
		}
	}
	return again
}

func TestVectorsWelcome(t *testing.T) {
	type vector struct {
		Suite      Suite    `json:"cipher_suite"`
		InitPriv   hexBytes `json:"init_priv"`
		KeyPackage hexBytes `json:"key_package"`
		SignerPub  hexBytes `json:"signer_pub"`
		Welcome    hexBytes
	}
	forSuites(t, readVectors[vector](t, "welcome"), func(v *vector) Suite { return v.Suite }, 7, func(t *testing.T, s *cipherSuite, v *vector) {
		kp, _ := must(testSuites.DecodeMessage(v.KeyPackage))(t).KeyPackage()
		w, _ := must(testSuites.DecodeMessage(v.Welcome))(t).Welcome()
		if err := kp.Validate(time.Time{}); err != nil {
			t.Fatal(err)
		}
		j := &joiner{cfg: JoinConfig{Config: testSuites}, kp: kp, keys: &KeyPackageKeys{initKey: secret(v.InitPriv)}}
		if err := j.openWelcome(w); err != nil {
			t.Fatal(err)
		}
		if !s.verifyWithLabel(v.SignerPub, "GroupInfoTBS", j.info.raw[:j.info.signed], j.info.Signature) {
			t.Fatal("GroupInfo's signature refused")
		}
		e, _ := s.deriveEpoch(s.epochSecret(j.member, j.info.Context.append(nil)))
		same(t, "confirmation tag", s.confirmationTag(e.get(epochConfirmation), j.info.Context.ConfirmedTranscriptHash), j.info.ConfirmationTag)
	})
}

func TestVectorsMessageProtection(t *testing.T) {
	type vector struct {
		Suite           Suite    `json:"cipher_suite"`
		GroupID         hexBytes `json:"group_id"`
		Epoch           uint64
		TreeHash        hexBytes `json:"tree_hash"`
		Confirmed       hexBytes `json:"confirmed_transcript_hash"`
		SignaturePriv   hexBytes `json:"signature_priv"`
		SignaturePub    hexBytes `json:"signature_pub"`
		Encryption      hexBytes `json:"encryption_secret"`
		SenderData      hexBytes `json:"sender_data_secret"`
		Membership      hexBytes `json:"membership_key"`
		Proposal        hexBytes
		ProposalPriv    hexBytes `json:"proposal_priv"`
		ProposalPub     hexBytes `json:"proposal_pub"`
		Commit          hexBytes
		CommitPriv      hexBytes `json:"commit_priv"`
		CommitPub       hexBytes `json:"commit_pub"`
		Application     hexBytes
		ApplicationPriv hexBytes `json:"application_priv"`
	}
	forSuites(t, readVectors[vector](t, "message-protection"), func(v *vector) Suite { return v.Suite }, 7, func(t *testing.T, s *cipherSuite, v *vector) {
		signer := signerOf(t, s, v.SignaturePriv)
		receiver := newTester(t, s.id, "receiver")
		tree, _, err := newTree(s, receiver.kp.Leaf).applyChanges(nil, nil, []*LeafNode{leafOf(t, s, signer)}, Limits{})
		if err != nil {
			t.Fatal(err)
		}
		group := func(self LeafIndex) *Group {
			g := &Group{suite: s, limits: Limits{}.withDefaults(), self: self, tree: tree,
				context: GroupContext{Version: version10, Suite: s.id, GroupID: v.GroupID, Epoch: v.Epoch,
					TreeHash: v.TreeHash, ConfirmedTranscriptHash: v.Confirmed},
				secrets: newEpochSecrets(s.nh)}
			g.secrets.set(epochSenderData, v.SenderData)
			g.secrets.set(epochMembership, v.Membership)
			g.contextBytes = g.context.append(nil)
			g.plant(treeRoots{encryption: secret(bytes.Clone(v.Encryption)), components: make(secret, s.nh)})
			return g
		}
		// The vectors come from leaf 1; our own messages do as well.
		g, from := group(0), group(1)
		body := func(v Verified) []byte {
			switch v := v.(type) {
			case *VerifiedProposal:
				return v.content.raw[v.content.bodyStart:v.content.contentEnd]
			case *VerifiedCommit:
				return v.content.raw[v.content.bodyStart:v.content.contentEnd]
			}
			return nil
		}
		verify := func(b []byte) []byte { return body(must(g.Verify(must(testSuites.DecodeMessage(b))(t)))(t)) }
		same(t, "private proposal", verify(v.ProposalPriv), v.Proposal)
		same(t, "public proposal", verify(v.ProposalPub), v.Proposal)
		same(t, "private commit", verify(v.CommitPriv), v.Commit)
		same(t, "public commit", verify(v.CommitPub), v.Commit)
		r := must(g.Unprotect(must(testSuites.DecodeMessage(v.ApplicationPriv))(t)))(t)
		same(t, "application", r.Plaintext, v.Application)

		pr := wire.NewReader(v.Proposal)
		proposal := noConfig.decodeProposal(pr)
		for _, private := range []bool{false, true} {
			same(t, "own proposal", verify(must(from.Propose(signer, proposal, FrameConfig{Private: private}))(t)), v.Proposal)
			c := must(from.newContent(signer, wireFormat(private), ContentCommit, nil, v.Commit))(t)
			c.confirm(make([]byte, s.nh))
			same(t, "own commit", verify(must(from.frame(c, private))(t)), v.Commit)
		}
		sealed := must(from.Protect(signer, v.Application, []byte("aad")))(t)
		g = group(0)
		r = must(g.Unprotect(must(testSuites.DecodeMessage(sealed.Message))(t)))(t)
		same(t, "own application", r.Plaintext, v.Application)
		same(t, "own aad", r.AAD, []byte("aad"))
	})
}
