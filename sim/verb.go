package sim

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// verbs are the things that a script can say. What the group refuses is part
// of life, and so is a step that makes no sense after others were left out.
var verbs = map[string]func(w *World, args []string) error{
	"found": (*World).found, "say": (*World).say, "rename": (*World).rename, "update": (*World).update,
	"promote": (*World).promote, "demote": (*World).demote, "invite": (*World).invite, "remove": (*World).remove,
	"leave": (*World).leave, "disband": (*World).disband, "route": (*World).route, "retain": (*World).retain,
	"crash": (*World).crashNow, "fetch": (*World).fetchNow, "cut": (*World).cutOff,
	"heal": (*World).heal, "clock": (*World).clock, "rewind": (*World).rewindRelay, "replay": (*World).replay,
	"equivocate": (*World).equivocate, "snapshot": (*World).snapshot, "revenge": (*World).revenge,
	"flood": (*World).flood, "junk": (*World).strangersJunk, "rewrap": (*World).rewrap, "garbage": (*World).garbage,
	"violate": (*World).violate,
	"end":     func(*World, []string) error { return nil },
}

func (w *World) do(s Step) error {
	f := verbs[s.Verb]
	if f == nil {
		return fmt.Errorf("%w: unknown verb %q", ErrScript, s.Verb)
	}
	err := f(w, s.Args)
	if refused(err) {
		w.Stats.Refused++
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", s, err)
	}
	return nil
}

func refused(err error) bool {
	for _, known := range []error{
		group.ErrNotAdmin, group.ErrNotMember, group.ErrAlreadyMember, group.ErrAdminLeave, group.ErrLastAdmin, group.ErrLeaving,
		group.ErrRemoved, group.ErrEnded, group.ErrQueueFull,
		group.ErrDisbanding, group.ErrNoDisband,
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// actor finds the member that a step speaks of: "client group". It is nil for
// one who is not there or not in the group.
func (w *World) actor(args []string) *member {
	if len(args) < 2 {
		return nil
	}
	c := w.client(args[0])
	n, err := strconv.Atoi(args[1][1:])
	if c == nil || c.down || err != nil || n >= len(w.groups) {
		return nil
	}
	m := c.member(w.groups[n])
	if m == nil || !m.active() {
		return nil
	}
	return m
}

// request gives a member something that its person wants.
func (w *World) request(args []string, make func(m *member, ref string) (group.Input, error)) error {
	m := w.actor(args)
	if m == nil {
		return nil
	}
	w.Stats.Messages++ // numbers the requests
	ref := fmt.Sprintf("%s wish %d", m.c.name, w.Stats.Messages)
	in, err := make(m, ref)
	if err != nil || in == nil {
		return err
	}
	life := m.c.life
	if err := m.step(in, nil); err != nil {
		return err
	}
	if m.c.life == life {
		m.asked[ref] = true // else it may have been lost; its person sees that
	}
	return nil
}

// found: client, then who is invited.
func (w *World) found(args []string) error {
	c := w.client(args[0])
	if c == nil || c.down {
		return nil
	}
	key, proof, err := c.account.newSignatureKey(c.timestamp())
	if err != nil {
		return err
	}
	cfg := group.CreateConfig{Config: c.config(), Protocol: w.cfg.Protocol, Profile: wire.Profile{Name: "sim"}, Signer: key, Proof: proof}
	for _, r := range w.relays {
		cfg.Relays = append(cfg.Relays, r.url)
	}
	for _, name := range args[1:] {
		other := w.client(name)
		if other == nil {
			continue
		}
		v, err := other.invitee()
		if err != nil {
			return err
		}
		cfg.Invitees = append(cfg.Invitees, v)
	}
	g, out, err := group.Create(c.now(), cfg)
	if err != nil {
		return err
	}
	id := fmt.Sprintf("%x", g.ID())
	w.groups = append(w.groups, id)
	m := newMember(c, id, g)
	c.members = append(c.members, m)
	return m.commit([]group.Output{out}, nil, false)
}

func (w *World) say(args []string) error {
	return w.request(args, func(m *member, ref string) (group.Input, error) {
		text := ref
		if len(args) > 2 {
			text = args[2]
		}
		return group.Send{Ref: ref, Payload: wire.NewPayload(m.c.account.pub, wire.KindChat, text, nil, m.c.timestamp())}, nil
	})
}

func (w *World) rename(args []string) error {
	return w.request(args, func(_ *member, ref string) (group.Input, error) {
		return group.SetProfile{Ref: ref, Profile: wire.Profile{Name: ref}}, nil
	})
}

func (w *World) update(args []string) error {
	return w.request(args, func(_ *member, ref string) (group.Input, error) { return group.SelfUpdate{Ref: ref}, nil })
}

func (w *World) leave(args []string) error {
	return w.request(args, func(_ *member, ref string) (group.Input, error) { return group.Leave{Ref: ref}, nil })
}

func (w *World) disband(args []string) error {
	return w.request(args, func(_ *member, ref string) (group.Input, error) { return group.Disband{Ref: ref}, nil })
}

// route gives the group another public id, as after a removal.
func (w *World) route(args []string) error {
	return w.request(args, func(_ *member, ref string) (group.Input, error) {
		return group.SetRouting{Ref: ref, NewID: true}, nil
	})
}

func (w *World) retain(args []string) error {
	return w.request(args, func(_ *member, ref string) (group.Input, error) {
		return group.SetRetention{Ref: ref, Retention: wire.Retention(3600 * (1 + w.Stats.Messages))}, nil
	})
}

// about is a request that concerns another client: "actor group other".
func (w *World) about(args []string, make func(ref string, who nostr.PubKey) group.Input) error {
	if len(args) < 3 || w.client(args[2]) == nil {
		return nil
	}
	return w.request(args, func(_ *member, ref string) (group.Input, error) {
		return make(ref, w.client(args[2]).account.pub), nil
	})
}

func (w *World) promote(args []string) error {
	return w.about(args, func(ref string, who nostr.PubKey) group.Input {
		return group.SetAdmins{Ref: ref, Grant: []nostr.PubKey{who}}
	})
}

func (w *World) demote(args []string) error {
	return w.about(args, func(ref string, who nostr.PubKey) group.Input {
		return group.SetAdmins{Ref: ref, Revoke: []nostr.PubKey{who}}
	})
}

func (w *World) remove(args []string) error {
	return w.about(args, func(ref string, who nostr.PubKey) group.Input {
		return group.Remove{Ref: ref, Accounts: []nostr.PubKey{who}}
	})
}

func (w *World) invite(args []string) error {
	return w.request(args, func(_ *member, ref string) (group.Input, error) {
		in := group.Invite{Ref: ref}
		for _, name := range args[2:] {
			if other := w.client(name); other != nil {
				v, err := other.invitee()
				if err != nil {
					return nil, err
				}
				in.Invitees = append(in.Invitees, v)
			}
		}
		if len(in.Invitees) == 0 {
			return nil, nil
		}
		return in, nil
	})
}

// crashNow: client, and how long it stays down.
func (w *World) crashNow(args []string) error {
	c := w.client(args[0])
	if c == nil || c.down {
		return nil
	}
	down, err := time.ParseDuration(args[1])
	if err != nil {
		return err
	}
	return c.crash(nil, down)
}

func (w *World) fetchNow(args []string) error {
	c := w.client(args[0])
	if c == nil || c.down {
		return nil
	}
	return c.fetchSoon()
}

// cutOff: client and relay.
func (w *World) cutOff(args []string) error {
	w.cut[args[0]+" "+args[1]] = true
	return nil
}

// heal: client and relay. It asks for what it missed.
func (w *World) heal(args []string) error {
	delete(w.cut, args[0]+" "+args[1])
	i := slices.IndexFunc(w.relays, func(r *relay) bool { return r.name == args[1] })
	c := w.client(args[0])
	if i < 0 || c == nil {
		return nil
	}
	return w.fetch(c, w.relays[i])
}

// clock: client, and how far its clock is off from now on. Timers that run go
// on running, because they count elapsed time; but soon something makes the
// client look at its clock.
func (w *World) clock(args []string) error {
	c := w.client(args[0])
	if c == nil {
		return nil
	}
	skew, err := time.ParseDuration(args[1])
	if err != nil {
		return err
	}
	c.skew = skew
	for _, m := range c.members {
		m.watch.opened = time.Time{} // the oracle's clock of the open pass is void
		w.after(time.Second, func() error {
			m.wake = time.Time{} // what was planned by the old time is planned anew
			return m.step(group.Tick{}, nil)
		})
	}
	return nil
}

// rewindRelay: relay, and how many events it forgets.
func (w *World) rewindRelay(args []string) error {
	n, err := strconv.Atoi(args[1])
	for _, r := range w.relays {
		if r.name == args[0] && r.lies {
			r.rewind(n)
		}
	}
	return err
}

// replay: relay, and how many of its events everybody gets once more.
func (w *World) replay(args []string) error {
	n, err := strconv.Atoi(args[1])
	for _, r := range w.relays {
		if r.name != args[0] {
			continue
		}
		for _, p := range r.stored[max(0, len(r.stored)-n):] {
			for _, c := range w.clients {
				if !c.wants(p.event) || c.down {
					continue
				}
				if err := c.deliver(p, true); err != nil {
					return err
				}
			}
		}
	}
	return err
}
