package timeline

import (
	"crypto/sha256"
	"strings"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// maxTargets bounds how many messages one event may refer to.
const maxTargets = 64

// Row is what the projection keeps of one log entry. Everything else of a
// message stays in the log, at Place.
type Row struct {
	Place   uint64         // cursor of the entry that first told of it: its place, for ever
	Group   string         // the MLS group id in hex
	ID      nostr.ID       // of the inner event; of a system row, a hash of what it says
	Carrier wire.MessageID // the MLS message or, of a system row, the commit that brought it
	Shown   bool           // false when it was withdrawn, or never valid
	System  bool
	Kind    nostr.Kind // of the inner event; 0 of a system row
	Author  nostr.PubKey
	At      nostr.Timestamp // the author's, only for choosing between edits
	// Targets are the messages this one changes: of an edit, a deletion or a
	// reaction. It is then no row of its own.
	Targets []nostr.ID
}

// Overlay reports whether a row only changes others.
func (r Row) Overlay() bool { return !r.System && overlays(r.Kind) }

func overlays(k nostr.Kind) bool {
	return k == wire.KindEdit || k == wire.KindDelete || k == wire.KindReaction
}

// RowOf says what an update means for the timeline; false for nothing.
func RowOf(u Update) (Row, bool) {
	if e, ok := u.Message(); ok {
		return Row{
			Place: u.Cursor, Group: u.Group, ID: e.ID, Carrier: u.Effect.Message, Shown: u.Effect.Kind != group.EffectInvalidated,
			Kind: e.Kind, Author: e.PubKey, At: e.CreatedAt, Targets: targets(e),
		}, true
	}
	if !tells(u.Effect.Kind) {
		return Row{}, false
	}
	id, _, _ := strings.Cut(u.Effect.ID, "#") // the same row when it is valid again
	return Row{
		Place: u.Cursor, Group: u.Group, ID: sha256.Sum256([]byte(id)), Carrier: u.Effect.Commit, Shown: true, System: true,
		Author: u.Effect.Actor, At: nostr.Timestamp(u.Effect.At.Unix()),
	}, true
}

// tells reports whether an effect is a row of its own.
func tells(k group.EffectKind) bool {
	switch k {
	case group.EffectJoined, group.EffectAdded, group.EffectRemoved, group.EffectLeft, group.EffectAdminAdded, group.EffectAdminGone,
		group.EffectRenamed, group.EffectSettings, group.EffectSelfRemoved, group.EffectDisbanded:
		return true
	}
	return false
}

// targets reads what an overlay refers to. An edit names exactly one message
// (foundation/registries.md); a reaction is about the last one it names
// (NIP-25); a deletion may name several (NIP-09).
func targets(e *nostr.Event) []nostr.ID {
	if !overlays(e.Kind) {
		return nil
	}
	var out []nostr.ID
	for t := range e.Tags.All("e") {
		id, err := nostr.ParseID(t.Value())
		if err == nil && len(out) < maxTargets {
			out = append(out, id)
		}
	}
	switch {
	case len(out) == 0:
		return nil
	case e.Kind == wire.KindEdit && len(out) != 1:
		return nil
	case e.Kind == wire.KindReaction:
		return out[len(out)-1:]
	}
	return out
}
