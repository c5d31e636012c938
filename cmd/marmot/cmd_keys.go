package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/marmotgo/marmot"
	"github.com/spf13/cobra"
)

// keyPackageLine is a key package as JSON.
type keyPackageLine struct {
	Type      string    `json:"type"` // key_package
	Ref       string    `json:"ref"`
	Event     string    `json:"event"`
	CreatedAt time.Time `json:"created_at"`
	NotAfter  time.Time `json:"not_after"`
	Published bool      `json:"published"`
	Used      bool      `json:"used"`
}

func (a *app) keysCommand() *cobra.Command {
	c := &cobra.Command{Use: "keys", Short: "The key package that others invite this account with"}
	c.AddCommand(a.keysPublish(), a.keysList(), a.keysRotate(), a.keysCheck())
	return c
}

func (a *app) keysPublish() *cobra.Command {
	return a.verb("publish", "Publish relay lists and a key package, and wait until a relay has them", cobra.NoArgs,
		func(ctx context.Context, s *session, _ []string) error {
			if err := s.Published(ctx); err != nil {
				return fmt.Errorf("%w: the account cannot be invited yet: %w", errNetwork, err)
			}
			a.print(map[string]string{"type": "published", "npub": s.PubKey().Npub()}, "%s can be invited.", s.PubKey().Npub())
			return nil
		})
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
			line := keyPackageLine{"key_package", k.Ref, k.Event.String(), k.CreatedAt.UTC(), k.NotAfter.UTC(), k.Confirmed, k.Used}
			a.print(line, "%.16s  made %s  until %s  %s", k.Ref, k.CreatedAt.Local().Format(time.DateOnly), k.NotAfter.Local().Format(time.DateOnly), state)
		}
		if len(list) == 0 {
			return fmt.Errorf("%w: there is no key package yet: marmot keys publish", errNotFound)
		}
		return nil
	})
}

func (a *app) keysRotate() *cobra.Command {
	return a.verb("rotate", "Replace the key package with a new one, and erase the old one's private part", cobra.NoArgs, func(ctx context.Context, s *session, _ []string) error {
		s.catchUp(ctx) // what was sent to the old one is read first
		ref, err := s.RotateKeyPackage(ctx)
		if err != nil {
			return fmt.Errorf("%w: no relay has taken the new key package yet; it is tried again: %w", marmot.ErrQueued, err)
		}
		a.print(map[string]string{"type": "rotated", "ref": ref}, "%.16s is published. Invitations made with the old key package can no longer be opened.", ref)
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
			_, err = s.Lookup(ctx, key)
			var why *marmot.NotInvitable
			if errors.As(err, &why) {
				a.print(map[string]string{"type": "not_invitable", "npub": key.Npub(), "why": why.Why, "remedy": why.Remedy},
					"%s %s.\nWhat they can do: %s", key.Npub(), why.Why, why.Remedy)
			}
			if err != nil {
				return err
			}
			a.print(map[string]string{"type": "invitable", "npub": key.Npub()}, "%s can be invited.", key.Npub())
			return nil
		})
	return c
}
