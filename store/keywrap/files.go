package keywrap

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// secretSize is the length of the secrets that we make, in bytes.
const secretSize = 32

func newSecret() []byte {
	b := make([]byte, secretSize)
	_, _ = rand.Read(b) // never fails
	return b
}

// newKeyFile makes a key file with a fresh secret. It never writes over one: a
// crash before the new wrapping is in place leaves the old one whole.
func (w *wrapped) newKeyFile(dir, path string) ([]byte, error) {
	w.KeyFile = legacyKeyFile
	if path != "" {
		abs, err := filepath.Abs(path)
		if err != nil {
			return nil, fmt.Errorf("keywrap: %w", err)
		}
		w.KeyFile = abs
	} else if exists(w.keyFilePath(dir)) {
		w.KeyFile = fmt.Sprintf("account-%x.key", w.Salt[:4])
	}
	if exists(w.keyFilePath(dir)) {
		return nil, fmt.Errorf("keywrap: %s is there already: name another file", w.keyFilePath(dir))
	}
	secret := newSecret()
	return secret, writeFile(w.keyFilePath(dir), secret)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func (w *wrapped) keyFilePath(dir string) string {
	if filepath.IsAbs(w.KeyFile) {
		return w.KeyFile
	}
	return filepath.Join(dir, filepath.Base(w.KeyFile))
}

func (w *wrapped) readKeyFile(dir string) ([]byte, error) {
	b, err := os.ReadFile(w.keyFilePath(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("keywrap: the key file %s is not there: bring it back, or the database stays closed", w.keyFilePath(dir))
	}
	if err != nil {
		return nil, fmt.Errorf("keywrap: %w", err)
	}
	if len(b) != secretSize {
		return nil, fmt.Errorf("%w: the key file holds %d bytes, %d wanted", ErrDamaged, len(b), secretSize)
	}
	return b, nil
}

// writeFile writes beside the final name, syncs and renames: a crash leaves the
// old file or the new one.
func writeFile(path string, content []byte) error {
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("keywrap: %w", err)
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("keywrap: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("keywrap: %w", err)
	}
	return syncFolder(filepath.Dir(path))
}

// syncFolder makes a rename durable, where the system can.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("keywrap: %w", err)
	}
	_ = d.Sync() // some systems cannot sync a folder
	return d.Close()
}

// shred overwrites a small secret file and removes it. Disks may keep old
// sectors all the same.
func shred(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("keywrap: %w", err)
	}
	if f, err := os.OpenFile(path, os.O_WRONLY, 0); err == nil {
		_, err = f.Write(make([]byte, min(info.Size(), 1<<16)))
		if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
			return fmt.Errorf("keywrap: %w", err)
		}
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("keywrap: %w", err)
	}
	return nil
}
