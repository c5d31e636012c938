package store_test

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/store"
)

// TestMain lets the test binary be the process that is killed while it writes.
func TestMain(m *testing.M) {
	if path := os.Getenv("MARMOT_STORE_WRITER"); path != "" {
		writeForever(path)
	}
	os.Exit(m.Run())
}

func open(t *testing.T, path string, key store.Key) *store.Store {
	t.Helper()
	s, err := store.Open(path, key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func put(key, value string) group.Record { return group.Record{Key: key, Value: []byte(value)} }

func write(t *testing.T, s *store.Store, records, entries []group.Record) {
	t.Helper()
	if err := s.Write(records, entries); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, s *store.Store, key string) string {
	t.Helper()
	b, err := s.Get(key)
	if err != nil {
		t.Fatal(err)
	}
	if b == nil {
		return "(none)"
	}
	return string(b)
}

func TestItems(t *testing.T) {
	path, key := filepath.Join(t.TempDir(), "a.db"), store.NewKey()
	s := open(t, path, key)
	secret := put("a/2", "secret")
	secret.Secret = true
	write(t, s, []group.Record{put("a/1", "one"), secret, put("a/3", ""), put("b/1", "other"), {Key: "never was"}}, nil)
	write(t, s, []group.Record{{Key: "a/1"}, put("a/1", "put again"), put("b/2", "x"), {Key: "b/2"}}, nil)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path, key)
	var got []string
	for r, err := range s.Range("a/") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s=%s %t", r.Key, r.Value, r.Secret))
	}
	if want := "a/1=put again false,a/2=secret true,a/3= false"; strings.Join(got, ",") != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if b := get(t, s, "b/2"); b != "(none)" {
		t.Errorf("a deleted value is %q", b)
	}
	if b, err := s.Get("a/3"); b == nil || err != nil {
		t.Errorf("an empty value is %v, %v", b, err)
	}
}

func TestLog(t *testing.T) {
	path, key := filepath.Join(t.TempDir(), "a.db"), store.NewKey()
	s := open(t, path, key)
	write(t, s, nil, []group.Record{put("x", "1"), put("y", "2"), put("x", "again")})
	write(t, s, nil, []group.Record{put("y", "again"), put("z", "3")})
	_ = s.Close()
	s = open(t, path, key)
	write(t, s, nil, []group.Record{put("z", "again"), put("w", "4")})
	cursors, values, err := s.Entries(0, 100)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(bytes.Join(values, []byte(","))); got != "1,2,3,4" {
		t.Errorf("the log is %q", got)
	}
	for i := 1; i < len(cursors); i++ {
		if cursors[i] <= cursors[i-1] {
			t.Errorf("cursors are not ascending: %v", cursors)
		}
	}
	if last, err := s.Last(); err != nil || last != cursors[3] {
		t.Errorf("the newest cursor is %d, %v, want %d", last, err, cursors[3])
	}
	if _, rest, err := s.Entries(cursors[1], 1); err != nil || len(rest) != 1 || string(rest[0]) != "3" {
		t.Errorf("after the second: %q, %v", rest, err)
	}
	for _, after := range []uint64{cursors[3], 1 << 62, 1 << 63, ^uint64(0)} {
		if c, _, err := s.Entries(after, 10); err != nil || len(c) != 0 {
			t.Errorf("after %d: %d entries, %v", after, len(c), err)
		}
	}
}

func TestPermissions(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "folder")
	key, err := store.KeyFile(filepath.Join(dir, "a.key"))
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, filepath.Join(dir, "a.db"), key)
	write(t, s, []group.Record{put("k", "v")}, nil)
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s is %o", f.Name(), info.Mode().Perm())
		}
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder is %o, %v", info.Mode().Perm(), err)
	}
	again, err := store.KeyFile(filepath.Join(dir, "a.key"))
	if err != nil || again != key {
		t.Errorf("the key file gives another key, %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "short.key"), []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.KeyFile(filepath.Join(dir, "short.key")); err == nil {
		t.Error("a short key file was accepted")
	}
}

func TestWrongKey(t *testing.T) {
	path, key := filepath.Join(t.TempDir(), "a.db"), store.NewKey()
	s := open(t, path, key)
	write(t, s, []group.Record{put("k", "v")}, nil)
	_ = s.Close()
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	other := store.NewKey()
	_, err = store.Open(path, other)
	if !errors.Is(err, store.ErrKey) {
		t.Fatalf("a wrong key gives %v", err)
	}
	for _, k := range []store.Key{key, other} {
		if strings.Contains(err.Error(), fmt.Sprintf("%x", k[:])) {
			t.Error("the error shows a key")
		}
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("a wrong key changed the file")
	}
	if get(t, open(t, path, key), "k") != "v" {
		t.Error("the value is gone")
	}
}

func TestDamagedFile(t *testing.T) {
	path, key := filepath.Join(t.TempDir(), "a.db"), store.NewKey()
	s := open(t, path, key)
	for i := range 200 {
		write(t, s, []group.Record{{Key: fmt.Sprintf("k/%d", i), Value: make([]byte, 300), Secret: true}}, nil)
	}
	_ = s.Close()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = rand.Read(b[:4096])
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(path, key); !errors.Is(err, store.ErrKey) {
		t.Errorf("a damaged header gives %v", err)
	}
	for i := 4096; i < len(b); i += 512 { // every page but the first
		b[i] ^= 1
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(path, key); err == nil {
		t.Error("a damaged file was opened")
	}
}

func TestInUse(t *testing.T) {
	path, key := filepath.Join(t.TempDir(), "a.db"), store.NewKey()
	s := open(t, path, key)
	if _, err := store.Open(path, key); !errors.Is(err, store.ErrInUse) {
		t.Errorf("a second opener gets %v", err)
	}
	write(t, s, []group.Record{put("k", "v")}, nil)
	_ = s.Close()
	if _, err := s.Get("k"); err == nil {
		t.Error("a closed store answers")
	}
	if err := s.Write([]group.Record{put("k", "v")}, nil); err == nil {
		t.Error("a closed store takes a write")
	}
	open(t, path, key)
}

// TestPlaintext looks for what was stored in every file of the folder.
func TestPlaintext(t *testing.T) {
	dir := t.TempDir()
	key := store.NewKey()
	s := open(t, filepath.Join(dir, "a.db"), key)
	text, name := "meet me at the old bridge", "record/name/of/a/group"
	secret := put(name, text)
	secret.Secret = true
	write(t, s, []group.Record{secret, put("plain", text)}, []group.Record{put(name, text)})
	look := func() {
		t.Helper()
		err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := os.ReadFile(path)
			for _, s := range []string{text, name, "SQLite format", string(key[:]), fmt.Sprintf("%x", key[:])} {
				if bytes.Contains(b, []byte(s)) {
					t.Errorf("%s holds something in the clear", d.Name())
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	look() // with its write-ahead log
	_ = s.Close()
	look()
}

func TestKeyIsRedacted(t *testing.T) {
	key := store.NewKey()
	held := struct{ Key store.Key }{key}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%b"} {
		for _, v := range []any{key, &key, held} {
			if got := fmt.Sprintf(verb, v); !strings.Contains(got, "[redacted]") {
				t.Errorf("%s of %T prints %.20q", verb, v, got)
			}
		}
	}
	if b, err := json.Marshal(held); err != nil || !bytes.Contains(b, []byte("[redacted]")) {
		t.Errorf("JSON is %s, %v", b, err)
	}
}

// writeForever is the child: each number it prints is stored.
func writeForever(path string) {
	key, err := store.KeyFile(path + ".key")
	if err != nil {
		panic(err)
	}
	s, err := store.Open(path, key)
	if err != nil {
		panic(err)
	}
	cursors, _, err := s.Entries(0, 1<<30)
	if err != nil {
		panic(err)
	}
	for n := len(cursors); ; n++ {
		text := fmt.Sprint(n)
		if err := s.Write([]group.Record{put("a", text), {Key: "b", Value: []byte(text), Secret: true}}, []group.Record{put(text, text)}); err != nil {
			panic(err)
		}
		fmt.Println(n)
	}
}

// TestKilledWhileWriting kills a writing process again and again: what it said
// it had stored is there, and each write wholly or not at all.
func TestKilledWhileWriting(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	for round := range 6 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "MARMOT_STORE_WRITER="+path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		last := ""
		for i := 0; lines.Scan(); i++ {
			last = lines.Text()
			if i == 0 {
				time.AfterFunc(time.Duration(20+round*23)*time.Millisecond, func() { _ = cmd.Process.Kill() })
			}
		}
		_ = cmd.Wait()
		checkWritten(t, path, last)
	}
}

func checkWritten(t *testing.T, path, last string) {
	t.Helper()
	key, err := store.KeyFile(path + ".key")
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, path, key)
	defer s.Close()
	_, values, err := s.Entries(0, 1<<30)
	if err != nil || len(values) == 0 {
		t.Fatalf("%d entries, %v", len(values), err)
	}
	for i, v := range values {
		if string(v) != fmt.Sprint(i) {
			t.Fatalf("entry %d is %q", i, v)
		}
	}
	n := fmt.Sprint(len(values) - 1)
	if get(t, s, "a") != n || get(t, s, "b") != n {
		t.Errorf("a write is there in part: log to %s, a is %s, b is %s", n, get(t, s, "a"), get(t, s, "b"))
	}
	if len(last) > len(n) || (len(last) == len(n) && last > n) {
		t.Errorf("%s was acknowledged, the log ends at %s", last, n)
	}
}
