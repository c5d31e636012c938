package server

import (
	"fmt"
	"maps"

	"github.com/marmotgo/marmot/mls"
)

// epochsKept is how many past epochs a member can still read messages of.
const epochsKept = 16

// member is one member of one group.
type member struct {
	client
	id      uint32
	private bool // handshakes are PrivateMessages
	group   *mls.Group
	past    []*mls.Group      // ascending
	psks    map[string][]byte // external ones, and the resumption PSKs of all epochs
	pending *mls.Staged

	// Of the present epoch:
	own     map[string]*mls.VerifiedProposal // own proposals by message
	updates map[mls.ProposalRef]*mls.LeafKey // keys of own Updates
}

func newMember(c client, g *mls.Group, private bool, psks map[string][]byte) (*member, error) {
	m := &member{client: c, private: private, psks: maps.Clone(psks)}
	if m.psks == nil {
		m.psks = map[string][]byte{}
	}
	return m, m.enter(g)
}

// add gives a member an id.
func (s *Server) add(m *member) uint32 {
	m.id = s.newID()
	s.members[m.id] = m
	return m.id
}

// enter makes g the present epoch.
func (m *member) enter(g *mls.Group) error {
	id, psk, err := g.ResumptionPSK(mls.ResumptionApplication)
	if err != nil {
		return err
	}
	m.psks[id.Key()] = psk
	if m.group != nil {
		m.past = append(m.past, m.group)
	}
	if len(m.past) > epochsKept {
		m.past[0].Erase(mls.UseAll)
		m.past = m.past[1:]
	}
	m.group, m.pending = g, nil
	m.own, m.updates = map[string]*mls.VerifiedProposal{}, map[mls.ProposalRef]*mls.LeafKey{}
	return nil
}

// forget erases what the member knows.
func (m *member) forget() {
	m.group.Erase(mls.UseAll)
	for _, g := range m.past {
		g.Erase(mls.UseAll)
	}
	for _, psk := range m.psks {
		clear(psk)
	}
}

// epoch returns the group in an epoch, present or past.
func (m *member) epoch(e uint64) (*mls.Group, error) {
	if m.group.Epoch() == e {
		return m.group, nil
	}
	for _, g := range m.past {
		if g.Epoch() == e {
			return g, nil
		}
	}
	return nil, fmt.Errorf("%w: %d", mls.ErrWrongEpoch, e)
}

// leafOf returns the leaf with a basic credential over identity.
func leafOf(leaves func(func(mls.LeafIndex, *mls.LeafNode) bool), identity []byte) (mls.LeafIndex, error) {
	for i, l := range leaves {
		if l.Credential.Equal(mls.BasicCredential(identity)) {
			return i, nil
		}
	}
	return 0, fmt.Errorf("no member with identity %q", identity)
}
