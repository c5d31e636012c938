package sim

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// What people do who break the rules: members, ex-members who kept a copy of
// their data, relays and strangers. Whoever does the first two is a rogue from
// then on: nothing is owed to it, and it does nothing else any more.

// drawMalice draws something hostile.
func (w *World) drawMalice() (Step, bool) {
	c := w.clients[w.rng.IntN(len(w.clients))]
	g := w.rng.IntN(len(w.groups))
	who := []string{c.name, fmt.Sprintf("g%d", g)}
	with := func(verb string, more ...string) (Step, bool) {
		return Step{Verb: verb, Args: append(who, more...)}, true
	}
	switch d := w.rng.IntN(20); {
	case d < 2:
		return with("snapshot")
	case d < 4:
		n := 3 + w.rng.IntN(30)
		if w.rng.IntN(30) == 0 {
			n = 300 // more than a group holds
		}
		return Step{Verb: "junk", Args: []string{fmt.Sprintf("g%d", g), strconv.Itoa(n)}}, true
	case d < 6:
		return Step{Verb: "rewrap", Args: []string{fmt.Sprintf("g%d", g), strconv.Itoa(1 + w.rng.IntN(3))}}, true
	}
	if w.cfg.Protocol == group.V1 {
		return w.drawMaliceV1(c, g)
	}
	if w.rogues() >= max(1, len(w.clients)/4) && !c.rogue {
		return Step{}, false // most are honest
	}
	switch d := w.rng.IntN(12); {
	case d < 3:
		return with("equivocate", strconv.Itoa(2+w.rng.IntN(2)))
	case d < 4:
		return with("revenge")
	case d < 5:
		return with("flood", strconv.Itoa(10+w.rng.IntN(60)))
	case d < 6:
		return with("garbage")
	default:
		return with("violate", violationNames[w.rng.IntN(len(violationNames))])
	}
}

// drawMaliceV1 draws something hostile in a group of v1. There an event's date
// decides, and whoever puts a commit into another event gives it another date. No
// member commits twice with one key: see older.
func (w *World) drawMaliceV1(c *Client, g int) (Step, bool) {
	group := fmt.Sprintf("g%d", g)
	switch d := w.rng.IntN(10); {
	case d < 8:
		return Step{Verb: "rewrap", Args: []string{group, strconv.Itoa(1 + w.rng.IntN(6))}}, true
	case d < 9:
		return Step{Verb: "flood", Args: []string{c.name, group, "20"}}, true
	}
	if w.rogues() > 0 && !c.rogue {
		return Step{}, false
	}
	return Step{Verb: "garbage", Args: []string{c.name, group}}, true
}

func (w *World) rogues() (n int) {
	for _, c := range w.clients {
		if c.rogue {
			n++
		}
	}
	return n
}

// inject brings an event to all relays past all obligations.
func (w *World) inject(by string, e *nostr.Event) *packet {
	w.injected++
	p := &packet{label: fmt.Sprintf("%s!%d", by, w.injected), event: e}
	w.packets[e.ID], w.last = p, p
	w.transcript.event(e)
	for _, r := range w.relays {
		how := w.receptionOf(p, r, 1)
		if how.stored {
			w.after(how.delay, func() error { return r.take(w, p) })
		}
	}
	return p
}

// shadow is a second copy of a member's data, run beside it.
func (m *member) shadow(records []group.Record) (*group.Group, error) {
	g, _, err := group.Load(m.c.now(), m.c.config(), records)
	return g, err
}

// betray makes a member a rogue and returns its data. It is nil if the member
// has nothing to betray.
func (w *World) betray(args []string) (*member, []group.Record, error) {
	m := w.actor(args)
	if m == nil || m.g.Status().Cause != "" {
		return nil, nil, nil
	}
	records, err := m.c.disk.records(m.prefix())
	m.c.rogue = true
	return m, records, err
}

// equivocate: client, group, number. It makes several commits on one state and
// shows them to different people in different orders.
func (w *World) equivocate(args []string) error {
	m, records, err := w.betray(args)
	if m == nil || err != nil {
		return err
	}
	n, err := strconv.Atoi(args[2])
	for i := 0; i < n && err == nil; i++ {
		err = w.commitAside(m, records, fmt.Sprintf("equivocation %d", i))
	}
	return err
}

// commitAside makes a commit from a copy of a member's data and publishes it.
func (w *World) commitAside(m *member, records []group.Record, name string) error {
	g, err := m.shadow(records)
	if err != nil {
		return err
	}
	out, err := g.Step(m.c.now(), group.SetProfile{Profile: wire.Profile{Name: name}})
	if errors.Is(err, group.ErrNotAdmin) {
		out, err = g.Step(m.c.now(), group.SelfUpdate{})
		if err == nil && len(out.Requests) > 0 {
			answer := m.c.account.answer(out.Requests[0])
			var next group.Output
			next, err = g.Step(m.c.now(), answer)
			out.Records, out.Publish = append(out.Records, next.Records...), next.Publish
		}
	}
	if refused(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := w.ledger.learn(m, out.Records); err != nil {
		return err
	}
	for _, p := range out.Publish {
		if p.Event.Kind != wire.KindGroupEvent || w.packets[p.Event.ID] != nil {
			continue
		}
		if err := w.ledger.published(m, w.inject(m.c.name, p.Event)); err != nil {
			return err
		}
	}
	return nil
}

// snapshot: client, group. It keeps a copy of its data, as a backup would.
func (w *World) snapshot(args []string) error {
	m := w.actor(args)
	if m == nil || m.g.Status().Cause != "" {
		return nil
	}
	var err error
	m.backup, err = m.c.disk.records(m.prefix())
	return err
}

// revenge: client, group. It commits from the copy, also after its removal.
func (w *World) revenge(args []string) error {
	n, err := strconv.Atoi(args[1][1:])
	c := w.client(args[0])
	if err != nil || c == nil || n >= len(w.groups) {
		return err
	}
	m := c.member(w.groups[n])
	if m == nil || m.backup == nil {
		return nil
	}
	c.rogue = true
	return w.commitAside(m, m.backup, "revenge")
}

// flood: client, group, number. It says a lot at once.
func (w *World) flood(args []string) error {
	m := w.actor(args)
	if m == nil {
		return nil
	}
	n, err := strconv.Atoi(args[2])
	for i := 0; i < n && err == nil && m.active() && !m.c.down; i++ {
		err = w.say(append(args[:2:2], fmt.Sprintf("flood %d", i)))
	}
	return err
}

// junk: group, number. A stranger who knows the group's address fills it with
// events that nobody can open.
func (w *World) strangersJunk(args []string) error {
	h := w.someAddress(args[0])
	if h == "" {
		return nil
	}
	n, err := strconv.Atoi(args[1])
	for i := 0; i < n && err == nil; i++ {
		content := make([]byte, 200)
		_, _ = rand.Read(content) // never fails
		err = w.forge(h, base64.StdEncoding.EncodeToString(content))
	}
	return err
}

func (w *World) forge(h, content string) error {
	e := &nostr.Event{
		Kind: wire.KindGroupEvent, CreatedAt: nostr.Timestamp(w.start.Unix()), Tags: nostr.Tags{{"h", h}}, Content: content,
	}
	if err := nostr.GenerateSecretKey().SignEvent(e); err != nil {
		return err
	}
	w.ledger.junk[e.ID] = true
	w.inject("stranger", e)
	return nil
}

func (w *World) someAddress(group string) string {
	n, err := strconv.Atoi(group[1:])
	if err != nil || n >= len(w.groups) {
		return ""
	}
	for _, m := range w.everybody() {
		if m.group == w.groups[n] && len(m.addresses) > 0 {
			return m.addresses[0]
		}
	}
	return ""
}

// rewrap: group, number. A relay or a stranger puts what was in an event into
// another one.
func (w *World) rewrap(args []string) error {
	n, err := strconv.Atoi(args[1])
	r := w.relays[len(w.relays)-1]
	for i := len(r.stored) - 1; i >= 0 && n > 0 && err == nil; i-- {
		old := r.stored[i].event
		h, ok := old.Tags.Find("h")
		if !ok || w.ledger.junk[old.ID] {
			continue
		}
		n--
		before := len(w.packets)
		err = w.forge(h[1], old.Content)
		if id, ok := w.ledger.messages[old.ID]; ok && len(w.packets) > before {
			w.ledger.messages[w.last.event.ID] = id
		}
	}
	return err
}

// garbage: client, group. A member seals what is no message at all.
func (w *World) garbage(args []string) error {
	m, _, err := w.betray(args)
	if m == nil || err != nil {
		return err
	}
	s := w.ledger.named(m.g.Tip())
	for _, size := range []int{0, 1, 40, 2000} {
		content := make([]byte, size)
		_, _ = rand.Read(content) // never fails
		if err := w.sealAside(m, s, content); err != nil {
			return err
		}
	}
	return nil
}

// sealAside puts bytes into an event under a state's key.
func (w *World) sealAside(m *member, s *state, message []byte) error {
	e, err := wire.SealGroupEvent(s.key, s.settings.Routing.GroupID, message, m.c.timestamp(), 0)
	if err != nil {
		return err
	}
	w.inject(m.c.name, e)
	w.ledger.messages[e.ID] = wire.MessageIDOf(message)
	w.ledger.labels[wire.MessageIDOf(message)] = w.last.label
	return nil
}
