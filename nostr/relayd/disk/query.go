package disk

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/ncruces/go-sqlite3"

	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/nostr/relayd"
)

// Event returns an event, nil if there is none.
func (s *Store) Event(id nostr.ID) (*nostr.Event, error) {
	return s.one("SELECT json FROM events WHERE id = ?", id[:])
}

// Current returns the event at an address, nil if there is none.
func (s *Store) Current(address string) (*nostr.Event, error) {
	return s.one("SELECT json FROM events WHERE address = ?", address)
}

// Oldest returns the oldest event that may be dropped, nil if there is none.
func (s *Store) Oldest() (*nostr.Event, error) {
	return s.one("SELECT json FROM events WHERE kind <> 5 AND address IS NULL ORDER BY created_at, id DESC LIMIT 1")
}

func (s *Store) one(sql string, args ...any) (e *nostr.Event, err error) {
	err = s.get(sql, func(st *sqlite3.Stmt) error {
		e, err = event(st)
		return err
	}, args...)
	return e, err
}

func event(st *sqlite3.Stmt) (*nostr.Event, error) {
	e, err := nostr.ParseEvent(st.ColumnRawBlob(0))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return e, nil
}

// Deleters returns the authors of the deletions that name an event.
func (s *Store) Deleters(id nostr.ID) (out []nostr.PubKey, err error) {
	const sql = "SELECT DISTINCT e.pubkey FROM tags t JOIN events e ON e.id = t.id WHERE t.name = 'e' AND t.value = ? AND e.kind = 5"
	err = s.get(sql, func(st *sqlite3.Stmt) error {
		var p nostr.PubKey
		copy(p[:], st.ColumnRawBlob(0))
		out = append(out, p)
		return nil
	}, id.String())
	return out, err
}

// DeletedUntil returns the newest time of an author's deletions of an address.
func (s *Store) DeletedUntil(author nostr.PubKey, address string) (until nostr.Timestamp, err error) {
	const sql = "SELECT t.created_at FROM tags t JOIN events e ON e.id = t.id WHERE t.name = 'a' AND t.value = ? AND e.kind = 5 AND e.pubkey = ? ORDER BY t.created_at DESC LIMIT 1"
	err = s.get(sql, func(st *sqlite3.Stmt) error {
		until = nostr.Timestamp(st.ColumnInt64(0))
		return nil
	}, address, author[:])
	return until, err
}

// Expired returns up to limit events that have expired.
func (s *Store) Expired(now nostr.Timestamp, limit int) (out []nostr.ID, err error) {
	err = s.get("SELECT id FROM events WHERE expires <= ? LIMIT ?", func(st *sqlite3.Stmt) error {
		var id nostr.ID
		copy(id[:], st.ColumnRawBlob(0))
		out = append(out, id)
		return nil
	}, int64(now), int64(limit))
	return out, err
}

// Query returns what a filter selects, newest first.
func (s *Store) Query(f *nostr.Filter, scope relayd.Scope, limit, maxBytes int) (out []*nostr.Event, size int, err error) {
	var q selection
	q.add("SELECT json FROM events WHERE id IN (")
	q.ids(f, &scope, limit)
	q.add(") ORDER BY created_at DESC, id")
	err = s.bounded(func() error {
		return s.queryUntil(q.String(), func(st *sqlite3.Stmt) (more bool, err error) {
			n := len(st.ColumnRawBlob(0))
			if len(out) > 0 && size+n > maxBytes {
				return false, nil
			}
			e, err := event(st)
			out, size = append(out, e), size+n
			return true, err
		}, q.args...)
	})
	return out, size, err
}

// Count returns how many events the filters select together, up to limit.
func (s *Store) Count(filters []nostr.Filter, scope relayd.Scope, limit int) (n int, err error) {
	var q selection
	q.add("SELECT COUNT(*) FROM (SELECT id FROM (")
	for i := range filters {
		if i > 0 {
			q.add(" UNION ")
		}
		q.add("SELECT id FROM (")
		q.ids(&filters[i], &scope, limit)
		q.add(")")
	}
	q.add(") LIMIT ?)", int64(limit))
	err = s.bounded(func() error {
		return s.query(q.String(), func(st *sqlite3.Stmt) error { n = st.ColumnInt(0); return nil }, q.args...)
	})
	return n, err
}

// bounded stops f after queryTime.
func (s *Store) bounded(f func() error) error {
	if s.conn == nil {
		return fs.ErrClosed
	}
	ctx, cancel := context.WithTimeout(context.Background(), queryTime)
	defer cancel()
	defer s.conn.SetInterrupt(s.conn.SetInterrupt(ctx))
	return classify(f())
}

// selection is SQL under construction. No value of a filter becomes text of it.
type selection struct {
	strings.Builder
	args []any
}

func (q *selection) add(sql string, args ...any) {
	q.WriteString(sql)
	q.args = append(q.args, args...)
}

// ids selects the ids of the newest events that match. A filter for one value of
// a tag walks the tag's index in order of time; any other is sorted.
func (q *selection) ids(f *nostr.Filter, scope *relayd.Scope, limit int) {
	names := slices.Sorted(maps.Keys(f.Tags))
	walk := slices.IndexFunc(names, func(n string) bool { return len(f.Tags[n]) == 1 })
	order := "e"
	if walk >= 0 {
		order = "w"
		q.add("SELECT e.id FROM tags w JOIN events e ON e.id = w.id WHERE w.name = ? AND w.value = ?", names[walk], f.Tags[names[walk]][0])
	} else {
		q.add("SELECT e.id FROM events e WHERE TRUE")
	}
	if f.Since != nil {
		q.add(" AND "+order+".created_at >= ?", int64(*f.Since))
	}
	if f.Until != nil {
		q.add(" AND "+order+".created_at <= ?", int64(*f.Until))
	}
	q.conditions(f)
	for i, name := range names {
		if i != walk {
			q.add(" AND e.id IN (SELECT id FROM tags WHERE name = ?", name)
			in(q, " AND value IN", f.Tags[name], func(v string) any { return v })
			q.add(")")
		}
	}
	q.scope(scope)
	q.add(" ORDER BY "+order+".created_at DESC, "+order+".id LIMIT ?", int64(limit))
}

func (q *selection) conditions(f *nostr.Filter) {
	if f.IDs != nil {
		in(q, " AND e.id IN", f.IDs, func(id nostr.ID) any { return id[:] })
	}
	if f.Authors != nil {
		in(q, " AND e.pubkey IN", f.Authors, func(p nostr.PubKey) any { return p[:] })
	}
	if f.Kinds != nil {
		in(q, " AND e.kind IN", f.Kinds, func(k nostr.Kind) any { return int64(k) })
	}
}

// scope leaves out what a client may not see.
func (q *selection) scope(s *relayd.Scope) {
	if s.All {
		return
	}
	q.add(" AND (e.expires IS NULL OR e.expires > ?)", int64(s.Now))
	q.add(" AND (e.kind NOT IN (1059, 21059) OR EXISTS (SELECT 1 FROM tags p WHERE p.name = 'p' AND p.created_at = e.created_at AND p.id = e.id")
	in(q, " AND p.value IN", s.Readers, func(p nostr.PubKey) any { return p.String() })
	q.add("))")
}

func in[T any](q *selection, sql string, list []T, arg func(T) any) {
	q.add(sql + " (")
	for i, v := range list {
		if i > 0 {
			q.add(",")
		}
		q.add("?", arg(v))
	}
	q.add(")")
}
