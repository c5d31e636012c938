package main

import (
	"context"
	"testing"
	"time"

	"github.com/marmotgo/marmot/examples/internal/bottest"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/nostr/relayd"
)

// TestCommands lets somebody on the list and somebody else command the bot.
func TestCommands(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := relayd.Start("127.0.0.1:0", relayd.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	alice, err := bottest.NewPerson(ctx, r.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer alice.Close()
	mallory, err := bottest.NewPerson(ctx, r.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer mallory.Close()
	done := make(chan error, 1)
	botCtx, stop := context.WithCancel(ctx)
	go func() { done <- run(botCtx, t.TempDir(), r.URL(), []nostr.PubKey{alice.PubKey()}) }()

	g, err := alice.Found(ctx, r.URL(), mallory)
	if err != nil {
		t.Fatal(err)
	}
	invitations, err := mallory.Invitations(ctx)
	for err == nil && len(invitations) == 0 && ctx.Err() == nil {
		time.Sleep(20 * time.Millisecond)
		invitations, err = mallory.Invitations(ctx)
	}
	if err != nil || len(invitations) != 1 {
		t.Fatal(invitations, err)
	}
	hers, err := mallory.Accept(ctx, invitations[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := hers.Send(ctx, "!ping from somebody else"); err != nil {
		t.Fatal(err)
	}
	if _, err := alice.Hears(ctx, func(s string) bool { return s == "!ping from somebody else" }); err != nil {
		t.Fatal(err)
	}
	any := func(string) bool { return true }
	for _, c := range []struct{ say, want string }{
		{"!members", "3 members"}, // and no answer to mallory before it
		{"!find nothing of it", "Nobody said that."},
		{"!help", "!ping, !time, !members, !find WORDS"},
	} {
		if _, err := g.Send(ctx, c.say); err != nil {
			t.Fatal(err)
		}
		if got, err := alice.Hears(ctx, any); err != nil || got != c.want {
			t.Fatalf("%s: the bot says %q, %v", c.say, got, err)
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
