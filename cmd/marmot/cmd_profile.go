package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/marmotgo/marmot"
	"github.com/marmotgo/marmot/nostr"
	"github.com/spf13/cobra"
)

// profileFields are the flags of profile set (NIP-01, NIP-24, NIP-05, NIP-57).
var profileFields = []struct{ flag, field, what string }{
	{"name", "name", "short name"},
	{"display-name", "display_name", "longer name"},
	{"about", "about", "a few words"},
	{"picture", "picture", "address of a picture"},
	{"website", "website", "address of a page"},
	{"nip05", "nip05", "name@domain that vouches for the key"},
	{"lud16", "lud16", "Lightning address"},
}

// profileLine is a profile as JSON.
type profileLine struct {
	Type    string         `json:"type"` // profile
	NPub    string         `json:"npub"`
	Profile marmot.Profile `json:"profile"` // kind 0's content, as it is
}

func (a *app) profileCommand() *cobra.Command {
	c := &cobra.Command{Use: "profile", Short: "What an account says about itself in public (kind 0)"}
	c.AddCommand(a.profileShow(), a.profileSet())
	return c
}

func (a *app) profileShow() *cobra.Command {
	c := a.verb("show [PERSON]", "Show the profile of this account, or of somebody else", cobra.MaximumNArgs(1), func(ctx context.Context, s *session, args []string) error {
		who, err := s.personOrSelf(ctx, args)
		if err != nil {
			return err
		}
		p, err := s.Profile(ctx, who)
		if errors.Is(err, marmot.ErrNoProfile) {
			return fmt.Errorf("%w: %s has published no profile: marmot profile set --name NAME", errNotFound, who.Npub())
		}
		if err != nil {
			return err
		}
		a.printProfile(who, p)
		return nil
	})
	return c
}

func (a *app) printProfile(who nostr.PubKey, p marmot.Profile) {
	if a.json {
		a.print(profileLine{"profile", who.Npub(), p}, "")
		return
	}
	a.print(nil, "%s", who.Npub())
	for _, name := range slices.Sorted(maps.Keys(p)) {
		value := p.Text(name)
		if value == "" {
			value = string(p[name])
		}
		a.print(nil, "  %-14s %s", oneLine(name), strings.ReplaceAll(clean(value), "\n", "\n                 "))
	}
}

func (a *app) profileSet() *cobra.Command {
	values := map[string]*string{}
	var other []string
	c := a.verb("set", "Change fields of this account's profile; everybody can read it", cobra.NoArgs, nil)
	c.Long = "Change fields of this account's profile, which everybody can read. Fields that are not named stay as they are, also those this program does not know. An empty text removes a field."
	for _, f := range profileFields {
		values[f.field] = c.Flags().String(f.flag, "", f.what)
	}
	c.Flags().StringArrayVar(&other, "field", nil, "any other field, as NAME=JSON")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		changes, err := profileChanges(cmd, values, other)
		if err != nil {
			return err
		}
		return a.within(cmd.Context(), func(ctx context.Context, s *session) error {
			p, err := s.EditProfile(ctx, func(p marmot.Profile) error {
				for name, value := range changes {
					if value == nil {
						delete(p, name)
					} else {
						p[name] = value
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
			a.printProfile(s.PubKey(), p)
			return s.published(ctx)
		})
	}
	return c
}

// profileChanges reads the flags: a field without a value is to be removed.
func profileChanges(cmd *cobra.Command, values map[string]*string, other []string) (map[string]json.RawMessage, error) {
	changes := map[string]json.RawMessage{}
	for _, f := range profileFields {
		if !cmd.Flags().Changed(f.flag) {
			continue
		}
		p := marmot.Profile{}
		p.SetText(f.field, *values[f.field])
		changes[f.field] = p[f.field]
	}
	for _, o := range other {
		name, value, ok := strings.Cut(o, "=")
		if !ok || name == "" || value != "" && !json.Valid([]byte(value)) {
			return nil, usage(fmt.Errorf("--field %q is not NAME=JSON", oneLine(o)))
		}
		changes[name] = nil
		if value != "" {
			changes[name] = json.RawMessage(value)
		}
	}
	if len(changes) == 0 {
		return nil, usage(errors.New("name a field to change, such as --name NAME"))
	}
	return changes, nil
}

// personOrSelf is the person an optional argument names.
func (s *session) personOrSelf(ctx context.Context, args []string) (nostr.PubKey, error) {
	if len(args) == 0 {
		return s.PubKey(), nil
	}
	known, err := s.people(ctx)
	if err != nil {
		return nostr.PubKey{}, err
	}
	return pickPerson(args[0], known)
}

// people are all members of this account's groups, sorted.
func (s *session) people(ctx context.Context) ([]nostr.PubKey, error) {
	groups, err := s.Groups(ctx)
	if err != nil {
		return nil, err
	}
	found := map[nostr.PubKey]bool{}
	for _, g := range groups {
		if st, err := g.Status(ctx); err == nil {
			for _, m := range st.Members {
				found[m] = true
			}
		}
	}
	return slices.SortedFunc(maps.Keys(found), func(x, y nostr.PubKey) int { return strings.Compare(x.Npub(), y.Npub()) }), nil
}

// published waits until relays have what the account shows in public.
func (s *session) published(ctx context.Context) error {
	if err := s.Published(ctx); err != nil {
		return fmt.Errorf("%w: it is stored, and no relay has taken it yet: %w", marmot.ErrQueued, err)
	}
	return nil
}
