package main

import (
	"context"
	"errors"

	"github.com/marmotgo/marmot"
	"github.com/spf13/cobra"
)

// migratedLine tells what became of moving a group.
type migratedLine struct {
	Type      string        `json:"type"` // migrated
	Group     string        `json:"group"`
	Successor string        `json:"successor"`
	Invited   []string      `json:"invited"` // npubs, in this run
	Left      []leftOutLine `json:"left"`
}

type leftOutLine struct {
	Npub string `json:"npub"`
	Why  string `json:"why"`
}

func (a *app) groupsMigrate() *cobra.Command {
	var name string
	c := a.verb("migrate GROUP", "Move a group of protocol v1 to v2: found its successor, invite everyone who can come, tell the others", cobra.ExactArgs(1),
		func(ctx context.Context, s *session, args []string) error {
			g, _, err := s.upToDate(ctx, args[0])
			if err != nil {
				return err
			}
			m, err := g.Migrate(ctx, name)
			if err != nil {
				return err
			}
			return a.printMigration(ctx, g, m)
		})
	c.Flags().StringVar(&name, "name", "", "name of the successor (default: the group's, with \"(v2)\")")
	return c
}

func (a *app) printMigration(ctx context.Context, g *marmot.Group, m marmot.Migration) error {
	st, err := m.Successor.Status(ctx)
	if err != nil {
		return err
	}
	line := migratedLine{Type: "migrated", Group: g.ID(), Successor: m.Successor.ID(), Invited: npubs(m.Invited), Left: []leftOutLine{}}
	for _, l := range m.Left {
		line.Left = append(line.Left, leftOutLine{l.Who.Npub(), why(l.Why)})
	}
	a.print(line, "%.12s goes on as %.12s  %s: %d invited, %d left. The group was told, and stays as it is.", g.ID(), m.Successor.ID(), oneLine(st.Name), len(m.Invited), len(m.Left))
	if !a.json {
		for _, l := range line.Left {
			a.print(nil, "  %s %s", l.Npub, oneLine(l.Why))
		}
		if len(line.Left) > 0 {
			a.print(nil, "When they have another app, move the group once more: they are then invited to the same successor.")
		}
	}
	return nil
}

// why is the reason without the name it goes on from.
func why(err error) string {
	var not *marmot.NotInvitable
	if errors.As(err, &not) {
		return not.Why
	}
	return err.Error()
}
