package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/marmotgo/marmot"
	"github.com/marmotgo/marmot/group"
	"github.com/spf13/cobra"
)

// statusLine is a group's report as JSON.
type statusLine struct {
	Type   string              `json:"type"` // status
	ID     string              `json:"id"`
	Report group.Report        `json:"report"`
	Relays []marmot.FeedHealth `json:"relays"`
}

func (a *app) groupsStatus() *cobra.Command {
	return a.verb("status GROUP", "Explain what a group does, what it waits for and what to do", cobra.ExactArgs(1), func(ctx context.Context, s *session, args []string) error {
		g, st, err := s.upToDate(ctx, args[0])
		if err != nil {
			return err
		}
		r, err := g.Report(ctx)
		if err != nil {
			return err
		}
		h, err := s.Health(ctx)
		if err != nil {
			return err
		}
		line := statusLine{Type: "status", ID: g.ID(), Report: r, Relays: []marmot.FeedHealth{}}
		for _, f := range h.Feeds {
			if f.Group == g.ID() {
				line.Relays = append(line.Relays, f)
			}
		}
		if a.json {
			a.print(line, "")
			return nil
		}
		a.print(nil, "%s: %s, %s, epoch %d, %d members", oneLine(st.Name), r.Lifecycle, r.Convergence, r.Epoch, len(st.Members))
		if r.Cause != "" {
			a.print(nil, "  needs help: %s", r.Cause)
		}
		a.printWaiting(r)
		s.printHeard(r)
		for _, f := range line.Relays {
			a.print(nil, "  %s: %s", f.URL, feedText(f))
		}
		for _, next := range r.Next {
			a.print(nil, "  → %s", next)
		}
		return nil
	})
}

func (a *app) printWaiting(r group.Report) {
	if p := r.Pass; p != nil {
		a.print(nil, "  compares %d branches from epoch %d on, until %s", p.Rivals, p.Base, p.ClosesAt.Local().Format("15:04:05.000"))
	}
	for _, w := range r.Waiting {
		a.print(nil, "  %d %s of epoch %d: %s", w.Count, w.Kind, w.Epoch, w.Reason)
	}
	for _, o := range r.Outbound {
		a.print(nil, "  a %s made %s:", o.Kind, o.Made.Local().Format(time.DateTime))
		for _, t := range o.Relays {
			a.print(nil, "    %s: %s", t.URL, t.State)
		}
	}
	for _, q := range r.Requests {
		a.print(nil, "  your request (%s): %s", q.Kind, q.Why)
	}
	if !r.RenewAt.IsZero() {
		a.print(nil, "  your keys are renewed by themselves on %s", r.RenewAt.Local().Format(time.DateOnly))
	}
}

// printHeard names the members that may be behind.
func (s *session) printHeard(r group.Report) {
	for _, m := range r.Heard {
		switch {
		case m.Account == s.PubKey():
		case !m.Heard:
			s.app.print(nil, "  %.14s: not heard of lately", m.Account.Npub())
		case m.Behind > 0:
			s.app.print(nil, "  %.14s: last heard of %d epochs ago", m.Account.Npub(), m.Behind)
		}
	}
}

func feedText(f marmot.FeedHealth) string {
	switch {
	case f.Synced:
		return "answers; all that was missed is here"
	case f.Ended:
		return "refuses to go on; asked again by itself"
	case f.Filling:
		return "is being asked"
	case f.Failures > 0:
		return fmt.Sprintf("does not answer (%d times); asked again %s", f.Failures, f.RetryAt.Local().Format("15:04:05"))
	case f.Tried:
		return "answered, not completely"
	}
	return "not asked yet"
}

// finding is one thing that doctor looked at.
type finding struct {
	Type  string `json:"type"`  // check
	Name  string `json:"name"`  // home, key_package, relay_lists, publications, relay, group, suspended, invitations
	State string `json:"state"` // ok, notice, problem
	Text  string `json:"text"`
	Next  string `json:"next,omitempty"`
}

var errDoctor = errors.New("doctor found problems: see above")

func (a *app) doctorCommand() *cobra.Command {
	return a.verb("doctor", "Look at everything that can be wrong, and say what to do", cobra.NoArgs, func(ctx context.Context, s *session, _ []string) error {
		s.catchUp(ctx)
		var all []finding
		add := func(name, state, next, format string, args ...any) {
			all = append(all, finding{"check", name, state, fmt.Sprintf(format, args...), next})
		}
		a.examineHome(add)
		h, err := s.Health(ctx)
		if err != nil {
			return err
		}
		examineAccount(h, time.Now(), add)
		if err := s.examineGroups(ctx, add); err != nil {
			return err
		}
		problems := 0
		for _, f := range all {
			if f.State == "problem" {
				problems++
			}
			a.printFinding(f)
		}
		if problems > 0 {
			return errDoctor
		}
		return nil
	})
}

func (a *app) printFinding(f finding) {
	mark := map[string]string{"ok": "✓", "notice": "!", "problem": "✗"}[f.State]
	next := ""
	if f.Next != "" {
		next = "\n    → " + f.Next
	}
	a.print(f, "%s %s%s", mark, f.Text, next)
}

type report func(name, state, next, format string, args ...any)

// examineHome looks at what others on this machine could read.
func (a *app) examineHome(add report) {
	home, err := a.homeDir()
	if err != nil {
		add("home", "problem", "", "the home is not known: %v", err)
		return
	}
	open := 0
	_ = filepath.WalkDir(home, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if info, err := os.Lstat(path); err == nil && info.Mode().Perm()&0o077 != 0 {
			open++
		}
		return nil
	})
	if open > 0 && runtime.GOOS != "windows" {
		add("home", "problem", fmt.Sprintf("chmod -R go= %q", home), "%d files or folders of this home can be read by other users", open)
		return
	}
	add("home", "ok", "", "only this user can read the home")
}

func examineAccount(h marmot.Health, now time.Time, add report) {
	switch {
	case !h.KeyPackage:
		add("key_package", "problem", "marmot keys publish", "no relay has a key package: nobody can invite you")
	case h.NotAfter.Before(now.Add(24 * time.Hour)):
		add("key_package", "problem", "stay online for a moment: it is renewed by itself", "your key package ends %s", h.NotAfter.Local().Format(time.DateTime))
	default:
		add("key_package", "ok", "", "you can be invited; your key package is good until %s", h.NotAfter.Local().Format(time.DateOnly))
	}
	if !h.Listed {
		add("relay_lists", "problem", "marmot keys publish", "your relay lists were never signed: nobody finds you")
	}
	if h.Unpublished > 0 {
		add("publications", "notice", "they are offered again by themselves", "%d public events of yours were taken by no relay yet", h.Unpublished)
	}
	for _, f := range h.Feeds {
		what := "your inbox"
		if f.Group != "" {
			what = fmt.Sprintf("group %.12s", f.Group)
		}
		if f.Synced {
			add("relay", "ok", "", "%s (%s): %s", f.URL, what, feedText(f))
		} else {
			add("relay", "notice", "nothing is lost while another relay of it answers", "%s (%s): %s", f.URL, what, feedText(f))
		}
	}
	for _, key := range h.Suspended {
		add("suspended", "problem", "check that the disk has room and can be written; it is tried again by itself", "group %.12s: its state cannot be read or stored at the moment", key)
	}
	if h.Invitations > 0 {
		add("invitations", "notice", "marmot invites list", "%d invitations wait for your decision", h.Invitations)
	}
}

func (s *session) examineGroups(ctx context.Context, add report) error {
	groups, err := s.Groups(ctx)
	if err != nil {
		return err
	}
	for _, g := range groups {
		r, err := g.Report(ctx)
		if errors.Is(err, marmot.ErrSuspended) {
			continue // told already
		}
		if err != nil {
			return err
		}
		name := fmt.Sprintf("%q", oneLine(r.Name))
		switch {
		case r.Cause != "":
			add("group", "problem", r.Next[0], "%s needs help: %s", name, r.Cause)
		case r.Removed || r.Lifecycle == group.Disbanded:
		case len(r.Waiting)+len(r.Outbound)+len(r.Requests) > 0 && r.Convergence == group.Settled && r.Next[0] != group.NothingToDo:
			add("group", "notice", r.Next[0], "%s is at epoch %d and waits for something", name, r.Epoch)
		default:
			add("group", "ok", "", "%s is %s at epoch %d", name, r.Convergence, r.Epoch)
		}
	}
	return nil
}
