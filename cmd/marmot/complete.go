package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/timeline"
	"github.com/spf13/cobra"
)

// completeTime bounds how long a shell waits for names.
const completeTime = 2 * time.Second

// namer lists what can stand at a place of the command line: a name, and after
// a tab what it is.
type namer func(ctx context.Context, s *session, args []string) ([]string, error)

// complete turns a list of names into what cobra's shell completions ask: for
// the first argument the first list, and the last one for all that follow. It
// waits for no relay, and says nothing on an error: the person is typing.
func (a *app) complete(places ...namer) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(cmd.Context(), completeTime)
		defer cancel()
		list := places[min(len(args), len(places)-1)]
		if list == nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		names, err := a.quietly(ctx, func(ctx context.Context, s *session) ([]string, error) { return list(ctx, s, args) })
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		names = slices.DeleteFunc(names, func(n string) bool {
			return !strings.HasPrefix(strings.ToLower(n), strings.ToLower(typed))
		})
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// quietly gets names from the account if that needs nobody's attention: no
// passphrase, no message.
func (a *app) quietly(ctx context.Context, f func(context.Context, *session) ([]string, error)) (names []string, err error) {
	var out bytes.Buffer
	silent := *a
	silent.out, silent.err, silent.in, silent.quiet = &out, io.Discard, strings.NewReader(""), true
	err = silent.withAccount(ctx, false, func(ctx context.Context, s *session) (err error) {
		names, err = f(ctx, s)
		return err
	})
	for line := range strings.Lines(out.String()) { // of the process that has the account
		if !strings.HasPrefix(line, ":") {
			names = append(names, strings.TrimSuffix(line, "\n"))
		}
	}
	return names, err
}

// addCompletions says for every verb what its arguments may be.
func (a *app) addCompletions(root *cobra.Command) {
	for path, places := range map[string][]namer{
		"send": {completeGroups, nil}, "messages": {completeGroups, nil}, "watch": {completeGroups, nil},
		"reply": {completeGroups, completeMessages, nil}, "react": {completeGroups, completeMessages, nil},
		"edit": {completeGroups, completeMessages, nil}, "delete": {completeGroups, completeMessages, nil},
		"groups show": {completeGroups, nil}, "groups status": {completeGroups, nil}, "groups relays": {completeGroups, nil},
		"groups retention": {completeGroups, nil}, "groups rename": {completeGroups, nil}, "groups describe": {completeGroups, nil},
		"groups leave": {completeGroups, nil}, "groups disband": {completeGroups, nil}, "groups forget": {completeGroups, nil},
		"groups members": {completeGroups, nil}, "groups create": {nil, completePeople}, "groups invite": {completeGroups, completeStrangers},
		"groups remove": {completeGroups, completeMembers}, "groups promote": {completeGroups, completeMembers}, "groups demote": {completeGroups, completeMembers},
		"invites accept": {completeInvitations, nil}, "invites decline": {completeInvitations, nil},
		"keys check": {completePeople, nil}, "profile show": {completePeople, nil}, "relays show": {completePeople, nil},
	} {
		c, rest, err := root.Find(strings.Fields(path))
		if err != nil || len(rest) > 0 {
			panic("marmot: no verb " + path) // our bug
		}
		c.ValidArgsFunction = a.complete(places...)
	}
}

func completeGroups(ctx context.Context, s *session, _ []string) ([]string, error) {
	groups, err := s.Groups(ctx)
	if err != nil {
		return nil, err
	}
	var out []string
	seen := map[string]bool{}
	for _, g := range groups {
		st, err := g.Status(ctx)
		if err != nil {
			continue
		}
		name := oneLine(st.Name)
		if name != st.Name || name == "" || seen[strings.ToLower(name)] || strings.HasPrefix(name, "-") {
			name = g.ID() // it cannot be typed, or is not the only one
		}
		seen[strings.ToLower(name)] = true
		out = append(out, fmt.Sprintf("%s\t%d members", name, len(st.Members)))
	}
	return out, nil
}

func completeInvitations(ctx context.Context, s *session, _ []string) ([]string, error) {
	list, err := s.Invitations(ctx)
	var out []string
	for _, i := range list {
		out = append(out, fmt.Sprintf("%x\t%s from %.14s", i.GroupID, oneLine(i.Name), i.Inviter.Npub()))
	}
	return out, err
}

func completePeople(ctx context.Context, s *session, _ []string) ([]string, error) {
	people, err := s.people(ctx)
	var out []string
	for _, p := range people {
		if p != s.PubKey() {
			out = append(out, p.Npub())
		}
	}
	return out, err
}

// completeMembers lists the members of the group that was named first.
func completeMembers(ctx context.Context, s *session, args []string) ([]string, error) {
	_, st, err := s.pickGroup(ctx, args[0])
	var out []string
	for _, m := range st.Members {
		if m != s.PubKey() && !slices.Contains(args, m.Npub()) {
			out = append(out, m.Npub())
		}
	}
	return out, err
}

// completeStrangers lists people who are not in the group that was named first.
func completeStrangers(ctx context.Context, s *session, args []string) ([]string, error) {
	_, st, err := s.pickGroup(ctx, args[0])
	if err != nil {
		return nil, err
	}
	people, err := completePeople(ctx, s, nil)
	return slices.DeleteFunc(people, func(npub string) bool {
		return slices.ContainsFunc(st.Members, func(m nostr.PubKey) bool { return m.Npub() == npub })
	}), err
}

// completeMessages lists the newest messages of the group that was named first.
func completeMessages(ctx context.Context, s *session, args []string) ([]string, error) {
	g, _, err := s.pickGroup(ctx, args[0])
	if err != nil {
		return nil, err
	}
	var out []string
	for m, err := range g.Timeline(ctx, timeline.Query{Newest: true, Limit: 30}) {
		if err != nil {
			return nil, err
		}
		if m.System == "" {
			out = append(out, fmt.Sprintf("%.12s\t%.40s", m.ID, oneLine(m.Text)))
		}
	}
	return out, nil
}
