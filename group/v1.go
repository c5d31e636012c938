package group

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// v1 is the protocol of the numbered MIPs. Its authority is in
// v1_authority.go, its branch choice in v1_choose.go.
type v1 struct{}

// ErrNewerData means that the group's settings were written by a version of
// the protocol that this client does not know: a change would lose what it
// cannot read.
var ErrNewerData = errors.New("group: the group's settings are of a newer version; update this client to change them")

// maxAheadOfUs is how far ahead of our clock an event may be dated: branch
// choice prefers early ones, but nobody may fill the future either (MIP-03).
const maxAheadOfUs = 300 * time.Second

func (v1) protocol() Protocol { return V1 }

func (v1) parse(e *nostr.Event, now time.Time) (*envelope, error) {
	ev, err := wire.ParseMIPGroupEvent(e)
	if err != nil {
		return nil, err
	}
	if time.Unix(int64(e.CreatedAt), 0).After(now.Add(maxAheadOfUs)) {
		return nil, fmt.Errorf("%w: by %d seconds", errEarly, int64(e.CreatedAt)-now.Unix())
	}
	open := func(n *node) ([]byte, bool) {
		key, err := n.eventKey()
		if err != nil {
			return nil, false
		}
		if b, ok := ev.Open(key); ok {
			return b, true
		}
		if ev.MayBeLegacy() && n.state != nil {
			if key, err := wire.LegacyKeyOf(n.state); err == nil {
				return ev.OpenLegacy(key)
			}
		}
		return nil, false
	}
	return &envelope{event: ev.Event, group: ev.Group, open: open, evidence: v1{}.evidence(e)}, nil
}

func (v1) evidence(e *nostr.Event) *evidence { return &evidence{At: e.CreatedAt, Event: e.ID} }

func (v1) seal(n *node, message []byte, at, expires nostr.Timestamp) (*nostr.Event, error) {
	key, err := n.eventKey()
	if err != nil {
		return nil, err
	}
	return wire.SealMIPGroupEvent(key, n.settings.Routing.GroupID, message, at, expires)
}

// kindOf: everything is a PrivateMessage but SelfRemove, which is public. Public
// handshakes of members are taken, as MDK does.
func (v1) kindOf(m *mls.Message) (inputKind, bool) {
	switch {
	case m.WireFormat() == mls.WirePrivateMessage && m.ContentType() == mls.ContentApplication:
		return kindApp, true
	case m.WireFormat() == mls.WirePublicMessage && m.Sender().Type != mls.SenderMember:
		return "", false
	}
	return handshakeOf(m)
}

func (v1) private() bool { return true }

func (v1) payload(plaintext []byte, sender nostr.PubKey) (*nostr.Event, []byte, error) {
	return wire.DecodeMIPPayload(plaintext, sender)
}

func (v1) welcome(w *wire.Welcome) (*nostr.Event, error) { return w.MIPRumor() }

func (v1) decode(ext mls.Extensions) (*wire.Settings, error) { return wire.DecodeMIPSettings(ext) }

func (v1) found(cfg CreateConfig, routing wire.Routing) (mls.Extensions, error) {
	d := &wire.GroupData{
		GroupID: routing.GroupID, Name: cfg.Profile.Name, Description: cfg.Profile.Description, Admins: wire.NewAdmins(cfg.Self),
		Relays: routing.Relays, Retention: cfg.Retention,
	}
	cannot := slices.ContainsFunc(cfg.Invitees, func(v Invitee) bool {
		return !slices.Contains(v.KeyPackage.KeyPackage.Leaf.Capabilities.Proposals, mls.ProposalSelfRemove) // marmot-ts
	})
	return wire.MIPExtensions(d, len(cfg.Invitees) > 0 && !cannot), nil
}

func (v1) idSize() int { return 32 }

func (v1) leaf(wire.IdentityProof) (mls.Capabilities, mls.Extensions) {
	return wire.MIPLeafCapabilities(), nil
}

func (v1) vouches() bool { return false }

func (v1) supports(k *wire.KeyPackageEvent, n *node) error {
	caps := k.KeyPackage.Leaf.Capabilities
	required := n.settings.Capabilities
	if id, ok := wire.Covers(caps.Extensions, append([]mls.ExtensionType{wire.ExtGroupData}, required.Extensions...)); !ok {
		return fmt.Errorf("%w: extension 0x%04x (a group of protocol v1 needs a key package of v1)", wire.ErrUnsupportedFeature, uint16(id))
	}
	if id, ok := wire.Covers(caps.Proposals, required.Proposals); !ok {
		return fmt.Errorf("%w: proposal 0x%04x", wire.ErrUnsupportedFeature, uint16(id))
	}
	return nil
}

func (v1) unavailable(set *wire.Settings) []string {
	if set.Data == nil || !set.Data.Newer() { // of a copy that was removed there is less
		return nil
	}
	return []string{fmt.Sprintf("some group settings, written in version %d of their format: they are kept, and cannot be changed here", set.Data.Version)}
}

func (v1) amend(n *node, a amendment) ([]mls.Proposal, error) {
	if n.settings.Data.Newer() {
		return nil, ErrNewerData
	}
	d := *n.settings.Data
	if a.profile != nil {
		d.Name, d.Description = a.profile.Name, a.profile.Description
	}
	if a.admins != nil {
		d.Admins = a.admins
	}
	if a.routing != nil {
		d.GroupID, d.Relays = a.routing.GroupID, a.routing.Relays
	}
	if a.retention != nil {
		d.Retention = *a.retention
	}
	ext := wire.AmendMIP(n.state.Context().Extensions, &d)
	return []mls.Proposal{mls.GroupContextExtensions{Extensions: ext}}, nil
}
