// Command commandbot does what people on a list ask for, and nothing for
// others: it joins only groups that one of them invites it to, and answers
// only their commands.
//
//	go run ./examples/commandbot ./bot wss://relay.example npub1… npub1…
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/marmotgo/marmot"
	"github.com/marmotgo/marmot/examples/internal/bothome"
	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/timeline"
	"github.com/marmotgo/marmot/wire"
)

func main() {
	if len(os.Args) < 4 {
		log.Fatal("usage: commandbot FOLDER RELAY NPUB…")
	}
	var allowed []nostr.PubKey
	for _, name := range os.Args[3:] {
		key, err := nostr.ParsePerson(name)
		if err != nil {
			log.Fatal(err)
		}
		allowed = append(allowed, key)
	}
	if err := run(context.Background(), os.Args[1], os.Args[2], allowed); err != nil {
		log.Fatal(err)
	}
}

// bot is an account and whom it listens to.
type bot struct {
	*marmot.Account
	allowed []nostr.PubKey
}

func run(ctx context.Context, folder, relay string, allowed []nostr.PubKey) error {
	db, signer, err := bothome.Open(folder)
	if err != nil {
		return err
	}
	defer db.Close()
	b := &bot{allowed: allowed}
	b.Account, err = marmot.Open(ctx, marmot.Config{
		Store: db, Signer: signer, Relays: []string{relay},
		Accept: func(i group.Invitation) bool { return slices.Contains(allowed, i.Inviter) },
	})
	if err != nil {
		return err
	}
	defer b.Close()
	fmt.Println("invite me:", b.PubKey().Npub())
	return b.listen(ctx)
}

// listen acknowledges a command when it was carried out: after a crash it may
// be carried out twice, and never not at all.
func (b *bot) listen(ctx context.Context) error {
	for u, err := range b.Updates(ctx, "commands") {
		if err != nil {
			return err
		}
		if answer := b.answer(ctx, u); answer != "" {
			if err := b.Reply(ctx, u, answer); err != nil {
				log.Print("not answered: ", err) // removed meanwhile, for example
			}
		}
		if err := b.Ack("commands", u.Cursor); err != nil {
			return err
		}
	}
	return nil
}

// answer carries a command out; empty when there is nothing to say. The sender
// is the one that MLS authenticated, never one that a text names.
func (b *bot) answer(ctx context.Context, u marmot.Update) string {
	m, ok := u.Message()
	if !ok || u.Effect.Kind != group.EffectMessage || u.Effect.Own || m.Kind != wire.KindChat || !slices.Contains(b.allowed, u.Effect.Actor) {
		return ""
	}
	command, rest, _ := strings.Cut(m.Content, " ")
	switch command {
	case "!ping":
		return "pong"
	case "!time":
		return time.Now().UTC().Format(time.RFC3339)
	case "!members":
		return b.members(ctx, u.Group)
	case "!find":
		return b.find(ctx, u.Group, rest)
	case "!help":
		return "!ping, !time, !members, !find WORDS"
	}
	return ""
}

func (b *bot) members(ctx context.Context, id string) string {
	g, err := b.Group(ctx, id)
	if err != nil {
		return "I am not in this group any more."
	}
	s, err := g.Status(ctx)
	if err != nil {
		return "I cannot say at the moment."
	}
	return fmt.Sprintf("%d members", len(s.Members))
}

// find searches what was said in this group, and only there: others may be in
// groups that the members of this one are not in.
func (b *bot) find(ctx context.Context, id, words string) string {
	for m, err := range b.Timeline(ctx, timeline.Query{Group: id, Search: words, Newest: true}) {
		if err != nil {
			return "I cannot say at the moment."
		}
		if !strings.HasPrefix(m.Text, "!") {
			return fmt.Sprintf("%s: %s", time.Unix(int64(m.CreatedAt), 0).UTC().Format(time.DateOnly), m.Text)
		}
	}
	return "Nobody said that."
}
