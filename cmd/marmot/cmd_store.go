package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/store"
	"github.com/marmotgo/marmot/store/keywrap"
	"github.com/spf13/cobra"
)

func (a *app) storeCommand() *cobra.Command {
	c := &cobra.Command{Use: "store", Short: "The encrypted database of the account"}
	c.AddCommand(a.storeRekey())
	return c
}

// rekeyedLine tells what the database key is kept under now.
type rekeyedLine struct {
	Type     string         `json:"type"` // rekeyed
	Npub     string         `json:"npub"`
	KeyStore keywrap.Method `json:"key_store"`
	Protects string         `json:"protects"`
	NewKey   bool           `json:"new_key"` // the database was written anew
}

func (a *app) storeRekey() *cobra.Command {
	var wrap wrapFlags
	var newKey bool
	var newPassphrase string
	c := &cobra.Command{
		Use: "rekey", Short: "Keep the database key under something else, or write the database under a new key", Args: cobra.NoArgs,
		Long: "Keep the database key under something else: another method, another passphrase, another key file. With --new-key the whole database is\nwritten anew under a fresh key, so that a stolen copy of the old key is worth nothing for what comes.",
		RunE: func(*cobra.Command, []string) error {
			key, err := a.current()
			if err != nil {
				return err
			}
			o, err := a.options(wrap)
			if err != nil {
				return err
			}
			if newPassphrase != "" {
				o.Ask = func(bool) ([]byte, error) { return readPassphrase(newPassphrase) }
			}
			method, err := a.rekey(key, o, newKey)
			if err != nil {
				return inUse(err)
			}
			a.print(rekeyedLine{"rekeyed", key.Npub(), method, method.Protects(), newKey}, "The database key is kept by: %s. %s", method, method.Protects())
			return nil
		},
	}
	wrap.add(c, "to")
	c.Flags().BoolVar(&newKey, "new-key", false, "write the database anew under a fresh key")
	c.Flags().StringVar(&newPassphrase, "new-passphrase-file", "", "file with the new passphrase (default: ask)")
	return c
}

// rekey changes what the database key is kept under, and with fresh also the
// key. A crash at any point leaves the old key or the new one in force: see
// [app.finishRekey].
func (a *app) rekey(account nostr.PubKey, o keywrap.Options, fresh bool) (keywrap.Method, error) {
	dir, err := a.accountDir(account)
	if err != nil {
		return "", err
	}
	db, key, err := a.openWithKey(account) // nobody else may be in it
	if err != nil {
		return "", err
	}
	if !fresh {
		method, err := keywrap.Rewrap(dir, account.Npub(), key, o)
		return method, errors.Join(err, db.Close())
	}
	if err := db.Close(); err != nil {
		return "", err
	}
	path, next := filepath.Join(dir, fileDatabase), store.NewKey()
	if err := store.Rekey(path, key, next); err != nil {
		return "", err
	}
	method, err := keywrap.Stage(dir, account.Npub(), next, o)
	if err != nil {
		return "", err
	}
	if err := os.Rename(store.RekeyFile(path), path); err != nil {
		return "", fmt.Errorf("the old database stays in force: %w", err)
	}
	return method, keywrap.Commit(dir)
}
