package marmot

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/timeline"
)

// updatesPage is how many log entries are read at a time.
const updatesPage = 128

// Updates yields what happened after what subscriber has acknowledged, and
// goes on with what happens, until ctx ends or the loop is left. Each update
// is yielded at least once: again after a restart, unless [Account.Ack] was
// called with its cursor or a later one. Subscribers are independent.
func (a *Account) Updates(ctx context.Context, subscriber string) iter.Seq2[Update, error] {
	return func(yield func(Update, error) bool) {
		cursor, err := a.acknowledged(subscriber)
		if err != nil {
			yield(Update{}, err)
			return
		}
		a.UpdatesAfter(ctx, cursor)(yield)
	}
}

// Cursor returns the cursor of the newest update; 0 if there is none.
func (a *Account) Cursor() (uint64, error) { return a.cfg.Store.Last() }

// UpdatesAfter is [Account.Updates] behind a cursor that the caller keeps, for
// those who have nothing to acknowledge.
func (a *Account) UpdatesAfter(ctx context.Context, cursor uint64) iter.Seq2[Update, error] {
	return func(yield func(Update, error) bool) {
		cursor := cursor // of this loop: the caller may begin another
		for {
			news := a.news.wait()
			if a.ctx.Err() != nil {
				yield(Update{}, ErrClosed)
				return
			}
			page, err := a.History(cursor, updatesPage)
			if err != nil {
				yield(Update{}, err)
				return
			}
			for _, u := range page {
				cursor = u.Cursor
				if ctx.Err() != nil || !yield(u, nil) {
					return
				}
			}
			if len(page) > 0 {
				continue
			}
			select {
			case <-news:
			case <-ctx.Done():
				return
			case <-a.ctx.Done():
				yield(Update{}, ErrClosed)
				return
			}
		}
	}
}

// History returns up to limit updates after a cursor; 0 is the beginning.
func (a *Account) History(after uint64, limit int) ([]Update, error) {
	cursors, values, err := a.cfg.Store.Entries(after, limit)
	if err != nil {
		return nil, err
	}
	out := make([]Update, len(cursors))
	for i, c := range cursors {
		if out[i], err = timeline.Decode(c, values[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Ack records durably that subscriber is done with all updates up to cursor.
// It never goes back.
func (a *Account) Ack(subscriber string, cursor uint64) error {
	a.acking.Lock()
	defer a.acking.Unlock()
	if old, err := a.acknowledged(subscriber); err != nil || old >= cursor {
		return err
	}
	return a.cfg.Store.Write([]group.Record{{Key: keyAck + subscriber, Value: binary.BigEndian.AppendUint64(nil, cursor)}}, nil)
}

func (a *Account) acknowledged(subscriber string) (uint64, error) {
	b, err := a.cfg.Store.Get(keyAck + subscriber)
	if err != nil || len(b) != 8 {
		return 0, err
	}
	return binary.BigEndian.Uint64(b), nil
}

// Reply answers the message of an update in its group.
func (a *Account) Reply(ctx context.Context, u Update, text string) error {
	m, ok := u.Message()
	if !ok {
		return fmt.Errorf("%w: this update holds no message", ErrFailed)
	}
	_, err := (&Group{a: a, key: u.Group}).Reply(ctx, m.ID, text)
	return err
}
