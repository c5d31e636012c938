package store

import (
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/marmotgo/marmot/group"
	"github.com/ncruces/go-sqlite3/util/vfsutil"
	"github.com/ncruces/go-sqlite3/vfs"
	"github.com/ncruces/go-sqlite3/vfs/adiantum"
)

// badDisk is a disk that fails at will: after some more writes, with an error.
type badDisk struct {
	vfs.VFS
	after int // writes that still succeed; below 0 it does not fail
	err   error
}

func (d *badDisk) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	file, flags, err := vfsutil.WrapOpenFilename(d.VFS, name, flags)
	return &badFile{wholeBlocksFile{file}, d}, flags, err
}

func (d *badDisk) fails() error {
	if d.after < 0 {
		return nil
	}
	if d.after > 0 {
		d.after--
		return nil
	}
	return d.err
}

type badFile struct {
	wholeBlocksFile
	disk *badDisk
}

func (f *badFile) WriteAt(b []byte, at int64) (int, error) {
	if err := f.disk.fails(); err != nil {
		return 0, err
	}
	return f.wholeBlocksFile.WriteAt(b, at)
}

func (f *badFile) Truncate(size int64) error {
	if err := f.disk.fails(); err != nil {
		return err
	}
	return f.wholeBlocksFile.Truncate(size)
}

// TestBadDisk lets the disk fill up, or be mounted for reading only, at every write
// of a transaction in turn. The error says so, nothing of the transaction is there,
// all before it is, and when there is room again everything goes on.
func TestBadDisk(t *testing.T) {
	for name, c := range map[string]struct{ fails, want error }{
		"full":      {vfs.SystemError(syscall.ENOSPC, fullCode), ErrFull},
		"quota":     {syscall.EDQUOT, ErrFull},
		"read only": {syscall.EROFS, ErrReadOnly},
	} {
		t.Run(name, func(t *testing.T) {
			disk := &badDisk{VFS: vfs.Find(""), after: -1, err: c.fails}
			system := "bad " + name
			vfs.Register(system, adiantum.Wrap(wholeBlocks{disk}, nil))
			path, key := filepath.Join(t.TempDir(), "a.db"), NewKey()
			s, err := openIn(system, path, key)
			if err != nil {
				t.Fatal(err)
			}
			failed := 0
			for k := range 12 {
				good := []group.Record{{Key: fmt.Sprint("good ", k), Value: make([]byte, 9000)}}
				if err := s.Write(good, []group.Record{{Key: fmt.Sprint(k), Value: []byte("entry")}}); err != nil {
					t.Fatal(err)
				}
				disk.after = k
				bad := []group.Record{{Key: "bad", Value: make([]byte, 40_000)}, {Key: good[0].Key}}
				err := s.Write(bad, []group.Record{{Key: "bad", Value: []byte("entry")}})
				disk.after = -1
				if err == nil { // it had as many writes as it needed
					if err := s.Write([]group.Record{{Key: "bad"}, good[0]}, nil); err != nil {
						t.Fatal(err)
					}
					continue
				}
				failed++
				if !errors.Is(err, c.want) {
					t.Errorf("at write %d: %v", k, err)
				}
				checkDisk(t, s, k)
			}
			if failed < 5 {
				t.Errorf("only %d writes failed", failed)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if s, err = Open(path, key); err != nil {
				t.Fatal(err)
			}
			checkDisk(t, s, 11)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			disk.after = 0
			if _, err := openIn(system, filepath.Join(t.TempDir(), "new.db"), key); !errors.Is(err, c.want) {
				t.Errorf("a new database: %v", err)
			}
		})
	}
}

const fullCode = uint8(13) // SQLITE_FULL, as the file system gives it

// checkDisk demands everything up to the kth good write, and nothing of a bad one.
func checkDisk(t *testing.T, s *Store, k int) {
	t.Helper()
	for i := range k + 1 {
		if b, err := s.Get(fmt.Sprint("good ", i)); err != nil || len(b) != 9000 {
			t.Errorf("after write %d: good %d has %d bytes, %v", k, i, len(b), err)
		}
	}
	if b, err := s.Get("bad"); err != nil || b != nil {
		t.Errorf("after write %d: bad has %d bytes, %v", k, len(b), err)
	}
}
