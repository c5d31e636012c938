package main

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/marmotgo/marmot"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/nostr/relayd"
	"github.com/marmotgo/marmot/store"
)

// TestEcho invites the bot as its program runs it, and talks to it.
func TestEcho(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	r, err := relayd.Start("127.0.0.1:0", relayd.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	folder := t.TempDir()
	done := make(chan error, 1)
	botCtx, stop := context.WithCancel(ctx)
	go func() { done <- run(botCtx, folder, []string{r.URL()}) }()

	db, err := store.Open(filepath.Join(t.TempDir(), "a.db"), store.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	alice, err := marmot.Open(ctx, marmot.Config{
		Store: db, Signer: marmot.LocalSigner(nostr.GenerateSecretKey()), Relays: []string{r.URL()},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer alice.Close()
	bot := waitForKeyPackage(ctx, t, r, alice)
	g, err := alice.CreateGroup(ctx, marmot.NewGroup{Name: "Echo", Invite: []marmot.Contact{bot}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Send(ctx, "anybody there?"); err != nil {
		t.Fatal(err)
	}
	for u, err := range alice.Updates(ctx, "test") {
		if err != nil {
			t.Fatal(err)
		}
		if m, ok := u.Message(); ok && !u.Effect.Own {
			if m.Content != "anybody there?" || m.PubKey != bot.PubKey {
				t.Errorf("the bot says %q", m.Content)
			}
			break
		}
	}
	if ctx.Err() != nil {
		t.Error("the bot never answered")
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// waitForKeyPackage finds the bot by what it published.
func waitForKeyPackage(ctx context.Context, t *testing.T, r *relayd.Running, alice *marmot.Account) marmot.Contact {
	t.Helper()
	for ctx.Err() == nil {
		for _, e := range r.Events() {
			if e.PubKey == alice.PubKey() {
				continue
			}
			if c, err := alice.Lookup(ctx, e.PubKey); err == nil {
				return c
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("the bot never published a key package")
	return marmot.Contact{}
}
