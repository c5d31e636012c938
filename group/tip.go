package group

// Tip names the canonical state: hex, the same for all members who are in it,
// and for nobody else. It is "" for a copy that has ended. It reveals nothing
// about the group's keys, but it identifies the group: keep it out of logs.
func (g *Group) Tip() string {
	if g.tip.state == nil {
		return ""
	}
	return rootID(g.tip.state).String()
}
