package store

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"

	"github.com/ncruces/go-sqlite3"
)

// RekeyFile returns the path of the copy that [Rekey] makes for the database
// at path.
func RekeyFile(path string) string { return path + ".rekey" }

// Rekey makes a copy of the database at path under another key, beside it: see
// [RekeyFile]. Every page and every sealed value is written anew, and nothing of
// what was deleted is in it. The database itself stays as it is; the caller
// renames the copy over it, when the new key is safe. Nobody may have the
// database open.
func Rekey(path string, old, key Key) error {
	s, err := Open(path, old)
	if err != nil {
		return err
	}
	fresh := RekeyFile(path)
	for _, f := range []string{fresh, fresh + "-wal", fresh + "-journal"} {
		if err := os.Remove(f); err != nil && !errors.Is(err, os.ErrNotExist) {
			return errors.Join(fmt.Errorf("store: rekey: %w", err), s.Close())
		}
	}
	if err := makeFile(fresh); err != nil {
		return errors.Join(err, s.Close())
	}
	target := (&sqliteURI{path: fresh, vfs: fileSystem}).String() + "&hexkey=" + hex.EncodeToString(key.fileKey())
	if err := s.vacuumInto(target); err != nil {
		return errors.Join(err, s.Close())
	}
	seal := s.aead
	if err := s.Close(); err != nil {
		return err
	}
	n, err := Open(fresh, key)
	if err != nil {
		return err
	}
	from := &Store{aead: seal}
	err = n.reseal(from)
	return errors.Join(err, n.Close())
}

// vacuumInto copies the live pages. The error does not repeat the statement,
// which holds the key.
func (s *Store) vacuumInto(target string) error {
	st, _, err := s.conn.Prepare("VACUUM INTO ?")
	if err == nil {
		defer st.Close()
		if err = st.BindText(1, target); err == nil {
			err = st.Exec()
		}
	}
	if err != nil {
		return fmt.Errorf("store: rekey: the copy was not made (code %d)", errorCode(err))
	}
	return nil
}

func errorCode(err error) sqlite3.ErrorCode {
	var coded *sqlite3.Error
	if errors.As(err, &coded) {
		return coded.Code()
	}
	return sqlite3.ERROR
}

// reseal seals every value again under this store's key.
func (s *Store) reseal(from *Store) error {
	if err := s.conn.Exec("BEGIN IMMEDIATE"); err != nil {
		return fmt.Errorf("store: rekey: %w", err)
	}
	err := errors.Join(
		s.resealTable(from, "items", "key", "key", itemPlace, "sealed <> 0"),
		s.resealTable(from, "log", "cursor", "id", logPlace, "1"),
	)
	if err == nil {
		err = s.conn.Exec("COMMIT")
	}
	if err != nil {
		return fmt.Errorf("store: rekey: %w", err)
	}
	return nil
}

// resealTable does so in one table, of which row is the primary key and id what a
// value is bound to.
func (s *Store) resealTable(from *Store, table, row, id, place, where string) error {
	write, _, err := s.conn.Prepare("UPDATE " + table + " SET value = ? WHERE " + row + " = ?")
	if err != nil {
		return err
	}
	defer write.Close()
	type change struct {
		row   any
		value []byte
	}
	var changes []change
	err = s.query("SELECT "+row+", "+id+", value FROM "+table+" WHERE "+where, func(st *sqlite3.Stmt) error {
		bound := place + string(st.ColumnBlob(1, nil))
		value, err := from.unseal(bound, st.ColumnBlob(2, []byte{}))
		c := change{st.ColumnText(0), s.seal(bound, value)}
		if st.ColumnType(0) == sqlite3.INTEGER {
			c.row = st.ColumnInt64(0)
		}
		changes = append(changes, c)
		clear(value)
		return err
	})
	if err != nil {
		return err
	}
	for _, c := range changes {
		if err := run(write, c.value, c.row); err != nil {
			return err
		}
	}
	return nil
}
