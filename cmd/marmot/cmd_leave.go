package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/marmotgo/marmot/group"
	"github.com/spf13/cobra"
)

// memberLine is a member of a group as JSON.
type memberLine struct {
	Type  string `json:"type"` // member
	Group string `json:"group"`
	NPub  string `json:"npub"`
	Admin bool   `json:"admin"`
	Own   bool   `json:"own"`
}

func (a *app) groupsMembers() *cobra.Command {
	return a.verb("members GROUP", "List a group's members", cobra.ExactArgs(1), func(ctx context.Context, s *session, args []string) error {
		g, st, err := s.pickGroup(ctx, args[0])
		if err != nil {
			return err
		}
		for _, m := range st.Members {
			line := memberLine{"member", g.ID(), m.Npub(), slices.Contains(st.Admins, m), m == s.PubKey()}
			note := ""
			if line.Admin {
				note = "  admin"
			}
			if line.Own {
				note += "  you"
			}
			a.print(line, "%s%s", line.NPub, note)
		}
		return nil
	})
}

func (a *app) groupsForget() *cobra.Command {
	var anyway bool
	c := a.verb("forget GROUP", "Delete everything this account has of a group: keys and messages", cobra.ExactArgs(1), func(ctx context.Context, s *session, args []string) error {
		g, st, err := s.pickGroup(ctx, args[0])
		if err != nil {
			return err
		}
		if err := s.Forget(ctx, g.ID(), anyway); err != nil {
			return err
		}
		a.print(map[string]string{"type": "forgotten", "group": g.ID()}, "Everything of %q was deleted here.", oneLine(st.Name))
		return nil
	})
	c.Flags().BoolVar(&anyway, "anyway", false, "also while you are a member: the others go on seeing you, and only a new invitation leads back")
	return c
}

func (a *app) invitesDecline() *cobra.Command {
	var leave bool
	c := a.verb("decline GROUP", "Drop an invitation without a word; with --leave, give the seat back", cobra.ExactArgs(1), func(ctx context.Context, s *session, args []string) error {
		i, err := s.pickInvitation(ctx, args[0])
		if err != nil {
			return err
		}
		if leave {
			return s.declineLoudly(ctx, i)
		}
		if err := s.Decline(ctx, i); err != nil {
			return err
		}
		a.print(map[string]string{"type": "declined", "group": fmt.Sprintf("%x", i.GroupID)},
			"Declined. Nobody was told: your seat in the group stays, and the others see a member who never comes.")
		return nil
	})
	c.Long = "Drop an invitation. Nobody is told, and your seat in the group stays: the others see a member who never comes.\n\n" +
		"With --leave you join only to leave, which gives the seat back. It tells the members that you are there, read the invitation and do not want it, and when; " +
		"the group's relays, which the inviter chose, see the address you connect from. Until a member has taken you out you could read what they say."
	c.Flags().BoolVar(&leave, "leave", false, "join only to leave: see --help for what that reveals")
	return c
}

// declineLoudly joins a group to ask the others to remove this member.
func (s *session) declineLoudly(ctx context.Context, i group.Invitation) error {
	g, err := s.Accept(ctx, i)
	if err != nil {
		return err
	}
	s.catchUp(ctx) // a leave is for the epoch the others are in
	if err := g.Leave(ctx); err != nil {
		return err
	}
	s.app.print(map[string]any{"type": "declined", "group": g.ID(), "left": true},
		"Declined. The members learn that you read the invitation and do not want it; the group's relays (%d, chosen by the inviter) saw the address you connect from. "+
			"The seat is free when a member has taken you out; then: marmot groups forget %.12s", len(i.Relays), g.ID())
	return nil
}
