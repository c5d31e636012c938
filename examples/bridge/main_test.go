package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/marmotgo/marmot/examples/internal/bottest"
	"github.com/marmotgo/marmot/nostr/relayd"
)

// TestBridge talks through the bridge in both directions.
func TestBridge(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := relayd.Start("127.0.0.1:0", relayd.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	bridgeCtx, stop := context.WithCancel(ctx)
	go func() { done <- run(bridgeCtx, t.TempDir(), r.URL(), newLines(l)) }()
	alice, err := bottest.NewPerson(ctx, r.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer alice.Close()
	g, err := alice.Found(ctx, r.URL())
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := g.Send(ctx, "hello\nout there\x1b[2J"); err != nil {
		t.Fatal(err)
	}
	heard := bufio.NewScanner(c)
	want := fmt.Sprintf("%.12s: hello·out there·[2J", alice.PubKey().Npub())
	if !heard.Scan() || heard.Text() != want {
		t.Fatalf("the other side hears %q, want %q (%v)", heard.Text(), want, heard.Err())
	}
	if _, err := fmt.Fprintln(c, "hello in there"); err != nil {
		t.Fatal(err)
	}
	if _, err := alice.Hears(ctx, func(s string) bool { return s == "somebody: hello in there" }); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
