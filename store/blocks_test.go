package store_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/store"
)

const block = 4096

// TestPowerCut cuts the write-ahead log wherever a power failure may cut it. A
// database always opens, with the writes whose blocks are there, and the blocks
// that a finished write needs are never written again, so that a later write
// that is torn cannot take it along.
func TestPowerCut(t *testing.T) {
	home := cutHome{dir: t.TempDir(), key: store.NewKey()}
	s := open(t, filepath.Join(home.dir, "a.db"), home.key)
	if err := s.Tidy(); err != nil {
		t.Fatal(err)
	}
	home.read(t)
	var logs [][]byte // after each write
	for i := range 24 {
		value := bytes.Repeat([]byte{byte(i)}, 1+i*431%3000)
		write(t, s, []group.Record{{Key: "a", Value: value, Secret: true}}, []group.Record{put(fmt.Sprint(i), string(value))})
		home.read(t)
		logs = append(logs, home.log)
	}
	blocks := len(home.log) / block
	found := make([]int, blocks+1) // writes that are there with so many blocks
	for b := range found {
		found[b] = home.writes(t, home.log[:b*block])
	}
	if found[blocks] != len(logs) {
		t.Fatalf("%d of %d writes are there", found[blocks], len(logs))
	}
	for i, log := range logs {
		needs := 0
		for found[needs] <= i {
			needs++
		}
		if needs*block > len(log) || !bytes.Equal(log[:needs*block], home.log[:needs*block]) {
			t.Errorf("write %d was finished before its %d blocks were, or they were written again", i, needs)
		}
	}
	junk := make([]byte, block)
	for b := range blocks {
		_, _ = rand.Read(junk)
		for _, cut := range []int{1, 24, 511, 512, 2048, 4095} {
			whole := home.log[:b*block+cut]
			if got := home.writes(t, whole); got != found[b] {
				t.Errorf("cut %d bytes into block %d: %d writes, not %d", cut, b, got, found[b])
			}
			torn := append(bytes.Clone(whole), junk[cut:]...)
			if got := home.writes(t, torn); got != found[b] {
				t.Errorf("block %d torn after %d bytes: %d writes, not %d", b, cut, got, found[b])
			}
		}
	}
}

// cutHome is a database's files as they were, and the place to try them.
type cutHome struct {
	dir     string
	key     store.Key
	db, log []byte
}

func (h *cutHome) read(t *testing.T) {
	t.Helper()
	var err error
	if h.db, err = os.ReadFile(filepath.Join(h.dir, "a.db")); err != nil {
		t.Fatal(err)
	}
	if h.log, err = os.ReadFile(filepath.Join(h.dir, "a.db-wal")); err != nil {
		t.Fatal(err)
	}
}

// writes opens the database with another log, writes to it, and returns how
// many of the writes of before are there.
func (h *cutHome) writes(t *testing.T, log []byte) int {
	t.Helper()
	path := filepath.Join(t.TempDir(), "cut.db")
	for name, b := range map[string][]byte{path: h.db, path + "-wal": log} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := store.Open(path, h.key)
	if err != nil {
		t.Fatalf("with %d bytes of the log: %v", len(log), err)
	}
	defer s.Close()
	_, values, err := s.Entries(0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(values); n > 0 && get(t, s, "a") != string(values[n-1]) {
		t.Errorf("with %d bytes of the log, a write is there in part", len(log))
	}
	write(t, s, []group.Record{put("after", "x")}, nil)
	if get(t, s, "after") != "x" {
		t.Error("it cannot be written to")
	}
	return len(values)
}
