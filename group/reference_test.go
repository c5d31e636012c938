package group

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/cryptotest"

	"github.com/cockroachdb/datadriven"
	"github.com/marmotgo/marmot/internal/vectors"
)

// TestReferenceScenarios reads the reference's portable scenarios and incident
// replays, plays each as a story, and demands what it expects. The stories that
// come out are the files of testdata/stories/reference, which are played also
// where the vectors are not at hand.
func TestReferenceScenarios(t *testing.T) {
	dir := filepath.Dir(vectors.Path(t, "marmot/mdk-conformance/manifest.v1.json"))
	files, err := filepath.Glob(filepath.Join(dir, "*.v1.json"))
	if err != nil {
		t.Fatal(err)
	}
	incidents, err := filepath.Glob(filepath.Join(dir, "incidents", "*.v1.json"))
	if err != nil {
		t.Fatal(err)
	}
	played := 0
	for _, path := range append(files, incidents...) {
		name := strings.TrimSuffix(filepath.Base(path), ".v1.json")
		if name == "manifest" {
			continue
		}
		played++
		t.Run(name, func(t *testing.T) { playReference(t, name, path) })
	}
	if played != 31 {
		t.Errorf("%d scenarios and incidents, want 28 and 3", played)
	}
}

func playReference(t *testing.T, name, path string) {
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var v referenceVector
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	cryptotest.SetGlobalRandom(t, 1)
	p := &referencePlayer{t: t, v: v, story: &story{}, pub: map[string]string{}, welcome: map[string][]busItem{}, held: map[string]busItem{}, mail: map[string][]busItem{}}
	fmt.Fprintf(&p.script, "# The reference's scenario %s (conformance-scenarios.md, 4.5).\n", name)
	if name == "publish-fail" {
		p.foundingCannotFail()
	} else {
		p.play()
	}
	file := filepath.Join("testdata", "stories", "reference", name+".txt")
	if flag.Lookup("rewrite").Value.String() == "true" {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(p.script.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	committed, err := os.ReadFile(file)
	if err != nil || string(committed) != p.script.String() {
		t.Errorf("%s is not what the vector gives (-rewrite writes it): %v", file, err)
	}
}

// foundingCannotFail stands for the one scenario of the reference's former
// profile: a founding needs no relay any more, so nothing can be rolled back.
// A change after it can.
func (p *referencePlayer) foundingCannotFail() {
	p.must("world alice bob keys=reference acks=wait updates=never")
	p.must("create alice name=(publish-fail) invite=(bob)")
	p.must("rename alice another name")
	p.must("ack alice alice/1 fail")
	p.must("expect alice epoch=1 members=2 name=(publish-fail) got=none removed=none")
}

type referenceVector struct {
	Scenario struct {
		Clients []string        `json:"clients"`
		Steps   []referenceStep `json:"steps"`
	} `json:"scenario"`
	Trace struct {
		Observations []referenceOutcome `json:"observations"`
	} `json:"expected_trace"`
	Outcomes []referenceOutcome `json:"expected_outcomes"`
}

type referenceStep struct {
	Type                                                       string
	Group                                                      string
	Action                                                     *referenceStep
	Creator, Inviter, Remover, Client, Sender                  string
	Name, Payload, Pending, Publication, Outcome, Label, Error string
	Description                                                *string
	Invitees, Members, Clients, Admins, Allow                  []string
	InitialAdmins                                              *[]string `json:"initial_admins"`
	Selector                                                   referenceSelector
	Order                                                      []referenceSelector
	Assertion                                                  struct {
		Predicate struct {
			Client, Payload string
			Count           int
		}
	}
}

func (s *referenceStep) actor() string {
	for _, a := range []string{s.Creator, s.Inviter, s.Remover, s.Client, s.Sender} {
		if a != "" {
			return a
		}
	}
	return ""
}

type referenceSelector struct {
	Publication, Sender, Class string
	Occurrence                 int
}

type referenceOutcome struct {
	Type, Client      string
	Clients           []string
	Epoch             *int
	Members           *int      `json:"member_count"`
	Received          *[]string `json:"received_payloads"`
	Added             *[]string `json:"added_members"`
	Removed           *[]string `json:"removed_members"`
	Name, Description *string
	Admins            []string
	TipEpoch          *int    `json:"selected_tip_epoch"`
	Rule              *string `json:"decisive_rule"`
	Quorum            *bool   `json:"witness_quorum_met"`
	Score             *int    `json:"min_app_witness_score"`
	Changes           []struct{ From, To int }
	GroupName         *string `json:"group_name"`
}

// busItem is something on the reference's bus: an event of the story, or a
// welcome.
type busItem struct {
	label       string
	class       string // commit, proposal, message or welcome
	sender      string
	publication string
	to          string // of a welcome
}

// referencePlayer turns the steps of a vector into commands of a story, and
// plays the reference's bus, on which nothing moves by itself.
type referencePlayer struct {
	t       *testing.T
	v       referenceVector
	story   *story
	script  strings.Builder
	pub     map[string]string // publication to event
	welcome map[string][]busItem
	queue   []busItem
	held    map[string]busItem
	mail    map[string][]busItem
	allow   []string // nil for everyone
	group   string   // of the step, where there are several
}

// say runs a command and writes it and its answer into the script.
func (p *referencePlayer) say(format string, args ...any) string {
	p.t.Helper()
	line := fmt.Sprintf(format, args...)
	cmd, cmdArgs, err := datadriven.ParseLine(line)
	if err != nil {
		p.t.Fatalf("%s: %v", line, err)
	}
	out := p.story.run(p.t, &datadriven.TestData{Cmd: cmd, CmdArgs: cmdArgs})
	fmt.Fprintf(&p.script, "\n%s\n----\n%s", line, out)
	return out
}

// must runs a command that may not be refused.
func (p *referencePlayer) must(format string, args ...any) {
	p.t.Helper()
	if out := p.say(format, args...); strings.Contains(out, "refused: ") {
		p.t.Errorf("%s: %s", fmt.Sprintf(format, args...), out)
	}
}

func (p *referencePlayer) play() {
	p.must("world %s keys=reference acks=wait updates=never", strings.Join(p.names(), " "))
	for _, s := range p.v.Scenario.Steps {
		p.group = ""
		if s.Type == "in_group" {
			p.group = "." + s.Group
			s = *s.Action
		}
		p.step(s)
		if p.t.Failed() {
			return
		}
	}
	for _, o := range append(p.v.Trace.Observations, p.v.Outcomes...) {
		p.outcome(o)
	}
}

// names lists the clients; one that is in several groups is several.
func (p *referencePlayer) names() []string {
	seen := map[string]bool{}
	var out []string
	add := func(name string) {
		if !seen[name] {
			seen[name] = true
			out = append(out, name)
		}
	}
	for _, s := range p.v.Scenario.Steps {
		if s.Type == "in_group" {
			for _, c := range append(slices.Clone(s.Action.Invitees), s.Action.actor()) {
				if c != "" {
					add(c + "." + s.Group)
				}
			}
		}
	}
	if out == nil {
		return p.v.Scenario.Clients
	}
	return out
}

func (p *referencePlayer) full(names []string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = n + p.group
	}
	return strings.Join(out, " ")
}

// everywhere are the clients that a person is.
func (p *referencePlayer) everywhere(names []string) []string {
	var out []string
	for _, n := range p.names() {
		if who, _, _ := strings.Cut(n, "."); slices.Contains(names, who) {
			out = append(out, n)
		}
	}
	return out
}

func list(names string) string { return "(" + strings.ReplaceAll(names, " ", ",") + ")" }

func (p *referencePlayer) step(s referenceStep) {
	who := s.actor() + p.group
	switch s.Type {
	case "create_group":
		args := fmt.Sprintf("create %s name=(%s) invite=%s", who, s.Name, list(p.full(s.Invitees)))
		if admins := p.initialAdmins(s); len(admins) > 0 {
			args += " admins=" + list(p.full(admins))
		}
		p.must("%s", args)
		p.pub[s.Pending] = ""
	case "acknowledge_outbound":
		p.acknowledge(s, who)
	case "invite_members":
		p.publish(s, who, "invite %s %s", who, p.full(s.Invitees))
		for _, i := range s.Invitees {
			p.welcome[s.Pending] = append(p.welcome[s.Pending], busItem{class: "welcome", sender: who, publication: s.Pending, to: i + p.group})
		}
	case "remove_members":
		p.publish(s, who, "remove %s %s", who, p.full(s.Members))
	case "update_group_data":
		p.publish(s, who, "rename %s %s", who, s.Name)
	case "update_group_profile":
		args := ""
		if s.Name != "" {
			args += fmt.Sprintf(" name=(%s)", s.Name)
		}
		if s.Description != nil {
			args += fmt.Sprintf(" description=(%s)", *s.Description)
		}
		p.publish(s, who, "profile %s%s", who, args)
	case "update_admin_policy":
		p.publish(s, who, "admins %s set=%s", who, list(p.full(s.Admins)))
	case "expect_update_admin_policy_error":
		args := ""
		if len(s.Admins) > 0 {
			args = " set=" + list(p.full(s.Admins))
		}
		if out := p.say("admins %s%s", who, args); !strings.Contains(out, "refused: ") {
			p.t.Errorf("%s may change the admins: %s", who, out)
		}
	case "send_app_message":
		p.publish(s, who, "say %s %s", who, s.Payload)
	case "leave":
		p.publish(s, who, "leave %s", who)
	case "deliver_all":
		p.deliverAll()
	case "tick":
		p.tick(p.everywhere(s.Clients))
	case "await_quiescence":
		p.tick(p.names())
	case "clear_events":
		p.must("mark %s", p.full(s.Clients))
	case "restart_client":
		p.must("restart %s", who)
		p.must("mark %s", who)
	case "set_partition":
		p.allow = s.Allow
	case "clear_partition":
		p.allow = nil
	case "probe_bidirectional_decryptability":
		p.must("probe %s", p.full(s.Clients))
	case "assert":
		if s.Assertion.Predicate.Count != 0 {
			p.t.Fatal("an assertion of another kind")
		}
		for _, c := range p.everywhere([]string{s.Assertion.Predicate.Client}) {
			if out := p.say("shown %s", c); strings.Contains(out, s.Assertion.Predicate.Payload) {
				p.t.Errorf("%s shows %s", c, s.Assertion.Predicate.Payload)
			}
		}
	case "observe", "observe_exact", "observe_admin_policy":
	default:
		p.faults(s)
	}
}

// faults act on what is in the queue.
func (p *referencePlayer) faults(s referenceStep) {
	switch s.Type {
	case "withhold_message":
		i := p.find(s.Selector)
		p.held[s.Label] = p.queue[i]
		p.queue = slices.Delete(p.queue, i, i+1)
	case "release_withheld":
		p.queue = append(p.queue, p.held[s.Label])
	case "omit_message":
		i := p.find(s.Selector)
		p.queue = slices.Delete(p.queue, i, i+1)
	case "duplicate_message":
		i := p.find(s.Selector)
		p.queue = slices.Insert(p.queue, i+1, p.queue[i])
	case "reorder_messages":
		var next []busItem
		for _, sel := range s.Order {
			next = append(next, p.queue[p.find(sel)])
		}
		if len(next) != len(p.queue) {
			p.t.Fatalf("%d of %d messages are reordered", len(next), len(p.queue))
		}
		p.queue = next
	default:
		p.t.Fatalf("unknown step %s", s.Type)
	}
}

func (p *referencePlayer) find(sel referenceSelector) int {
	class := sel.Class
	if class == "application" {
		class = "message"
	}
	nth := 0
	for i, item := range p.queue {
		if sel.Publication != "" && item.publication != sel.Publication || sel.Sender != "" && item.sender != sel.Sender+p.group ||
			class != "" && class != item.class || sel.Publication != "" && class == "" && item.class == "welcome" {
			continue
		}
		if nth == sel.Occurrence {
			return i
		}
		nth++
	}
	p.t.Fatalf("nothing fits %+v", sel)
	return 0
}

// initialAdmins applies the reference's inference: without a list, every
// invitee who later acts as an admin is one.
func (p *referencePlayer) initialAdmins(s referenceStep) []string {
	if s.InitialAdmins != nil {
		return slices.DeleteFunc(slices.Clone(*s.InitialAdmins), func(n string) bool { return n == s.Creator })
	}
	var out []string
	for _, later := range p.v.Scenario.Steps {
		switch later.Type {
		case "invite_members", "update_group_data", "update_group_profile", "update_admin_policy":
			if a := later.actor(); slices.Contains(s.Invitees, a) && !slices.Contains(out, a) {
				out = append(out, a)
			}
		}
	}
	return out
}

// publish runs a command that sends events, and puts them on the bus.
func (p *referencePlayer) publish(s referenceStep, who, format string, args ...any) {
	p.t.Helper()
	before := p.story.made[who]
	p.must(format, args...)
	p.collect(who, before, s.Pending)
}

// collect puts what a client published since on the bus.
func (p *referencePlayer) collect(who string, before int, publication string) {
	for i := before + 1; i <= p.story.made[who]; i++ {
		label := fmt.Sprintf("%s/%d", who, i)
		class := string(p.story.w.clients[who].handed[p.story.events[label].ID].Kind)
		p.queue = append(p.queue, busItem{label: label, class: class, sender: who, publication: publication})
		if publication != "" {
			p.pub[publication] = label
		}
	}
}

func (p *referencePlayer) acknowledge(s referenceStep, who string) {
	outcome := "ok"
	if s.Outcome != "accepted" {
		outcome = "fail"
	}
	before := p.story.made[who]
	switch label, known := p.pub[s.Publication]; {
	case s.Publication == "":
		p.must("ack %s %s", who, outcome)
	case !known:
		p.t.Fatalf("nothing was published as %s", s.Publication)
	case label == "": // a founding needs no answer (conformance-scenarios.md, 9)
		return
	default:
		p.must("ack %s %s %s", who, label, outcome)
		if outcome == "ok" {
			p.queue = append(p.queue, p.welcome[s.Publication]...)
		}
	}
	p.collect(who, before, "")
}

// deliverAll copies the queue into the mailboxes.
func (p *referencePlayer) deliverAll() {
	for _, item := range p.queue {
		for _, name := range p.names() {
			who, _, _ := strings.Cut(name, ".")
			if name != item.sender && (p.allow == nil || slices.Contains(p.allow, who)) {
				p.mail[name] = append(p.mail[name], item)
			}
		}
	}
	p.queue = nil
}

// tick lets clients read their mail, then lets their passes come due.
func (p *referencePlayer) tick(names []string) {
	for _, name := range names {
		var events []string
		flush := func() {
			if len(events) > 0 && p.story.w.clients[name].g != nil {
				p.must("deliver %s to=(%s)", strings.Join(events, " "), name)
			}
			events = nil
		}
		for _, item := range p.mail[name] {
			switch {
			case item.class != "welcome":
				events = append(events, item.label)
			case item.to == name:
				flush()
				p.must("join %s %s", name, item.sender)
			}
		}
		flush()
		p.mail[name] = nil
	}
	before := map[string]int{}
	for _, name := range names {
		before[name] = p.story.made[name]
	}
	p.must("tick %s", strings.Join(names, " "))
	for _, name := range names {
		p.collect(name, before[name], "")
	}
}

func (p *referencePlayer) outcome(o referenceOutcome) {
	switch o.Type {
	case "pending_resolution", "expected_error", "clients_bidirectionally_decryptable", "scenario_input_ledger":
		return // seen when the step was played
	case "clients_converged", "clients_exactly_equivalent":
		p.must("same %s", strings.Join(o.Clients, " "))
	case "no_pending_work", "no_pending_work_except_retained_join_commit":
		p.must("idle %s", strings.Join(o.Clients, " "))
	case "convergence_decision":
		p.decision(o)
		return
	}
	if o.Clients == nil {
		o.Clients = p.everywhere([]string{o.Client})
	}
	if len(o.Clients) > 1 && o.Received != nil {
		p.received(o)
		o.Received = nil
	}
	for _, c := range o.Clients {
		if args := expectation(o); args != "" {
			p.must("expect %s%s", c, args)
		}
	}
}

// received compares what a person got in all groups together.
func (p *referencePlayer) received(o referenceOutcome) {
	var all []string
	for _, c := range o.Clients {
		got, _, _, _ := p.story.since(p.story.w.clients[c])
		all = append(all, got...)
	}
	if !slices.Equal(all, *o.Received) {
		p.t.Errorf("%s got %q", o.Client, all)
	}
}

func expectation(o referenceOutcome) string {
	var out strings.Builder
	number := func(key string, v *int) {
		if v != nil {
			fmt.Fprintf(&out, " %s=%d", key, *v)
		}
	}
	text := func(key string, v *string) {
		switch {
		case v == nil:
		case *v == "":
			fmt.Fprintf(&out, " %s=none", key)
		default:
			fmt.Fprintf(&out, " %s=(%s)", key, *v)
		}
	}
	names := func(key string, v *[]string) {
		if v == nil {
			return
		}
		joined := strings.Join(*v, ", ")
		text(key, &joined)
	}
	number("epoch", o.Epoch)
	number("members", o.Members)
	text("name", o.Name)
	text("name", o.GroupName)
	text("description", o.Description)
	names("got", o.Received)
	names("added", o.Added)
	names("removed", o.Removed)
	if o.Admins != nil {
		slices.Sort(o.Admins)
		names("admins", &o.Admins)
	}
	if o.Changes != nil {
		var to []string
		for _, c := range o.Changes {
			to = append(to, fmt.Sprint(c.To))
		}
		names("epochs", &to)
	}
	return out.String()
}

func (p *referencePlayer) decision(o referenceOutcome) {
	who := o.Client
	if who == "" {
		who = p.v.Scenario.Clients[0]
	}
	args := ""
	if o.TipEpoch != nil {
		args += fmt.Sprintf(" epoch=%d", *o.TipEpoch)
	}
	if o.Rule != nil {
		args += " rule=" + *o.Rule
	}
	if o.Quorum != nil {
		args += fmt.Sprintf(" quorum=%t", *o.Quorum)
	}
	if o.Score != nil {
		args += fmt.Sprintf(" score=%d", *o.Score)
	}
	p.must("decision %s%s", who, args)
}
