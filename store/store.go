// Package store keeps an account's durable state in one encrypted SQLite
// database. It satisfies the interface that the SDK declares.
package store

import (
	"crypto/cipher"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"math"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/marmotgo/marmot/group"
	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/ext/fts5"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Errors a caller can act on.
var (
	ErrInUse    = errors.New("store: the database is in use by another process")
	ErrKey      = errors.New("store: the database does not open with this key, or is damaged")
	ErrNewer    = errors.New("store: the database was written by a newer version, and was left as it is: use that version, or a copy of the home from before")
	ErrFull     = errors.New("store: the disk is full, or this user's share of it: free some space; what was stored before is safe, and nothing was written now")
	ErrReadOnly = errors.New("store: the database's folder cannot be written to: see its owner and permissions, and whether its disk is mounted for writing")
	ErrDamaged  = fmt.Errorf("store: a stored value does not authenticate: %w", group.ErrCorrupt)
)

// Store is an open database. Its methods may be called from any goroutine.
type Store struct {
	mu   sync.Mutex
	conn *sqlite3.Conn
	aead cipher.AEAD

	erased bool      // something was deleted or replaced since the log was emptied
	tidied time.Time // when it was emptied last
}

// tidyAfter is how long deleted values may stay in the write-ahead log while
// the database is written to.
const tidyAfter = 2 * time.Second

// Open opens or makes the database at path, encrypted under key. An empty path
// is a database in memory. The folder is made 0700, the file 0600.
func Open(path string, key Key) (*Store, error) { return openIn(fileSystem, path, key) }

func openIn(fileSystem, path string, key Key) (*Store, error) {
	name := ":memory:"
	if path != "" {
		if err := makeFile(path); err != nil {
			return nil, err
		}
		name = (&sqliteURI{path: path, vfs: fileSystem}).String()
	}
	conn, err := sqlite3.Open(name)
	if err != nil {
		return nil, fmt.Errorf("store: open: %w", err)
	}
	s := &Store{conn: conn, aead: key.aead()}
	err = s.prepare(key, path != "")
	if err == nil && path != "" {
		err = os.Chmod(path+"-wal", 0o600) // made with the process's default
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return s, nil
}

func makeFile(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("store: %w", explain(err))
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("store: %w", explain(err))
	}
	return f.Close()
}

// prepare sets the connection up: key first, then one writer that holds the
// file, synced at each commit, overwriting what is deleted.
func (s *Store) prepare(key Key, encrypted bool) error {
	if encrypted {
		if err := s.conn.Exec("PRAGMA hexkey='" + hex.EncodeToString(key.fileKey()) + "'"); err != nil {
			return errors.New("store: the key was not accepted") // the statement holds the key
		}
	}
	err := s.conn.Exec(`
		PRAGMA locking_mode=EXCLUSIVE;
		PRAGMA temp_store=MEMORY;
		PRAGMA journal_mode=WAL;
		PRAGMA synchronous=FULL;
		PRAGMA secure_delete=ON;
		BEGIN EXCLUSIVE; COMMIT;`)
	switch {
	case errors.Is(err, sqlite3.BUSY), errors.Is(err, sqlite3.LOCKED):
		return ErrInUse
	case errors.Is(err, sqlite3.NOTADB), errors.Is(err, sqlite3.CORRUPT):
		return ErrKey
	case err != nil:
		return fmt.Errorf("store: open: %w", explain(err))
	}
	if err := fts5.Register(s.conn); err != nil { // reads the file, so it needs the key
		return fmt.Errorf("store: open: %w", err)
	}
	return s.migrate(math.MaxInt)
}

// steps are what a migration does beside its statements, by version.
var steps = map[int]func(*Store) error{3: (*Store).shortenLog}

// migrate brings the schema to this version, or only through the first steps;
// each in a transaction.
func (s *Store) migrate(through int) error {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	version, err := s.version()
	if err != nil {
		return err
	}
	if version > len(files) {
		return ErrNewer
	}
	for i := version; i < min(len(files), through); i++ {
		sql, err := migrations.ReadFile(files[i])
		if err != nil {
			return err
		}
		err = s.transaction(func() error {
			err := s.conn.Exec(string(sql))
			if step := steps[i+1]; err == nil && step != nil {
				err = step(s)
			}
			if err == nil {
				err = s.conn.Exec(fmt.Sprintf("PRAGMA user_version=%d", i+1))
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("migration %d: %w", i+1, err)
		}
	}
	return nil
}

func (s *Store) version() (n int, err error) {
	err = s.query("PRAGMA user_version", func(st *sqlite3.Stmt) error {
		n = st.ColumnInt(0)
		return nil
	})
	return n, err
}

// Close releases the database.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil {
		return nil
	}
	err := errors.Join(s.tidy(), s.conn.Close())
	s.conn = nil
	return err
}

// Get returns a value, or nil if there is none. The caller owns it.
func (s *Store) Get(key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var value []byte
	err := s.query("SELECT key, value, sealed FROM items WHERE key = ?", func(st *sqlite3.Stmt) error {
		r, err := s.record(st)
		value = r.Value
		return err
	}, key)
	return value, err
}

// Range yields the records whose keys start with prefix, ascending. They are
// read before the first is yielded, so the loop may write. A value that does
// not authenticate comes as its key with [ErrDamaged], and the next ones
// follow.
func (s *Store) Range(prefix string) iter.Seq2[group.Record, error] {
	return func(yield func(group.Record, error) bool) {
		rows, err := s.scan(prefix)
		for _, r := range rows {
			if !yield(r.Record, r.err) {
				return
			}
		}
		if err != nil {
			yield(group.Record{}, err)
		}
	}
}

// row is a record as read; err says that its value is damaged.
type row struct {
	group.Record
	err error
}

func (s *Store) scan(prefix string) (rows []row, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	err = s.query("SELECT key, value, sealed FROM items WHERE key >= ? AND key < ? ORDER BY key", func(st *sqlite3.Stmt) error {
		r, err := s.record(st)
		rows = append(rows, row{r, err})
		return nil
	}, prefix, prefix+"\U0010FFFF")
	return rows, err
}

// What the sealed column says. Every value is sealed, since the file system
// hides pages but does not authenticate them; databases from before that have
// plain ones.
const (
	plainValue  = 0
	sealedValue = 1 // of a secret record
	openValue   = 2 // of any other
)

func (s *Store) record(st *sqlite3.Stmt) (group.Record, error) {
	kind := st.ColumnInt(2)
	r := group.Record{Key: st.ColumnText(0), Value: st.ColumnBlob(1, []byte{}), Secret: kind == sealedValue}
	if kind == plainValue {
		return r, nil
	}
	var err error
	r.Value, err = s.unseal(itemPlace+r.Key, r.Value)
	return r, err
}

// Write stores records and appends entries to the log in one synced
// transaction. A record without a value deletes its key; an entry whose key is
// in the log already is left out. After an error nothing was written.
func (s *Store) Write(records, entries []group.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil {
		return fs.ErrClosed
	}
	if err := s.transaction(func() error { return s.write(records, entries) }); err != nil {
		return err
	}
	if len(records) > 0 {
		s.erased = true
	}
	if s.erased && time.Since(s.tidied) > tidyAfter {
		_ = s.tidy() // what was written is safe; the next write tries again
	}
	return nil
}

// Tidy empties the write-ahead log, in which older versions of values stay
// after they were deleted or replaced. Writes do so from time to time; a caller
// that is idle should too. It costs nothing when there is nothing to do.
func (s *Store) Tidy() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil || !s.erased {
		return nil
	}
	return s.tidy()
}

func (s *Store) tidy() error {
	if err := s.conn.Exec("PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		return fmt.Errorf("store: the log was not emptied: %w", err)
	}
	s.erased, s.tidied = false, time.Now()
	return nil
}

func (s *Store) write(records, entries []group.Record) error {
	put, _, err := s.conn.Prepare("INSERT INTO items (key, value, sealed) VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value, sealed = excluded.sealed")
	if err != nil {
		return err
	}
	defer put.Close()
	drop, _, err := s.conn.Prepare("DELETE FROM items WHERE key = ?")
	if err != nil {
		return err
	}
	defer drop.Close()
	for _, r := range records {
		if r.Value == nil {
			err = run(drop, r.Key)
		} else {
			err = run(put, r.Key, s.seal(itemPlace+r.Key, r.Value), sealedKind(r))
		}
		if err != nil {
			return err
		}
	}
	add, _, err := s.conn.Prepare("INSERT OR IGNORE INTO log (id, value) VALUES (?, ?)")
	if err != nil {
		return err
	}
	defer add.Close()
	for _, e := range entries {
		id := logID(e.Key)
		if err := run(add, id, s.seal(logPlace+string(id), e.Value)); err != nil {
			return err
		}
	}
	return nil
}

func sealedKind(r group.Record) int {
	if r.Secret {
		return sealedValue
	}
	return openValue
}

// Entries returns up to limit entries of the log after a cursor, in order:
// their cursors and values.
func (s *Store) Entries(after uint64, limit int) (cursors []uint64, values [][]byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	err = s.query("SELECT cursor, id, value FROM log WHERE cursor > ? ORDER BY cursor LIMIT ?", func(st *sqlite3.Stmt) error {
		value, err := s.unseal(logPlace+string(st.ColumnBlob(1, nil)), st.ColumnBlob(2, []byte{}))
		cursors = append(cursors, uint64(st.ColumnInt64(0)))
		values = append(values, value)
		return err
	}, int64(min(after, math.MaxInt64)), limit)
	return cursors, values, err
}

// Last returns the cursor of the newest entry of the log; 0 if there is none.
func (s *Store) Last() (cursor uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	err = s.query("SELECT max(cursor) FROM log", func(st *sqlite3.Stmt) error {
		cursor = uint64(st.ColumnInt64(0))
		return nil
	})
	return cursor, err
}

func (s *Store) query(sql string, row func(*sqlite3.Stmt) error, args ...any) error {
	if s.conn == nil {
		return fs.ErrClosed
	}
	st, _, err := s.conn.Prepare(sql)
	if err != nil {
		return fmt.Errorf("store: read: %w", err)
	}
	defer st.Close()
	if err := bind(st, args); err != nil {
		return err
	}
	for st.Step() {
		if err := row(st); err != nil {
			return err
		}
	}
	if err := st.Err(); err != nil {
		return fmt.Errorf("store: read: %w", err)
	}
	return nil
}

func run(st *sqlite3.Stmt, args ...any) error {
	if err := bind(st, args); err != nil {
		return err
	}
	return st.Exec()
}

func bind(st *sqlite3.Stmt, args []any) error {
	for i, arg := range args {
		var err error
		switch v := arg.(type) {
		case string:
			err = st.BindText(i+1, v)
		case []byte:
			if len(v) == 0 {
				err = st.BindZeroBlob(i+1, 0)
			} else {
				err = st.BindBlob(i+1, v)
			}
		case bool:
			err = st.BindBool(i+1, v)
		case int:
			err = st.BindInt(i+1, v)
		case int64:
			err = st.BindInt64(i+1, v)
		default:
			err = fmt.Errorf("store: cannot bind %T", arg)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
