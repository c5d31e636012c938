// Package disk keeps a relay's events in a SQLite file.
//
// The file is not encrypted: a relay holds what anybody may publish and most may
// read, its process has to read all of it without a person present, and so an
// operator can look at it with any SQLite tool. It is readable for its owner only.
package disk

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/nostr/relayd"
)

// Errors a caller can act on.
var (
	ErrInUse   = errors.New("relay store: the file is in use by another process")
	ErrDamaged = errors.New("relay store: the file is damaged, or not a relay's")
	ErrNewer   = errors.New("relay store: the file was written by a newer version; it was left as it is")
)

//go:embed schema.sql
var schema string

const (
	version     = 1
	application = 0x6d726c79 // "mrly", so that no other database is taken for a relay's

	// queryTime bounds one answer: nothing else goes on meanwhile.
	queryTime = 2 * time.Second
)

// Store is a [relayd.Store] in a file. It is not safe for concurrent use, except
// through the server.
type Store struct {
	conn  *sqlite3.Conn
	fixed map[string]*sqlite3.Stmt // by their text

	events int
	bytes  int64
}

var _ relayd.Store = (*Store)(nil)

// Open opens the file at path or makes it, with mode 0600.
func Open(path string) (*Store, error) {
	if err := makeFile(path); err != nil {
		return nil, fmt.Errorf("relay store: %w", err)
	}
	name := url.URL{Scheme: "file", Opaque: (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath()}
	conn, err := sqlite3.Open(name.String())
	if err != nil {
		return nil, classify(err)
	}
	s := &Store{conn: conn, fixed: make(map[string]*sqlite3.Stmt)}
	err = s.prepare()
	if err == nil {
		err = os.Chmod(path+"-wal", 0o600) // made with the process's default
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func makeFile(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

func classify(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sqlite3.BUSY), errors.Is(err, sqlite3.LOCKED):
		return ErrInUse
	case errors.Is(err, sqlite3.NOTADB), errors.Is(err, sqlite3.CORRUPT):
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return fmt.Errorf("relay store: %w", err)
}

// prepare sets the connection up: one process, and a sync at each commit, so that
// what was acknowledged survives a power failure too.
func (s *Store) prepare() error {
	err := s.conn.Exec(`
		PRAGMA locking_mode=EXCLUSIVE;
		PRAGMA temp_store=MEMORY;
		PRAGMA journal_mode=WAL;
		PRAGMA synchronous=FULL;
		BEGIN EXCLUSIVE; COMMIT;`)
	if err != nil {
		return classify(err)
	}
	var have, app, tables int64
	for sql, into := range map[string]*int64{
		"PRAGMA user_version": &have, "PRAGMA application_id": &app, "SELECT COUNT(*) FROM sqlite_schema": &tables,
	} {
		if err := s.query(sql, func(st *sqlite3.Stmt) error { *into = st.ColumnInt64(0); return nil }); err != nil {
			return classify(err)
		}
	}
	switch {
	case tables > 0 && app != application:
		return ErrDamaged
	case have > version:
		return ErrNewer
	case have == 0:
		err := s.conn.Exec(fmt.Sprintf("BEGIN; %s PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT;", schema, application, version))
		if err != nil {
			return classify(err)
		}
	}
	return classify(s.query("SELECT COUNT(*), COALESCE(SUM(LENGTH(json)), 0) FROM events", func(st *sqlite3.Stmt) error {
		s.events, s.bytes = st.ColumnInt(0), st.ColumnInt64(1)
		return nil
	}))
}

// Close releases the file.
func (s *Store) Close() error {
	if s.conn == nil {
		return nil
	}
	for _, st := range s.fixed {
		_ = st.Close() // reports the last execution's error again
	}
	err := s.conn.Close()
	s.conn = nil
	return err
}

// Batch runs f in one synced transaction.
func (s *Store) Batch(f func() error) error {
	if s.conn == nil {
		return fs.ErrClosed
	}
	events, bytes := s.events, s.bytes
	if err := s.conn.Exec("BEGIN IMMEDIATE"); err != nil {
		return classify(err)
	}
	err := f()
	if err == nil {
		err = s.conn.Exec("COMMIT")
	}
	if err != nil {
		s.events, s.bytes = events, bytes
		if !s.conn.GetAutocommit() {
			_ = s.conn.Exec("ROLLBACK") // the first error is the one to report
		}
	}
	return classify(err)
}

// Size returns how many events are kept, and their bytes of JSON. The file is
// about half as large again: indexes.
func (s *Store) Size() (events int, bytes int64) { return s.events, s.bytes }

// Insert keeps an event.
func (s *Store) Insert(e *nostr.Event) error {
	b := e.AppendJSON(nil)
	var address, expires any
	if a := relayd.Address(e); a != "" {
		address = a
	}
	if at, ok := nostr.Expiration(e); ok && e.Kind != nostr.KindDeletion {
		expires = int64(at)
	}
	err := s.run("INSERT INTO events (id, pubkey, kind, created_at, address, expires, json) VALUES (?, ?, ?, ?, ?, ?, ?)",
		e.ID[:], e.PubKey[:], int64(e.Kind), int64(e.CreatedAt), address, expires, b)
	if err != nil {
		return err
	}
	for _, t := range e.Tags {
		if len(t) < 2 || !isLetter(t[0]) {
			continue
		}
		if err := s.run("INSERT OR IGNORE INTO tags VALUES (?, ?, ?, ?)", t[0], t[1], int64(e.CreatedAt), e.ID[:]); err != nil {
			return err
		}
	}
	s.events, s.bytes = s.events+1, s.bytes+int64(len(b))
	return nil
}

func isLetter(s string) bool {
	return len(s) == 1 && (s[0] >= 'a' && s[0] <= 'z' || s[0] >= 'A' && s[0] <= 'Z')
}

// Remove forgets an event.
func (s *Store) Remove(id nostr.ID) error {
	e, err := s.Event(id)
	if err != nil || e == nil {
		return err
	}
	for _, t := range e.Tags {
		if len(t) < 2 || !isLetter(t[0]) {
			continue
		}
		if err := s.run("DELETE FROM tags WHERE name = ? AND value = ? AND created_at = ? AND id = ?", t[0], t[1], int64(e.CreatedAt), id[:]); err != nil {
			return err
		}
	}
	if err := s.run("DELETE FROM events WHERE id = ?", id[:]); err != nil {
		return err
	}
	s.events, s.bytes = s.events-1, s.bytes-int64(len(e.AppendJSON(nil)))
	return nil
}
