package wire

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/nostr"
)

// KindMIPKeyPackage is the older form of a v1 key package, not addressable.
const KindMIPKeyPackage nostr.Kind = 443

// MIPKeyPackageConfig is what a new v1 key package of this account holds. It is
// one of last resort.
func MIPKeyPackageConfig(account nostr.PubKey, now time.Time) mls.KeyPackageConfig {
	return mls.KeyPackageConfig{
		Suite:        mls.X25519_AES128GCM_SHA256_Ed25519,
		Credential:   mls.BasicCredential(account[:]),
		Capabilities: MIPLeafCapabilities(),
		Lifetime:     LeafLifetime(now),
		Extensions:   mls.Extensions{{Type: extLastResort}},
	}
}

// NewMIPKeyPackageEvent returns the unsigned event that publishes a v1 key
// package: of kind 443, which v2 readers never ask for, or 30443 with the slot
// d. relays says where it can be found.
func NewMIPKeyPackageEvent(account nostr.PubKey, kind nostr.Kind, d string, relays []string, kp *mls.KeyPackage, at nostr.Timestamp) *nostr.Event {
	e := &nostr.Event{PubKey: account, CreatedAt: at, Kind: kind, Content: base64.StdEncoding.EncodeToString(kp.Bytes())}
	if kind == KindKeyPackage {
		e.Tags = append(e.Tags, nostr.Tag{"d", d})
	}
	caps := kp.Leaf.Capabilities
	e.Tags = append(e.Tags,
		nostr.Tag{"mls_protocol_version", "1.0"},
		idList("mls_ciphersuite", []mls.Suite{kp.Suite}),
		idList("mls_extensions", withoutGREASE(caps.Extensions)),
		idList("mls_proposals", withoutGREASE(caps.Proposals)),
		append(nostr.Tag{"relays"}, relays...),
		nostr.Tag{"i", hex.EncodeToString(kp.Ref())},
		nostr.Tag{"encoding", "base64"},
	)
	return e
}

// ParseMIPKeyPackageEvent reads and checks a v1 key package of either kind. What
// can be done is decided by its leaf, not by its tags: peers leave some out, and
// older ones had other names and wrote hex.
func ParseMIPKeyPackageEvent(e *nostr.Event, now time.Time) (*KeyPackageEvent, error) {
	if e.Kind != KindKeyPackage && e.Kind != KindMIPKeyPackage {
		return nil, malformed("kind %d is not a key package", e.Kind)
	}
	kp, err := decodeMIPKeyPackage(e)
	if err != nil {
		return nil, err
	}
	if err := kp.Validate(now); err != nil {
		return nil, fmt.Errorf("key package: %w", err)
	}
	account, err := LeafAccount(kp.Leaf)
	switch {
	case err != nil:
		return nil, err
	case account != e.PubKey:
		return nil, malformed("key package belongs to another account than its event")
	case kp.Suite != mls.X25519_AES128GCM_SHA256_Ed25519:
		return nil, malformed("key package of ciphersuite 0x%04x", uint16(kp.Suite))
	case !slices.Contains(kp.Leaf.Capabilities.Extensions, ExtGroupData):
		return nil, malformed("key package does not know marmot_group_data")
	}
	if ref, ok := e.Tags.Find("i"); ok && (len(ref) < 2 || ref[1] != hex.EncodeToString(kp.Ref())) {
		return nil, malformed("tag \"i\" is not the key package's reference")
	}
	_, lastResort := kp.Extensions.Find(extLastResort)
	out := &KeyPackageEvent{Event: e.ID, Kind: e.Kind, Account: account, CreatedAt: e.CreatedAt, KeyPackage: kp, LastResort: lastResort, MIP: true}
	if d, ok := e.Tags.Find("d"); ok && len(d) > 1 {
		out.Slot = d[1]
	}
	return out, nil
}

// decodeMIPContent reads base64, or hex as it was before February 2026.
func decodeMIPContent(e *nostr.Event) ([]byte, error) {
	encoding, ok := e.Tags.Find("encoding")
	if ok && (len(encoding) < 2 || (encoding[1] != "base64" && encoding[1] != "hex")) {
		return nil, malformed("an encoding that is not known")
	}
	if !ok || encoding[1] == "hex" {
		if b, err := hex.DecodeString(e.Content); err == nil {
			return b, nil
		}
	}
	return decodeBase64(e.Content)
}

// DecodeAnyKeyPackage returns the key package in an event of either protocol,
// checked for nothing but its encoding; else the error wraps [ErrEncoding].
func DecodeAnyKeyPackage(e *nostr.Event) (*mls.KeyPackage, error) {
	kp, err := decodeMIPKeyPackage(e)
	if err == nil || e.Kind == KindMIPKeyPackage {
		return kp, err
	}
	return DecodeKeyPackage(e.Content)
}

func decodeMIPKeyPackage(e *nostr.Event) (*mls.KeyPackage, error) {
	b, err := decodeMIPContent(e)
	if err != nil {
		return nil, err
	}
	kp, err := mls.DecodeKeyPackage(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEncoding, err)
	}
	return kp, nil
}

// LooksMIP reports whether a key package event is one of protocol v1, whatever
// its tags say: v2 frames the key package as a message, v1 does not.
func LooksMIP(e *nostr.Event) bool {
	if e.Kind == KindMIPKeyPackage {
		return true
	}
	_, err := decodeMIPKeyPackage(e)
	return err == nil
}
