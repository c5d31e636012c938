package timeline

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// Message is one row of the timeline, as it is to be shown now.
type Message struct {
	Cursor    uint64         // its place: when it was delivered first. It never changes.
	Group     string         // the MLS group id in hex
	Delivered time.Time      // by this account's clock
	Epoch     uint64         // in which it was sent or happened
	Leaf      uint32         // the sender's leaf in that epoch
	Carrier   wire.MessageID // the MLS message, or the commit of a system row

	// Of what a member sent.
	ID        nostr.ID // of the inner event; zero in a system row
	Kind      nostr.Kind
	From      nostr.PubKey // also who caused a system row
	CreatedAt nostr.Timestamp
	Text      string     // as edited last; empty when it was deleted
	Tags      nostr.Tags // nil when it was deleted
	ReplyTo   nostr.ID   // zero when it answers nothing
	Own       bool
	Edited    bool
	Deleted   bool
	Damaged   bool // what is stored of it does not authenticate: there is no text
	Reactions []Reaction

	// Of a system row: what happened to the group, and to whom. Text may have
	// the new name.
	System  group.EffectKind // empty in a message
	Subject nostr.PubKey
}

// Reaction is an emoji, or + or -, and who reacted so, in order of delivery.
type Reaction struct {
	Text string
	From []nostr.PubKey
}

// maxReaction bounds the text of a reaction, in bytes: longer ones are cut off
// the list, not the text, since half an emoji is another.
const maxReaction = 64

// Overlay is an edit, a deletion or a reaction that refers to a message.
type Overlay struct {
	Place  uint64
	ID     nostr.ID
	Kind   nostr.Kind
	Author nostr.PubKey
	At     nostr.Timestamp
	Text   string
}

// Fold shows an update with what refers to it, given in any order. Only the
// author may edit or delete, from any of their devices; the newest edit counts,
// and of equally new ones that with the lower id.
func Fold(u Update, overlays []Overlay) Message {
	e := u.Effect
	m := Message{
		Cursor: u.Cursor, Group: u.Group, Delivered: e.At, Epoch: e.Epoch, Leaf: e.Leaf, Carrier: e.Message,
		From: e.Actor, Subject: e.Subject, Text: e.Text, Own: e.Own,
	}
	inner, ok := u.Message()
	if !ok {
		m.System, m.Carrier = e.Kind, e.Commit
		return m
	}
	m.ID, m.Kind, m.From, m.CreatedAt, m.Text, m.Tags = inner.ID, inner.Kind, inner.PubKey, inner.CreatedAt, inner.Content, inner.Tags
	m.ReplyTo = replyTo(inner)
	overlays = slices.SortedFunc(slices.Values(overlays), func(x, y Overlay) int { return cmp.Compare(x.Place, y.Place) })
	var edit *Overlay
	for i, o := range overlays {
		switch {
		case o.Kind == wire.KindDelete && o.Author == m.From:
			m.Text, m.Tags, m.Deleted, m.Edited, m.Reactions = "", nil, true, false, nil
			return m
		case o.Kind == wire.KindEdit && o.Author == m.From && (edit == nil || o.newer(edit)):
			edit = &overlays[i]
		case o.Kind == wire.KindReaction:
			m.react(o)
		}
	}
	if edit != nil {
		m.Text, m.Edited = edit.Text, true
	}
	return m
}

func (o Overlay) newer(than *Overlay) bool {
	return o.At > than.At || o.At == than.At && bytes.Compare(o.ID[:], than.ID[:]) < 0
}

func (m *Message) react(o Overlay) {
	if len(o.Text) > maxReaction {
		return
	}
	text := cmp.Or(o.Text, "+") // NIP-25: an empty reaction is a like
	i := slices.IndexFunc(m.Reactions, func(r Reaction) bool { return r.Text == text })
	if i < 0 {
		i = len(m.Reactions)
		m.Reactions = append(m.Reactions, Reaction{Text: text})
	}
	if r := &m.Reactions[i]; !slices.Contains(r.From, o.Author) {
		r.From = append(r.From, o.Author)
	}
}

// replyTo reads what a message answers: q (NIP-18, NIP-C7), else e.
func replyTo(e *nostr.Event) nostr.ID {
	for _, name := range []string{"q", "e"} {
		if t, ok := e.Tags.Find(name); ok {
			if id, err := nostr.ParseID(t.Value()); err == nil {
				return id
			}
		}
	}
	return nostr.ID{}
}
