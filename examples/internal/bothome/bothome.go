// Package bothome keeps what the example bots need between two starts: a
// database, and in it the bot's Nostr key.
package bothome

import (
	"path/filepath"

	"github.com/marmotgo/marmot"
	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/store"
)

// Open opens or makes the home of a bot in a folder. The caller closes the
// store when the account is closed.
func Open(folder string) (*store.Store, marmot.Signer, error) {
	databaseKey, err := store.KeyFile(filepath.Join(folder, "database.key"))
	if err != nil {
		return nil, nil, err
	}
	db, err := store.Open(filepath.Join(folder, "bot.db"), databaseKey)
	if err != nil {
		return nil, nil, err
	}
	key, err := accountKey(db)
	if err != nil {
		_ = db.Close() // the first error is the one to report
		return nil, nil, err
	}
	return db, marmot.LocalSigner(key), nil
}

// accountKey keeps the bot's Nostr key in its encrypted database.
func accountKey(db *store.Store) (nostr.SecretKey, error) {
	b, err := db.Get("bot/key")
	if err != nil {
		return nostr.SecretKey{}, err
	}
	if len(b) == len(nostr.SecretKey{}) {
		return nostr.SecretKey(b), nil
	}
	key := nostr.GenerateSecretKey()
	return key, db.Write([]group.Record{{Key: "bot/key", Value: key[:], Secret: true}}, nil)
}
