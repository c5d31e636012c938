package wire

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/nostr"
)

// Lifetime of key packages (key-packages.md): the longest allowed range, and
// what our own use of it.
const (
	maxLifetime  = 7_261_200 // seconds, 84 days and an hour
	lifetimePast = 3_600     // seconds before now, for slow clocks
	LifetimeLong = maxLifetime - lifetimePast
)

// KeyPackageEvent is a kind 30443 event, or 443 of v1, that passed every check that
// needs no other input: its account can be invited with it.
type KeyPackageEvent struct {
	Event      nostr.ID
	Kind       nostr.Kind
	Account    nostr.PubKey
	CreatedAt  nostr.Timestamp
	Slot       string // d value, 64 hex digits
	KeyPackage *mls.KeyPackage
	Components []mls.ComponentID // what the leaf supports
	LastResort bool
	MIP        bool // of protocol v1; Components is empty then
}

// KeyPackageConfig says how to make a key package for an account whose proof
// vouches for the signature key; now in seconds.
func KeyPackageConfig(account nostr.PubKey, proof IdentityProof, now time.Time) mls.KeyPackageConfig {
	lastResort := mls.AppDataDictionary{{ID: ComponentLastResort, Data: nil}}
	return mls.KeyPackageConfig{
		Suite:          mls.X25519_AES128GCM_SHA256_Ed25519,
		Credential:     mls.BasicCredential(account[:]),
		Capabilities:   LeafCapabilities(),
		Lifetime:       LeafLifetime(now),
		LeafExtensions: LeafExtensions(proof),
		Extensions:     mls.Extensions{{Type: mls.ExtAppDataDictionary, Data: lastResort.Append(nil)}},
	}
}

// LeafLifetime is the Lifetime of a leaf made now.
func LeafLifetime(now time.Time) mls.Lifetime {
	at := uint64(now.Unix())
	return mls.Lifetime{NotBefore: at - lifetimePast, NotAfter: at + LifetimeLong}
}

// NewKeyPackageEvent returns the unsigned kind 30443 event for kp in the slot
// named by d, 64 lowercase hex digits.
func NewKeyPackageEvent(account nostr.PubKey, d string, kp *mls.KeyPackage, createdAt nostr.Timestamp) (*nostr.Event, error) {
	ids, _, err := LeafComponents(kp.Leaf)
	if err != nil {
		return nil, err
	}
	return &nostr.Event{
		PubKey:    account,
		CreatedAt: createdAt,
		Kind:      KindKeyPackage,
		Tags: nostr.Tags{
			{"d", d},
			{"mls_protocol_version", "1.0"},
			{"i", hex.EncodeToString(kp.Ref())},
			idList("mls_ciphersuite", []mls.Suite{kp.Suite}),
			idList("mls_extensions", kp.Leaf.Capabilities.Extensions),
			idList("mls_proposals", kp.Leaf.Capabilities.Proposals),
			idList("app_components", marmotOnly(ids)),
		},
		Content: base64.StdEncoding.EncodeToString(kp.Message()),
	}, nil
}

func marmotOnly(ids []mls.ComponentID) []mls.ComponentID {
	return slices.DeleteFunc(slices.Clone(ids), func(id mls.ComponentID) bool { return id < firstMarmotComponent })
}

// ParseKeyPackageEvent checks a kind 30443 event whose id and signature were
// verified already (transports/nostr.md, "KeyPackage publication";
// key-packages.md, MUST-reject list). A zero now leaves the lifetime unchecked.
func ParseKeyPackageEvent(e *nostr.Event, now time.Time) (*KeyPackageEvent, error) {
	if e.Kind != KindKeyPackage {
		return nil, malformed("kind %d is not a key package", e.Kind)
	}
	kp, err := DecodeKeyPackage(e.Content)
	if err != nil {
		return nil, err
	}
	if err := kp.Validate(now); err != nil {
		return nil, fmt.Errorf("key package: %w", err)
	}
	if l := kp.Leaf.Lifetime; l.NotAfter < l.NotBefore || l.NotAfter-l.NotBefore > maxLifetime {
		return nil, malformed("key package lives longer than %d seconds", maxLifetime)
	}
	account, ids, err := CheckLeaf(kp.Leaf, kp.Suite)
	if err != nil {
		return nil, err
	}
	if account != e.PubKey {
		return nil, malformed("key package belongs to another account than its event")
	}
	if _, ok := Covers(kp.Leaf.Capabilities.Proposals, []mls.ProposalType{mls.ProposalAppDataUpdate}); !ok {
		return nil, malformed("key package does not advertise app_data_update")
	}
	out := &KeyPackageEvent{Event: e.ID, Kind: e.Kind, Account: account, CreatedAt: e.CreatedAt, KeyPackage: kp, Components: ids}
	if out.LastResort, err = lastResort(kp); err != nil {
		return nil, err
	}
	out.Slot, err = checkKeyPackageTags(e.Tags, kp, ids)
	return out, err
}

// DecodeKeyPackage returns the key package in the content of a kind 30443 event,
// checked for nothing but its encoding; else the error wraps [ErrEncoding].
func DecodeKeyPackage(content string) (*mls.KeyPackage, error) {
	b, err := decodeBase64(content)
	if err != nil {
		return nil, err
	}
	m, err := mls.DecodeMessage(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEncoding, err)
	}
	kp, ok := m.KeyPackage()
	if !ok {
		return nil, malformed("content is not a key package message")
	}
	return kp, nil
}

func lastResort(kp *mls.KeyPackage) (bool, error) {
	data, ok := kp.Extensions.Find(mls.ExtAppDataDictionary)
	if !ok {
		return false, nil
	}
	dict, err := mls.DecodeAppDataDictionary(data)
	if err != nil {
		return false, fmt.Errorf("%w: key package dictionary: %w", ErrEncoding, err)
	}
	if _, ok := dict.Get(ComponentIdentityProof); ok {
		return false, malformed("identity proof outside of the leaf")
	}
	mark, ok := dict.Get(ComponentLastResort)
	if ok && len(mark) > 0 {
		return false, malformed("last resort mark is not empty")
	}
	return ok, nil
}

func checkKeyPackageTags(tags nostr.Tags, kp *mls.KeyPackage, ids []mls.ComponentID) (slot string, err error) {
	if slot, err = singleton(tags, "d"); err != nil {
		return "", err
	}
	if _, err := nostr.ParseID(slot); err != nil {
		return "", malformed("tag \"d\" is not 64 hex digits")
	}
	version, err := singleton(tags, "mls_protocol_version")
	if err != nil || version != "1.0" {
		return "", cmp.Or(err, malformed("mls_protocol_version is not 1.0"))
	}
	ref, err := singleton(tags, "i")
	if err != nil || ref != hex.EncodeToString(kp.Ref()) {
		return "", cmp.Or(err, malformed("tag \"i\" is not the key package's reference"))
	}
	caps := kp.Leaf.Capabilities
	return slot, cmp.Or(
		matchList(tags, "mls_ciphersuite", []mls.Suite{kp.Suite}),
		matchList(tags, "mls_extensions", withoutGREASE(caps.Extensions)),
		matchList(tags, "mls_proposals", withoutGREASE(caps.Proposals)),
		matchList(tags, "app_components", marmotOnly(ids)),
	)
}

// matchList compares an id list tag with what the leaf says. GREASE values may
// be left out of the tag or stand in it.
func matchList[T ~uint16](tags nostr.Tags, name string, want []T) error {
	tag, err := only(tags, name)
	if err != nil {
		return err
	}
	got, err := parseIDList[T](tag)
	if err != nil {
		return err
	}
	if !sameSet(withoutGREASE(got), want) {
		return malformed("tag %q differs from the key package", name)
	}
	return nil
}

// withoutGREASE drops the reserved values 0x0a0a … 0xfafa that peers add to
// keep others tolerant (RFC 9420, Section 13.5).
func withoutGREASE[T ~uint16](ids []T) []T {
	return slices.DeleteFunc(slices.Clone(ids), func(id T) bool { return id&0x0f0f == 0x0a0a && id>>8 == id&0xff })
}

// Better orders candidates of one account and protocol: those in a slot first, which
// only older v1 events have none of, then not last resort, then the newest, then the
// lower reference (key-packages.md, "Choosing"; MIP-00).
func (k *KeyPackageEvent) Better(other *KeyPackageEvent) bool {
	if old := k.Kind == KindMIPKeyPackage; old != (other.Kind == KindMIPKeyPackage) {
		return !old
	}
	if k.LastResort != other.LastResort {
		return other.LastResort
	}
	if k.CreatedAt != other.CreatedAt {
		return k.CreatedAt > other.CreatedAt
	}
	return bytes.Compare(k.KeyPackage.Ref(), other.KeyPackage.Ref()) < 0
}

// Supports reports what a group with these settings requires and the key
// package lacks; it wraps [ErrUnsupportedFeature].
func (k *KeyPackageEvent) Supports(s *Settings) error {
	return CheckSupport(k.KeyPackage.Leaf, k.Components, s)
}

// CheckSupport reports what settings require and a leaf with these components
// lacks; it wraps [ErrUnsupportedFeature].
func CheckSupport(leaf *mls.LeafNode, components []mls.ComponentID, s *Settings) error {
	caps := leaf.Capabilities
	if id, ok := Covers(components, s.Required); !ok {
		return fmt.Errorf("%w: component 0x%04x", ErrUnsupportedFeature, uint16(id))
	}
	if id, ok := Covers(caps.Extensions, append(s.RequiredMarkers(), s.Capabilities.Extensions...)); !ok {
		return fmt.Errorf("%w: extension 0x%04x", ErrUnsupportedFeature, uint16(id))
	}
	if id, ok := Covers(caps.Proposals, s.Capabilities.Proposals); !ok {
		return fmt.Errorf("%w: proposal 0x%04x", ErrUnsupportedFeature, uint16(id))
	}
	if id, ok := Covers(caps.Credentials, s.Capabilities.Credentials); !ok {
		return fmt.Errorf("%w: credential 0x%04x", ErrUnsupportedFeature, uint16(id))
	}
	return nil
}
