package group

import (
	"time"

	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// v2 is the current protocol. Its authority is in v2_authority.go, its branch
// choice in v2_choose.go.
type v2 struct{}

func (v2) protocol() Protocol { return V2 }

func (v2) parse(e *nostr.Event, _ time.Time) (*envelope, error) {
	ev, err := wire.ParseGroupEvent(e)
	if err != nil {
		return nil, err
	}
	open := func(n *node) ([]byte, bool) {
		key, err := n.eventKey()
		if err != nil {
			return nil, false
		}
		return ev.Open(key)
	}
	return &envelope{event: ev.Event, group: ev.Group, open: open}, nil
}

func (v2) seal(n *node, message []byte, at, expires nostr.Timestamp) (*nostr.Event, error) {
	key, err := n.eventKey()
	if err != nil {
		return nil, err
	}
	return wire.SealGroupEvent(key, n.settings.Routing.GroupID, message, at, expires)
}

// kindOf applies the framing rule of mls-protocol.md: handshakes are
// PublicMessages of members, application data is PrivateMessages.
func (v2) kindOf(m *mls.Message) (inputKind, bool) {
	switch {
	case m.WireFormat() == mls.WirePrivateMessage && m.ContentType() == mls.ContentApplication:
		return kindApp, true
	case m.WireFormat() != mls.WirePublicMessage || m.Sender().Type != mls.SenderMember:
		return "", false
	}
	return handshakeOf(m)
}

// handshakeOf says whether a handshake message is a commit or a proposal.
func handshakeOf(m *mls.Message) (inputKind, bool) {
	switch m.ContentType() {
	case mls.ContentCommit:
		return kindCommit, true
	case mls.ContentProposal:
		return kindProposal, true
	}
	return "", false
}

func (v2) evidence(*nostr.Event) *evidence { return nil }

func (v2) private() bool { return false }

func (v2) payload(plaintext []byte, sender nostr.PubKey) (*nostr.Event, []byte, error) {
	e, err := wire.DecodePayload(plaintext, sender)
	return e, plaintext, err
}

func (v2) welcome(w *wire.Welcome) (*nostr.Event, error) { return w.Rumor() }

func (v2) decode(ext mls.Extensions) (*wire.Settings, error) { return wire.DecodeSettings(ext) }

func (v2) found(cfg CreateConfig, routing wire.Routing) (mls.Extensions, error) {
	return wire.NewGroupExtensions(cfg.Profile, wire.NewAdmins(cfg.Self), routing, cfg.Retention)
}

func (v2) idSize() int { return 16 }

func (v2) leaf(proof wire.IdentityProof) (mls.Capabilities, mls.Extensions) {
	return wire.LeafCapabilities(), wire.LeafExtensions(proof)
}

func (v2) vouches() bool { return true }

func (v2) supports(k *wire.KeyPackageEvent, n *node) error { return k.Supports(n.settings) }

func (v2) unavailable(set *wire.Settings) []string { return wire.Unavailable(set.Required) }

func (v2) amend(_ *node, a amendment) ([]mls.Proposal, error) {
	var out []mls.Proposal
	set := func(id mls.ComponentID, data []byte) {
		out = append(out, mls.AppDataUpdate{Component: id, Data: data})
	}
	if a.profile != nil {
		set(wire.ComponentProfile, a.profile.Append(nil))
	}
	if a.admins != nil {
		set(wire.ComponentAdmins, a.admins.Append(nil))
	}
	if a.routing != nil {
		set(wire.ComponentRouting, a.routing.Append(nil))
	}
	if a.retention != nil {
		set(wire.ComponentRetention, a.retention.Append(nil))
	}
	return out, nil
}

func (v2) departs(_ *node, p *mls.VerifiedProposal, _ nostr.PubKey) bool {
	return p.Proposal().Type() == mls.ProposalSelfRemove
}

func (v2) leave(*node) (mls.Proposal, mls.FrameConfig) { return mls.SelfRemove{}, mls.FrameConfig{} }

func (v2) pathOptional() bool { return false }

func (v2) ends() bool { return true }

func (v2) collect() (quiet, most time.Duration) { return quiescence, maxPass }

func (v2) witnessed() bool { return true }

func (v2) choose(g *Group, base uint64) *node { return g.choose(base) }
