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
		s.resealTable(from, "items", "key", itemPlace, "sealed <> 0"),
		s.resealTable(from, "log", "id", logPlace, "1"),
	)
	if err == nil {
		err = s.conn.Exec("COMMIT")
	}
	if err != nil {
		return fmt.Errorf("store: rekey: %w", err)
	}
	return nil
}

func (s *Store) resealTable(from *Store, table, id, place, where string) error {
	write, _, err := s.conn.Prepare("UPDATE " + table + " SET value = ? WHERE " + id + " = ?")
	if err != nil {
		return err
	}
	defer write.Close()
	type change struct {
		name  string
		value []byte
	}
	var changes []change
	err = s.query("SELECT "+id+", value FROM "+table+" WHERE "+where, func(st *sqlite3.Stmt) error {
		name := st.ColumnText(0)
		value, err := from.unseal(place+name, st.ColumnBlob(1, []byte{}))
		changes = append(changes, change{name, s.seal(place+name, value)})
		clear(value)
		return err
	})
	if err != nil {
		return err
	}
	for _, c := range changes {
		if err := run(write, c.value, c.name); err != nil {
			return err
		}
	}
	return nil
}
