package store

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/marmotgo/marmot/group"
	"github.com/ncruces/go-sqlite3"
)

// openInTheClear opens a database whose pages are not encrypted, so that a test
// can search its files.
func openInTheClear(t *testing.T, path string) *Store {
	t.Helper()
	conn, err := sqlite3.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	s := &Store{conn: conn, aead: NewKey().aead()}
	if err := s.prepare(Key{}, false); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestErased deletes and replaces values, and searches all files of the
// database for what they were, also in free pages and in the log.
func TestErased(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	s := openInTheClear(t, path)
	var gone [][]byte
	for i := range 200 {
		r := group.Record{Key: fmt.Sprint("k", i), Value: make([]byte, 100+i*20), Secret: true}
		_, _ = rand.Read(r.Value)
		if err := s.Write([]group.Record{r}, nil); err != nil {
			t.Fatal(err)
		}
		gone = append(gone, rawPiece(t, s, r.Key))
	}
	if !found(t, path, gone[7]) {
		t.Fatal("the search does not find what is there")
	}
	for i := range 200 {
		r := group.Record{Key: fmt.Sprint("k", i)}
		if i%3 == 0 {
			r.Value = []byte("something else") // replaced, not deleted
		}
		if err := s.Write([]group.Record{r}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Tidy(); err != nil {
		t.Fatal(err)
	}
	for i, sealed := range gone {
		if found(t, path, sealed) {
			t.Fatalf("value %d is still in a file", i)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path + "-wal"); err == nil && info.Size() > 0 {
		t.Errorf("the log has %d bytes after closing", info.Size())
	}
}

// rawPiece is a piece of a value as the file has it: its nonce.
func rawPiece(t *testing.T, s *Store, key string) (b []byte) {
	t.Helper()
	err := s.query("SELECT value FROM items WHERE key = ?", func(st *sqlite3.Stmt) error {
		b = bytes.Clone(st.ColumnBlob(0, nil)[1:25])
		return nil
	}, key)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func found(t *testing.T, path string, piece []byte) bool {
	t.Helper()
	files, err := filepath.Glob(path + "*")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, piece) {
			return true
		}
	}
	return false
}
