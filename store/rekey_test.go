package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/marmotgo/marmot/group"
)

// TestRekey copies a database under another key: all that is there comes along,
// nothing that was deleted does, and the old key opens the copy no more.
func TestRekey(t *testing.T) {
	path, old, key := filepath.Join(t.TempDir(), "a.db"), NewKey(), NewKey()
	s, err := Open(path, old)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		records := []group.Record{
			{Key: fmt.Sprintf("secret/%d", i), Value: []byte("value"), Secret: true}, {Key: fmt.Sprintf("plain/%d", i), Value: bytes.Repeat([]byte{7}, i)},
		}
		if err := s.Write(records, []group.Record{{Key: fmt.Sprint("entry ", i), Value: []byte("told")}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Write([]group.Record{{Key: "secret/3"}}, nil); err != nil {
		t.Fatal(err)
	}
	if err := Rekey(path, old, key); !errors.Is(err, ErrInUse) {
		t.Errorf("while it is open: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Rekey(path, key, old); !errors.Is(err, ErrKey) {
		t.Errorf("with a wrong key: %v", err)
	}
	for range 2 { // the leftovers of one that stopped do not matter
		if err := Rekey(path, old, key); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(RekeyFile(path), path); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, old); !errors.Is(err, ErrKey) {
		t.Errorf("the old key: %v", err)
	}
	s, err = Open(path, key)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	count := 0
	for r, err := range s.Range("") {
		if err != nil {
			t.Fatal(err)
		}
		if r.Secret != bytes.HasPrefix([]byte(r.Key), []byte("secret")) {
			t.Errorf("%s: secret %v", r.Key, r.Secret)
		}
		count++
	}
	if b, err := s.Get("secret/3"); count != 99 || b != nil || err != nil {
		t.Errorf("%d records, %q, %v", count, b, err)
	}
	cursors, values, err := s.Entries(0, 100)
	if err != nil || len(values) != 50 || cursors[49] != 50 {
		t.Errorf("%d entries, %v", len(values), err)
	}
}
