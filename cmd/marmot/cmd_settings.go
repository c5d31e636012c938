package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/marmotgo/marmot"
	"github.com/marmotgo/marmot/group"
	"github.com/spf13/cobra"
)

// relaysLine tells where a group's events are.
type relaysLine struct {
	Type   string   `json:"type"` // relays
	Group  string   `json:"group"`
	Relays []string `json:"relays"` // of the group now
	Prior  []string `json:"prior"`  // still read, because something may come there
}

func (a *app) groupsRelays() *cobra.Command {
	var set, add, remove []string
	var newAddress bool
	c := a.verb("relays GROUP", "Show or change the relays of a group", cobra.ExactArgs(1), func(ctx context.Context, s *session, args []string) error {
		changes := len(set)+len(add)+len(remove) > 0
		g, _, err := s.pickFor(ctx, args[0], changes || newAddress)
		if err != nil {
			return err
		}
		if changes {
			if err := s.changeRelays(ctx, g, set, add, remove); err != nil {
				return err
			}
		}
		if newAddress {
			if err := g.RotateAddress(ctx); err != nil {
				return err
			}
		}
		return s.printRelays(ctx, g)
	})
	c.Flags().StringSliceVar(&set, "set", nil, "use exactly these relays")
	c.Flags().StringSliceVar(&add, "add", nil, "use these too")
	c.Flags().StringSliceVar(&remove, "remove", nil, "use these no more")
	c.Flags().BoolVar(&newAddress, "new-address", false, "give the group another random public id, which those removed before do not learn")
	return c
}

func (s *session) changeRelays(ctx context.Context, g *marmot.Group, set, add, remove []string) error {
	if len(set) == 0 {
		addresses, err := g.Addresses(ctx)
		if err != nil {
			return err
		}
		if len(addresses) == 0 {
			return fmt.Errorf("%w: the group has ended", errNotFound)
		}
		set = slices.Clone(addresses[0].Relays)
	}
	for _, url := range remove {
		if !slices.Contains(set, url) {
			return fmt.Errorf("%w: %s is not a relay of this group", errNotFound, oneLine(url))
		}
	}
	set = slices.DeleteFunc(append(set, add...), func(url string) bool { return slices.Contains(remove, url) })
	if len(set) == 0 {
		return usage(fmt.Errorf("a group needs a relay"))
	}
	return g.SetRelays(ctx, set)
}

func (s *session) printRelays(ctx context.Context, g *marmot.Group) error {
	addresses, err := g.Addresses(ctx)
	if err != nil {
		return err
	}
	line := relaysLine{Type: "relays", Group: g.ID(), Relays: []string{}, Prior: []string{}}
	for i, ad := range addresses {
		for _, url := range ad.Relays {
			switch {
			case i == 0:
				line.Relays = append(line.Relays, url)
			case !slices.Contains(line.Relays, url) && !slices.Contains(line.Prior, url):
				line.Prior = append(line.Prior, url)
			}
		}
	}
	prior := ""
	if len(line.Prior) > 0 {
		prior = "\nstill read for now: " + strings.Join(line.Prior, " ")
	}
	s.app.print(line, "%s%s", strings.Join(line.Relays, "\n"), prior)
	return nil
}

func (a *app) groupsRetention() *cobra.Command {
	return a.verb("retention GROUP [TIME]", "Show or set for how long messages should be kept: off, 90s, 12h, 30d", cobra.RangeArgs(1, 2), func(ctx context.Context, s *session, args []string) error {
		g, st, err := s.pickFor(ctx, args[0], len(args) == 2)
		if err != nil {
			return err
		}
		kept := time.Duration(min(st.Retention, maxRetention)) * time.Second
		if len(args) == 2 {
			if kept, err = parseRetention(args[1]); err != nil {
				return err
			}
			if err := g.SetRetention(ctx, kept); err != nil {
				return err
			}
			if st.Protocol == group.V1 && kept > 0 {
				fmt.Fprintln(a.err, "marmot: warning: members with marmot-ts or MDK up to 0.8.0 cannot read the settings of a v1 group with a time limit, and are out of it until it is off")
			}
		}
		text := "Messages are kept for ever."
		if kept > 0 {
			text = fmt.Sprintf("Messages should be deleted %s after they were sent.", kept)
		}
		a.print(map[string]any{"type": "retention", "group": g.ID(), "seconds": int64(kept / time.Second)}, "%s", text)
		return nil
	})
}

// maxRetention is the longest time a duration can hold, in seconds.
const maxRetention = uint64(1<<63-1) / uint64(time.Second)

func parseRetention(text string) (time.Duration, error) {
	if text == "off" || text == "0" {
		return 0, nil
	}
	days := 1
	if rest, ok := strings.CutSuffix(text, "d"); ok {
		text, days = rest+"h", 24
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < time.Second || d%time.Second != 0 || d > time.Duration(1<<62)/time.Duration(days) {
		return 0, usage(fmt.Errorf("%q is no time: off, 90s, 12h or 30d", oneLine(text)))
	}
	return d * time.Duration(days), nil
}

func (a *app) groupsDisband() *cobra.Command {
	var sure bool
	c := a.verb("disband GROUP", "End a group for everyone, for good", cobra.ExactArgs(1), func(ctx context.Context, s *session, args []string) error {
		g, st, err := s.upToDate(ctx, args[0])
		if err != nil {
			return err
		}
		if !sure {
			return usage(fmt.Errorf("this ends %q for all %d members and cannot be taken back: say --yes", oneLine(st.Name), len(st.Members)))
		}
		if err := g.Disband(ctx); err != nil {
			return err
		}
		a.print(map[string]string{"type": "disbanded", "group": g.ID()}, "The group has ended. What was said stays readable here.")
		return nil
	})
	c.Flags().BoolVar(&sure, "yes", false, "yes, end it")
	return c
}
