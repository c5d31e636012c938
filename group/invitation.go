package group

import "github.com/marmotgo/marmot/nostr"

// Invitation describes a group that was just joined, as a person should see
// it before deciding.
func (g *Group) Invitation(inviter nostr.PubKey) Invitation { return g.tip.invitation(inviter) }

func (n *node) invitation(inviter nostr.PubKey) Invitation {
	i := Invitation{
		GroupID: n.state.ID(), Inviter: inviter, Members: n.members(), Admins: n.settings.Admins,
		Relays: n.settings.Routing.Relays, Epoch: n.state.Epoch(),
	}
	if p := n.settings.Profile; p != nil {
		i.Name, i.Description = p.Name, p.Description
	}
	return i
}
