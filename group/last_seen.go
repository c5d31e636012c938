package group

import (
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// lastSeen is what stays of a copy that has ended: what a person may look at,
// and no secret.
type lastSeen struct {
	Epoch       uint64         `json:"epoch"`
	Members     []nostr.PubKey `json:"members"`
	Admins      []nostr.PubKey `json:"admins"`
	Name        string         `json:"name"`
	Description string         `json:"description"`
}

// newLastSeen describes the state in which this copy ended. Of a state that
// removed this member only the parent is known.
func newLastSeen(tip *node) *lastSeen {
	n := tip
	if n.state == nil {
		n = tip.parent
	}
	l := &lastSeen{Epoch: tip.epoch, Members: n.members(), Admins: n.settings.Admins}
	if p := n.settings.Profile; p != nil {
		l.Name, l.Description = p.Name, p.Description
	}
	return l
}

// node is the only state of an ended copy.
func (l *lastSeen) node(id stateID) *node {
	settings := &wire.Settings{Admins: l.Admins, Profile: &wire.Profile{Name: l.Name, Description: l.Description}}
	return &node{id: id, epoch: l.Epoch, settings: settings, removed: true}
}
