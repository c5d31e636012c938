package marmot

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/nostr/relay"
	"github.com/marmotgo/marmot/timeline"
	"github.com/marmotgo/marmot/wire"
)

// publishTimeout bounds one attempt at one relay.
const publishTimeout = 15 * time.Second

// purposeGroup marks connections that carry group traffic. They never log in.
const purposeGroup relay.Purpose = "group"

// loadGroups reads which groups there are, and loads those that have something to
// do or cannot be told of without.
func (a *Account) loadGroups() error {
	if err := a.loadSummaries(); err != nil {
		return err
	}
	if !a.record.Summarized {
		if err := a.summarizeAll(); err != nil {
			return err
		}
	}
	for _, l := range slices.Collect(maps.Values(a.groups)) {
		if l.stored == nil || l.summary.Busy {
			_ = a.rouse(l) // suspended, if it fails; the others go on
		}
	}
	return nil
}

// summarizeAll finds the groups of an account from before there were summaries.
func (a *Account) summarizeAll() error {
	record := a.record
	record.Summarized = true
	records := []group.Record{{Key: keyAccount, Value: encode(record)}}
	for r, err := range a.cfg.Store.Range(keyGroups) {
		if err != nil && !errors.Is(err, group.ErrCorrupt) {
			return err
		}
		key, _, ok := strings.Cut(strings.TrimPrefix(r.Key, keyGroups), "/")
		if ok && a.groups[key] == nil {
			l := &live{key: key, born: nostr.Timestamp(a.cfg.Now().Unix())}
			a.groups[key] = l
			records = append(records, l.begins(0))
		}
	}
	if err := a.write(records, nil); err != nil {
		return err
	}
	a.record = record
	return nil
}

// readState makes a group what the store says it is.
func (a *Account) readState(l *live) error {
	var records []group.Record
	var damage error
	prefix := keyGroups + l.key + "/"
	for r, err := range a.cfg.Store.Range(prefix) {
		if errors.Is(err, group.ErrCorrupt) {
			damage = err // the rest may show which group it was
			continue
		}
		if err != nil {
			return err
		}
		r.Key = strings.TrimPrefix(r.Key, prefix)
		records = append(records, r)
	}
	if len(records) == 0 && damage == nil {
		damage = fmt.Errorf("%w: there are no records", group.ErrCorrupt)
	}
	g, out, err := a.restore(records, damage)
	if err != nil {
		return err
	}
	l.state, l.stale = g, true
	if err := a.store(l, out, nil); err != nil {
		return err
	}
	a.carryOut(l, out)
	if now := g.Addresses(); !slices.EqualFunc(now, l.addresses, sameAddress) {
		l.addresses = now
		a.follow()
	}
	return nil
}

// restore makes a group of its records. Damaged ones give a copy that does
// nothing and says why: no branch is guessed.
func (a *Account) restore(records []group.Record, damage error) (*group.Group, group.Output, error) {
	if damage == nil {
		g, out, err := group.Load(a.cfg.Now(), a.groupConfig(), records)
		if !errors.Is(err, group.ErrCorrupt) {
			return g, out, err
		}
		damage = err
	}
	a.cfg.Log.Error("a group's records are damaged", "error", damage)
	g, out := group.Damaged(a.cfg.Now(), a.groupConfig(), records, damage)
	return g, out, nil
}

// suspension is a group that could not be loaded: nothing is done with it
// until it can, and what arrives for it stays obtainable.
type suspension struct {
	live    *live
	retryAt time.Time
	tries   int
}

// Waits before a suspended group is loaded again.
const (
	suspendFirst = 500 * time.Millisecond
	suspendLast  = 5 * time.Minute
)

// reload brings a group back to what is stored, after a failed write or step, or a
// suspension.
func (a *Account) reload(key string) {
	l := a.groups[key]
	if l == nil {
		l = a.suspended[key].live
	}
	if l == nil {
		return // it was never stored
	}
	l.state, l.taken, l.stored = nil, nil, nil
	a.groups[key] = l
	if a.rouse(l) == nil {
		delete(a.suspended, key)
	}
}

// suspend sets a group aside that could not be loaded.
func (a *Account) suspend(l *live, err error) {
	a.cfg.Log.Error("a group could not be loaded", "error", err)
	s := a.suspended[l.key]
	s.retryAt = a.cfg.Now().Add(min(suspendFirst<<min(s.tries, 16), suspendLast))
	s.tries++
	s.live = l
	l.state = nil
	a.suspended[l.key] = s
	delete(a.groups, l.key)
}

// group returns a group that can be worked with.
func (a *Account) group(key string) (*live, error) {
	l, err := a.known(key)
	if err == nil && a.rouse(l) != nil {
		err = ErrSuspended
	}
	return l, err
}

// known returns a group that may not be loaded.
func (a *Account) known(key string) (*live, error) {
	if _, ok := a.suspended[key]; ok {
		return nil, ErrSuspended
	}
	if l := a.groups[key]; l != nil {
		return l, nil
	}
	return nil, ErrNoGroup
}

// step gives one input to a group and carries its output out.
func (a *Account) step(l *live, in group.Input) (group.Outcome, error) {
	out, err := l.state.Step(a.cfg.Now(), in)
	if err != nil {
		if errors.Is(err, group.ErrCorrupt) {
			a.cfg.Log.Error("a group step failed", "error", err)
			a.reload(l.key)
		}
		return group.Outcome{}, err
	}
	return out.Outcome, a.commit(l, out, nil)
}

// commit stores an output, with what belongs into the same transaction, and
// only then lets anything of it out.
func (a *Account) commit(l *live, out group.Output, also []group.Record) error {
	a.cfg.crash.at(sideComputed, out.Crossed...)
	if err := a.store(l, out, also); err != nil {
		a.cfg.Log.Error("state could not be stored", "error", err)
		a.reload(l.key)
		return err
	}
	a.cfg.crash.at(sideStored, out.Crossed...)
	a.carryOut(l, out)
	return nil
}

// store writes an output in one transaction.
func (a *Account) store(l *live, out group.Output, also []group.Record) error {
	records := also
	for _, r := range out.Records {
		r.Key = keyGroups + l.key + "/" + r.Key
		records = append(records, r)
	}
	entries := a.entries(l, out.Effects)
	records = append(records, a.summarize(l, out)...)
	if len(records)+len(entries) == 0 {
		return nil
	}
	return a.write(records, entries)
}

// carryOut lets a stored output out.
func (a *Account) carryOut(l *live, out group.Output) {
	if a.tracer != nil {
		if _, err := a.cfg.Trace.Write(a.tracer.Append(nil, l.key, out)); err != nil {
			a.cfg.Log.Warn("the trace ends here: it could not be written", "error", err)
			a.tracer = nil
		}
	}
	known := a.groups[l.key] == l
	a.groups[l.key], a.roused = l, a.roused || !known
	l.wake = out.Wake
	if l.state.Crowded() {
		a.crowded.Store(l.key, true)
	} else {
		a.crowded.Delete(l.key)
	}
	for _, p := range out.Publish {
		a.publishAll(l.key, p)
	}
	for _, r := range out.Requests {
		a.answer(l.key, r)
	}
	for _, e := range out.Effects {
		a.settle(l.key, e)
	}
	if !known || slices.ContainsFunc(out.Effects, moves) {
		l.addresses = l.state.Addresses()
		if a.started {
			a.follow()
		}
	}
}

func sameAddress(x, y group.Address) bool {
	return x.GroupID == y.GroupID && slices.Equal(x.Relays, y.Relays)
}

// moves reports whether an effect can change where the group's events are
// found.
func moves(e group.Effect) bool {
	switch e.Kind {
	case group.EffectEpoch, group.EffectJoined, group.EffectSuperseded, group.EffectSelfRemoved, group.EffectDisbanded:
		return true
	}
	return false
}

// entries turns effects into log entries.
func (a *Account) entries(l *live, effects []group.Effect) []group.Record {
	out := make([]group.Record, len(effects))
	for i, e := range effects {
		out[i] = group.Record{Key: l.key + "/" + e.ID, Value: timeline.Encode(Update{Group: l.key, Effect: e})}
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
	tries := a.attempt(key, p)
	for _, url := range p.Relays {
		a.work(func(ctx context.Context) {
			ctx, cancel := context.WithTimeout(ctx, publishTimeout)
			defer cancel()
			r := a.pool.Publish(ctx, purpose, url, p.Event)
			a.cfg.crash.at(sideLeft, group.Sealed, group.Prepared)
			if a.ctx.Err() != nil {
				return // not tried: the obligation stays for the next start
			}
			result := group.RelayResult{Event: p.Event.ID, Relay: url, Accepted: r.Accepted || isDuplicate(r.Reason)}
			result.Rejected = r.Err == nil && !result.Accepted && isRefusal(r.Reason)
			a.post(func() {
				a.attempted(tries, url, result.Accepted)
				a.input(key, result)
			})
		})
	}
}

// isDuplicate recognizes a relay that has the event already.
func isDuplicate(reason string) bool { return strings.HasPrefix(reason, "duplicate:") }

// isRefusal tells a relay that will never take the event from one that may
// another time: rate limits, wanted logins and errors of its own pass.
func isRefusal(reason string) bool {
	for _, final := range []string{"invalid:", "blocked:", "restricted:", "pow:", "mute:"} {
		if strings.HasPrefix(reason, final) {
			return true
		}
	}
	return false
}

// answer lets the signer work on a request, unless it does already: a group
// that was loaded again repeats what it asked for.
func (a *Account) answer(key string, r group.Request) {
	name := key + "/" + r.ID
	if a.asking[name] {
		return
	}
	a.asking[name] = true
	a.work(func(ctx context.Context) {
		var e *nostr.Event
		var err error
		if r.Kind == group.RequestSeal {
			e, err = seal(ctx, a.signer, r.Event, r.Recipient, nostr.Timestamp(a.cfg.Now().Unix()))
		} else {
			e, err = sign(ctx, a.signer, r.Event)
		}
		if a.ctx.Err() != nil {
			return
		}
		a.post(func() {
			delete(a.asking, name)
			a.input(key, group.Answer{Request: r.ID, Event: e, Err: err})
		})
	})
}

// input gives a group an input that came back later; the group may be gone.
func (a *Account) input(key string, in group.Input) {
	l := a.groups[key]
	if l == nil {
		return
	}
	if _, ok := in.(group.CatchUp); ok && l.state == nil {
		return // told when it is loaded
	}
	if a.rouse(l) == nil {
		_, _ = a.step(l, in) // reported where it failed
	}
}

// waiter is a caller that waits for the end of a request to a group.
type waiter struct {
	group string
	done  chan error // takes one value without a reader
}

// settle tells those who wait for a request how it ended. What a group that
// has ended still had to publish ends without an effect of its own.
func (a *Account) settle(key string, e group.Effect) {
	switch e.Kind {
	case group.EffectPublished:
		a.release(e.Ref, nil)
	case group.EffectFailed:
		a.release(e.Ref, fmt.Errorf("%w: %s", ErrFailed, e.Text))
	case group.EffectSelfRemoved, group.EffectDisbanded, group.EffectHelp:
		for ref, w := range a.waiters {
			if w.group == key {
				a.release(ref, fmt.Errorf("%w: the group cannot go on (%s)", ErrFailed, e.Kind))
			}
		}
	}
}

func (a *Account) release(ref string, result error) {
	if w, ok := a.waiters[ref]; ok {
		w.done <- result
		delete(a.waiters, ref)
	}
}

// request gives a group a local request and waits until it was published, has
// failed, or ctx ends, which leaves it queued.
func (a *Account) request(ctx context.Context, key, ref string, in group.Input) error {
	done := make(chan error, 1)
	err := a.do(ctx, func() error {
		l, err := a.group(key)
		if err != nil {
			return err
		}
		a.waiters[ref] = waiter{key, done}
		_, err = a.step(l, in)
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
		a.post(func() { delete(a.waiters, ref) })
		return fmt.Errorf("%w: %w", ErrQueued, ctx.Err())
	}
}

// NewGroup describes a group to found.
type NewGroup struct {
	// Protocol is the generation that the group has for life; empty is v2. All who
	// are ever invited need a key package of it.
	Protocol    group.Protocol
	Name        string
	Description string
	Relays      []string // of the group; nil means the account's own
	Invite      []Contact
	Admins      []nostr.PubKey // of those invited, who are admins from the start
	Retention   time.Duration  // how long messages should be kept; 0 is for ever
}

// CreateGroup founds a group with the account as its admin. It returns when
// the group is stored; invitations go out in the background. The error is a
// [*NotInvitable] when somebody has no key package of the group's protocol.
func (a *Account) CreateGroup(ctx context.Context, n NewGroup) (*Group, error) {
	return a.createGroup(ctx, n, func(string) []group.Record { return nil })
}

// createGroup stores what also returns for the key of the group together with it.
func (a *Account) createGroup(ctx context.Context, n NewGroup, also func(key string) []group.Record) (*Group, error) {
	n.Protocol = cmp.Or(n.Protocol, group.V2)
	p := packagings[n.Protocol]
	if p == nil {
		return nil, fmt.Errorf("%w: protocol %q is neither v1 nor v2", group.ErrRequest, n.Protocol)
	}
	people, err := invitees(n.Protocol, n.Invite)
	if err != nil {
		return nil, err
	}
	key, proof, err := a.newSignatureKey(ctx, p)
	if err != nil {
		return nil, err
	}
	cfg := group.CreateConfig{
		Config: a.groupConfig(), Protocol: n.Protocol, Invitees: people, Admins: n.Admins, Profile: wire.Profile{Name: n.Name, Description: n.Description}, Relays: n.Relays,
		Retention: wire.Retention(n.Retention / time.Second), Signer: key, Proof: proof, Ref: newRef(),
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
		l := a.newLive(hex.EncodeToString(g.ID()), g)
		if err := a.commit(l, out, append(also(l.key), l.begins(l.born))); err != nil {
			return err
		}
		created = &Group{a: a, key: l.key}
		return nil
	})
	return created, err
}

func (a *Account) newLive(key string, g *group.Group) *live {
	return &live{key: key, state: g, born: nostr.Timestamp(a.cfg.Now().Unix()), used: a.cfg.Now()}
}

// begins notes when the account came into a group: what is older is not for
// it, and is never asked for.
func (l *live) begins(at nostr.Timestamp) group.Record {
	l.since = at
	return group.Record{Key: keySince + l.key, Value: encode(at)}
}

// Groups returns the account's groups, also those it was removed from.
func (a *Account) Groups(ctx context.Context) ([]*Group, error) {
	var out []*Group
	err := a.do(ctx, func() error {
		for key := range a.groups {
			out = append(out, &Group{a: a, key: key})
		}
		for key := range a.suspended {
			out = append(out, &Group{a: a, key: key})
		}
		return nil
	})
	slices.SortFunc(out, func(x, y *Group) int { return strings.Compare(x.key, y.key) })
	return out, err
}

// Group returns the group with that id (see [Group.ID]).
func (a *Account) Group(ctx context.Context, id string) (*Group, error) {
	err := a.do(ctx, func() error {
		_, err := a.group(id)
		return err
	})
	if err != nil && !errors.Is(err, ErrSuspended) {
		return nil, err
	}
	return &Group{a: a, key: id}, nil
}
