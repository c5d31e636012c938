package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/marmotgo/marmot"
	"github.com/spf13/cobra"
)

// relayListsLine tells which relays an account lists.
type relayListsLine struct {
	Type   string   `json:"type"` // relay_lists
	NPub   string   `json:"npub"`
	Outbox []string `json:"outbox"`
	Inbox  []string `json:"inbox"`
}

func (a *app) relaysCommand() *cobra.Command {
	c := &cobra.Command{Use: "relays", Short: "The relays an account lists: where it publishes (10002) and where invitations go (10050)"}
	c.AddCommand(a.relaysShow(), a.relaysSet())
	return c
}

func (a *app) printRelayLists(npub string, l marmot.RelayLists) {
	line := relayListsLine{"relay_lists", npub, append([]string{}, l.Outbox...), append([]string{}, l.Inbox...)}
	a.print(line, "publishes at (10002):\n  %s\ninvitations go to (10050):\n  %s", strings.Join(l.Outbox, "\n  "), strings.Join(l.Inbox, "\n  "))
}

func (a *app) relaysShow() *cobra.Command {
	c := a.verb("show [PERSON]", "Show the lists of this account, or those somebody else has published", cobra.MaximumNArgs(1), func(ctx context.Context, s *session, args []string) error {
		who, err := s.personOrSelf(ctx, args)
		if err != nil {
			return err
		}
		lists, err := s.Relays(ctx)
		if who != s.PubKey() {
			lists, err = s.RelaysOf(ctx, who)
		}
		if err != nil {
			return err
		}
		if len(lists.Outbox)+len(lists.Inbox) == 0 {
			return fmt.Errorf("%w: %s has no relay lists at our relays", errNotFound, who.Npub())
		}
		a.printRelayLists(who.Npub(), lists)
		return nil
	})
	return c
}

func (a *app) relaysSet() *cobra.Command {
	var outbox, inbox []string
	c := a.verb("set --outbox URL… --inbox URL…", "Replace the lists of this account, and publish them with a new key package", cobra.NoArgs, func(ctx context.Context, s *session, _ []string) error {
		if len(outbox)+len(inbox) == 0 {
			return usage(errors.New("give --outbox or --inbox, or both"))
		}
		lists, err := s.Relays(ctx)
		if err != nil {
			return err
		}
		if len(outbox) > 0 {
			lists.Outbox = outbox
		}
		if len(inbox) > 0 {
			lists.Inbox = inbox
		}
		if err := s.SetRelays(ctx, lists); err != nil {
			return err
		}
		a.printRelayLists(s.PubKey().Npub(), lists)
		return s.published(ctx)
	})
	c.Flags().StringSliceVar(&outbox, "outbox", nil, "publish at these relays (default: as before)")
	c.Flags().StringSliceVar(&inbox, "inbox", nil, "receive invitations at these relays (default: as before); the old ones are read for another 30 days")
	return c
}
