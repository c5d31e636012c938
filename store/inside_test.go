package store

import (
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/marmotgo/marmot/group"
	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/ext/fts5"
)

func reopen(t *testing.T, s *Store, path string, key Key) (*Store, error) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return Open(path, key)
}

// openRaw opens a database without a look at its schema.
func openRaw(path string, key Key) (*Store, error) {
	conn, err := sqlite3.Open((&sqliteURI{path: path, vfs: fileSystem}).String())
	if err != nil {
		return nil, err
	}
	s := &Store{conn: conn, aead: key.aead()}
	return s, errors.Join(conn.Exec("PRAGMA hexkey='"+hex.EncodeToString(key.fileKey())+"'; PRAGMA locking_mode=EXCLUSIVE"), fts5.Register(conn))
}

// TestSealedInPlace swaps sealed values: each opens only where it was put.
func TestSealedInPlace(t *testing.T) {
	s, err := Open("", NewKey())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	err = s.Write([]group.Record{
		{Key: "a", Value: []byte("1"), Secret: true}, {Key: "b", Value: []byte("2"), Secret: true},
	}, []group.Record{{Key: "x", Value: []byte("1")}, {Key: "y", Value: []byte("2")}})
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		"UPDATE items SET value = (SELECT value FROM items AS o WHERE o.key = 'b') WHERE key = 'a'",
		"UPDATE log SET value = (SELECT value FROM items WHERE key = 'b') WHERE cursor = 1",
	} {
		if err := s.conn.Exec(sql); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := s.Get("a"); !errors.Is(err, ErrDamaged) || b != nil {
		t.Errorf("a moved value gives %q, %v", b, err)
	}
	if _, _, err := s.Entries(0, 10); !errors.Is(err, ErrDamaged) {
		t.Errorf("a moved entry gives %v", err)
	}
	if b, err := s.Get("b"); err != nil || string(b) != "2" {
		t.Errorf("the other value gives %q, %v", b, err)
	}
	var damaged error
	for _, err := range s.Range("") {
		damaged = errors.Join(damaged, err)
	}
	if !errors.Is(damaged, ErrDamaged) {
		t.Errorf("a range over a moved value gives %v", damaged)
	}
}

// TestDowngradedValue marks a secret value as one that is not.
func TestDowngradedValue(t *testing.T) {
	s, err := Open("", NewKey())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Write([]group.Record{{Key: "a", Value: []byte{}, Secret: true}}, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.conn.Exec("UPDATE items SET value = x'' WHERE key = 'a'"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get("a"); !errors.Is(err, ErrDamaged) {
		t.Errorf("a cut value gives %v", err)
	}
}

func TestNewerSchema(t *testing.T) {
	path, key := filepath.Join(t.TempDir(), "a.db"), NewKey()
	s, err := Open(path, key)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Write([]group.Record{{Key: "k", Value: []byte("v")}}, nil); err != nil {
		t.Fatal(err)
	}
	version, err := s.version()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.conn.Exec("PRAGMA user_version=99"); err != nil {
		t.Fatal(err)
	}
	if _, err := reopen(t, s, path, key); !errors.Is(err, ErrNewer) {
		t.Fatalf("a newer schema gives %v", err)
	}
	// It was left as it is: with its version set back, all is there.
	s2, err := openRaw(path, key)
	if err != nil {
		t.Fatal(err)
	}
	if err := s2.conn.Exec(fmt.Sprintf("PRAGMA user_version=%d", version)); err != nil {
		t.Fatal(err)
	}
	s3, err := reopen(t, s2, path, key)
	if err != nil {
		t.Fatal(err)
	}
	defer s3.Close()
	if b, err := s3.Get("k"); err != nil || string(b) != "v" {
		t.Errorf("the value is %q, %v", b, err)
	}
}

// TestAtomic fails in the middle of a write, and for want of space.
func TestAtomic(t *testing.T) {
	path, key := filepath.Join(t.TempDir(), "a.db"), NewKey()
	s, err := Open(path, key)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	check := func(what string, err error) {
		t.Helper()
		if err == nil {
			t.Errorf("%s: no error", what)
		}
		if b, err := s.Get("new"); b != nil || err != nil {
			t.Errorf("%s: a part was written (%v)", what, err)
		}
		if c, _, err := s.Entries(0, 10); len(c) != 0 || err != nil {
			t.Errorf("%s: an entry was written (%v)", what, err)
		}
	}
	if err := s.conn.Exec("CREATE TRIGGER fail BEFORE INSERT ON log WHEN length(NEW.value) > 60 BEGIN SELECT RAISE(ABORT, 'no'); END"); err != nil {
		t.Fatal(err)
	}
	records := []group.Record{{Key: "new", Value: []byte("v")}}
	check("failing entry", s.Write(records, []group.Record{{Key: "good", Value: []byte("1")}, {Key: "bad", Value: make([]byte, 100)}}))
	if err := s.conn.Exec("PRAGMA max_page_count=1"); err != nil {
		t.Fatal(err)
	}
	check("full", s.Write(append(records, group.Record{Key: "big", Value: make([]byte, 1<<20)}), nil))
	if err := s.conn.Exec("PRAGMA query_only=ON"); err != nil {
		t.Fatal(err)
	}
	check("read only", s.Write(records, nil))
	if err := s.conn.Exec("PRAGMA query_only=OFF; PRAGMA max_page_count=1000000"); err != nil {
		t.Fatal(err)
	}
	if err := s.Write(records, nil); err != nil {
		t.Errorf("after failures: %v", err)
	}
}
