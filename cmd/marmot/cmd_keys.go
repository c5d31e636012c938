package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/marmotgo/marmot"
	"github.com/marmotgo/marmot/group"
	"github.com/spf13/cobra"
)

// keyPackageLine is a key package as JSON.
type keyPackageLine struct {
	Type      string    `json:"type"` // key_package
	Protocol  string    `json:"protocol"`
	Kind      int       `json:"kind"` // of the event
	Ref       string    `json:"ref"`
	Event     string    `json:"event"`
	CreatedAt time.Time `json:"created_at"`
	NotAfter  time.Time `json:"not_after"`
	Published bool      `json:"published"`
	Used      bool      `json:"used"`
	EraseAt   time.Time `json:"erase_at,omitzero"`
}

func (a *app) keysCommand() *cobra.Command {
	c := &cobra.Command{Use: "keys", Short: "The key package that others invite this account with"}
	c.AddCommand(a.keysPublish(), a.keysList(), a.keysRotate(), a.keysCheck())
	return c
}

func (a *app) keysPublish() *cobra.Command {
	var v1 string
	c := a.verb("publish", "Publish relay lists and key packages, and wait until a relay has them", cobra.NoArgs,
		func(ctx context.Context, s *session, _ []string) error {
			if err := a.setV1Packages(ctx, s, v1); err != nil {
				return err
			}
			if err := s.Published(ctx); err != nil {
				return fmt.Errorf("%w: the account cannot be invited yet: %w", errNetwork, err)
			}
			a.print(map[string]string{"type": "published", "npub": s.PubKey().Npub()}, "%s can be invited.", s.PubKey().Npub())
			return nil
		})
	c.Flags().StringVar(&v1, "v1", "", "from now on publish the ones for apps of protocol v1 as 443 (the default), as 30443, or not (off)")
	return c
}

// setV1Packages changes how packages of v1 are published, and says what that means.
func (a *app) setV1Packages(ctx context.Context, s *session, how string) error {
	if how == "" {
		return nil
	}
	if err := s.SetV1Packages(ctx, marmot.V1Packages(how)); errors.Is(err, marmot.ErrV1Packages) {
		return usage(err)
	} else if err != nil {
		return err
	}
	if marmot.V1Packages(how) == marmot.V1Addressable {
		fmt.Fprintln(a.err, "marmot: warning: apps of protocol v2 that meet a v1 key package under kind 30443 may fail on it, and then cannot invite you at all (MDK 0.9.14 does); 443 has no such risk")
	}
	return nil
}

func (a *app) keysList() *cobra.Command {
	return a.verb("list", "List the key packages of this account that can still be used", cobra.NoArgs, func(ctx context.Context, s *session, _ []string) error {
		list, err := s.KeyPackages(ctx)
		if err != nil {
			return err
		}
		for _, k := range list {
			state := "no relay has it yet"
			if k.Confirmed {
				state = "published"
			}
			if k.Used {
				state += ", being replaced"
			}
			if !k.EraseAt.IsZero() {
				state = "replaced; invitations to it can be opened until " + k.EraseAt.Local().Format(time.DateTime)
			}
			line := keyPackageLine{
				"key_package", string(k.Protocol), int(k.Kind), k.Ref, k.Event.String(), k.CreatedAt.UTC(), k.NotAfter.UTC(), k.Confirmed, k.Used, k.EraseAt.UTC(),
			}
			a.print(line, "%.16s  %s  made %s  until %s  %s", k.Ref, k.Protocol, k.CreatedAt.Local().Format(time.DateOnly), k.NotAfter.Local().Format(time.DateOnly), state)
		}
		if len(list) == 0 {
			return fmt.Errorf("%w: there is no key package yet: marmot keys publish", errNotFound)
		}
		return nil
	})
}

func (a *app) keysRotate() *cobra.Command {
	return a.verb("rotate", "Replace the key packages with new ones, and erase the old ones' private parts", cobra.NoArgs, func(ctx context.Context, s *session, _ []string) error {
		s.catchUp(ctx) // what was sent to the old one is read first
		if err := s.RotateKeyPackages(ctx); err != nil {
			return fmt.Errorf("%w: no relay has taken the new key packages yet; it is tried again: %w", marmot.ErrQueued, err)
		}
		list, err := s.KeyPackages(ctx)
		if err != nil {
			return err
		}
		for _, k := range list {
			if k.EraseAt.IsZero() {
				a.print(map[string]string{"type": "rotated", "protocol": string(k.Protocol), "ref": k.Ref}, "%.16s  %s  is published.", k.Ref, k.Protocol)
			}
		}
		a.print(map[string]string{"type": "erased"}, "Invitations made with the old key packages can no longer be opened; those of v1 apps for another day.")
		return nil
	})
}

func (a *app) keysCheck() *cobra.Command {
	c := a.verb("check NPUB", "Say whether somebody can be invited; if not, why, and what they can do", cobra.ExactArgs(1),
		func(ctx context.Context, s *session, args []string) error {
			key, err := s.personOrSelf(ctx, args)
			if err != nil {
				return err
			}
			contact, err := s.Lookup(ctx, key)
			var why *marmot.NotInvitable
			if errors.As(err, &why) {
				a.print(map[string]string{"type": "not_invitable", "npub": key.Npub(), "why": why.Why, "remedy": why.Remedy},
					"%s %s.\nWhat they can do: %s", key.Npub(), why.Why, why.Remedy)
			}
			if err != nil {
				return err
			}
			speaks := contact.Speaks()
			note := ""
			if !slices.Contains(speaks, group.V2) {
				note = ", to a group made with --protocol v1"
			}
			line := map[string]any{"type": "invitable", "npub": key.Npub(), "protocols": speaks}
			a.print(line, "%s can be invited%s.", key.Npub(), note)
			return nil
		})
	return c
}
