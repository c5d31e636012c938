package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/store"
	"github.com/marmotgo/marmot/store/keywrap"
)

// Files of an account's folder, which is named by its npub.
const (
	fileDatabase = "account.db"
	fileCurrent  = "current" // in the home: the account used by default
)

// keyNsec is where an account's Nostr key stands in its database, sealed.
const keyNsec = "cli/nostr-key"

var errNoAccount = fmt.Errorf("%w: there is no account here: marmot account create", errNotFound)

// homeDir is the folder with all accounts.
func (a *app) homeDir() (string, error) {
	if a.home != "" {
		return a.home, nil
	}
	if dir := os.Getenv("MARMOT_HOME"); dir != "" {
		return dir, nil
	}
	dir, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	switch runtime.GOOS {
	case "windows":
		if data := os.Getenv("LOCALAPPDATA"); data != "" {
			return filepath.Join(data, "marmot"), nil
		}
	case "darwin":
		return filepath.Join(dir, "Library", "Application Support", "marmot"), nil
	}
	if data := os.Getenv("XDG_DATA_HOME"); data != "" {
		return filepath.Join(data, "marmot"), nil
	}
	return filepath.Join(dir, ".local", "share", "marmot"), nil
}

// accounts lists the accounts of the home, sorted.
func (a *app) accounts() ([]nostr.PubKey, error) {
	home, err := a.homeDir()
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(home)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []nostr.PubKey
	for _, e := range entries {
		if key, err := nostr.ParsePerson(e.Name()); err == nil && e.IsDir() {
			out = append(out, key)
		}
	}
	slices.SortFunc(out, func(x, y nostr.PubKey) int { return strings.Compare(x.Npub(), y.Npub()) })
	return out, nil
}

// current is the account that the verbs work on.
func (a *app) current() (nostr.PubKey, error) {
	all, err := a.accounts()
	if err != nil {
		return nostr.PubKey{}, err
	}
	if len(all) == 0 {
		return nostr.PubKey{}, errNoAccount
	}
	wanted := a.account
	if wanted == "" {
		home, err := a.homeDir()
		if err != nil {
			return nostr.PubKey{}, err
		}
		b, err := os.ReadFile(filepath.Join(home, fileCurrent))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nostr.PubKey{}, err
		}
		if wanted = strings.TrimSpace(string(b)); wanted == "" {
			return all[0], nil
		}
	}
	return pickPerson(wanted, all)
}

func (a *app) accountDir(key nostr.PubKey) (string, error) {
	home, err := a.homeDir()
	return filepath.Join(home, key.Npub()), err
}

func (a *app) use(key nostr.PubKey) error {
	home, err := a.homeDir()
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(home, fileCurrent), []byte(key.Npub()+"\n"), 0o600)
}

// openStore opens an account's database with the key that is wrapped beside it.
func (a *app) openStore(key nostr.PubKey) (*store.Store, error) {
	db, _, err := a.openWithKey(key)
	return db, err
}

// openWithKey also returns the database key.
func (a *app) openWithKey(key nostr.PubKey) (*store.Store, store.Key, error) {
	dir, err := a.accountDir(key)
	if err != nil {
		return nil, store.Key{}, err
	}
	dbKey, _, err := keywrap.Open(dir, key.Npub(), a.ask())
	if err != nil {
		return nil, dbKey, err
	}
	path := filepath.Join(dir, fileDatabase)
	db, err := store.Open(path, dbKey)
	if !errors.Is(err, store.ErrKey) {
		return db, dbKey, err
	}
	return a.finishRekey(dir, path, err)
}

// finishRekey opens a database that got its new key just before the process
// was stopped, and puts the new wrapping in force.
func (a *app) finishRekey(dir, path string, before error) (*store.Store, store.Key, error) {
	staged, err := keywrap.Staged(dir, a.ask())
	if err != nil {
		return nil, staged, before
	}
	db, err := store.Open(path, staged)
	if err != nil {
		return nil, staged, before
	}
	if err := keywrap.Commit(dir); err != nil {
		return nil, staged, errors.Join(err, db.Close())
	}
	return db, staged, nil
}

// addAccount makes the folder and database of a new account, and makes it the
// default if it is the first. It returns what the database key is wrapped under.
func (a *app) addAccount(secret nostr.SecretKey, o keywrap.Options) (keywrap.Method, error) {
	key := secret.PubKey()
	all, err := a.accounts()
	if err != nil {
		return "", err
	}
	if slices.Contains(all, key) {
		return "", fmt.Errorf("account %s is here already", key.Npub())
	}
	dir, err := a.accountDir(key)
	if err != nil {
		return "", err
	}
	dbKey, method, err := keywrap.Create(dir, key.Npub(), o)
	if err != nil {
		return "", errors.Join(err, os.RemoveAll(dir)) // there was nothing before
	}
	db, err := store.Open(filepath.Join(dir, fileDatabase), dbKey)
	if err != nil {
		return "", err
	}
	err = db.Write([]group.Record{{Key: keyNsec, Value: secret[:], Secret: true}}, nil)
	if err = errors.Join(err, db.Close()); err != nil || len(all) > 0 {
		return method, err
	}
	return method, a.use(key)
}

// secretKey reads an account's Nostr key from its database.
func secretKey(db *store.Store) (nostr.SecretKey, error) {
	b, err := db.Get(keyNsec)
	if err != nil {
		return nostr.SecretKey{}, err
	}
	if len(b) != len(nostr.SecretKey{}) {
		return nostr.SecretKey{}, errors.New("the database holds no account key: import the account again")
	}
	defer clear(b)
	return nostr.SecretKey(b), nil
}
