package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/marmotgo/marmot/group"
	"github.com/spf13/cobra"
)

// openTrace makes the file of --trace; nil without that flag.
func (a *app) openTrace() (*os.File, error) {
	if a.trace == "" {
		return nil, nil
	}
	f, err := os.OpenFile(a.trace, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil, usage(fmt.Errorf("%s is there already: a trace begins a new file", a.trace))
	}
	return f, err
}

// decisionLine is a pass that a replay resolved, as JSON.
type decisionLine struct {
	Type   string         `json:"type"` // decision
	Group  string         `json:"group"`
	At     float64        `json:"at"` // seconds
	Base   uint64         `json:"base_epoch"`
	Before string         `json:"before"`
	After  string         `json:"after"`
	Rule   string         `json:"rule,omitempty"` // that decided between the best two
	Rivals []decisionRank `json:"rivals"`
}

type decisionRank struct {
	Tip        string `json:"tip"`
	Epoch      uint64 `json:"epoch"`
	Depth      uint64 `json:"effective_depth"`
	Quorum     bool   `json:"quorum"`
	Witnesses  int    `json:"witness_score"`
	Privileged bool   `json:"privileged"`
	Committer  string `json:"committer"`
	Evidence   string `json:"evidence,omitempty"` // of v1: the event of the tip
}

func (a *app) replayCommand() *cobra.Command {
	return &cobra.Command{
		Use: "replay FILE", Short: "Run the decisions of a trace (--trace) again, and tell why each branch won", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			f, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			passes := 0
			steps, err := group.Replay(f, func(d group.Decision) {
				passes++
				a.printDecision(d)
			})
			if err != nil {
				return err
			}
			a.print(map[string]any{"type": "replayed", "steps": steps, "passes": passes}, "%d steps and %d passes: the same states.", steps, passes)
			return nil
		},
	}
}

func (a *app) printDecision(d group.Decision) {
	line := decisionLine{Type: "decision", Group: d.Group, At: d.At.Seconds(), Base: d.Base, Before: d.Before, After: d.After, Rivals: []decisionRank{}}
	for _, c := range d.Rivals {
		line.Rivals = append(line.Rivals, decisionRank(c))
	}
	how := "nothing changes"
	if len(d.Rivals) > 1 {
		line.Rule = d.Rivals[0].Rule(d.Rivals[1])
		how = fmt.Sprintf("%s beats %s by %s", d.Rivals[0].Tip, d.Rivals[1].Tip, line.Rule)
	} else if d.After != d.Before {
		how = fmt.Sprintf("%s follows %s", d.After, d.Before)
	}
	a.print(line, "%9s  %s  epoch %d: %s", d.At.Round(time.Millisecond), d.Group, d.Base, how)
}
