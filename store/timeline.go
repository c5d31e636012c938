package store

import (
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/timeline"
	"github.com/ncruces/go-sqlite3"
)

// maxSearched bounds how much of one message is searched, in bytes.
const maxSearched = 64 << 10

// Project takes up to limit further log entries into the timeline, in one
// transaction, and reports whether all are in. An entry that is damaged, or
// that this version does not understand, is left out: Rebuild takes it in when
// it can.
func (s *Store) Project(limit int) (done bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil {
		return false, fs.ErrClosed
	}
	p := &projector{s.statements()}
	defer p.close()
	after, _, err := p.number("SELECT cursor FROM timeline_state")
	if err != nil {
		return false, err
	}
	updates, last, n, err := p.updates(after, limit)
	if err != nil || n == 0 {
		return true, err
	}
	return n < limit, s.transaction(func() error {
		for _, u := range updates {
			if err := p.take(u); err != nil {
				return err
			}
		}
		return p.exec("UPDATE timeline_state SET cursor = ?", last)
	})
}

// Rebuild forgets the timeline: Project builds it again from the log.
func (s *Store) Rebuild() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil {
		return fs.ErrClosed
	}
	return s.transaction(func() error {
		return s.conn.Exec(`
			DELETE FROM timeline; DELETE FROM timeline_overlays; DELETE FROM timeline_groups; DELETE FROM timeline_people;
			INSERT INTO timeline_search (timeline_search) VALUES ('delete-all');
			UPDATE timeline_state SET cursor = 0`)
	})
}

// transaction runs f wholly or not at all.
func (s *Store) transaction(f func() error) error {
	if err := s.conn.Exec("BEGIN IMMEDIATE"); err != nil {
		return fmt.Errorf("store: write: %w", explain(err))
	}
	err := f()
	if err == nil {
		err = s.conn.Exec("COMMIT")
	}
	if err != nil {
		if !s.conn.GetAutocommit() {
			_ = s.conn.Exec("ROLLBACK") // the first error is the one to report
		}
		return fmt.Errorf("store: write: %w", explain(err))
	}
	return nil
}

// projector turns updates into rows.
type projector struct{ *statements }

// updates reads a piece of the log: what can be read of it, its last cursor and
// its length.
func (p *projector) updates(after int64, limit int) (out []timeline.Update, last int64, n int, err error) {
	err = p.each("SELECT cursor, id, value FROM log WHERE cursor > ? ORDER BY cursor LIMIT ?", func(st *sqlite3.Stmt) error {
		n++
		last = st.ColumnInt64(0)
		value, err := p.s.unseal(logPlace+string(st.ColumnBlob(1, nil)), st.ColumnBlob(2, nil))
		if err != nil {
			return nil
		}
		if u, err := timeline.Decode(uint64(last), value); err == nil {
			out = append(out, u)
		}
		return nil
	}, after, limit)
	return out, last, n, err
}

// take brings one update in.
func (p *projector) take(u timeline.Update) error {
	if u.Effect.Kind == group.EffectSuperseded {
		return p.exec("UPDATE timeline SET shown = 0 WHERE system AND carrier = ? AND grp = (SELECT number FROM timeline_groups WHERE id = ?)",
			u.Effect.Commit[:], u.Group)
	}
	r, ok := timeline.RowOf(u)
	if !ok {
		return nil
	}
	grp, err := p.group(r.Group)
	if err != nil {
		return err
	}
	if err := p.put(grp, r); err != nil {
		return err
	}
	if !r.Overlay() {
		return p.refresh(grp, r.ID)
	}
	for _, target := range r.Targets {
		if err := p.refreshTarget(grp, target); err != nil {
			return err
		}
	}
	return nil
}

func (p *projector) group(id string) (int64, error) { return p.numbered("timeline_groups", "id", id) }

func (p *projector) person(k nostr.PubKey) (int64, error) {
	return p.numbered("timeline_people", "key", k[:])
}

// numbered returns the number that stands for a name, and gives it one if it has none.
func (p *projector) numbered(table, column string, name any) (int64, error) {
	find := "SELECT number FROM " + table + " WHERE " + column + " = ?"
	n, ok, err := p.number(find, name)
	if ok || err != nil {
		return n, err
	}
	if err := p.exec("INSERT INTO "+table+" ("+column+") VALUES (?)", name); err != nil {
		return 0, err
	}
	n, _, err = p.number(find, name)
	return n, err
}

// put stores a row. One that is known keeps its place; it is withdrawn only
// with the message that shows it, since its author may have sent it twice.
func (p *projector) put(grp int64, r timeline.Row) error {
	_, known, err := p.number("SELECT place FROM timeline WHERE grp = ? AND id = ?", grp, r.ID[:])
	switch {
	case err != nil:
		return err
	case known && r.Shown:
		return p.exec("UPDATE timeline SET shown = 1, carrier = ?, entry = ? WHERE grp = ? AND id = ?", r.Carrier[:], int64(r.Place), grp, r.ID[:])
	case known:
		return p.exec("UPDATE timeline SET shown = 0 WHERE grp = ? AND id = ? AND carrier = ?", grp, r.ID[:], r.Carrier[:])
	}
	author, err := p.person(r.Author)
	if err != nil {
		return err
	}
	err = p.exec("INSERT INTO timeline (place, entry, grp, id, carrier, shown, system, overlay, kind, author, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		int64(r.Place), int64(r.Place), grp, r.ID[:], r.Carrier[:], r.Shown, r.System, r.Overlay(), int64(r.Kind), author, int64(r.At))
	if err != nil {
		return err
	}
	for _, target := range r.Targets {
		err := p.exec("INSERT OR IGNORE INTO timeline_overlays (grp, target, place) VALUES (?, ?, ?)", grp, target[:], int64(r.Place))
		if err != nil {
			return err
		}
	}
	return nil
}

// refreshTarget brings what an overlay refers to up to date: a message, or that
// which an edit or reaction was about that is itself deleted.
func (p *projector) refreshTarget(grp int64, id nostr.ID) error {
	behind, err := p.ids("SELECT o.target FROM timeline t JOIN timeline_overlays o ON o.grp = t.grp AND o.place = t.place WHERE t.grp = ? AND t.id = ? AND t.overlay", grp, id[:])
	if err != nil {
		return err
	}
	for _, target := range append(behind, id) {
		if err := p.refresh(grp, target); err != nil {
			return err
		}
	}
	return nil
}

func (p *projector) ids(sql string, args ...any) (out []nostr.ID, err error) {
	err = p.each(sql, func(st *sqlite3.Stmt) error {
		var id nostr.ID
		copy(id[:], st.ColumnBlob(0, nil))
		out = append(out, id)
		return nil
	}, args...)
	return out, err
}

// refresh makes a message be found by the text it has now.
func (p *projector) refresh(grp int64, id nostr.ID) error {
	var k rowKey
	var old string
	var had, known bool
	err := p.each("SELECT place, entry, shown, text FROM timeline WHERE grp = ? AND id = ? AND NOT overlay AND NOT system", func(st *sqlite3.Stmt) error {
		k, known = rowKey{grp, st.ColumnInt64(0), st.ColumnInt64(1)}, st.ColumnBool(2)
		old, had = st.ColumnText(3), st.ColumnType(3) != sqlite3.NULL
		return nil
	}, grp, id[:])
	if err != nil || k.place == 0 {
		return err
	}
	now := ""
	if known {
		m, err := p.message(k)
		if err != nil {
			return err
		}
		now = searched(m.Text)
	}
	switch word := groupWord(grp); {
	case had && old == now:
		return nil
	case had:
		if err := p.exec("INSERT INTO timeline_search (timeline_search, rowid, grp, text) VALUES ('delete', ?, ?, ?)", k.place, word, old); err != nil {
			return err
		}
		fallthrough
	default:
		if now == "" {
			return p.exec("UPDATE timeline SET text = NULL WHERE place = ?", k.place)
		}
		if err := p.exec("INSERT INTO timeline_search (rowid, grp, text) VALUES (?, ?, ?)", k.place, word, now); err != nil {
			return err
		}
		return p.exec("UPDATE timeline SET text = ? WHERE place = ?", now, k.place)
	}
}

// searched is the part of a text that is searched. A zero byte would end it
// for SQLite in one place and not in another.
func searched(text string) string {
	if i := strings.IndexByte(text, 0); i >= 0 {
		text = strings.ReplaceAll(text, "\x00", " ")
	}
	return strings.ToValidUTF8(text[:min(len(text), maxSearched)], "")
}

// groupWord stands for a group in the index.
func groupWord(grp int64) string { return "g" + strconv.FormatInt(grp, 10) }
