package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/marmotgo/marmot"
	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/store"
)

// How long a verb waits for relays before it goes on without them, and how
// often it tries again to reach an account that another process has.
const (
	catchUpTime = 5 * time.Second
	retryOpen   = 50 * time.Millisecond
)

// session is an open account within one invocation.
type session struct {
	*marmot.Account
	app *app
}

// withAccount opens the account and runs f. If another process has the
// account, that process runs this command line instead: two never step one
// group. With serve, this process does so for others while f runs.
func (a *app) withAccount(ctx context.Context, serve bool, f func(context.Context, *session) error) error {
	if a.shared != nil {
		return f(ctx, &session{a.shared, a})
	}
	key, err := a.current()
	if err != nil {
		return err
	}
	for {
		if code, err := a.handOver(ctx, key); err == nil { // asks for no passphrase
			return exitCode(code).orNil()
		}
		db, err := a.openStore(key)
		if err == nil {
			return a.own(ctx, key, db, serve, f)
		}
		if !errors.Is(err, store.ErrInUse) {
			return err
		}
		select {
		case <-time.After(retryOpen): // its owner is starting, stopping, or a short verb
		case <-ctx.Done():
			return fmt.Errorf("another process uses this account and does not answer: %w", ctx.Err())
		}
	}
}

func (c exitCode) orNil() error {
	if c == exitDone {
		return nil
	}
	return c
}

// own runs f on an account that this process has to itself.
func (a *app) own(ctx context.Context, key nostr.PubKey, db *store.Store, serve bool, f func(context.Context, *session) error) (err error) {
	defer func() { err = errors.Join(err, db.Close()) }()
	secret, err := secretKey(db)
	if err != nil {
		return err
	}
	relays, err := a.newRelays(db)
	if err != nil {
		return err
	}
	cfg := marmot.Config{Store: db, Signer: marmot.LocalSigner(secret), Relays: relays}
	if trace, err := a.openTrace(); err != nil {
		return err
	} else if trace != nil {
		defer func() { err = errors.Join(err, trace.Close()) }()
		cfg.Trace = trace
	}
	account, err := marmot.Open(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, account.Close()) }()
	if serve {
		stop, err := a.serveOthers(ctx, key, account)
		if err != nil {
			return err
		}
		defer stop()
	}
	s := &session{account, a}
	if err := f(ctx, s); err != nil {
		return err
	}
	_ = s.Flush(ctx) // the rest is done when the account is next opened
	return nil
}

// catchUp waits a little for what was missed, so that a verb starts from what
// the group is now.
func (s *session) catchUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, catchUpTime)
	defer cancel()
	_, _, _ = s.fetchMissed(ctx) // relays that are away delay nobody for longer
}

// upToDate finds a group by its name and waits a little for what it missed, and for
// nothing else: of a group that was renamed meanwhile the new name is known when all
// were asked for.
func (s *session) upToDate(ctx context.Context, name string) (*marmot.Group, group.Status, error) {
	g, st, err := s.pickGroup(ctx, name)
	if err != nil {
		s.catchUp(ctx)
		return s.pickGroup(ctx, name)
	}
	short, cancel := context.WithTimeout(ctx, catchUpTime)
	defer cancel()
	for before := -1; short.Err() == nil; { // a relay that it moved to is asked too
		_, asked, err := g.Synced(short)
		if err != nil || asked == before {
			break
		}
		before = asked
		s.waitFor(short, func() bool { st, err = g.Status(short); return err != nil || atRest(st) })
	}
	st, err = g.Status(ctx)
	return g, st, err
}

// pickFor finds a group to look at as it is here, or to change as it is by now.
func (s *session) pickFor(ctx context.Context, name string, change bool) (*marmot.Group, group.Status, error) {
	if change {
		return s.upToDate(ctx, name)
	}
	return s.pickGroup(ctx, name)
}

// fetchMissed waits for what was missed, also from relays that a group moved
// to meanwhile.
func (s *session) fetchMissed(ctx context.Context) (complete, asked int, err error) {
	for before := -1; asked != before && err == nil; {
		before = asked
		complete, asked, err = s.Synced(ctx)
		s.settle(ctx)
	}
	return complete, asked, err
}

// settle waits until no group is collecting or publishing.
func (s *session) settle(ctx context.Context) {
	s.waitFor(ctx, func() bool {
		groups, err := s.Groups(ctx)
		for _, g := range groups {
			st, bad := g.Status(ctx)
			if err == nil && bad == nil && !atRest(st) {
				return false
			}
		}
		return true
	})
}

// atRest reports whether a group is not collecting or publishing, or cannot.
func atRest(st group.Status) bool {
	return st.Removed || st.Cause != "" || st.Convergence == group.Settled && st.Lifecycle != group.PendingPublish
}

func (s *session) waitFor(ctx context.Context, done func() bool) {
	for ctx.Err() == nil && !done() {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}
