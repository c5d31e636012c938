package marmot

import (
	"context"
	"errors"

	"github.com/marmotgo/marmot/group"
)

// ErrStillMember means that the account takes part in a group that it was to
// forget.
var ErrStillMember = errors.New("marmot: still a member of this group: leave it first")

// Forget deletes everything this account has of a group: its state, keys and
// messages, and its entries in the log. It cannot be taken back. A group that
// the account still takes part in is forgotten only with anyway: the others go
// on seeing a member, and only a new invitation leads back.
func (a *Account) Forget(ctx context.Context, id string, anyway bool) error {
	return a.do(ctx, func() error {
		_, suspended := a.suspended[id]
		l := a.groups[id]
		switch {
		case l == nil && !suspended:
			return ErrNoGroup
		case !anyway && (suspended || l.going()):
			return ErrStillMember
		}
		records := []group.Record{{Key: keySince + id}, {Key: keyMigrated + id}, {Key: keySummary + id}, {Key: keyRoster + id}}
		if err := a.dropRemnant(id, &records); err != nil {
			return err
		}
		if err := a.cfg.Store.Forget(id, records); err != nil {
			return err
		}
		for ref, w := range a.waiters {
			if w.group == id {
				a.release(ref, ErrNoGroup)
			}
		}
		delete(a.groups, id)
		delete(a.suspended, id)
		a.follow()
		return nil
	})
}
