// Package timeline is what a person reads in a group, as a projection of the
// account's log: messages with their edits, deletions and reactions folded in,
// and rows that tell what happened to the group. It is a pure function of the
// log: it can be thrown away and built again, and the order in which a message
// and what refers to it arrive makes no difference.
//
// This package has the rules; package store keeps the rows.
package timeline

import (
	"encoding/json"
	"fmt"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/internal/compact"
	"github.com/marmotgo/marmot/nostr"
)

// Update is one entry of the account's log: something that happened in a
// group.
type Update struct {
	Cursor uint64       `json:"-"`
	Group  string       `json:"group"` // the MLS group id in hex
	Effect group.Effect `json:"effect"`
}

// Decode reads a log entry, which may be of an older home: those are JSON.
func Decode(cursor uint64, b []byte) (u Update, err error) {
	if len(b) > 0 && b[0] == '{' {
		err = json.Unmarshal(b, &u)
	} else {
		var p packed
		if err = compact.Decode(b, &p); err == nil {
			u, err = p.update()
		}
	}
	if err != nil {
		return Update{Cursor: cursor}, fmt.Errorf("timeline: stored update: %w", err)
	}
	u.Cursor = cursor
	return u, nil
}

// Message returns the inner event of a delivered, restored or withdrawn
// message.
func (u Update) Message() (*nostr.Event, bool) {
	switch u.Effect.Kind {
	case group.EffectMessage, group.EffectRestored, group.EffectInvalidated:
		e, err := nostr.ParseRumor(u.Effect.Payload)
		return e, err == nil
	}
	return nil, false
}
