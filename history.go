package marmot

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/timeline"
)

// Update is one entry of the account's log: something that happened in a
// group.
type Update = timeline.Update

// Message is one row of a timeline: what a member said, with edits, deletions
// and reactions folded in, or what happened to the group.
type Message = timeline.Message

// projectBatch is how many log entries the timeline takes in at once: others
// wait for the store meanwhile.
const projectBatch = 256

// timelinePage is how many rows are read at a time.
const timelinePage = 64

// ErrNoMessage means that a group has no message with that id.
var ErrNoMessage = errors.New("marmot: no such message")

// project brings the timeline up to the end of the log. It is built when it is
// read, so that receiving costs nothing for those who never do.
func (a *Account) project(ctx context.Context) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if done, err := a.cfg.Store.Project(projectBatch); done || err != nil {
			return err
		}
	}
}

// RebuildTimeline makes the timeline anew from the log. The messages and their
// cursors are the same afterwards.
func (a *Account) RebuildTimeline(ctx context.Context) error {
	if err := a.cfg.Store.Rebuild(); err != nil {
		return err
	}
	return a.project(ctx)
}

// Timeline yields the rows that q asks for, page by page: all of them, or
// q.Limit. A row stays at its cursor for ever; what is edited, deleted or
// reacted to later is folded in the next time it is read. To show it live, read
// [Account.Updates], and [Group.Message] for what an update refers to.
func (a *Account) Timeline(ctx context.Context, q timeline.Query) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		if err := a.project(ctx); err != nil {
			yield(Message{}, err)
			return
		}
		for left := q.Limit; ; {
			q.Limit = timelinePage
			if left > 0 {
				q.Limit = min(left, timelinePage)
			}
			page, err := a.cfg.Store.Timeline(q)
			if err != nil {
				yield(Message{}, err)
				return
			}
			for _, m := range page {
				if !yield(m, nil) {
					return
				}
			}
			if left -= len(page); left == 0 || len(page) < q.Limit {
				return
			}
			q.Follow(page[len(page)-1])
			if err := ctx.Err(); err != nil {
				yield(Message{}, err)
				return
			}
		}
	}
}

// Timeline yields the rows of this group; see [Account.Timeline].
func (g *Group) Timeline(ctx context.Context, q timeline.Query) iter.Seq2[Message, error] {
	q.Group = g.key
	return g.a.Timeline(ctx, q)
}

// Message returns a message of this group as it is to be shown now, or
// [ErrNoMessage].
func (g *Group) Message(ctx context.Context, id nostr.ID) (Message, error) {
	if err := g.a.project(ctx); err != nil {
		return Message{}, err
	}
	m, ok, err := g.a.cfg.Store.Message(g.key, id)
	if err == nil && !ok {
		err = ErrNoMessage
	}
	return m, err
}

// maxFound is how many messages [Group.FindMessages] returns at most.
const maxFound = 16

// FindMessages returns the ids of the group's messages, edits, deletions and
// reactions that begin with prefix, in hex; the first 16 of them.
func (g *Group) FindMessages(ctx context.Context, prefix string) ([]nostr.ID, error) {
	if err := g.a.project(ctx); err != nil {
		return nil, fmt.Errorf("marmot: find: %w", err)
	}
	return g.a.cfg.Store.FindMessages(g.key, prefix, maxFound)
}
