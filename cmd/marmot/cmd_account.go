package main

import (
	"bufio"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/store"
	"github.com/spf13/cobra"
)

// keyRelays is where the relays given at creation wait for the first start.
const keyRelays = "cli/relays"

// defaultRelays are used when an account is made without --relay.
var defaultRelays = []string{"wss://relay.eu.whitenoise.chat", "wss://relay.us.whitenoise.chat"}

func (a *app) accountCommand() *cobra.Command {
	c := &cobra.Command{Use: "account", Short: "Make, import and choose accounts"}
	c.AddCommand(a.accountCreate(), a.accountImport(), a.accountList(), a.accountUse())
	return c
}

func (a *app) accountCreate() *cobra.Command {
	var relays []string
	c := &cobra.Command{
		Use: "create", Short: "Make a new account: a Nostr key and an encrypted database", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return a.newAccount(nostr.GenerateSecretKey(), relays) },
	}
	c.Flags().StringSliceVar(&relays, "relay", defaultRelays, "relays of the account, ws:// or wss://")
	return c
}

func (a *app) accountImport() *cobra.Command {
	var relays []string
	c := &cobra.Command{
		Use: "import", Short: "Use a Nostr key that exists: nsec or hex, from standard input", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			line, err := bufio.NewReader(a.in).ReadString('\n')
			if err != nil && line == "" {
				return usage(errors.New("give the nsec on standard input: marmot account import < file"))
			}
			secret, err := nostr.ParseSecretKey(strings.TrimSpace(line))
			if err != nil {
				return usage(errors.New("that is neither an nsec nor 64 hex digits"))
			}
			return a.newAccount(secret, relays)
		},
	}
	c.Flags().StringSliceVar(&relays, "relay", defaultRelays, "relays of the account, ws:// or wss://")
	return c
}

type accountLine struct {
	Type    string `json:"type"` // account
	Npub    string `json:"npub"`
	PubKey  string `json:"pubkey"`
	Current bool   `json:"current"`
}

func (a *app) newAccount(secret nostr.SecretKey, relays []string) error {
	for _, url := range relays {
		if err := nostr.CheckRelayURL(url); err != nil {
			return usage(fmt.Errorf("%s: %w", oneLine(url), err))
		}
	}
	if err := a.addAccount(secret); err != nil {
		return err
	}
	key := secret.PubKey()
	db, err := a.openStore(key)
	if err != nil {
		return err
	}
	err = db.Write([]group.Record{{Key: keyRelays, Value: []byte(strings.Join(relays, "\n"))}}, nil)
	if err = errors.Join(err, db.Close()); err != nil {
		return err
	}
	dir, err := a.accountDir(key)
	if err != nil {
		return err
	}
	a.print(accountLine{"account", key.Npub(), key.String(), false},
		"%s\nIts database is in %s; the key that opens it is in the file %s beside it.", key.Npub(), dir, fileKey)
	return nil
}

// newRelays are the relays for an account that was never started.
func (a *app) newRelays(db *store.Store) ([]string, error) {
	b, err := db.Get(keyRelays)
	if err != nil || b == nil {
		return defaultRelays, err
	}
	return strings.Split(string(b), "\n"), nil
}

func (a *app) accountList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the accounts of this home", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			all, err := a.accounts()
			if err != nil {
				return err
			}
			current, err := a.current()
			if err != nil {
				return err
			}
			for _, key := range all {
				mark := " "
				if key == current {
					mark = "*"
				}
				a.print(accountLine{"account", key.Npub(), key.String(), key == current}, "%s %s", mark, key.Npub())
			}
			return nil
		},
	}
}

func (a *app) accountUse() *cobra.Command {
	return &cobra.Command{
		Use: "use NPUB", Short: "Choose the account that the other verbs work on", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			all, err := a.accounts()
			if err != nil {
				return err
			}
			key, err := pickPerson(args[0], all)
			if err != nil {
				return err
			}
			if !slices.Contains(all, key) {
				return fmt.Errorf("%w: %s is not an account of this home", errNotFound, key.Npub())
			}
			return a.use(key)
		},
	}
}
