package store

import (
	"github.com/ncruces/go-sqlite3/util/vfsutil"
	"github.com/ncruces/go-sqlite3/vfs"
	"github.com/ncruces/go-sqlite3/vfs/adiantum"
)

// fileSystem is the encrypting file system that databases are opened with.
const fileSystem = "marmot"

// blockSize is what the encrypting file system enciphers as one, in bytes.
const blockSize = 4096

func init() { vfs.Register(fileSystem, adiantum.Wrap(wholeBlocks{vfs.Find("")}, nil)) }

// wholeBlocks lets the encryption see whole blocks only. A block of which the
// file ends in the middle was being written when the power went: it cannot be
// deciphered, and SQLite takes the failing read for a broken disk. Nothing that
// was committed is in it: SQLite does not write into a block that holds the end
// of a synced commit.
type wholeBlocks struct{ vfs.VFS }

func (w wholeBlocks) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	file, flags, err := vfsutil.WrapOpenFilename(w.VFS, name, flags)
	if err != nil {
		return file, flags, err
	}
	return wholeBlocksFile{file}, flags, nil
}

type wholeBlocksFile struct{ vfs.File }

// Size is that of the whole blocks; what is behind them is written over.
func (f wholeBlocksFile) Size() (int64, error) {
	size, err := f.File.Size()
	return size - size%blockSize, err
}

// What the operating system's files can do beyond the interface.

func (f wholeBlocksFile) Unwrap() vfs.File               { return f.File }
func (f wholeBlocksFile) SharedMemory() vfs.SharedMemory { return vfsutil.WrapSharedMemory(f.File) }
func (f wholeBlocksFile) LockState() vfs.LockLevel       { return vfsutil.WrapLockState(f.File) }
func (f wholeBlocksFile) HasMoved() (bool, error)        { return vfsutil.WrapHasMoved(f.File) }
func (f wholeBlocksFile) SizeHint(size int64) error      { return vfsutil.WrapSizeHint(f.File, size) }
func (f wholeBlocksFile) ChunkSize(size int)             { vfsutil.WrapChunkSize(f.File, size) }
