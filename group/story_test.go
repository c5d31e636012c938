package group

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/cryptotest"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// TestStories plays the scripts of testdata/stories. Each tells what a few
// clients do and what reaches whom when, and shows what a person would ask
// for. Run with -rewrite after a change that is meant, and read the diff like
// code. testdata/stories/README.md has the language.
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata/stories", func(t *testing.T, path string) {
		if !strings.HasSuffix(path, ".txt") {
			return
		}
		cryptotest.SetGlobalRandom(t, 1)
		s := &story{}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string { return s.run(t, d) })
	})
}

// story is a world and what of it was printed already.
type story struct {
	w      *world
	labels map[nostr.ID]string // of group events, in the order they were handed out
	events map[string]*nostr.Event
	tips   map[stateID]string
	made   map[string]int // events by author
	lines  map[string]string
	told   map[string]int // effects printed
	out    strings.Builder
}

// run carries out one command and tells what changed.
func (s *story) run(t *testing.T, d *datadriven.TestData) string {
	s.out.Reset()
	if d.Cmd == "world" {
		s.begin(t, words(d))
		return s.configure(d)
	}
	s.w.t = t
	do, ok := storyCommands[d.Cmd]
	if !ok {
		d.Fatalf(t, "unknown command")
	}
	if err := do(s, d); err != nil {
		fmt.Fprintf(&s.out, "refused: %v\n", err)
	}
	s.tell()
	if s.out.Len() == 0 || slices.Equal(vals(d, "show"), []string{"nothing"}) { // what chance decides is not told
		return "ok\n"
	}
	return s.out.String()
}

func (s *story) begin(t *testing.T, names []string) {
	*s = story{
		w: newWorld(t, names...), labels: map[nostr.ID]string{}, events: map[string]*nostr.Event{}, tips: map[stateID]string{},
		made: map[string]int{}, lines: map[string]string{}, told: map[string]int{},
	}
}

// words returns the arguments that have no value.
func words(d *datadriven.TestData) []string {
	var out []string
	for _, a := range d.CmdArgs {
		if len(a.Vals) == 0 {
			out = append(out, a.Key)
		}
	}
	return out
}

func vals(d *datadriven.TestData, key string) []string {
	if a, ok := d.Arg(key); ok {
		return a.Vals
	}
	return nil
}

func (s *story) who(d *datadriven.TestData) *client {
	w := words(d)
	if len(w) == 0 || s.w.clients[w[0]] == nil {
		d.Fatalf(s.w.t, "the command needs a client first")
	}
	return s.w.clients[w[0]]
}

func (s *story) clients(names []string) []*client {
	var out []*client
	for _, n := range names {
		c := s.w.clients[n]
		if c == nil {
			s.w.t.Fatalf("no client %q", n)
		}
		out = append(out, c)
	}
	return out
}

func (s *story) names() []string { return slices.Sorted(maps.Keys(s.w.clients)) }

// storyCommands is the language, a command a line.
var storyCommands = map[string]func(*story, *datadriven.TestData) error{}

func init() {
	maps.Copy(storyCommands, map[string]func(*story, *datadriven.TestData) error{
		"create": func(s *story, d *datadriven.TestData) error {
			name := "Burrow"
			if v := vals(d, "name"); v != nil {
				name = v[0]
			}
			s.who(d).createWith(name, s.accounts(vals(d, "admins")), s.clients(vals(d, "invite"))...)
			return nil
		},
		"invite": func(s *story, d *datadriven.TestData) error { return s.who(d).inviteOnly(s, s.clients(words(d)[1:])) },
		"join":   func(s *story, d *datadriven.TestData) error { return s.join(s.who(d), words(d)[1]) },
		"say": func(s *story, d *datadriven.TestData) error {
			c := s.who(d)
			text := strings.Join(words(d)[1:], " ")
			return c.try(Send{Ref: text, Payload: wire.NewPayload(c.pub(), wire.KindChat, text, nil, nostr.Timestamp(s.w.now.Unix()))})
		},
		"rename": func(s *story, d *datadriven.TestData) error {
			return s.who(d).try(SetProfile{Ref: "rename", Profile: wire.Profile{Name: strings.Join(words(d)[1:], " ")}})
		},
		"update":  func(s *story, d *datadriven.TestData) error { return s.who(d).try(SelfUpdate{Ref: "update"}) },
		"promote": func(s *story, d *datadriven.TestData) error { return s.admins(d, true) },
		"demote":  func(s *story, d *datadriven.TestData) error { return s.admins(d, false) },
		"remove": func(s *story, d *datadriven.TestData) error {
			return s.who(d).try(Remove{Ref: "remove", Accounts: s.accounts(words(d)[1:])})
		},
		"leave":   func(s *story, d *datadriven.TestData) error { return s.who(d).try(Leave{Ref: "leave"}) },
		"disband": func(s *story, d *datadriven.TestData) error { return s.who(d).try(Disband{Ref: "disband"}) },
		"relays": func(s *story, d *datadriven.TestData) error {
			return s.who(d).try(SetRouting{Ref: "relays", Relays: vals(d, "set"), NewID: d.HasArg("new-id")})
		},
		"retention": func(s *story, d *datadriven.TestData) error {
			seconds, err := strconv.ParseUint(words(d)[1], 10, 64)
			if err != nil {
				return err
			}
			return s.who(d).try(SetRetention{Ref: "retention", Retention: wire.Retention(seconds)})
		},
		"relay":   (*story).relay,
		"deliver": (*story).deliver,
		"flood":   func(s *story, _ *datadriven.TestData) error { s.w.flood(); return nil },
		"advance": func(s *story, d *datadriven.TestData) error {
			by, err := time.ParseDuration(words(d)[0])
			if err == nil {
				s.w.advance(by)
			}
			return err
		},
		"restart": func(s *story, d *datadriven.TestData) error {
			for _, c := range s.clients(words(d)) {
				c.restart()
			}
			return nil
		},
		"shown":   (*story).shown,
		"members": (*story).members,
		"serves": func(s *story, d *datadriven.TestData) error {
			fmt.Fprintf(&s.out, "%s serves %d addresses: %s\n", s.who(d).name, len(s.who(d).g.Addresses()), relaysOf(s.who(d).g.Addresses()))
			return nil
		},
	})
}

func relaysOf(addresses []Address) string {
	var out []string
	for _, a := range addresses {
		out = append(out, strings.Join(a.Relays, " "))
	}
	return strings.Join(out, "; ")
}

func (s *story) accounts(names []string) []nostr.PubKey {
	var out []nostr.PubKey
	for _, c := range s.clients(names) {
		out = append(out, c.pub())
	}
	return out
}

func (s *story) admins(d *datadriven.TestData, grant bool) error {
	in := SetAdmins{Ref: "admins", Grant: s.accounts(words(d)[1:])}
	if !grant {
		in.Grant, in.Revoke = nil, in.Grant
	}
	return s.who(d).try(in)
}

// inviteOnly asks for the commit; the invited join with the join command.
func (c *client) inviteOnly(s *story, who []*client) error {
	in := Invite{Ref: "invite"}
	for _, v := range who {
		v.offered = v.keyPackage()
		in.Invitees = append(in.Invitees, Invitee{KeyPackage: v.offered.event, Inbox: []string{"wss://inbox.example"}})
	}
	return c.try(in)
}

func (s *story) join(c *client, from string) error {
	cfg, err := c.welcome(s.w.clients[from], c.offered)
	if err != nil {
		return err
	}
	g, out, err := Join(s.w.now, cfg)
	if err == nil {
		c.g = g
		c.apply(out, nil)
	}
	return err
}

// relay says how the relays treat what a client publishes from now on, or
// lets them answer for what they kept quiet about.
func (s *story) relay(d *datadriven.TestData) error {
	c := s.who(d)
	switch mode := words(d)[1]; mode {
	case "silent":
		c.mute = true
	case "ok", "refuses":
		c.answerAll(mode == "ok")
	default:
		d.Fatalf(s.w.t, "a relay is silent, ok or refuses")
	}
	return nil
}

// deliver brings named events, or all of an author's, to some or all others.
func (s *story) deliver(d *datadriven.TestData) error {
	to := s.clients(vals(d, "to"))
	if to == nil {
		to = s.clients(s.names())
	}
	for _, name := range words(d) {
		events := []string{name}
		if s.events[name] == nil {
			events = s.byAuthor(name)
		}
		for _, label := range events {
			for _, c := range to {
				if author, _, _ := strings.Cut(label, "/"); author == c.name || c.g == nil {
					continue
				}
				c.receive(s.events[label])
				if category := c.last.Category; category != Accepted {
					fmt.Fprintf(&s.out, "%s takes %s: %s\n", c.name, label, category)
				}
			}
		}
	}
	return nil
}

func (s *story) byAuthor(name string) []string {
	var out []string
	for i := 1; i <= s.made[name]; i++ {
		out = append(out, fmt.Sprintf("%s/%d", name, i))
	}
	if out == nil {
		s.w.t.Fatalf("nothing was sent by %q, and no event has that name", name)
	}
	return out
}

func (s *story) shown(d *datadriven.TestData) error {
	for _, c := range s.clients(words(d)) {
		fmt.Fprintf(&s.out, "%s shows %s\n", c.name, strings.Join(c.shown(), ", "))
	}
	return nil
}

func (s *story) members(d *datadriven.TestData) error {
	for _, c := range s.clients(words(d)) {
		st := c.g.Status()
		var list []string
		for _, m := range st.Members {
			name := s.nameOf(m)
			if slices.Contains(st.Admins, m) {
				name += " (admin)"
			}
			list = append(list, name)
		}
		slices.Sort(list)
		fmt.Fprintf(&s.out, "%s sees %s\n", c.name, strings.Join(list, ", "))
	}
	return nil
}

func (s *story) nameOf(k nostr.PubKey) string {
	for _, c := range s.clients(s.names()) { // the first of several homes of one account
		if c.pub() == k {
			return c.name
		}
	}
	return ""
}

// tell prints what was published, told and changed since the last command.
func (s *story) tell() {
	for _, c := range s.clients(s.names()) {
		for _, e := range c.sent[s.made[c.name]:] {
			s.made[c.name]++
			label := fmt.Sprintf("%s/%d", c.name, s.made[c.name])
			s.labels[e.ID], s.events[label] = label, e
			o := c.handed[e.ID]
			if o.Kind == outCommit {
				s.tips[o.Commit] = label
			}
			fmt.Fprintf(&s.out, "%s publishes %s: %s\n", c.name, label, o.Kind)
		}
	}
	for _, c := range s.clients(s.names()) {
		if c.g == nil {
			continue
		}
		for _, e := range c.effects[s.told[c.name]:] {
			if line := s.effect(e); line != "" {
				fmt.Fprintf(&s.out, "%s is told: %s\n", c.name, line)
			}
		}
		s.told[c.name] = len(c.effects)
		if line := s.status(c); line != s.lines[c.name] {
			s.lines[c.name] = line
			fmt.Fprintf(&s.out, "%s: %s\n", c.name, line)
		}
	}
}

// effect describes an effect; "" for what the status line says already.
func (s *story) effect(e Effect) string {
	text := e.Text
	if m, err := nostr.ParseRumor(e.Payload); err == nil {
		text = strconv.Quote(m.Content)
	}
	parts := []string{string(e.Kind)}
	switch e.Kind {
	case EffectEpoch, EffectJoined:
		return ""
	case EffectSuperseded:
		parts = append(parts, s.tipName(stateID(e.Commit)))
	case EffectPublished, EffectFailed:
		parts = append(parts, e.Ref)
	}
	for _, p := range []string{s.nameOf(e.Subject), text} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	if by := s.nameOf(e.Actor); by != "" {
		parts = append(parts, "by "+by)
	}
	return strings.Join(parts, " ")
}

func (s *story) tipName(id stateID) string {
	if name := s.tips[id]; name != "" {
		return name
	}
	return "the founding"
}

func (s *story) status(c *client) string {
	st := c.g.Status()
	out := fmt.Sprintf("epoch %d %s %s, tip %s", st.Epoch, st.Lifecycle, st.Convergence, s.tipName(c.g.tip.id))
	for _, note := range []struct {
		is   bool
		text string
	}{
		{st.Removed, "removed"}, {st.Leaving, "leaving"}, {st.Disbanding, "disbanding"},
		{st.Branches > 0, fmt.Sprintf("rivals %d", st.Branches)}, {st.Deferred > 0, fmt.Sprintf("deferred %d", st.Deferred)},
		{st.Queued > 0, fmt.Sprintf("queued %d", st.Queued)}, {st.Cause != "", st.Cause},
	} {
		if note.is {
			out += ", " + note.text
		}
	}
	return out
}
