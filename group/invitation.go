package group

import "github.com/marmotgo/marmot/nostr"

// Invitation is what a person should see before joining.
type Invitation struct {
	GroupID     []byte // MLS group id
	Inviter     nostr.PubKey
	Name        string
	Description string
	Members     []nostr.PubKey
	Admins      []nostr.PubKey
	Relays      []string
	Epoch       uint64
}

// Invitation describes a group that [Join] has just opened, so that a person
// can decide. Nothing that it names has been contacted.
func (g *Group) Invitation(inviter nostr.PubKey) Invitation {
	n := g.tip
	i := Invitation{
		GroupID: n.state.ID(), Inviter: inviter, Members: n.members(), Admins: n.settings.Admins,
		Relays: n.settings.Routing.Relays, Epoch: n.state.Epoch(),
	}
	if p := n.settings.Profile; p != nil {
		i.Name, i.Description = p.Name, p.Description
	}
	return i
}
