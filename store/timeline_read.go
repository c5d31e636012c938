package store

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strings"
	"unicode"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/timeline"
	"github.com/marmotgo/marmot/wire"
	"github.com/ncruces/go-sqlite3"
)

// maxReactions bounds how many reactions to one message are read.
const maxReactions = 1000

// Timeline returns the rows of the timeline that q asks for, as far as
// [Store.Project] has come.
func (s *Store) Timeline(q timeline.Query) ([]timeline.Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil {
		return nil, fs.ErrClosed
	}
	p := &projector{s.statements()}
	defer p.close()
	keys, err := p.page(q)
	if err != nil {
		return nil, err
	}
	out := make([]timeline.Message, 0, len(keys))
	for _, k := range keys {
		m, err := p.message(k)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

// Message returns one message of a group as it is to be shown now; false if
// the group has none with that id, or it was withdrawn.
func (s *Store) Message(groupID string, id nostr.ID) (m timeline.Message, ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil {
		return m, false, fs.ErrClosed
	}
	p := &projector{s.statements()}
	defer p.close()
	keys, err := p.keys("SELECT t.grp, t.place, t.entry FROM timeline t JOIN timeline_groups g ON g.number = t.grp WHERE g.id = ? AND t.id = ? AND t.shown AND NOT t.overlay", groupID, id[:])
	if err != nil || len(keys) == 0 {
		return m, false, err
	}
	m, err = p.message(keys[0])
	return m, err == nil, err
}

// FindMessages returns up to limit ids of inner events of a group that begin
// with prefix, in hex.
func (s *Store) FindMessages(groupID, prefix string, limit int) ([]nostr.ID, error) {
	var lowest, highest nostr.ID
	pad := len(nostr.ID{})*2 - len(prefix)
	if pad < 0 ||
		lowest.UnmarshalText([]byte(prefix+strings.Repeat("0", pad))) != nil ||
		highest.UnmarshalText([]byte(prefix+strings.Repeat("f", pad))) != nil {
		return nil, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil {
		return nil, fs.ErrClosed
	}
	p := &projector{s.statements()}
	defer p.close()
	return p.ids("SELECT t.id FROM timeline t JOIN timeline_groups g ON g.number = t.grp WHERE g.id = ? AND t.id BETWEEN ? AND ? AND NOT t.system LIMIT ?",
		groupID, lowest[:], highest[:], limit)
}

// Forget deletes everything the log and the timeline have of a group, and
// writes records, in one transaction.
func (s *Store) Forget(groupID string, records []group.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil {
		return fs.ErrClosed
	}
	p := &projector{s.statements()}
	defer p.close()
	s.erased = true
	err := s.transaction(func() error {
		if err := s.write(records, nil); err != nil {
			return err
		}
		first, last := logRange(groupID)
		if err := p.exec("DELETE FROM log WHERE id >= ? AND id <= ?", first, last); err != nil {
			return err
		}
		grp, known, err := p.number("SELECT number FROM timeline_groups WHERE id = ?", groupID)
		if err != nil || !known {
			return err
		}
		if err := p.exec("INSERT INTO timeline_search (timeline_search, rowid, grp, text) SELECT 'delete', place, ?, text FROM timeline WHERE grp = ? AND text IS NOT NULL", groupWord(grp), grp); err != nil {
			return err
		}
		for _, sql := range []string{"DELETE FROM timeline WHERE grp = ?", "DELETE FROM timeline_overlays WHERE grp = ?", "DELETE FROM timeline_groups WHERE number = ?"} {
			if err := p.exec(sql, grp); err != nil {
				return err
			}
		}
		return p.exec("DELETE FROM timeline_people WHERE number NOT IN (SELECT author FROM timeline)")
	})
	if err == nil {
		_ = s.tidy() // it is deleted; the next write empties the write-ahead log
	}
	return err
}

// rowKey is where a row's parts are.
type rowKey struct{ grp, place, entry int64 }

func (p *projector) keys(sql string, args ...any) (out []rowKey, err error) {
	err = p.each(sql, func(st *sqlite3.Stmt) error {
		out = append(out, rowKey{st.ColumnInt64(0), st.ColumnInt64(1), st.ColumnInt64(2)})
		return nil
	}, args...)
	return out, err
}

// page finds the rows of a query.
func (p *projector) page(q timeline.Query) ([]rowKey, error) {
	order, before, limit := "", int64(math.MaxInt64), q.Limit
	if q.Newest {
		order = " DESC"
	}
	if q.Before > 0 {
		before = int64(min(q.Before, math.MaxInt64))
	}
	if limit <= 0 {
		limit = timeline.DefaultLimit
	}
	after := int64(min(q.After, math.MaxInt64))
	var grp int64
	if q.Group != "" {
		n, known, err := p.number("SELECT number FROM timeline_groups WHERE id = ?", q.Group)
		if err != nil || !known {
			return nil, err
		}
		grp = n
	}
	if q.Search != "" {
		match := matchQuery(q.Search, grp)
		if match == "" {
			return nil, nil
		}
		return p.keys("SELECT t.grp, t.place, t.entry FROM timeline_search s JOIN timeline t ON t.place = s.rowid WHERE s.timeline_search MATCH ? AND s.rowid > ? AND s.rowid < ? ORDER BY s.rowid"+order+" LIMIT ?",
			match, after, before, limit)
	}
	if q.Group == "" {
		return p.keys("SELECT grp, place, entry FROM timeline WHERE shown AND NOT overlay AND place > ? AND place < ? ORDER BY place"+order+" LIMIT ?", after, before, limit)
	}
	return p.keys("SELECT grp, place, entry FROM timeline WHERE grp = ? AND shown AND NOT overlay AND place > ? AND place < ? ORDER BY place"+order+" LIMIT ?", grp, after, before, limit)
}

// message reads a row and folds what refers to it in.
func (p *projector) message(k rowKey) (timeline.Message, error) {
	u, err := p.update(k.entry)
	if errors.Is(err, ErrDamaged) {
		return p.damaged(k)
	}
	if err != nil {
		return timeline.Message{}, err
	}
	overlays, err := p.overlays(k)
	if err != nil {
		return timeline.Message{}, err
	}
	m := timeline.Fold(u, overlays)
	m.Cursor = uint64(k.place)
	return m, nil
}

// damaged shows that there is a message that cannot be read.
func (p *projector) damaged(k rowKey) (timeline.Message, error) {
	m := timeline.Message{Cursor: uint64(k.place), Damaged: true}
	err := p.each("SELECT g.id, t.id, t.carrier, p.key, t.kind, t.at FROM timeline t JOIN timeline_groups g ON g.number = t.grp JOIN timeline_people p ON p.number = t.author WHERE t.place = ?", func(st *sqlite3.Stmt) error {
		m.Group, m.Kind, m.CreatedAt = st.ColumnText(0), nostr.Kind(st.ColumnInt64(4)), nostr.Timestamp(st.ColumnInt64(5))
		copy(m.ID[:], st.ColumnBlob(1, nil))
		copy(m.Carrier[:], st.ColumnBlob(2, nil))
		copy(m.From[:], st.ColumnBlob(3, nil))
		return nil
	}, k.place)
	return m, err
}

// update reads one log entry.
func (p *projector) update(cursor int64) (u timeline.Update, err error) {
	found := false
	err = p.each("SELECT id, value FROM log WHERE cursor = ?", func(st *sqlite3.Stmt) error {
		found = true
		value, err := p.s.unseal(logPlace+string(st.ColumnBlob(0, nil)), st.ColumnBlob(1, nil))
		if err != nil {
			return err
		}
		u, err = timeline.Decode(uint64(cursor), value)
		return err
	}, cursor)
	if err == nil && !found {
		err = fmt.Errorf("%w: a log entry is gone", ErrDamaged)
	}
	return u, err
}

// sqlOverlays selects what refers to a message and was not itself deleted by
// its author.
const sqlOverlays = `
SELECT t.place, t.entry, t.id, t.kind, p.key, t.at FROM timeline_overlays o JOIN timeline t ON t.place = o.place JOIN timeline_people p ON p.number = t.author
WHERE o.grp = ?1 AND o.target = ?2 AND t.shown AND NOT (t.kind <> 5 AND EXISTS (
  SELECT 1 FROM timeline_overlays d JOIN timeline x ON x.place = d.place
  WHERE d.grp = o.grp AND d.target = t.id AND x.shown AND x.kind = 5 AND x.author = t.author))`

// overlays reads what decides how a message is shown: a deletion and the newest
// edit by its author, and reactions.
func (p *projector) overlays(k rowKey) ([]timeline.Overlay, error) {
	var id []byte
	var author int64
	err := p.each("SELECT id, author FROM timeline WHERE place = ?1 AND NOT system AND EXISTS (SELECT 1 FROM timeline_overlays o WHERE o.grp = timeline.grp AND o.target = timeline.id)", func(st *sqlite3.Stmt) error {
		id, author = st.ColumnBlob(0, nil), st.ColumnInt64(1)
		return nil
	}, k.place)
	if err != nil || id == nil {
		return nil, err
	}
	var out []timeline.Overlay
	var entries []int64
	for _, part := range []struct {
		sql  string
		args []any
	}{
		{" AND t.kind = 5 AND t.author = ?3 ORDER BY t.place LIMIT 1", []any{author}},
		{" AND t.kind = 1009 AND t.author = ?3 ORDER BY t.at DESC, t.id LIMIT 1", []any{author}},
		{" AND t.kind = 7 ORDER BY t.place LIMIT ?3", []any{maxReactions}},
	} {
		err := p.each(sqlOverlays+part.sql, func(st *sqlite3.Stmt) error {
			o := timeline.Overlay{Place: uint64(st.ColumnInt64(0)), Kind: nostr.Kind(st.ColumnInt64(3)), At: nostr.Timestamp(st.ColumnInt64(5))}
			copy(o.ID[:], st.ColumnBlob(2, nil))
			copy(o.Author[:], st.ColumnBlob(4, nil))
			out, entries = append(out, o), append(entries, st.ColumnInt64(1))
			return nil
		}, append([]any{k.grp, id}, part.args...)...)
		if err != nil {
			return nil, err
		}
		if len(out) == 1 && out[0].Kind == wire.KindDelete {
			return out, nil // nothing else is shown
		}
	}
	kept := out[:0]
	for i, o := range out {
		u, err := p.update(entries[i])
		if errors.Is(err, ErrDamaged) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if e, ok := u.Message(); ok {
			o.Text = e.Content
			kept = append(kept, o)
		}
	}
	return kept, nil
}

// maxWords bounds a search.
const maxWords = 32

// matchQuery writes what somebody searches for as an FTS5 query in which
// nothing of it is syntax. It is empty if there is no word in it.
func matchQuery(text string, grp int64) string {
	var terms []string
	for i, part := range strings.Split(text, `"`) {
		if i%2 == 1 { // in quotes
			terms = append(terms, part)
		} else {
			terms = append(terms, strings.Fields(part)...)
		}
	}
	var out []string
	for i, term := range terms {
		if !strings.ContainsFunc(term, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.Is(unicode.Co, r) }) {
			continue
		}
		quoted := `"` + strings.ReplaceAll(strings.ToValidUTF8(term, ""), "\x00", " ") + `"`
		if i == len(terms)-1 && !strings.HasSuffix(text, `"`) {
			quoted += "*"
		}
		if out = append(out, quoted); len(out) == maxWords {
			break
		}
	}
	if len(out) == 0 {
		return ""
	}
	match := "text : (" + strings.Join(out, " AND ") + ")"
	if grp != 0 {
		match = fmt.Sprintf(`grp : "%s" AND %s`, groupWord(grp), match)
	}
	return match
}
