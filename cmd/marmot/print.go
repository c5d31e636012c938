package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// printer writes the demo's lines for a person or, as JSON, for a program:
// then each line is an object with "type" transcript, operator or figures.
type printer struct {
	w    io.Writer
	json bool
}

func newPrinter(w io.Writer, asJSON bool) *printer { return &printer{w, asJSON} }

// entry is a line of the transcript.
type entry struct {
	At     time.Duration
	Who    string
	Epoch  uint64
	What   string
	Failed string
}

type figures struct {
	Type    string  `json:"type"`
	Events  int     `json:"events"` // stored by the relay
	Bytes   int     `json:"bytes"`  // of their JSON
	Epochs  uint64  `json:"epochs"`
	Disk    int64   `json:"disk_bytes"` // of all databases
	Seconds float64 `json:"seconds"`
}

func (p *printer) object(v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic("marmot: output does not encode: " + err.Error()) // our bug
	}
	fmt.Fprintf(p.w, "%s\n", b)
}

func (p *printer) line(e entry) {
	if p.json {
		p.object(struct {
			Type    string  `json:"type"`
			Seconds float64 `json:"seconds"`
			Who     string  `json:"who"`
			Epoch   uint64  `json:"epoch"`
			What    string  `json:"what"`
			Failed  string  `json:"failed,omitempty"`
		}{"transcript", e.At.Seconds(), e.Who, e.Epoch, e.What, e.Failed})
		return
	}
	epoch := "       "
	if e.Epoch > 0 {
		epoch = fmt.Sprintf("epoch %d", e.Epoch)
	}
	mark := "✓"
	if e.Failed != "" {
		mark = "✗"
	}
	fmt.Fprintf(p.w, "%6.2fs  %-6s %s  %s %s\n", e.At.Seconds(), e.Who, epoch, mark, e.What)
	if e.Failed != "" {
		fmt.Fprintf(p.w, "                 failed: %s\n", e.Failed)
	}
}

func (p *printer) operator(v operatorView) {
	if p.json {
		p.object(struct {
			Type string `json:"type"`
			operatorView
		}{"operator", v})
		return
	}
	fmt.Fprintf(p.w, "\nWhat the relay's operator could see:\n")
	fmt.Fprintf(p.w, "  accounts that published lists and key packages: %s\n", counts(v.Published))
	fmt.Fprintf(p.w, "  accounts that got a gift wrap:                  %s\n", counts(v.Wraps))
	g := v.Group
	fmt.Fprintf(p.w, "  of the group: %d events of kind 445 under %d random id, %d to %d bytes, within %d s,\n", g.Events, g.Routes, g.Smallest, g.Largest, g.Last-g.First)
	fmt.Fprintf(p.w, "  each signed by a key used once (%d keys). No member's name stands in any of them: checked.\n", g.Authors)
}

func counts(m map[string]int) string {
	var parts []string
	for _, name := range sortedKeys(m) {
		parts = append(parts, fmt.Sprintf("%s (%d)", name, m[name]))
	}
	if len(parts) == 0 {
		return "none that can be asked for"
	}
	return strings.Join(parts, ", ")
}

func (p *printer) figures(f figures) {
	if p.json {
		f.Type = "figures"
		p.object(f)
		return
	}
	fmt.Fprintf(p.w, "\n%d events and %d bytes at the relay, %d epochs, %d bytes of encrypted databases, %.1f s.\n", f.Events, f.Bytes, f.Epochs, f.Disk, f.Seconds)
}
