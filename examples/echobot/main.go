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

	"github.com/marmotgo/marmot"
	"github.com/marmotgo/marmot/examples/internal/bothome"
	"github.com/marmotgo/marmot/group"
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
	db, signer, err := bothome.Open(folder)
	if err != nil {
		return err
	}
	defer db.Close()
	return echo(ctx, marmot.Config{Store: db, Signer: signer, Relays: relays})
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
