package store

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"golang.org/x/crypto/chacha20poly1305"
)

// Key is a database key. It prints as [redacted].
type Key [32]byte

// Format prints [redacted] for every verb.
func (Key) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[redacted]")) }

// MarshalText gives [redacted].
func (Key) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

// NewKey returns a random key.
func NewKey() Key {
	var k Key
	_, _ = rand.Read(k[:]) // never fails
	return k
}

// KeyFile returns the key in the file at path, which is made with a fresh key
// (0600, synced) if it does not exist.
func KeyFile(path string) (Key, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return makeKeyFile(path)
	}
	if err != nil {
		return Key{}, fmt.Errorf("store: key file: %w", err)
	}
	if len(b) != len(Key{}) {
		return Key{}, fmt.Errorf("store: key file holds %d bytes, %d wanted: restore it from a backup", len(b), len(Key{}))
	}
	return Key(b), nil
}

// makeKeyFile writes beside the final name and renames: a crash leaves either
// no key file or a whole one.
func makeKeyFile(path string) (Key, error) {
	k := NewKey()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return k, fmt.Errorf("store: key file: %w", err)
	}
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return k, fmt.Errorf("store: key file: %w", err)
	}
	_, err = f.Write(k[:])
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return k, fmt.Errorf("store: key file: %w", err)
	}
	return k, os.Rename(path+".new", path)
}

// Labels of the two keys derived from a database key, and of the places that
// sealed values are bound to.
const (
	labelFile  = "marmot store file"
	labelSeal  = "marmot store seal"
	itemPlace  = "item/"
	logPlace   = "log/"
	formatSeal = 1
)

func (k Key) derive(label string) []byte {
	b, err := hkdf.Expand(sha256.New, k[:], label, len(k))
	if err != nil {
		panic("store: " + err.Error()) // constant sizes
	}
	return b
}

func (k Key) fileKey() []byte { return k.derive(labelFile) }

func (k Key) aead() cipher.AEAD {
	a, err := chacha20poly1305.NewX(k.derive(labelSeal))
	if err != nil {
		panic("store: " + err.Error()) // constant sizes
	}
	return a
}

// seal protects a value and binds it to its place: a sealed value moved to
// another key does not open.
func (s *Store) seal(place string, value []byte) []byte {
	out := make([]byte, 1+s.aead.NonceSize(), 1+s.aead.NonceSize()+len(value)+s.aead.Overhead())
	out[0] = formatSeal
	_, _ = rand.Read(out[1:]) // never fails
	return s.aead.Seal(out, out[1:], value, []byte(place))
}

func (s *Store) unseal(place string, sealed []byte) ([]byte, error) {
	n := 1 + s.aead.NonceSize()
	if len(sealed) < n || sealed[0] != formatSeal {
		return nil, ErrDamaged
	}
	out, err := s.aead.Open([]byte{}, sealed[1:n], sealed[n:], []byte(place))
	if err != nil {
		return nil, ErrDamaged
	}
	return out, nil
}

// sqliteURI names a database file for SQLite.
type sqliteURI struct{ path, vfs string }

func (u *sqliteURI) String() string {
	name := url.URL{Scheme: "file", Opaque: (&url.URL{Path: filepath.ToSlash(u.path)}).EscapedPath()}
	return name.String() + "?vfs=" + u.vfs
}
