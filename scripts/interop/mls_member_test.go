//go:build interop

package interop

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/marmotgo/marmot/mls"
)

// member is an MLS client of ours or a peer's, so that each scenario runs with
// the roles either way. It keeps the proposals it has seen and commits them all.
type member interface {
	name() string
	keyPackage() []byte // an MLSMessage, as all messages are
	create(mls.Extensions) error
	join(welcome, tree []byte) error
	propose(p mls.Proposal, private bool) ([]byte, error)
	commit(change) (commit, welcome []byte, err error)
	process(handshake []byte) error
	removed(commit []byte) error // processes a commit that removes this member
	send(text, aad string) []byte
	read(message []byte) (string, error)
	tree() []byte // content of a ratchet_tree extension
	info() []byte // a GroupInfo with external_pub, without the tree
	joinExternal(info, tree []byte) (commit []byte, err error)
	view() view
}

// change is what a commit holds beside the proposals seen. Without any there
// is a path.
type change struct {
	proposals []mls.Proposal
	private   bool
	noTree    bool // the Welcome lacks the tree
}

// view is what all members of an epoch must agree on.
type view struct {
	Active                                        bool
	Epoch                                         uint64
	TreeHash, Transcript, Authenticator, Exported string
	Extensions                                    [][]any
	Self                                          mls.LeafIndex
}

var (
	groupID    = []byte("interop")
	pskID      = []byte("shared by hand")
	pskSecret  = []byte("0123456789abcdef0123456789abcdef")
	exportArgs = args{"label": "marmot", "context": "group-event", "length": 32}
)

// marmotCapabilities are those of a Marmot client: the dictionary and a custom
// extension, AppDataUpdate and SelfRemove.
func marmotCapabilities(suite mls.Suite) mls.Capabilities {
	return mls.Capabilities{Versions: []uint16{1}, Suites: []mls.Suite{suite}, Credentials: []mls.CredentialType{mls.CredentialBasic},
		Extensions: []mls.ExtensionType{mls.ExtAppDataDictionary, 0x000a, 0xf2d1},
		Proposals:  []mls.ProposalType{mls.ProposalAppDataUpdate, mls.ProposalSelfRemove}}
}

// marmotExtensions are those of a Marmot group.
func marmotExtensions() mls.Extensions {
	required := mls.RequiredCapabilities{Extensions: []mls.ExtensionType{mls.ExtAppDataDictionary},
		Proposals: []mls.ProposalType{mls.ProposalAppDataUpdate, mls.ProposalSelfRemove}}
	dictionary := mls.AppDataDictionary{{ID: 0x8001, Data: []byte("name")}, {ID: 0x8003, Data: make([]byte, 100)}}
	return mls.Extensions{{Type: mls.ExtRequiredCapabilities, Data: required.Append(nil)},
		{Type: mls.ExtAppDataDictionary, Data: dictionary.Append(nil)}}
}

// ours is a client of package mls.
type ours struct {
	t      *testing.T
	id     string
	suite  mls.Suite
	signer crypto.Signer
	kp     *mls.KeyPackage
	keys   *mls.KeyPackageKeys
	group  *mls.Group
	seen   []*mls.VerifiedProposal
	update *mls.LeafKey // of the own Update among seen
}

func newOurs(t *testing.T, id string, suite mls.Suite) *ours {
	t.Helper()
	m := &ours{t: t, id: id, suite: suite, signer: newSigner(t, suite)}
	var err error
	m.kp, m.keys, err = mls.NewKeyPackage(m.signer, mls.KeyPackageConfig{Suite: suite,
		Credential: mls.BasicCredential([]byte(id)), Capabilities: marmotCapabilities(suite), Lifetime: mls.Lifetime{NotAfter: 1<<64 - 1},
		LeafExtensions: mls.Extensions{{Type: 0xf2d1, Data: []byte(id)}},
		Extensions:     mls.Extensions{{Type: 0x000a, Data: nil}}})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func newSigner(t *testing.T, suite mls.Suite) crypto.Signer {
	t.Helper()
	curve := map[mls.Suite]elliptic.Curve{mls.P256_AES128GCM_SHA256_P256: elliptic.P256(),
		mls.P384_AES256GCM_SHA384_P384: elliptic.P384(), mls.P521_AES256GCM_SHA512_P521: elliptic.P521()}[suite]
	var key crypto.Signer
	var err error
	if curve == nil {
		_, key, err = ed25519.GenerateKey(rand.Reader)
	} else {
		key, err = ecdsa.GenerateKey(curve, rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (m *ours) name() string       { return m.id }
func (m *ours) keyPackage() []byte { return m.kp.Message() }

func (m *ours) create(ext mls.Extensions) (err error) {
	m.group, err = mls.Create(m.signer, mls.GroupConfig{Suite: m.suite, GroupID: groupID, Credential: mls.BasicCredential([]byte(m.id)),
		Capabilities: marmotCapabilities(m.suite), Lifetime: mls.Lifetime{NotAfter: 1<<64 - 1}, Extensions: ext})
	return err
}

func (m *ours) join(welcome, tree []byte) error {
	message, err := mls.DecodeMessage(welcome)
	if err != nil {
		return err
	}
	w, ok := message.Welcome()
	if !ok {
		return fmt.Errorf("no Welcome but a %d", message.WireFormat())
	}
	joined, err := mls.Join(w, m.kp, m.keys, mls.JoinConfig{Tree: tree, PSKs: ourPSKs(), Now: time.Now(), Signer: m.signer})
	if err != nil {
		return err
	}
	m.group = joined.Group
	return nil
}

func ourPSKs() map[string][]byte {
	return map[string][]byte{mls.PSKID{Type: mls.PSKExternal, ID: pskID}.Key(): pskSecret}
}

// propose proposes p; a nil one is an Update.
func (m *ours) propose(p mls.Proposal, private bool) (message []byte, err error) {
	if p == nil {
		if p, m.update, err = m.group.NewUpdate(m.signer, nil); err != nil {
			return nil, err
		}
	}
	message, own, err := m.group.ProposeVerified(m.signer, p, mls.FrameConfig{Private: private})
	if err == nil {
		m.seen = append(m.seen, own)
	}
	return message, err
}

func (m *ours) commit(c change) (commit, welcome []byte, err error) {
	cfg := mls.CommitConfig{References: m.seen, Proposals: c.proposals, PSKs: ourPSKs(), Private: c.private,
		Info: mls.InfoConfig{NoTree: c.noTree}, Now: time.Now()}
	staged, err := m.group.Commit(m.signer, cfg)
	if err != nil {
		return nil, nil, err
	}
	m.enter(staged.Next)
	return staged.Message, staged.Welcome, nil
}

func (m *ours) enter(next *mls.Group) { m.group, m.seen, m.update = next, nil, nil }

func (m *ours) process(handshake []byte) error {
	message, err := mls.DecodeMessage(handshake)
	if err != nil {
		return err
	}
	verified, err := m.group.Verify(message)
	if err != nil {
		return err
	}
	switch v := verified.(type) {
	case *mls.VerifiedProposal:
		m.seen = append(m.seen, v)
	case *mls.VerifiedCommit:
		in := mls.ApplyInput{Proposals: mls.ProposalSet{}, PSKs: ourPSKs(), LeafKey: m.update, Now: time.Now()}
		for _, p := range m.seen {
			in.Proposals[p.Ref()] = p
		}
		next, err := m.group.Apply(v, in)
		if err != nil {
			return err
		}
		m.enter(next)
	}
	return nil
}

func (m *ours) removed(commit []byte) error {
	if err := m.process(commit); !errors.Is(err, mls.ErrRemoved) {
		return fmt.Errorf("not removed: %w", err)
	}
	return nil
}

func (m *ours) send(text, aad string) []byte {
	m.t.Helper()
	sealed, err := m.group.Protect(m.signer, []byte(text), []byte(aad))
	if err != nil {
		m.t.Fatal(err)
	}
	return sealed.Message
}

func (m *ours) read(message []byte) (string, error) {
	decoded, err := mls.DecodeMessage(message)
	if err != nil {
		return "", err
	}
	received, err := m.group.Unprotect(decoded)
	return string(received.Plaintext), err
}

func (m *ours) tree() []byte {
	m.t.Helper()
	info, err := m.group.Info(m.signer, mls.InfoConfig{})
	if err != nil {
		m.t.Fatal(err)
	}
	tree, _ := info.Extensions.Find(mls.ExtRatchetTree)
	return tree
}

func (m *ours) info() []byte {
	m.t.Helper()
	info, err := m.group.Info(m.signer, mls.InfoConfig{ExternalPub: true, NoTree: true})
	if err != nil {
		m.t.Fatal(err)
	}
	return info.Message()
}

func (m *ours) joinExternal(info, tree []byte) ([]byte, error) {
	return m.joinExternalWith(info, mls.ExternalConfig{Tree: tree})
}

// joinExternalWith is joinExternal with what only ours can add to the commit.
func (m *ours) joinExternalWith(info []byte, cfg mls.ExternalConfig) ([]byte, error) {
	message, err := mls.DecodeMessage(info)
	if err != nil {
		return nil, err
	}
	i, ok := message.GroupInfo()
	if !ok {
		return nil, fmt.Errorf("no GroupInfo but a %d", message.WireFormat())
	}
	cfg.Credential, cfg.Capabilities = mls.BasicCredential([]byte(m.id)), marmotCapabilities(m.suite)
	cfg.PSKs, cfg.Now = ourPSKs(), time.Now()
	staged, err := mls.JoinExternal(i, m.signer, cfg)
	if err != nil {
		return nil, err
	}
	m.enter(staged.Next)
	return staged.Message, nil
}

func (m *ours) view() view {
	m.t.Helper()
	authenticator, err := m.group.EpochAuthenticator()
	if err != nil {
		m.t.Fatal(err)
	}
	exported, err := m.group.Export("marmot", []byte("group-event"), 32)
	if err != nil {
		m.t.Fatal(err)
	}
	c := m.group.Context()
	return view{Active: true, Epoch: c.Epoch, Self: m.group.Self(), TreeHash: hex.EncodeToString(c.TreeHash),
		Transcript: hex.EncodeToString(c.ConfirmedTranscriptHash), Authenticator: hex.EncodeToString(authenticator),
		Exported: hex.EncodeToString(exported), Extensions: plainExtensions(c.Extensions)}
}

// plainExtensions is e as it crosses to a driver.
func plainExtensions(e mls.Extensions) [][]any {
	list := [][]any{}
	for _, x := range e {
		list = append(list, []any{float64(x.Type), hex.EncodeToString(x.Data)})
	}
	return list
}
