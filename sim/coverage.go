package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/marmotgo/marmot/group"
)

// Coverage counts which states and transitions histories have been through.
type Coverage struct{ counts map[string]map[string]int }

// NewCoverage returns an empty count.
func NewCoverage() *Coverage { return &Coverage{map[string]map[string]int{}} }

func (c *Coverage) hit(table, what string) {
	t := c.counts[table]
	if t == nil {
		t = map[string]int{}
		c.counts[table] = t
	}
	t[what]++
}

// Count returns how often something of a table happened.
func (c *Coverage) Count(table, what string) int { return c.counts[table][what] }

func (c *Coverage) step(before, after look, in group.Input, out *group.Output) {
	c.hit("input", strings.TrimPrefix(fmt.Sprintf("%T", in), "group."))
	if before.lifecycle != after.lifecycle {
		c.hit("lifecycle", fmt.Sprintf("%s to %s", before.lifecycle, after.lifecycle))
	}
	if after.tip == "" && before.tip != "" && after.lifecycle == before.lifecycle {
		c.hit("lifecycle", string(before.lifecycle)+" to removed")
	}
	was, is := before.convergence == group.Syncing, after.convergence == group.Syncing
	switch {
	case !was && is:
		c.hit("pass", "opened in "+string(before.lifecycle))
	case was && is && before.lifecycle == group.Stable && after.lifecycle == group.Recovering:
		c.hit("pass", "a rival joined")
	case was && (!is || before.tip != after.tip):
		c.hit("pass", string(before.lifecycle)+" closed, "+moved(before, after))
	}
	if _, ok := in.(group.Received); ok {
		category := string(out.Outcome.Category)
		if category == "" {
			category = "accepted"
		}
		c.hit("outcome", category)
	}
}

// crash counts the boundaries of durability.md at which a client stopped.
func (c *Coverage) crash(when string, outs []group.Output) {
	for _, out := range outs {
		for _, b := range out.Crossed {
			c.hit("boundary", string(b))
			if when != "" {
				c.hit("crash", when+" "+string(b))
			}
		}
	}
}

func moved(before, after look) string {
	switch {
	case before.tip == after.tip:
		return "same tip"
	case after.epoch > before.epoch:
		return "later epoch"
	case after.epoch == before.epoch:
		return "same epoch"
	}
	return "earlier epoch"
}

func (c *Coverage) effect(e group.Effect) { c.hit("effect", string(e.Kind)) }

// record follows the disposition of a stored message.
func (c *Coverage) record(m *member, r group.Record) {
	kind, id, _ := strings.Cut(r.Key, "/")
	switch kind {
	case "raw":
		c.hit("raw", map[bool]string{true: "released", false: "kept"}[r.Value == nil])
	case "input":
		was := m.kinds[id]
		if r.Value == nil {
			if was != "" {
				c.hit("disposition", was+" to forgotten")
				delete(m.kinds, id)
			}
			return
		}
		in, err := readInput(r)
		if err != nil {
			return
		}
		is := in.Kind + " " + in.Disposition
		if in.Own {
			is = "own " + is
		}
		if in.Disposition == "deferred" && !in.placed() {
			is += " (no state)"
		}
		if in.Category != "" {
			is += " (" + in.Category + ")"
		}
		if was != is {
			if was == "" {
				was = "new"
			}
			c.hit("disposition", was+" to "+is)
			m.kinds[id] = is
		}
	}
}

// Summary says in one line how many different things happened, by table.
func (c *Coverage) Summary() string {
	out := "coverage:"
	for _, table := range slices.Sorted(maps.Keys(c.counts)) {
		out += fmt.Sprintf(" %s %d", table, len(c.counts[table]))
	}
	return out
}

// String lists everything, table by table.
func (c *Coverage) String() string {
	var b strings.Builder
	for _, table := range slices.Sorted(maps.Keys(c.counts)) {
		fmt.Fprintf(&b, "%s: %d\n", table, len(c.counts[table]))
		for _, what := range slices.Sorted(maps.Keys(c.counts[table])) {
			fmt.Fprintf(&b, "  %9d  %s\n", c.counts[table][what], what)
		}
	}
	return b.String()
}
