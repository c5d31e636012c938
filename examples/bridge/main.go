// Command bridge is the skeleton of a bridge between a Marmot group and
// something else. The something else is here whoever connects to a TCP port
// and speaks in lines (try nc); put another Side in its place.
//
// What crosses a bridge leaves the group's encryption: everybody in the group
// should know that it is there.
//
//	go run ./examples/bridge ./bridge wss://relay.example 127.0.0.1:7000
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"sync"

	"github.com/marmotgo/marmot"
	"github.com/marmotgo/marmot/examples/internal/bothome"
	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/wire"
)

// Side is what a group is bridged to.
type Side interface {
	// Say delivers a message from the group. When it returns an error the
	// message is delivered again later.
	Say(ctx context.Context, from, text string) error
	// Listen calls heard for everything that is said there, until ctx ends.
	Listen(ctx context.Context, heard func(from, text string) error) error
}

func main() {
	if len(os.Args) != 4 {
		log.Fatal("usage: bridge FOLDER RELAY ADDRESS")
	}
	l, err := net.Listen("tcp", os.Args[3])
	if err != nil {
		log.Fatal(err)
	}
	if err := run(context.Background(), os.Args[1], os.Args[2], newLines(l)); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, folder, relay string, side Side) error {
	db, signer, err := bothome.Open(folder)
	if err != nil {
		return err
	}
	defer db.Close()
	account, err := marmot.Open(ctx, marmot.Config{
		Store: db, Signer: signer, Relays: []string{relay},
		Accept: func(group.Invitation) bool { return true },
	})
	if err != nil {
		return err
	}
	defer account.Close()
	fmt.Println("invite me:", account.PubKey().Npub())

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	var in, out error
	wg.Go(func() { defer cancel(); in = inward(ctx, account, side) })
	wg.Go(func() { defer cancel(); out = outward(ctx, account, side) })
	wg.Wait()
	return errors.Join(in, out)
}

// outward carries what members say. What was not delivered is not
// acknowledged, so it comes again after a restart.
func outward(ctx context.Context, account *marmot.Account, side Side) error {
	for u, err := range account.Updates(ctx, "bridge") {
		if err != nil {
			return err
		}
		if text := spoken(u); text != "" {
			if err := side.Say(ctx, u.Effect.Actor.Npub()[:12], text); err != nil {
				return err
			}
		}
		if err := account.Ack("bridge", u.Cursor); err != nil {
			return err
		}
	}
	return nil
}

// spoken is what the other side is told of an update; empty for nothing. What
// the bridge said itself does not go back.
func spoken(u marmot.Update) string {
	m, ok := u.Message()
	if !ok || u.Effect.Own || u.Effect.Kind == group.EffectInvalidated {
		return ""
	}
	target, _ := m.Tags.Find("e")
	switch m.Kind {
	case wire.KindChat:
		return m.Content
	case wire.KindEdit:
		return fmt.Sprintf("(edits %.8s) %s", target.Value(), m.Content)
	case wire.KindReaction:
		return fmt.Sprintf("(reacts %s to %.8s)", m.Content, target.Value())
	case wire.KindDelete:
		return fmt.Sprintf("(deletes %.8s)", target.Value())
	}
	return ""
}

// inward carries what is said on the other side into every group of the
// account. Send returns when it is stored: it is published even if the bridge
// stops now.
func inward(ctx context.Context, account *marmot.Account, side Side) error {
	return side.Listen(ctx, func(from, text string) error {
		groups, err := account.Groups(ctx)
		if err != nil {
			return err
		}
		for _, g := range groups {
			if _, err := g.Send(ctx, from+": "+text); err != nil {
				log.Print("not said: ", err) // removed from this one, for example
			}
		}
		return nil
	})
}
