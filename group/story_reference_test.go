package group

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// The commands of the reference scenarios: publications that wait for an
// answer, a clock per client, and expectations.
func init() {
	maps.Copy(storyCommands, map[string]func(*story, *datadriven.TestData) error{
		"ack":  (*story).ack,
		"tick": (*story).tick,
		"mark": func(s *story, d *datadriven.TestData) error {
			for _, c := range s.clients(words(d)) {
				c.marked = len(c.effects)
			}
			return nil
		},
		"profile": func(s *story, d *datadriven.TestData) error {
			c := s.who(d)
			st := c.g.Status()
			p := wire.Profile{Name: st.Name, Description: st.Description}
			if v := vals(d, "name"); v != nil {
				p.Name = v[0]
			}
			if v := vals(d, "description"); v != nil {
				p.Description = v[0]
			}
			return c.try(SetProfile{Ref: "profile", Profile: p})
		},
		"admins": func(s *story, d *datadriven.TestData) error {
			c := s.who(d)
			want, now := s.accounts(vals(d, "set")), c.g.Status().Admins
			in := SetAdmins{Ref: "admins", Grant: want}
			for _, a := range now {
				if !slices.Contains(want, a) {
					in.Revoke = append(in.Revoke, a)
				}
			}
			return c.try(in)
		},
		"pause": func(s *story, d *datadriven.TestData) error { // the clock goes on, and nobody wakes
			by, err := time.ParseDuration(words(d)[0])
			s.w.now = s.w.now.Add(by)
			return err
		},
		"copy": func(s *story, d *datadriven.TestData) error {
			c := s.who(d).fork()
			c.w, c.name, c.wrote, c.tracer, c.trace = s.w, words(d)[1], 0, NewTracer(), nil
			s.w.clients[c.name], s.told[c.name] = c, len(c.effects)
			s.lines[c.name] = s.status(c)
			return nil
		},
		"probe":    (*story).probe,
		"expect":   (*story).expect,
		"same":     (*story).same,
		"idle":     (*story).idle,
		"decision": (*story).decision,
	})
}

// configure takes the options of a world: keys=reference derives the
// accounts' keys as the reference's harness does, so that ties between
// committers fall alike; acks=wait keeps relays silent until the ack command;
// updates=never keeps members from renewing their keys by themselves.
func (s *story) configure(d *datadriven.TestData) string {
	if v := vals(d, "protocol"); v != nil {
		s.w.proto = Protocol(v[0])
	}
	for name, c := range s.w.clients {
		if slices.Equal(vals(d, "keys"), []string{"reference"}) {
			label, _, _ := strings.Cut(name, ".")
			c.secret = referenceKey(label, name)
			c.cfg.Self = c.pub()
		}
		if slices.Equal(vals(d, "updates"), []string{"never"}) {
			c.cfg.JoinUpdateDelay, c.cfg.UpdateInterval = 100_000*time.Hour, 100_000*time.Hour
		}
		c.mute = slices.Equal(vals(d, "acks"), []string{"wait"})
	}
	return "ok\n"
}

// referenceKey is the reference harness's key of a label. A client of another
// group has a name with a dot and a key of its own.
func referenceKey(label, name string) nostr.SecretKey {
	padded := make([]byte, 32)
	copy(padded, label)
	for counter := uint64(0); ; counter++ {
		h := sha256.New()
		h.Write([]byte("marmot-cgka-conformance-nostr-key-v1"))
		h.Write(padded)
		h.Write(binary.BigEndian.AppendUint64(nil, counter))
		if name != label {
			h.Write([]byte(name))
		}
		if key, err := nostr.ParseSecretKey(fmt.Sprintf("%x", h.Sum(nil))); err == nil {
			return key
		}
	}
}

// ack answers for one event, or for everything a client has outstanding.
func (s *story) ack(d *datadriven.TestData) error {
	c, w := s.who(d), words(d)
	accept := w[len(w)-1] == "ok"
	for _, o := range c.g.sortedOut() {
		if len(w) > 2 && s.labels[o.id] != w[1] {
			continue
		}
		for _, t := range o.Relays {
			c.step(RelayResult{Event: o.id, Relay: t.URL, Accepted: accept, Rejected: !accept})
		}
	}
	return nil
}

// tick lets some clients' passes and timers come due; the others sleep.
func (s *story) tick(d *datadriven.TestData) error {
	for range 2 { // what a pass leads to may be due a little later
		s.w.now = s.w.now.Add(quiescence + 100*time.Millisecond)
		for _, c := range s.clients(words(d)) {
			if c.g != nil {
				c.step(Tick{})
			}
		}
	}
	return nil
}

// probe lets each client say something that all others must read.
func (s *story) probe(d *datadriven.TestData) error {
	who := s.clients(words(d))
	for _, from := range who {
		text := "probe by " + from.name
		before := len(from.sent)
		if err := from.try(Send{Ref: text, Payload: wire.NewPayload(from.pub(), wire.KindChat, text, nil, nostr.Timestamp(s.w.now.Unix()))}); err != nil {
			return err
		}
		if len(from.sent) != before+1 {
			return fmt.Errorf("%s cannot send now", from.name)
		}
		for _, to := range who {
			if to != from {
				to.receive(from.sent[before])
			}
			if !slices.Contains(to.shown(), text) {
				return fmt.Errorf("%s does not read %s", to.name, from.name)
			}
		}
	}
	return nil
}

// told lists, since the mark, what others said and who came and went.
func (s *story) since(c *client) (got, added, removed, epochs []string) {
	for _, e := range c.effects[c.marked:] {
		switch e.Kind {
		case EffectMessage, EffectRestored:
			if m, err := nostr.ParseRumor(e.Payload); err == nil && !e.Own {
				got = append(got, m.Content)
			}
		case EffectAdded:
			added = append(added, s.nameOf(e.Subject))
		case EffectRemoved, EffectLeft:
			removed = append(removed, s.nameOf(e.Subject))
		case EffectEpoch:
			epochs = append(epochs, strconv.FormatUint(e.Epoch, 10))
		}
	}
	return got, added, removed, slices.Compact(epochs) // a reorganization within one epoch changes no number
}

// expect compares a client with what its arguments say.
func (s *story) expect(d *datadriven.TestData) error {
	c := s.who(d)
	st := c.g.Status()
	got, added, removed, epochs := s.since(c)
	var admins []string
	for _, a := range st.Admins {
		admins = append(admins, s.nameOf(a))
	}
	slices.Sort(admins)
	is := map[string][]string{
		"epoch": {fmt.Sprint(st.Epoch)}, "members": {fmt.Sprint(len(st.Members))}, "name": {st.Name}, "description": {st.Description},
		"got": got, "added": added, "removed": removed, "admins": admins, "epochs": epochs,
	}
	for _, a := range d.CmdArgs {
		if len(a.Vals) == 0 {
			continue
		}
		want := a.Vals
		if slices.Equal(want, []string{"none"}) {
			want = nil
		}
		if !slices.Equal(is[a.Key], want) && !(a.Key == "description" && want == nil && st.Description == "") {
			return fmt.Errorf("%s: %s is %q", c.name, a.Key, is[a.Key])
		}
	}
	return nil
}

// same demands one state, settled alike, of several clients.
func (s *story) same(d *datadriven.TestData) error {
	who := s.clients(words(d))
	for _, c := range who {
		a, b := who[0].g.Status(), c.g.Status()
		if who[0].g.Tip() != c.g.Tip() || a.Lifecycle != b.Lifecycle || a.Convergence != b.Convergence || !slices.Equal(a.Members, b.Members) ||
			!slices.Equal(a.Admins, b.Admins) || a.Name != b.Name {
			return fmt.Errorf("%s (%s) and %s (%s) differ", who[0].name, s.status(who[0]), c.name, s.status(c))
		}
	}
	return nil
}

func (s *story) idle(d *datadriven.TestData) error {
	for _, c := range s.clients(words(d)) {
		due := slices.ContainsFunc(c.g.queue, func(i *intent) bool { return !s.w.now.Before(i.NotBefore) })
		if st := c.g.Status(); due || st.Convergence != Settled || st.Lifecycle != Stable {
			return fmt.Errorf("%s: %s", c.name, s.status(c))
		}
	}
	return nil
}

// decision looks at the last fork that a client's trace resolves, by running
// it again.
func (s *story) decision(d *datadriven.TestData) error {
	c := s.who(d)
	var last *Decision
	for _, x := range c.replay(s.w.t) {
		if len(x.Rivals) > 0 {
			last = &x
		}
	}
	if last == nil {
		return fmt.Errorf("%s decided nothing", c.name)
	}
	best := last.Rivals[0]
	is := map[string]string{"epoch": fmt.Sprint(best.Epoch), "quorum": fmt.Sprint(best.Quorum), "score": fmt.Sprint(best.Witnesses)}
	if len(last.Rivals) > 1 {
		is["rule"] = best.Rule(last.Rivals[1])
	}
	for _, a := range d.CmdArgs {
		if len(a.Vals) == 1 && is[a.Key] != a.Vals[0] {
			return fmt.Errorf("%s: %s is %q", c.name, a.Key, is[a.Key])
		}
	}
	return nil
}
