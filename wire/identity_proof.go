package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/nostr"
)

// IdentityProof is component 0x8009: the account's signature over a leaf's
// MLS signature key (account-identity-proof-v2.md). signer[32] ||
// created_at uint64 || signature[64].
type IdentityProof [104]byte

// ErrIdentityProof is wrapped when a leaf's account does not vouch for it.
var ErrIdentityProof = errors.New("wire: identity proof not valid")

const (
	proofContent   = "Authorize this MLS leaf key for my Marmot account"
	maxProofTime   = 1<<53 - 1
	schemeEd25519  = "0x0807"
	ed25519KeySize = 32
)

// ProofEvent returns the unsigned kind 450 event that the account signs to
// vouch for an MLS signature key. It is a local template: it must never be
// published. Only suite 0x0001 is in use.
func ProofEvent(account nostr.PubKey, suite mls.Suite, signatureKey []byte, createdAt nostr.Timestamp) *nostr.Event {
	e := &nostr.Event{
		PubKey:    account,
		CreatedAt: createdAt,
		Kind:      KindIdentityProof,
		Tags: nostr.Tags{
			{"d", "marmot.account-identity-proof.v2"},
			{"component", "0x8009"},
			{"ciphersuite", fmt.Sprintf("0x%04x", uint16(suite))},
			{"signature_scheme", schemeEd25519},
			{"mls_signature_key", hex.EncodeToString(signatureKey)},
		},
		Content: proofContent,
	}
	e.ID = e.ComputeID()
	return e
}

// NewIdentityProof takes the proof from the signer's answer to wanted. Any
// difference from what was asked for is refused.
func NewIdentityProof(wanted, signed *nostr.Event) (IdentityProof, error) {
	var p IdentityProof
	if wanted.ID != signed.ID || !bytes.Equal(wanted.Serialize(), signed.Serialize()) {
		return p, fmt.Errorf("%w: the signer changed the event", ErrIdentityProof)
	}
	if err := signed.Verify(); err != nil {
		return p, fmt.Errorf("%w: %w", ErrIdentityProof, err)
	}
	copy(p[:], signed.PubKey[:])
	binary.BigEndian.PutUint64(p[32:], uint64(signed.CreatedAt))
	copy(p[40:], signed.Sig[:])
	return p, nil
}

// Verify checks the proof for a leaf's account and signature key.
func (p IdentityProof) Verify(account nostr.PubKey, suite mls.Suite, signatureKey []byte) error {
	created := binary.BigEndian.Uint64(p[32:])
	switch {
	case !bytes.Equal(p[:32], account[:]):
		return fmt.Errorf("%w: signed by another account", ErrIdentityProof)
	case suite != mls.X25519_AES128GCM_SHA256_Ed25519 || len(signatureKey) != ed25519KeySize:
		return fmt.Errorf("%w: ciphersuite or signature key", ErrIdentityProof)
	case created == 0 || created > maxProofTime:
		return fmt.Errorf("%w: created_at out of range", ErrIdentityProof)
	}
	e := ProofEvent(account, suite, signatureKey, nostr.Timestamp(created))
	if !nostr.VerifyHash(account, e.ID, [64]byte(p[40:])) {
		return fmt.Errorf("%w: signature", ErrIdentityProof)
	}
	return nil
}

// LeafAccount returns the account that a leaf's credential names. It does not
// verify the leaf's proof; see [CheckLeaf].
func LeafAccount(leaf *mls.LeafNode) (nostr.PubKey, error) {
	var key nostr.PubKey
	if leaf.Credential.Type != mls.CredentialBasic || len(leaf.Credential.Identity) != len(key) {
		return key, malformed("credential is not a basic one of 32 bytes")
	}
	copy(key[:], leaf.Credential.Identity)
	return key, nil
}

// CheckLeaf applies the identity rules to one leaf: a valid account, the
// component list naming 0x8009, exactly one proof and no superseded one. It
// returns the account and what the leaf supports.
func CheckLeaf(leaf *mls.LeafNode, suite mls.Suite) (nostr.PubKey, []mls.ComponentID, error) {
	account, err := LeafAccount(leaf)
	if err != nil {
		return account, nil, err
	}
	if !account.Valid() {
		return account, nil, malformed("credential is not a point of the curve")
	}
	if _, ok := leaf.Extensions.Find(legacyProof); ok {
		return account, nil, fmt.Errorf("%w: superseded proof present", ErrIdentityProof)
	}
	ids, dict, err := LeafComponents(leaf)
	if err != nil {
		return account, nil, err
	}
	if missing, ok := Covers(ids, []mls.ComponentID{ComponentIdentityProof}); !ok {
		return account, nil, fmt.Errorf("%w: component 0x%04x not listed", ErrIdentityProof, uint16(missing))
	}
	data, _ := dict.Get(ComponentIdentityProof)
	if len(data) != len(IdentityProof{}) {
		return account, nil, fmt.Errorf("%w: %d bytes", ErrIdentityProof, len(data))
	}
	return account, ids, IdentityProof(data).Verify(account, suite, leaf.SignatureKey)
}

// LeafCapabilities returns what our leaves advertise: all that groups of the
// living network require, in a deterministic order.
func LeafCapabilities() mls.Capabilities {
	return mls.Capabilities{
		Versions:    []uint16{1},
		Suites:      []mls.Suite{mls.X25519_AES128GCM_SHA256_Ed25519},
		Extensions:  []mls.ExtensionType{mls.ExtRequiredCapabilities, mls.ExtAppDataDictionary, RoleReceive},
		Proposals:   []mls.ProposalType{mls.ProposalAppDataUpdate, mls.ProposalSelfRemove},
		Credentials: []mls.CredentialType{mls.CredentialBasic},
	}
}

// LeafExtensions returns the extensions of a leaf of ours that carries proof.
func LeafExtensions(proof IdentityProof) mls.Extensions {
	d := dictionary(map[mls.ComponentID][]byte{
		ComponentAppComponents: AppendComponents(nil, SupportedComponents()),
		ComponentSafeAAD:       AppendComponents(nil, nil),
		ComponentIdentityProof: proof[:],
	})
	return mls.Extensions{{Type: mls.ExtAppDataDictionary, Data: d.Append(nil)}}
}
