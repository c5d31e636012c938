package group

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/marmotgo/marmot/nostr"
)

// Report is what a person needs to understand a group that does not do what
// they expect: what it waits for, why, and what to do.
type Report struct {
	Status
	Pass     *PassReport    `json:"pass,omitempty"`
	Heard    []MemberReport `json:"heard,omitempty"`
	Waiting  []WaitReport   `json:"waiting,omitempty"` // inputs from outside
	Outbound []OutReport    `json:"outbound,omitempty"`
	Requests []QueueReport  `json:"requests,omitempty"` // of this member
	Oldest   uint64         `json:"oldest_epoch"`       // what is older can no longer be taken in
	RenewAt  time.Time      `json:"renew_at,omitzero"`  // when this member's keys are renewed next
	Next     []string       `json:"next"`               // what to do, or what happens by itself; never empty
}

// PassReport is a pass that collects.
type PassReport struct {
	Base     uint64    `json:"base_epoch"`
	ClosesAt time.Time `json:"closes_at"`
	Rivals   int       `json:"rivals"` // ends of branches that will be compared, the present one included
}

// MemberReport says in which epoch an account was last heard of. One that is
// some epochs behind may have missed what others have.
type MemberReport struct {
	Account nostr.PubKey `json:"account"`
	Epoch   uint64       `json:"last_epoch"` // of what it last said or committed, as far as it is still known
	At      time.Time    `json:"last_heard,omitzero"`
	Behind  uint64       `json:"behind"` // epochs, if it was heard of at all
	Heard   bool         `json:"heard"`
}

// WaitReport counts inputs that wait for one reason.
type WaitReport struct {
	Kind   string `json:"kind"` // commit, proposal, app or event
	Epoch  uint64 `json:"epoch,omitempty"`
	Count  int    `json:"count"`
	Reason string `json:"reason"`
}

// OutReport is something that relays still have to take.
type OutReport struct {
	Kind    string        `json:"kind"` // message, commit, proposal, welcome
	Made    time.Time     `json:"made"`
	RetryAt time.Time     `json:"retry_at,omitzero"`
	Done    bool          `json:"done"` // a relay has it
	Relays  []RelayReport `json:"relays"`
}

// RelayReport is how one relay took one event.
type RelayReport struct {
	URL   string `json:"url"`
	State string `json:"state"` // accepted, refused, silent, untried
}

// QueueReport is a request that waits.
type QueueReport struct {
	Kind      string    `json:"kind"`
	NotBefore time.Time `json:"not_before"`
	Why       string    `json:"why"`
}

// NothingToDo is the only entry of [Report.Next] of a group that is settled.
const NothingToDo = "Nothing: the group is settled."

// Report describes the group at time now. It changes nothing. It names relays
// and accounts: it is for the account's owner, not for a log.
func (g *Group) Report(now time.Time) Report {
	r := Report{Status: g.Status(), Oldest: g.anchor(), RenewAt: g.updateDue()}
	if p := g.meta.Pass; p != nil {
		r.Pass = &PassReport{Base: p.Base, ClosesAt: p.cutoff(), Rivals: r.Branches + 1}
	}
	if !g.damaged && !g.ended() {
		r.Heard = g.heard()
		r.Waiting = g.waitReports()
	}
	for _, o := range g.sortedOut() {
		r.Outbound = append(r.Outbound, o.report())
	}
	for _, i := range g.queue {
		r.Requests = append(r.Requests, QueueReport{string(i.Kind), i.NotBefore, g.whyQueued(i, now)})
	}
	r.Next = g.advice(r)
	return r
}

// heard finds when each member was last heard of, within what is retained.
func (g *Group) heard() []MemberReport {
	last := map[nostr.PubKey]MemberReport{}
	note := func(who nostr.PubKey, epoch uint64, at time.Time) {
		if old := last[who]; !old.Heard || epoch > old.Epoch || (epoch == old.Epoch && at.After(old.At)) {
			last[who] = MemberReport{Epoch: epoch, At: at, Heard: true}
		}
	}
	for _, in := range g.inputs {
		n := g.nodes[in.State]
		switch {
		case in.Disposition == rejected || n == nil:
		case in.Kind == kindApp:
			note(in.Sender, in.Epoch, in.At)
		case in.Kind == kindCommit && n.commit != nil:
			note(n.commit.Committer, n.epoch, in.At)
		}
	}
	var out []MemberReport
	for _, account := range g.tip.members() {
		m := last[account]
		m.Account = account
		if m.Heard && m.Epoch < g.tip.epoch {
			m.Behind = g.tip.epoch - m.Epoch
		}
		out = append(out, m)
	}
	return out
}

// waitReports groups what waits by kind, epoch and reason.
func (g *Group) waitReports() []WaitReport {
	counts := map[WaitReport]int{}
	for _, in := range g.index.open {
		if in.Disposition != deferred || in.Own && in.Kind != kindCommit {
			continue
		}
		counts[WaitReport{Kind: string(in.Kind), Epoch: in.Epoch, Reason: g.whyWaiting(in)}]++
	}
	if len(g.raw) > 0 {
		counts[WaitReport{Kind: "event", Reason: "no key opens it yet: it may be of an epoch that has not arrived, or junk"}] = len(g.raw)
	}
	var out []WaitReport
	for w, n := range counts {
		w.Count = n
		out = append(out, w)
	}
	slices.SortFunc(out, func(a, b WaitReport) int {
		return cmp.Or(cmp.Compare(a.Epoch, b.Epoch), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Reason, b.Reason))
	})
	return out
}

func (g *Group) whyWaiting(in *retained) string {
	switch n := g.nodes[in.State]; {
	case in.Category == MissingHistory:
		return "the group cannot go on before it is repaired"
	case in.Category == ResourceRefused:
		return "its author has too many rival commits"
	case in.Kind == kindProposal && in.proposalIn != nil:
		return "a commit has to take it up"
	case n != nil && n.private():
		return "this member's own, and no relay has accepted it"
	case n != nil && in.Kind == kindCommit && in.Judged:
		return "a rival that lost; it counts until it is too old"
	case n != nil && in.Kind == kindCommit:
		return "it is compared when the pass closes"
	case n != nil:
		return "it is shown when the branch is settled"
	case in.Epoch > g.tip.epoch:
		return "it belongs to an epoch that has not arrived"
	}
	return "the state that it follows from has not arrived"
}

func (o *outbound) report() OutReport {
	r := OutReport{Kind: string(o.Kind), Made: o.Made, RetryAt: o.RetryAt, Done: o.Done}
	for _, t := range o.Relays {
		state := "untried"
		switch {
		case t.Accepted:
			state = "accepted"
		case t.Refused:
			state = "refused"
		case t.Tried:
			state = "silent"
		}
		r.Relays = append(r.Relays, RelayReport{t.URL, state})
	}
	return r
}

func (g *Group) whyQueued(i *intent, now time.Time) string {
	switch {
	case g.meta.Cause != "" || g.ended():
		return "the group cannot go on"
	case !g.ready(i) && !now.Before(i.NotBefore):
		return "the account has to vouch for a new key"
	case now.Before(i.NotBefore):
		return "it is not due yet"
	case g.meta.Pass != nil:
		return "a pass is open"
	case g.pending() != nil:
		return "an own commit waits for a relay"
	}
	return "it is next"
}

// advice says in words what to do. What happens by itself is said as such.
func (g *Group) advice(r Report) []string {
	switch {
	case g.damaged:
		return []string{"Restore this home's database from a backup made by copying it while nothing ran, or ask an admin to remove you and invite you again."}
	case g.meta.Cause == causeCopy:
		return []string{"Use only one of the two copies. On this one, ask an admin to remove you and invite you again; what was said stays readable."}
	case g.meta.Cause != "":
		return []string{"Ask an admin to remove you and invite you again; what was said stays readable."}
	case g.meta.Disbanded:
		return []string{"The group has ended. Found a new one to go on."}
	case g.meta.Removed:
		return []string{"You were removed. An admin can invite you again."}
	}
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if g.pending() != nil {
		add("A change of yours waits for a relay's answer; it is sent again by itself. Check the relays if this lasts.")
	}
	if r.Pass != nil {
		_, most := g.gen.collect()
		add("The members' changes are being compared; this ends by itself within %s.", most)
	}
	if ahead := g.ahead(); ahead > 0 {
		add("%d events are of later epochs: a commit is missing. All relays are asked for it by themselves; add a relay that others use if this lasts.", ahead)
	}
	if r.Missed > 0 {
		add("%d messages cannot be read: they came when their keys were gone, after %d epochs, or this copy never had them. Ask for them again.", r.Missed, appWindow)
	}
	for _, o := range r.Outbound {
		if refusedByAll(o) {
			add("All relays refuse a %s of yours. Ask an admin for other relays (groups relays).", o.Kind)
		}
	}
	if g.meta.Leaving {
		add("You asked to leave; any other member's client takes you out as soon as it sees that.")
	}
	if g.meta.Disband != nil {
		add("You asked to end the group; nothing else can be sent until that is done.")
	}
	if len(out) == 0 {
		out = []string{NothingToDo}
	}
	return out
}

func refusedByAll(o OutReport) bool {
	return !slices.ContainsFunc(o.Relays, func(r RelayReport) bool { return r.State != "refused" })
}

// ahead counts messages of epochs that have not arrived.
func (g *Group) ahead() (count int) {
	for _, in := range g.index.open {
		if in.waiting() && in.Epoch > g.tip.epoch {
			count++
		}
	}
	return count
}
