package sim

import (
	"errors"
	"fmt"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// act lets a random person do something. What the group refuses is part of
// life; anything else is a finding.
func (w *World) act() error {
	c := w.clients[w.rng.IntN(len(w.clients))]
	if !c.active() {
		return nil
	}
	w.Stats.Actions++
	in, err := w.wish(c)
	if err != nil || in == nil {
		return err
	}
	err = c.step(in)
	if refused(err) {
		w.Stats.Refused++
		return nil
	}
	return err
}

func refused(err error) bool {
	for _, known := range []error{
		group.ErrNotAdmin, group.ErrNotMember, group.ErrAlreadyMember, group.ErrAdminLeave, group.ErrLastAdmin, group.ErrLeaving,
		group.ErrRemoved, group.ErrEnded, group.ErrQueueFull,
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// wish draws what somebody wants: mostly to talk.
func (w *World) wish(c *Client) (group.Input, error) {
	st := c.g.Status()
	someone := func() nostr.PubKey { return st.Members[w.rng.IntN(len(st.Members))] }
	switch draw := w.rng.IntN(100); {
	case draw < 55:
		w.Stats.Messages++
		text := fmt.Sprintf("%s, message %d", c.name, w.Stats.Messages)
		return group.Send{Ref: text, Payload: wire.NewPayload(c.pub(), wire.KindChat, text, nil, c.timestamp())}, nil
	case draw < 65:
		return group.SetProfile{Profile: wire.Profile{Name: fmt.Sprintf("name %d", w.Stats.Actions)}}, nil
	case draw < 75:
		return group.SelfUpdate{}, nil
	case draw < 83:
		return group.SetAdmins{Grant: []nostr.PubKey{someone()}}, nil
	case draw < 86:
		return group.SetAdmins{Revoke: []nostr.PubKey{someone()}}, nil
	case draw < 90:
		if who := someone(); who != c.pub() {
			return group.Remove{Accounts: []nostr.PubKey{who}}, nil
		}
	case draw < 93:
		return group.Leave{}, nil
	default:
		return w.invitation(c)
	}
	return nil, nil
}

// invitation invites somebody who is not in any group.
func (w *World) invitation(c *Client) (group.Input, error) {
	for _, other := range w.clients {
		if other.active() {
			continue
		}
		v, err := other.invitee()
		return group.Invite{Invitees: []group.Invitee{v}}, err
	}
	return nil, nil
}
