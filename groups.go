package marmot

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/nostr/relay"
	"github.com/marmotgo/marmot/wire"
)

// publishTimeout bounds one attempt at one relay.
const publishTimeout = 15 * time.Second

// purposeGroup marks connections that carry group traffic. They never log in.
const purposeGroup relay.Purpose = "group"

// loadGroups loads every group from the store. One that does not load is left
// aside and reported; the others go on.
func (a *Account) loadGroups() error {
	byGroup := map[string][]group.Record{}
	for r, err := range a.cfg.Store.Range(keyGroups) {
		if err != nil {
			return err
		}
		key, rest, ok := strings.Cut(strings.TrimPrefix(r.Key, keyGroups), "/")
		if !ok {
			continue
		}
		r.Key = rest
		byGroup[key] = append(byGroup[key], r)
	}
	var errs []error
	for key, records := range byGroup {
		errs = append(errs, a.loadGroup(key, records))
	}
	return errors.Join(errs...)
}

func (a *Account) loadGroup(key string, records []group.Record) error {
	g, out, err := group.Load(a.cfg.Now(), a.groupConfig(), records)
	if err != nil {
		delete(a.groups, key)
		return err
	}
	l := &live{key: key, state: g}
	a.groups[key] = l
	return a.commit(l, out, nil)
}

// reload brings a group back to what is stored, after a failed write or step.
func (a *Account) reload(l *live) {
	var records []group.Record
	prefix := keyGroups + l.key + "/"
	for r, err := range a.cfg.Store.Range(prefix) {
		if err != nil {
			a.cfg.Log.Error("a group could not be loaded again", "error", err)
			return
		}
		r.Key = strings.TrimPrefix(r.Key, prefix)
		records = append(records, r)
	}
	if err := a.loadGroup(l.key, records); err != nil {
		a.cfg.Log.Error("a group could not be loaded again", "error", err)
	}
}

// step gives one input to a group and carries its output out.
func (a *Account) step(l *live, in group.Input) (group.Outcome, error) {
	out, err := l.state.Step(a.cfg.Now(), in)
	if err != nil {
		if errors.Is(err, group.ErrCorrupt) {
			a.cfg.Log.Error("a group step failed", "error", err)
			a.reload(l)
		}
		return group.Outcome{}, err
	}
	return out.Outcome, a.commit(l, out, nil)
}

// commit stores an output, with what belongs into the same transaction, and
// only then lets anything of it out.
func (a *Account) commit(l *live, out group.Output, also []group.Record) error {
	records := also
	for _, r := range out.Records {
		r.Key = keyGroups + l.key + "/" + r.Key
		records = append(records, r)
	}
	entries := a.entries(l, out.Effects)
	if len(records)+len(entries) > 0 {
		if err := a.write(records, entries); err != nil {
			a.cfg.Log.Error("state could not be stored", "error", err)
			a.reload(l)
			return err
		}
	}
	l.wake = out.Wake
	for _, p := range out.Publish {
		a.publishAll(l.key, p)
	}
	for _, r := range out.Requests {
		a.answer(l.key, r)
	}
	for _, e := range out.Effects {
		a.settle(e)
	}
	if len(out.Effects) > 0 {
		a.follow()
	}
	return nil
}

// entries turns effects into log entries.
func (a *Account) entries(l *live, effects []group.Effect) []group.Record {
	out := make([]group.Record, len(effects))
	for i, e := range effects {
		out[i] = group.Record{Key: l.key + "/" + e.ID, Value: encode(Update{Group: l.key, Effect: e})}
	}
	return out
}

// publishAll tries one event at each relay, side by side: none waits for
// another.
func (a *Account) publishAll(key string, p group.Publication) {
	purpose := purposeGroup
	if p.Event.Kind == nostr.KindGiftWrap {
		purpose = purposeDeliver
	}
	for _, url := range p.Relays {
		a.work(func(ctx context.Context) {
			ctx, cancel := context.WithTimeout(ctx, publishTimeout)
			defer cancel()
			r := a.pool.Publish(ctx, purpose, url, p.Event)
			if a.ctx.Err() != nil {
				return // not tried: the obligation stays for the next start
			}
			result := group.RelayResult{Event: p.Event.ID, Relay: url, Accepted: r.Accepted || isDuplicate(r.Reason)}
			result.Rejected = r.Err == nil && !result.Accepted
			a.post(func() { a.input(key, result) })
		})
	}
}

// isDuplicate recognizes a relay that has the event already.
func isDuplicate(reason string) bool { return strings.HasPrefix(reason, "duplicate:") }

// answer lets the signer work on a request.
func (a *Account) answer(key string, r group.Request) {
	a.work(func(ctx context.Context) {
		var e *nostr.Event
		var err error
		if r.Kind == group.RequestSeal {
			e, err = seal(ctx, a.cfg.Signer, r.Event, r.Recipient, nostr.Timestamp(a.cfg.Now().Unix()))
		} else {
			e, err = sign(ctx, a.cfg.Signer, r.Event)
		}
		if a.ctx.Err() != nil {
			return
		}
		a.post(func() { a.input(key, group.Answer{Request: r.ID, Event: e, Err: err}) })
	})
}

// input gives a group an input that came back later; the group may be gone.
func (a *Account) input(key string, in group.Input) {
	if l := a.groups[key]; l != nil {
		_, _ = a.step(l, in) // reported where it failed
	}
}

// settle tells those who wait for a request how it ended.
func (a *Account) settle(e group.Effect) {
	var result error
	switch e.Kind {
	case group.EffectPublished:
	case group.EffectFailed:
		result = fmt.Errorf("%w: %s", ErrFailed, e.Text)
	default:
		return
	}
	for _, w := range a.waiters[e.Ref] {
		w <- result
	}
	delete(a.waiters, e.Ref)
}

// request gives a group a local request and waits until it was published, has
// failed, or ctx ends, which leaves it queued.
func (a *Account) request(ctx context.Context, key, ref string, in group.Input) error {
	done := make(chan error, 1)
	err := a.do(ctx, func() error {
		l := a.groups[key]
		if l == nil {
			return ErrNoGroup
		}
		a.waiters[ref] = append(a.waiters[ref], done)
		_, err := a.step(l, in)
		if err != nil {
			delete(a.waiters, ref)
		}
		return err
	})
	if err != nil {
		return err
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrQueued, ctx.Err())
	}
}

// NewGroup describes a group to found.
type NewGroup struct {
	Name        string
	Description string
	Relays      []string // of the group; nil means the account's own
	Invite      []Contact
	Retention   time.Duration // how long messages should be kept; 0 is for ever
}

// CreateGroup founds a group with the account as its admin. It returns when
// the group is stored; invitations go out in the background.
func (a *Account) CreateGroup(ctx context.Context, n NewGroup) (*Group, error) {
	key, proof, err := a.newSignatureKey(ctx)
	if err != nil {
		return nil, err
	}
	cfg := group.CreateConfig{
		Config: a.groupConfig(), Profile: wire.Profile{Name: n.Name, Description: n.Description}, Relays: n.Relays,
		Retention: wire.Retention(n.Retention / time.Second), Signer: key, Proof: proof, Ref: newRef(),
	}
	for _, c := range n.Invite {
		cfg.Invitees = append(cfg.Invitees, c.invitee())
	}
	var created *Group
	err = a.do(ctx, func() error {
		if cfg.Relays == nil {
			cfg.Relays = a.record.Relays
		}
		g, out, err := group.Create(a.cfg.Now(), cfg)
		if err != nil {
			return err
		}
		l := &live{key: hex.EncodeToString(g.ID()), state: g}
		a.groups[l.key] = l
		created = &Group{a: a, key: l.key}
		return a.commit(l, out, nil)
	})
	return created, err
}

// Groups returns the account's groups, also those it was removed from.
func (a *Account) Groups(ctx context.Context) ([]*Group, error) {
	var out []*Group
	err := a.do(ctx, func() error {
		for key := range a.groups {
			out = append(out, &Group{a: a, key: key})
		}
		return nil
	})
	return out, err
}

// Group returns the group with that id (see [Group.ID]).
func (a *Account) Group(ctx context.Context, id string) (*Group, error) {
	err := a.do(ctx, func() error {
		if a.groups[id] == nil {
			return ErrNoGroup
		}
		return nil
	})
	return &Group{a: a, key: id}, err
}

// Update is one entry of the account's log: something that happened in a
// group.
type Update struct {
	Cursor uint64       `json:"-"`
	Group  string       `json:"group"` // see [Group.ID]
	Effect group.Effect `json:"effect"`
}

func decodeUpdate(cursor uint64, b []byte) (Update, error) {
	u := Update{Cursor: cursor}
	if err := json.Unmarshal(b, &u); err != nil {
		return u, fmt.Errorf("marmot: stored update: %w", err)
	}
	return u, nil
}
