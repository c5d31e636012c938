package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/marmotgo/marmot"
	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
	"github.com/spf13/cobra"
)

// groupLine is a group as lists and show print it.
type groupLine struct {
	Type   string       `json:"type"` // group
	ID     string       `json:"id"`
	Status group.Status `json:"status"`
}

func (a *app) printGroup(id string, st group.Status) {
	note := ""
	switch {
	case st.Lifecycle == group.Disbanded:
		note = " (has ended)"
	case st.Removed:
		note = " (you were removed)"
	case st.Cause != "":
		note = " (needs help: " + st.Cause + ")"
	case st.Leaving:
		note = " (leaving)"
	case st.Disbanding:
		note = " (being ended)"
	}
	a.print(groupLine{Type: "group", ID: id, Status: st}, "%.12s  %-24s %s %3d members  epoch %d%s", id, oneLine(st.Name), st.Protocol, len(st.Members), st.Epoch, note)
}

func (a *app) groupsCommand() *cobra.Command {
	c := &cobra.Command{Use: "groups", Short: "Make groups, see and change them"}
	c.AddCommand(a.groupsCreate(), a.groupsList(), a.groupsShow(), a.groupsInvite(),
		a.change("remove GROUP PERSON…", "Remove people with all their devices", func(ctx context.Context, g *marmot.Group, p []nostr.PubKey) error { return g.Remove(ctx, p...) }),
		a.change("promote GROUP PERSON…", "Make members admins", func(ctx context.Context, g *marmot.Group, p []nostr.PubKey) error { return g.Promote(ctx, p...) }),
		a.change("demote GROUP PERSON…", "Take admin rights back", func(ctx context.Context, g *marmot.Group, p []nostr.PubKey) error { return g.Demote(ctx, p...) }),
		a.verb("rename GROUP NAME", "Give the group another name", cobra.ExactArgs(2), func(ctx context.Context, s *session, args []string) error {
			return s.changeProfile(ctx, args[0], func(_, description string) (string, string) { return args[1], description })
		}),
		a.verb("describe GROUP TEXT", "Give the group another description", cobra.ExactArgs(2), func(ctx context.Context, s *session, args []string) error {
			return s.changeProfile(ctx, args[0], func(name, _ string) (string, string) { return name, args[1] })
		}),
		a.verb("leave GROUP", "Ask the others to remove you", cobra.ExactArgs(1), func(ctx context.Context, s *session, args []string) error {
			g, _, err := s.upToDate(ctx, args[0])
			if err != nil {
				return err
			}
			return g.Leave(ctx)
		}),
		a.groupsMembers(), a.groupsForget(), a.groupsStatus(), a.groupsRelays(), a.groupsRetention(), a.groupsDisband(), a.groupsMigrate(),
	)
	return c
}

func (a *app) groupsCreate() *cobra.Command {
	var relays []string
	var protocol string
	c := a.verb("create NAME [PERSON…]", "Make a group and invite people", cobra.MinimumNArgs(1), func(ctx context.Context, s *session, args []string) error {
		if err := checkProtocol(protocol); err != nil {
			return err
		}
		contacts, err := s.lookup(ctx, args[1:])
		if err != nil {
			return err
		}
		g, err := s.CreateGroup(ctx, marmot.NewGroup{Protocol: group.Protocol(protocol), Name: args[0], Relays: relays, Invite: contacts})
		if err != nil {
			return err
		}
		st, err := g.Status(ctx)
		if err != nil {
			return err
		}
		a.printGroup(g.ID(), st)
		return nil
	})
	c.Flags().StringSliceVar(&relays, "relay", nil, "relays of the group (default: the account's)")
	c.Flags().StringVar(&protocol, "protocol", string(group.V2), "v2, or v1 for people whose apps speak only the numbered MIPs; for life")
	return c
}

func checkProtocol(name string) error {
	if p := group.Protocol(name); p != group.V1 && p != group.V2 {
		return usage(fmt.Errorf("--protocol is v1 or v2, not %q", oneLine(name)))
	}
	return nil
}

func (s *session) lookup(ctx context.Context, names []string) ([]marmot.Contact, error) {
	people, err := pickPeople(names, nil)
	if err != nil {
		return nil, err
	}
	var out []marmot.Contact
	for _, p := range people {
		c, err := s.Lookup(ctx, p)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

func (a *app) groupsList() *cobra.Command {
	return a.verb("list", "List the groups", cobra.NoArgs, func(ctx context.Context, s *session, _ []string) error {
		groups, err := s.Groups(ctx)
		if err != nil {
			return err
		}
		slices.SortFunc(groups, func(x, y *marmot.Group) int { return strings.Compare(x.ID(), y.ID()) })
		for _, g := range groups {
			st, err := g.Status(ctx)
			if err != nil {
				return err
			}
			a.printGroup(g.ID(), st)
		}
		return nil
	})
}

func (a *app) groupsShow() *cobra.Command {
	return a.verb("show GROUP", "Show a group's members and state", cobra.ExactArgs(1), func(ctx context.Context, s *session, args []string) error {
		g, st, err := s.pickGroup(ctx, args[0])
		if err != nil {
			return err
		}
		a.printGroup(g.ID(), st)
		if a.json {
			return nil
		}
		if st.Description != "" {
			a.print(nil, "  %s", st.Description)
		}
		a.print(nil, "  %s, %s; %d wait to be sent, %d not understood yet", st.Lifecycle, st.Convergence, st.Queued+st.Outstanding, st.Deferred)
		if len(st.Unavailable) > 0 {
			a.print(nil, "  not available in this client yet: %s", strings.Join(st.Unavailable, ", "))
		}
		for _, m := range st.Members {
			role := ""
			if slices.Contains(st.Admins, m) {
				role = "  admin"
			}
			if m == s.PubKey() {
				role += "  you"
			}
			a.print(nil, "  %s%s", m.Npub(), role)
		}
		return nil
	})
}

func (a *app) groupsInvite() *cobra.Command {
	return a.verb("invite GROUP PERSON…", "Invite people", cobra.MinimumNArgs(2), func(ctx context.Context, s *session, args []string) error {
		g, _, err := s.upToDate(ctx, args[0])
		if err != nil {
			return err
		}
		contacts, err := s.lookup(ctx, args[1:])
		if err != nil {
			return err
		}
		return g.Invite(ctx, contacts...)
	})
}

// change is a verb that does something to members of a group.
func (a *app) change(use, what string, do func(context.Context, *marmot.Group, []nostr.PubKey) error) *cobra.Command {
	return a.verb(use, what, cobra.MinimumNArgs(2), func(ctx context.Context, s *session, args []string) error {
		g, st, err := s.upToDate(ctx, args[0])
		if err != nil {
			return err
		}
		people, err := pickPeople(args[1:], st.Members)
		if err != nil {
			return err
		}
		return do(ctx, g, people)
	})
}

func (s *session) changeProfile(ctx context.Context, name string, edit func(name, description string) (string, string)) error {
	g, st, err := s.upToDate(ctx, name)
	if err != nil {
		return err
	}
	newName, description := edit(st.Name, st.Description)
	return g.SetProfile(ctx, newName, description)
}

func (a *app) invitesCommand() *cobra.Command {
	c := &cobra.Command{Use: "invites", Short: "See, accept and decline invitations"}
	c.AddCommand(
		a.verb("list", "List the invitations that wait", cobra.NoArgs, func(ctx context.Context, s *session, _ []string) error {
			s.catchUp(ctx)
			list, err := s.Invitations(ctx)
			if err != nil {
				return err
			}
			for _, i := range list {
				again := ""
				if i.Rejoin {
					again = "\n    You have a copy of this group. Accepting gives it up: do it if the others do not hear you, and you trust the inviter."
				}
				a.print(invitationLine(i), "%.12x  %-24s %s from %s, %d members, relays %s%s%s", i.GroupID, oneLine(i.Name), i.Protocol, i.Inviter.Npub(), len(i.Members), oneLine(strings.Join(i.Relays, " ")), membersText(i.Members), again)
			}
			return nil
		}),
		a.verb("accept GROUP", "Join the group of an invitation", cobra.ExactArgs(1), func(ctx context.Context, s *session, args []string) error {
			s.catchUp(ctx)
			i, err := s.pickInvitation(ctx, args[0])
			if err != nil {
				return err
			}
			g, err := s.Accept(ctx, i)
			if err != nil {
				return err
			}
			st, err := g.Status(ctx)
			if err == nil {
				a.printGroup(g.ID(), st)
			}
			return err
		}),
		a.invitesDecline(),
	)
	return c
}

func invitationLine(i group.Invitation) any {
	return struct {
		Type     string         `json:"type"` // invitation
		ID       string         `json:"id"`
		Name     string         `json:"name"`
		Protocol group.Protocol `json:"protocol"`
		From     string         `json:"from"`
		Size     int            `json:"members"`
		Again    bool           `json:"rejoin,omitempty"`
		People   []string       `json:"people"` // npubs of the members
		Relays   []string       `json:"relays"`
	}{"invitation", fmt.Sprintf("%x", i.GroupID), i.Name, i.Protocol, i.Inviter.Npub(), len(i.Members), i.Rejoin, npubs(i.Members), append([]string{}, i.Relays...)}
}

func npubs(people []nostr.PubKey) []string {
	out := []string{}
	for _, p := range people {
		out = append(out, p.Npub())
	}
	return out
}

// shownMembers bounds how many members an invitation lists for a person.
const shownMembers = 10

// membersText lists members for a person who is to decide about them.
func membersText(people []nostr.PubKey) string {
	var out strings.Builder
	for _, p := range people[:min(len(people), shownMembers)] {
		out.WriteString("\n    " + p.Npub())
	}
	if more := len(people) - shownMembers; more > 0 {
		fmt.Fprintf(&out, "\n    and %d more", more)
	}
	return out.String()
}

func (s *session) pickInvitation(ctx context.Context, name string) (group.Invitation, error) {
	list, err := s.Invitations(ctx)
	if err != nil {
		return group.Invitation{}, err
	}
	var found []group.Invitation
	for _, i := range list {
		if strings.EqualFold(i.Name, name) || len(name) >= minPrefix && strings.HasPrefix(fmt.Sprintf("%x", i.GroupID), strings.ToLower(name)) {
			found = append(found, i)
		}
	}
	switch len(found) {
	case 0:
		return group.Invitation{}, fmt.Errorf("%w: no invitation is called %q: see marmot invites list", errNotFound, oneLine(name))
	case 1:
		return found[0], nil
	}
	var candidates []string
	for _, i := range found {
		candidates = append(candidates, fmt.Sprintf("%.12x (%s, from %.14s)", i.GroupID, oneLine(i.Name), i.Inviter.Npub()))
	}
	return group.Invitation{}, usage(fmt.Errorf("%q may be %s", oneLine(name), strings.Join(candidates, " or ")))
}
