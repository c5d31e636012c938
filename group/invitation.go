package group

import "github.com/marmotgo/marmot/nostr"

// Invitation is what a person should see before joining.
type Invitation struct {
	GroupID     []byte // MLS group id
	Protocol    Protocol
	Inviter     nostr.PubKey
	Name        string
	Description string
	Members     []nostr.PubKey
	Admins      []nostr.PubKey
	Relays      []string
	Epoch       uint64
	// Rejoin says that the account has a copy of this group already, which
	// accepting gives up: the way back from a branch that the others left.
	Rejoin bool `json:",omitempty"`
}

// Invitation describes a group that [Join] has just opened, so that a person
// can decide. Nothing that it names has been contacted.
func (g *Group) Invitation(inviter nostr.PubKey) Invitation {
	n := g.tip
	i := Invitation{
		GroupID: n.state.ID(), Protocol: g.gen.protocol(), Inviter: inviter, Members: n.members(), Admins: n.settings.Admins,
		Relays: n.settings.Routing.Relays, Epoch: n.state.Epoch(),
	}
	if p := n.settings.Profile; p != nil {
		i.Name, i.Description = p.Name, p.Description
	}
	return i
}

// Knows reports whether an invitation leads to a state that this copy has, or
// had while it is retained: such an invitation says nothing new.
func (g *Group) Knows(other *Group) bool {
	for _, n := range g.nodes {
		if n.state != nil && rootID(n.state) == rootID(other.tip.state) {
			return true
		}
	}
	return false
}

// Stranded reports that this copy very likely sits on a branch that the others
// left: there are events that it cannot open, and nothing of others since it
// came into the group. A fork that another member merely sees later does not
// look like this.
func (g *Group) Stranded() bool {
	if g.ended() || g.damaged || len(g.raw) == 0 {
		return false
	}
	for _, in := range g.inputs {
		if !in.Own && in.Disposition == accepted {
			return false
		}
	}
	return true
}
