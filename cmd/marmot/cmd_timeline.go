package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/marmotgo/marmot"
	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/timeline"
	"github.com/marmotgo/marmot/wire"
	"github.com/spf13/cobra"
)

// defaultPage is how many rows messages and search show if not told otherwise.
const defaultPage = 100

// messageLine is a row of a timeline as JSON, and a schema that stays. A row
// that tells what happened to the group has that as its type.
type messageLine struct {
	Type      string         `json:"type"` // message, or the effect's kind: member_added, …
	Cursor    uint64         `json:"cursor"`
	Group     string         `json:"group"`
	At        time.Time      `json:"at"` // delivered here
	Epoch     uint64         `json:"epoch"`
	ID        string         `json:"id,omitempty"`
	From      string         `json:"from,omitempty"` // npub
	Subject   string         `json:"subject,omitempty"`
	CreatedAt int64          `json:"created_at,omitempty"` // by the sender's clock
	Kind      int            `json:"kind,omitempty"`
	Text      string         `json:"text,omitempty"`
	ReplyTo   string         `json:"reply_to,omitempty"`
	Own       bool           `json:"own,omitempty"`
	Edited    bool           `json:"edited,omitempty"`
	Deleted   bool           `json:"deleted,omitempty"`
	Damaged   bool           `json:"damaged,omitempty"`
	Reactions []reactionLine `json:"reactions,omitempty"`
}

type reactionLine struct {
	Text string   `json:"text"`
	From []string `json:"from"` // npubs
}

func messageLineOf(m marmot.Message) messageLine {
	l := messageLine{
		Type: "message", Cursor: m.Cursor, Group: m.Group, At: m.Delivered, Epoch: m.Epoch, Text: m.Text, CreatedAt: int64(m.CreatedAt),
		Kind: int(m.Kind), Own: m.Own, Edited: m.Edited, Deleted: m.Deleted, Damaged: m.Damaged,
	}
	if m.System != "" {
		l.Type = string(m.System)
	} else {
		l.ID = m.ID.String()
	}
	if m.From != (nostr.PubKey{}) {
		l.From = m.From.Npub()
	}
	if m.Subject != (nostr.PubKey{}) {
		l.Subject = m.Subject.Npub()
	}
	if m.ReplyTo != (nostr.ID{}) {
		l.ReplyTo = m.ReplyTo.String()
	}
	for _, r := range m.Reactions {
		line := reactionLine{Text: r.Text}
		for _, p := range r.From {
			line.From = append(line.From, p.Npub())
		}
		l.Reactions = append(l.Reactions, line)
	}
	return l
}

// printMessage shows one row; where says which group it is of, if that is not
// clear.
func (a *app) printMessage(m marmot.Message, where string) {
	l := messageLineOf(m)
	from := fmt.Sprintf("%.14s", l.From)
	if l.Own {
		from = "you"
	}
	a.print(l, "%s  %s%s", m.Delivered.Local().Format("2006-01-02 15:04"), where, strings.ReplaceAll(describe(l, from), "\n", "\n    "))
}

// describe puts a row into words.
func describe(l messageLine, from string) string {
	switch group.EffectKind(l.Type) {
	case group.EffectAdded, group.EffectRemoved, group.EffectLeft, group.EffectAdminAdded, group.EffectAdminGone:
		return fmt.Sprintf("— %s: %.14s (by %s)", strings.ReplaceAll(l.Type, "_", " "), l.Subject, from)
	case group.EffectRenamed:
		return fmt.Sprintf("— %s renamed the group to %q", from, oneLine(l.Text))
	case group.EffectSelfRemoved:
		return fmt.Sprintf("— you were removed by %s", from)
	case group.EffectMessage:
	default:
		return strings.TrimSuffix(fmt.Sprintf("— %s: %s", strings.ReplaceAll(l.Type, "_", " "), oneLine(l.Text)), ": ")
	}
	text := l.Text
	switch {
	case l.Damaged:
		text = "(what is stored of this message is damaged)"
	case l.Deleted:
		text = "(deleted)"
	case l.Kind != int(wire.KindChat):
		text = fmt.Sprintf("[kind %d] %s", l.Kind, text)
	}
	if l.ReplyTo != "" {
		text = fmt.Sprintf("(to %.8s) %s", l.ReplyTo, text)
	}
	if l.Edited {
		text += "  (edited)"
	}
	for _, r := range l.Reactions {
		text += "  " + oneLine(r.Text)
		if n := len(r.From); n > 1 {
			text += fmt.Sprintf("×%d", n)
		}
	}
	return fmt.Sprintf("%.8s  %s: %s", l.ID, from, text)
}

// page is how a verb reads the timeline.
type page struct {
	after, before uint64
	limit         int
}

func (p *page) flags(c *cobra.Command) {
	c.Flags().Uint64Var(&p.after, "after", 0, "show what comes behind this cursor (see --json)")
	c.Flags().Uint64Var(&p.before, "before", 0, "show what comes before this cursor")
	c.Flags().IntVar(&p.limit, "limit", defaultPage, "show at most this many; 0 for all")
}

// query asks for the newest rows, unless --after is given.
func (p *page) query() (timeline.Query, error) {
	if p.limit < 0 {
		return timeline.Query{}, usage(fmt.Errorf("--limit %d is not a number of messages", p.limit))
	}
	return timeline.Query{After: p.after, Before: p.before, Limit: p.limit, Newest: p.after == 0 && p.limit > 0}, nil
}

func (a *app) messagesCommand() *cobra.Command {
	var p page
	c := a.verb("messages GROUP", "Show a group's messages, with edits, deletions and reactions; the newest last", cobra.ExactArgs(1), func(ctx context.Context, s *session, args []string) error {
		q, err := p.query()
		if err != nil {
			return err
		}
		g, _, err := s.pickGroup(ctx, args[0])
		if err != nil {
			return err
		}
		if !q.Newest {
			for m, err := range g.Timeline(ctx, q) {
				if err != nil {
					return err
				}
				a.printMessage(m, "")
			}
			return nil
		}
		var rows []marmot.Message
		for m, err := range g.Timeline(ctx, q) {
			if err != nil {
				return err
			}
			rows = append(rows, m)
		}
		for _, m := range slices.Backward(rows) {
			a.printMessage(m, "")
		}
		if len(rows) == p.limit && !a.json {
			a.progress.hide()
			fmt.Fprintf(a.err, "earlier ones: --before %d\n", rows[len(rows)-1].Cursor)
		}
		return nil
	})
	p.flags(c)
	return c
}

func (a *app) searchCommand() *cobra.Command {
	var p page
	var in string
	c := a.verb("search WORD…", `Find messages that contain all these words, the newest first; "words in quotes" stand side by side, and the last word may be cut short`,
		cobra.MinimumNArgs(1), func(ctx context.Context, s *session, args []string) error {
			q, err := p.query()
			if err != nil {
				return err
			}
			q.Newest, q.Search = true, searchText(args)
			if in != "" {
				g, _, err := s.pickGroup(ctx, in)
				if err != nil {
					return err
				}
				q.Group = g.ID()
			}
			names, err := s.groupNames(ctx)
			if err != nil {
				return err
			}
			found := 0
			for m, err := range s.Timeline(ctx, q) {
				if err != nil {
					return err
				}
				found++
				a.printMessage(m, oneLine(names[m.Group])+"  ")
			}
			if found == 0 {
				return fmt.Errorf("%w: no message has all these words", errNotFound)
			}
			return nil
		})
	c.Flags().StringVar(&in, "group", "", "search in this group only")
	_ = c.RegisterFlagCompletionFunc("group", a.complete(completeGroups)) // fails only without such a flag
	p.flags(c)
	return c
}

// searchText keeps words that were one argument side by side.
func searchText(args []string) string {
	words := slices.Clone(args)
	for i, w := range words {
		if strings.ContainsAny(w, " \t\n") && !strings.Contains(w, `"`) {
			words[i] = `"` + w + `"`
		}
	}
	return strings.Join(words, " ")
}

// groupNames gives every group's name by its id.
func (s *session) groupNames(ctx context.Context) (map[string]string, error) {
	groups, err := s.Groups(ctx)
	if err != nil {
		return nil, err
	}
	names := map[string]string{}
	for _, g := range groups {
		if st, err := g.Status(ctx); err == nil {
			names[g.ID()] = st.Name
		}
	}
	return names, nil
}
