// Command echobot joins every group it is invited to and says back what
// others say. Its state is in the folder given as argument.
//
//	go run ./examples/echobot ./bot wss://relay.example
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/marmotgo/marmot"
	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/store"
)

func main() {
	if len(os.Args) < 3 {
		log.Fatal("usage: echobot FOLDER RELAY…")
	}
	if err := run(context.Background(), os.Args[1], os.Args[2:]); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, folder string, relays []string) error {
	databaseKey, err := store.KeyFile(filepath.Join(folder, "database.key"))
	if err != nil {
		return err
	}
	db, err := store.Open(filepath.Join(folder, "bot.db"), databaseKey)
	if err != nil {
		return err
	}
	defer db.Close()
	key, err := accountKey(db)
	if err != nil {
		return err
	}
	return echo(ctx, marmot.Config{Store: db, Signer: marmot.LocalSigner(key), Relays: relays})
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

// echo is the bot.
func echo(ctx context.Context, cfg marmot.Config) error {
	cfg.Accept = func(group.Invitation) bool { return true }
	bot, err := marmot.Open(ctx, cfg)
	if err != nil {
		return err
	}
	defer bot.Close()
	fmt.Println("invite me:", bot.PubKey().Npub())
	for update, err := range bot.Updates(ctx, "echo") {
		if err != nil {
			return err
		}
		if m, ok := update.Message(); ok && !update.Effect.Own && update.Effect.Kind == group.EffectMessage {
			if err := bot.Reply(ctx, update, m.Content); err != nil {
				return err
			}
		}
		if err := bot.Ack("echo", update.Cursor); err != nil {
			return err
		}
	}
	return nil
}
