// Package keywrap keeps the key of an account's database wrapped under one of
// four things: the system's keychain, a passphrase, a key file, or a systemd
// credential. Never under the Nostr key: whoever signs for the account must not
// thereby read what it received.
package keywrap

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/marmotgo/marmot/store"
	"golang.org/x/crypto/chacha20poly1305"
)

// Method says what the database key is wrapped under.
type Method string

// The methods.
const (
	Keychain   Method = "keychain"   // of the operating system, opened by logging in
	Passphrase Method = "passphrase" // stretched with Argon2id
	KeyFile    Method = "keyfile"    // beside the database, or elsewhere
	Systemd    Method = "systemd"    // a credential that systemd hands to the service
)

// Methods lists all methods.
func Methods() []Method { return []Method{Keychain, Passphrase, KeyFile, Systemd} }

// Protects says in words what a method protects against.
func (m Method) Protects() string {
	switch m {
	case Keychain:
		return "A copy of the folder is useless without this user's login. Programs of this user can read it while they are logged in."
	case Passphrase:
		return "A copy of the folder is useless without the passphrase, which is asked for at each start."
	case KeyFile:
		return "A copied database is useless without its key file. A copy of the whole folder, or a program of this user, can read it."
	case Systemd:
		return "A copy of the folder is useless without the credential, which systemd gives to this service only."
	}
	return ""
}

// Errors a caller can act on.
var (
	ErrPassphrase  = errors.New("keywrap: wrong passphrase")
	ErrNoAsk       = errors.New("keywrap: the database is under a passphrase, and nobody can be asked for it")
	ErrUnavailable = errors.New("keywrap: not available here")
	ErrDamaged     = errors.New("keywrap: the wrapped key is damaged, or the key it is wrapped under is another")
)

// Ask asks a person for a passphrase, twice if it is new. The caller of Ask
// overwrites the result.
type Ask func(isNew bool) ([]byte, error)

// Options say how a key is wrapped. The zero value chooses by itself.
type Options struct {
	Method  Method // empty: see Choose
	KeyFile string // path of the key file; empty: beside the database
	Ask     Ask    // for the passphrase; nil if nobody can be asked
}

// File is the name of the file with the wrapped key, in the account's folder.
const File = "account.wrap"

// legacyKeyFile held the database key itself, before keys were wrapped. It is
// what a new key file is called too.
const legacyKeyFile = "account.key"

// wrapped is the content of [File].
type wrapped struct {
	Version int        `json:"version"`
	Method  Method     `json:"method"`
	KeyFile string     `json:"key_file,omitempty"` // absolute, or relative to the folder
	Name    string     `json:"name,omitempty"`     // in the keychain or of the credential
	Salt    []byte     `json:"salt"`
	Argon   *argonCost `json:"argon2id,omitempty"`
	Sealed  []byte     `json:"sealed"` // nonce and the sealed database key
}

const version = 1

// Choose returns the method for a new account: a systemd credential if there is
// one, the keychain if it can be used without asking, else a key file.
func Choose() Method {
	switch {
	case credentialDir() != "" && credentialExists():
		return Systemd
	case keychainWorks():
		return Keychain
	}
	return KeyFile
}

// Create wraps a fresh database key for the account in folder dir, which is
// made, and returns it. name names the account in the keychain: its npub.
func Create(dir, name string, o Options) (store.Key, Method, error) {
	if o.Method == "" {
		o.Method = Choose()
	}
	if Exists(dir) {
		return store.Key{}, "", fmt.Errorf("keywrap: the account in %s has a key already", dir)
	}
	key := store.NewKey()
	return key, o.Method, save(dir, File, name, key, o)
}

// Open returns the database key of the account in folder dir. Of a folder from
// before keys were wrapped it returns the key in the key file.
func Open(dir, name string, ask Ask) (store.Key, Method, error) {
	w, err := load(dir, File)
	if errors.Is(err, fs.ErrNotExist) {
		if !Exists(dir) {
			return store.Key{}, "", fmt.Errorf("keywrap: %s holds no key: %w", dir, fs.ErrNotExist)
		}
		key, err := store.KeyFile(filepath.Join(dir, legacyKeyFile))
		return key, KeyFile, err
	}
	if err != nil {
		return store.Key{}, "", err
	}
	return w.unwrap(dir, ask)
}

func (w *wrapped) unwrap(dir string, ask Ask) (store.Key, Method, error) {
	kek, err := w.unlock(dir, ask)
	if err != nil {
		return store.Key{}, w.Method, err
	}
	defer clear(kek)
	key, err := w.open(kek)
	return key, w.Method, err
}

// Exists reports whether folder dir holds a wrapped key, or one from before.
func Exists(dir string) bool {
	for _, name := range []string{File, legacyKeyFile} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return true
		}
	}
	return false
}

// Rewrap wraps the database key of an account anew, under another method or a
// fresh secret of the same. The old way does not open it any more, once this
// has returned; whoever kept a copy of the old file and its secret still has the
// key, and [store.Rekey] is for that.
func Rewrap(dir, name string, key store.Key, o Options) (Method, error) {
	method, err := Stage(dir, name, key, o)
	if err != nil {
		return "", err
	}
	return method, Commit(dir)
}

// stagedFile holds a wrapping that is not in force yet.
const stagedFile = File + ".next"

// Stage prepares a wrapping of key and leaves the one in force as it is. It is
// for a database that is about to get another key: see [Commit].
func Stage(dir, name string, key store.Key, o Options) (Method, error) {
	if o.Method == "" {
		o.Method = Choose()
	}
	return o.Method, save(dir, stagedFile, name, key, o)
}

// Staged returns the key that [Stage] wrapped last, if [Commit] did not follow:
// a crash came between. The error is [fs.ErrNotExist] when there is none.
func Staged(dir string, ask Ask) (store.Key, error) {
	w, err := load(dir, stagedFile)
	if err != nil {
		return store.Key{}, err
	}
	key, _, err := w.unwrap(dir, ask)
	return key, err
}

// Commit puts the staged wrapping in force and removes what the one before was
// under.
func Commit(dir string) error {
	before, err := load(dir, File)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(filepath.Join(dir, stagedFile), filepath.Join(dir, File)); err != nil {
		return fmt.Errorf("keywrap: %w", err)
	}
	if err := syncFolder(dir); err != nil {
		return err
	}
	after, err := load(dir, File)
	if err != nil {
		return err
	}
	return forget(dir, before, after)
}

// save writes the wrapped key, whole or not at all.
func save(dir, file, name string, key store.Key, o Options) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("keywrap: %w", err)
	}
	w := &wrapped{Version: version, Method: o.Method, Salt: make([]byte, 16)}
	_, _ = rand.Read(w.Salt) // never fails
	kek, err := w.lock(dir, name, o)
	if err != nil {
		return err
	}
	defer clear(kek)
	aead, err := w.aead(kek)
	if err != nil {
		return err
	}
	nonce := make([]byte, aead.NonceSize())
	_, _ = rand.Read(nonce) // never fails
	w.Sealed = aead.Seal(nonce, nonce, key[:], []byte(w.Method))
	b, err := json.MarshalIndent(w, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, file), append(b, '\n'))
}

func load(dir, file string) (*wrapped, error) {
	b, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return nil, fmt.Errorf("keywrap: %w", err)
	}
	w := &wrapped{}
	if err := json.Unmarshal(b, w); err != nil || w.Version < 1 {
		return nil, fmt.Errorf("%w: %s", ErrDamaged, file)
	}
	if w.Version > version {
		return nil, fmt.Errorf("keywrap: %s was written by a newer version; it was left as it is", file)
	}
	return w, nil
}

type aeadCipher interface {
	NonceSize() int
	Overhead() int
	Seal(dst, nonce, plaintext, additionalData []byte) []byte
	Open(dst, nonce, ciphertext, additionalData []byte) ([]byte, error)
}

// aead binds the wrapping to this file's salt.
func (w *wrapped) aead(kek []byte) (aeadCipher, error) {
	key, err := hkdf.Key(sha256.New, kek, w.Salt, "marmot keywrap "+string(w.Method), 32)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	return chacha20poly1305.NewX(key)
}

func (w *wrapped) open(kek []byte) (store.Key, error) {
	var key store.Key
	aead, err := w.aead(kek)
	if err != nil {
		return key, err
	}
	n := aead.NonceSize()
	if len(w.Sealed) != n+len(key)+aead.Overhead() {
		return key, ErrDamaged
	}
	b, err := aead.Open(nil, w.Sealed[:n], w.Sealed[n:], []byte(w.Method))
	if err != nil {
		if w.Method == Passphrase {
			return key, ErrPassphrase
		}
		return key, ErrDamaged
	}
	defer clear(b)
	copy(key[:], b)
	return key, nil
}

// lock makes or asks for the secret of a new wrapping.
func (w *wrapped) lock(dir, name string, o Options) ([]byte, error) {
	switch w.Method {
	case Keychain:
		return w.newInKeychain(name)
	case Passphrase:
		return w.newPassphrase(o.Ask)
	case KeyFile:
		return w.newKeyFile(dir, o.KeyFile)
	case Systemd:
		return w.credential()
	}
	return nil, fmt.Errorf("keywrap: there is no method %q: use one of %v", w.Method, Methods())
}

// unlock finds or asks for the secret of a wrapping.
func (w *wrapped) unlock(dir string, ask Ask) ([]byte, error) {
	switch w.Method {
	case Keychain:
		return w.fromKeychain()
	case Passphrase:
		return w.askPassphrase(ask)
	case KeyFile:
		return w.readKeyFile(dir)
	case Systemd:
		return w.credential()
	}
	return nil, fmt.Errorf("%w: unknown method", ErrDamaged)
}

// forget removes what the wrapping before was under, unless the new one is
// under the same.
func forget(dir string, before, after *wrapped) error {
	switch {
	case before == nil: // the key file held the database key itself
		return shred(filepath.Join(dir, legacyKeyFile))
	case before.Method == KeyFile && (after.Method != KeyFile || after.keyFilePath(dir) != before.keyFilePath(dir)):
		return shred(before.keyFilePath(dir))
	case before.Method == Keychain && (after.Method != Keychain || after.Name != before.Name):
		return before.dropFromKeychain()
	}
	return nil
}

// MethodOf returns what the account's key in folder dir is wrapped under.
func MethodOf(dir string) (Method, error) {
	w, err := load(dir, File)
	if errors.Is(err, fs.ErrNotExist) && Exists(dir) {
		return KeyFile, nil
	}
	if err != nil {
		return "", err
	}
	return w.Method, nil
}

// Destroy removes the account's wrapped key and what it is wrapped under: the
// database can never be opened again.
func Destroy(dir string) error {
	w, err := load(dir, File)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return shred(filepath.Join(dir, legacyKeyFile))
	case err == nil && w.Method == KeyFile:
		err = shred(w.keyFilePath(dir))
	case err == nil && w.Method == Keychain:
		err = w.dropFromKeychain()
	}
	if err != nil && !errors.Is(err, ErrDamaged) {
		return err
	}
	return shred(filepath.Join(dir, File))
}
