package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/marmotgo/marmot"
	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
	"github.com/spf13/cobra"
)

// maxText bounds a message from standard input, in bytes.
const maxText = 256 << 10

// sentLine tells what became of a message.
type sentLine struct {
	Type  string `json:"type"` // sent
	ID    string `json:"id"`
	Group string `json:"group"`
}

func (a *app) sendCommand() *cobra.Command {
	return a.verb("send GROUP TEXT", "Send a message; - reads it from standard input", cobra.ExactArgs(2), func(ctx context.Context, s *session, args []string) error {
		text := args[1]
		if text == "-" {
			b, err := io.ReadAll(io.LimitReader(a.in, maxText+1))
			if err != nil {
				return err
			}
			if len(b) > maxText {
				return usage(fmt.Errorf("the message is longer than %d bytes", maxText))
			}
			text = strings.TrimSuffix(string(b), "\n")
		}
		return s.sending(ctx, args[0], func(g *marmot.Group) (nostr.ID, error) { return g.Send(ctx, text) })
	})
}

func (a *app) replyCommand() *cobra.Command {
	return a.verb("reply GROUP MESSAGE TEXT", "Answer a message", cobra.ExactArgs(3), func(ctx context.Context, s *session, args []string) error {
		return s.about(ctx, args, func(g *marmot.Group, to nostr.ID) (nostr.ID, error) { return g.Reply(ctx, to, args[2]) })
	})
}

func (a *app) reactCommand() *cobra.Command {
	return a.verb("react GROUP MESSAGE EMOJI", "React to a message", cobra.ExactArgs(3), func(ctx context.Context, s *session, args []string) error {
		return s.about(ctx, args, func(g *marmot.Group, to nostr.ID) (nostr.ID, error) { return g.React(ctx, to, args[2]) })
	})
}

func (a *app) editCommand() *cobra.Command {
	return a.verb("edit GROUP MESSAGE TEXT", "Replace the text of a message of yours", cobra.ExactArgs(3), func(ctx context.Context, s *session, args []string) error {
		return s.about(ctx, args, func(g *marmot.Group, of nostr.ID) (nostr.ID, error) { return g.Edit(ctx, of, args[2]) })
	})
}

func (a *app) deleteCommand() *cobra.Command {
	return a.verb("delete GROUP MESSAGE", "Ask everyone to delete a message of yours", cobra.ExactArgs(2), func(ctx context.Context, s *session, args []string) error {
		return s.about(ctx, args, func(g *marmot.Group, of nostr.ID) (nostr.ID, error) { return g.Delete(ctx, of) })
	})
}

func (s *session) about(ctx context.Context, args []string, send func(*marmot.Group, nostr.ID) (nostr.ID, error)) error {
	return s.sending(ctx, args[0], func(g *marmot.Group) (nostr.ID, error) {
		to, err := s.pickMessage(ctx, g, args[1])
		if err != nil {
			return to, err
		}
		return send(g, to)
	})
}

// sending sends something and waits until a relay has it.
func (s *session) sending(ctx context.Context, name string, send func(*marmot.Group) (nostr.ID, error)) error {
	g, _, err := s.upToDate(ctx, name)
	if err != nil {
		return err
	}
	before, err := s.Cursor()
	if err != nil {
		return err
	}
	id, err := send(g)
	if err != nil {
		return err
	}
	s.app.print(sentLine{"sent", id.String(), g.ID()}, "%.12s", id)
	for u, err := range s.UpdatesAfter(ctx, before) {
		if err != nil {
			return err
		}
		if u.Effect.Ref != id.String() {
			continue
		}
		switch u.Effect.Kind {
		case group.EffectPublished:
			return nil
		case group.EffectFailed:
			return fmt.Errorf("%w: %s", marmot.ErrFailed, u.Effect.Text)
		}
	}
	return fmt.Errorf("%w: no relay has taken the message yet", marmot.ErrQueued)
}

// pickMessage finds a message of a group by its id or the beginning of it.
func (s *session) pickMessage(ctx context.Context, g *marmot.Group, name string) (nostr.ID, error) {
	if id, err := nostr.ParseID(name); err == nil {
		return id, nil
	}
	if len(name) < minPrefix {
		return nostr.ID{}, usage(fmt.Errorf("%q is too short for a message: give %d characters of its id, see marmot messages", oneLine(name), minPrefix))
	}
	found, err := g.FindMessages(ctx, strings.ToLower(name))
	if err != nil {
		return nostr.ID{}, err
	}
	switch len(found) {
	case 0:
		return nostr.ID{}, fmt.Errorf("%w: no message starts with %q: see marmot messages", errNotFound, oneLine(name))
	case 1:
		return found[0], nil
	}
	var list []string
	for _, id := range found {
		list = append(list, fmt.Sprintf("%.16s", id))
	}
	return nostr.ID{}, usage(fmt.Errorf("%q may be %s", oneLine(name), strings.Join(list, " or ")))
}

// updateLine is an update as JSON, and a schema that stays.
type updateLine struct {
	Type    string    `json:"type"` // the effect's kind: message, member_added, …
	Cursor  uint64    `json:"cursor"`
	Group   string    `json:"group"`
	At      time.Time `json:"at"`
	Epoch   uint64    `json:"epoch"`
	ID      string    `json:"id,omitempty"`   // of a message
	From    string    `json:"from,omitempty"` // npub
	Subject string    `json:"subject,omitempty"`
	Kind    int       `json:"kind,omitempty"`
	Text    string    `json:"text,omitempty"`
	ReplyTo string    `json:"reply_to,omitempty"`
	Own     bool      `json:"own,omitempty"`
}

func lineOf(u marmot.Update) updateLine {
	e := u.Effect
	l := updateLine{Type: string(e.Kind), Cursor: u.Cursor, Group: u.Group, At: e.At, Epoch: e.Epoch, Text: e.Text, Own: e.Own}
	if e.Actor != (nostr.PubKey{}) {
		l.From = e.Actor.Npub()
	}
	if e.Subject != (nostr.PubKey{}) {
		l.Subject = e.Subject.Npub()
	}
	if m, ok := u.Message(); ok {
		l.ID, l.Kind, l.Text = m.ID.String(), int(m.Kind), m.Content
		if to, ok := m.Tags.Find("e"); ok && len(to) > 1 {
			l.ReplyTo = to[1]
		}
	}
	return l
}

// printUpdate shows what a person wants to see of an update, and reports
// whether that is anything.
func (a *app) printUpdate(u marmot.Update) bool {
	l := lineOf(u)
	if a.json {
		a.print(l, "")
		return true
	}
	who := func(npub string) string { return fmt.Sprintf("%.14s", npub) }
	from := who(l.From)
	if l.Own {
		from = "you"
	}
	at := l.At.Local().Format("15:04:05")
	switch u.Effect.Kind {
	case group.EffectMessage, group.EffectRestored:
		what := l.Text
		switch {
		case l.Kind == int(wire.KindReaction):
			what = fmt.Sprintf("reacts %s to %.8s", oneLine(l.Text), oneLine(l.ReplyTo))
		case l.Kind == int(wire.KindEdit):
			what = fmt.Sprintf("edits %.8s: %s", oneLine(l.ReplyTo), l.Text)
		case l.Kind == int(wire.KindDelete):
			what = fmt.Sprintf("deletes %.8s", oneLine(l.ReplyTo))
		case l.ReplyTo != "":
			what = fmt.Sprintf("(to %.8s) %s", oneLine(l.ReplyTo), l.Text)
		}
		a.print(nil, "%s  %.8s  %s: %s", at, l.ID, from, strings.ReplaceAll(what, "\n", "\n    "))
	case group.EffectInvalidated:
		a.print(nil, "%s  %.8s  withdrawn: the branch it was sent on lost", at, l.ID)
	case group.EffectAdded, group.EffectRemoved, group.EffectLeft, group.EffectAdminAdded, group.EffectAdminGone:
		a.print(nil, "%s  %s: %s (by %s)", at, strings.ReplaceAll(l.Type, "_", " "), who(l.Subject), from)
	case group.EffectRenamed:
		a.print(nil, "%s  %s renamed the group to %q", at, from, oneLine(l.Text))
	case group.EffectJoined, marmot.EffectInvited:
		a.print(nil, "%s  %s: %s", at, l.Type, oneLine(l.Text))
	case group.EffectSelfRemoved:
		a.print(nil, "%s  you were removed by %s", at, from)
	case group.EffectFailed, group.EffectHelp, group.EffectDisbanded:
		a.print(nil, "%s  %s: %s", at, strings.ReplaceAll(l.Type, "_", " "), l.Text)
	default:
		return false
	}
	return true
}

func (a *app) syncCommand() *cobra.Command {
	return a.verb("sync", "Fetch what was missed from every relay", cobra.NoArgs, func(ctx context.Context, s *session, _ []string) error {
		complete, asked, err := s.fetchMissed(ctx)
		if err != nil {
			return fmt.Errorf("%w: %w", errNetwork, err)
		}
		a.print(map[string]any{"type": "synced", "complete": complete, "asked": asked}, "%d of %d relay feeds answered completely.", complete, asked)
		if complete < asked {
			return fmt.Errorf("%w: %d of %d relay feeds did not answer completely", errNetwork, asked-complete, asked)
		}
		return nil
	})
}

func (a *app) watchCommand() *cobra.Command {
	var subscriber string
	var count int
	c := &cobra.Command{
		Use: "watch [GROUP]", Short: "Show what happens as it happens; other verbs of this account work meanwhile", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withAccount(cmd.Context(), true, func(ctx context.Context, s *session) error {
				only := ""
				if len(args) == 1 {
					g, _, err := s.pickGroup(ctx, args[0])
					if err != nil {
						return err
					}
					only = g.ID()
				}
				return s.watch(ctx, subscriber, only, count)
			})
		},
	}
	c.Flags().StringVar(&subscriber, "as", "watch", "name under which what was shown is remembered")
	c.Flags().IntVar(&count, "count", 0, "end after this many lines (default: never)")
	return c
}

// watch shows updates and acknowledges each when it is written out; it ends
// after count of them, if that is not zero.
func (s *session) watch(ctx context.Context, subscriber, only string, count int) error {
	for u, err := range s.Updates(ctx, "cli "+subscriber) {
		if err != nil {
			return err
		}
		shown := (only == "" || u.Group == only) && s.app.printUpdate(u)
		if err := s.Ack("cli "+subscriber, u.Cursor); err != nil {
			return err
		}
		if count--; !shown {
			count++
		} else if count == 0 {
			return nil
		}
	}
	return nil
}
