package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/nostr/relayd"
	"github.com/marmotgo/marmot/nostr/relayd/disk"
	"github.com/marmotgo/marmot/nostr/relayd/metrics"
	"github.com/spf13/cobra"
)

// fileRelay is in the home: the events of the relay of one's own.
const fileRelay = "relay.db"

// relayFlags are the flags of relay serve.
type relayFlags struct {
	listen, store, metrics, full string
	megabytes                    int64
	cfg                          relayd.Config
}

func (a *app) relayCommand() *cobra.Command {
	c := &cobra.Command{Use: "relay", Short: "A relay of your own"}
	f := &relayFlags{cfg: relayd.Config{Name: "marmot relay"}}
	serve := &cobra.Command{
		Use: "serve", Short: "Run a Nostr relay for a laptop, a LAN or a small server, until it is interrupted", Args: cobra.NoArgs,
		Long: `Run a Nostr relay until it is interrupted (SIGINT or SIGTERM).

Events are kept in a file of the home, so that a restart loses nothing: an event
is on disk before the relay acknowledges it. The file is not encrypted: a relay
holds what others may read anyway, and messages of Marmot groups are encrypted
before they come here. Without TLS of its own: for the open Internet put it
behind a proxy that has it, with --url and --behind-proxy.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.serveRelay(cmd.Context(), f) },
	}
	flags := serve.Flags()
	flags.StringVar(&f.listen, "listen", "127.0.0.1:7777", "address to listen on; a host of 0.0.0.0 is all networks")
	flags.StringVar(&f.store, "store", "", `file for the events, or "memory" (default: relay.db in the home)`)
	flags.StringVar(&f.metrics, "metrics", "", "address for Prometheus metrics at /metrics (default: none)")
	flags.StringVar(&f.cfg.URL, "url", "", "public address, such as wss://relay.example.com (default: as the client called it)")
	flags.StringVar(&f.cfg.Name, "name", f.cfg.Name, "name that clients show")
	flags.StringVar(&f.cfg.Description, "description", "", "text that clients show")
	flags.BoolVar(&f.cfg.RequireAuth, "require-auth", false, "clients have to log in with a key (NIP-42)")
	flags.BoolVar(&f.cfg.BehindProxy, "behind-proxy", false, "take clients' addresses from X-Forwarded-For: only when nobody reaches the relay but through the proxy")
	flags.IntVar(&f.cfg.MaxEvents, "max-events", 1_000_000, "events kept")
	flags.Int64Var(&f.megabytes, "max-size", 1024, "MiB of events kept")
	flags.StringVar(&f.full, "when-full", "refuse", "refuse new events, or drop the oldest: refuse or oldest")
	flags.IntVar(&f.cfg.MaxConns, "max-connections", 1000, "clients at once")
	flags.IntVar(&f.cfg.MaxConnsPerAddress, "max-connections-per-address", 100, "clients at once from one address; 0 for no limit")
	flags.Float64Var(&f.cfg.ConnRate, "rate", 200, "messages a second of one connection; 0 for no limit")
	flags.Float64Var(&f.cfg.AddressRate, "address-rate", 1000, "messages a second of one address; 0 for no limit")
	c.AddCommand(serve)
	return c
}

// check completes the configuration from the flags.
func (f *relayFlags) check() error {
	f.cfg.DropOldest = f.full == "oldest"
	f.cfg.MaxBytes = f.megabytes << 20
	switch {
	case f.full != "refuse" && f.full != "oldest":
		return usage(fmt.Errorf("--when-full is refuse or oldest, not %q", f.full))
	case f.megabytes <= 0 || f.megabytes > 1<<30 || f.cfg.MaxEvents <= 0 || f.cfg.MaxConns <= 0:
		return usage(errors.New("--max-size, --max-events and --max-connections are above 0"))
	case f.cfg.MaxConnsPerAddress < 0 || !(f.cfg.ConnRate >= 0 && f.cfg.AddressRate >= 0):
		return usage(errors.New("a rate or limit is 0 or more"))
	case f.cfg.URL != "" && nostr.CheckRelayURL(f.cfg.URL) != nil:
		return usage(fmt.Errorf("--url %q is not a relay's address", f.cfg.URL))
	}
	return nil
}

// relayLine says where the relay is to be found.
type relayLine struct {
	Type    string `json:"type"` // relay
	URL     string `json:"url"`
	Store   string `json:"store"` // a file, or memory
	Metrics string `json:"metrics,omitempty"`
}

// stoppedLine ends the output of relay serve.
type stoppedLine struct {
	Type   string `json:"type"`   // relay_stopped
	Events int    `json:"events"` // stored
}

func (a *app) serveRelay(ctx context.Context, f *relayFlags) (err error) {
	if err := f.check(); err != nil {
		return err
	}
	cfg := f.cfg
	cfg.Log = slog.New(slog.NewTextHandler(a.err, nil))
	line := relayLine{Type: "relay", Store: "memory"}
	if f.store != "memory" {
		db, path, err := a.openRelayStore(f.store)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, db.Close()) }()
		cfg.Store, line.Store = db, path
	}
	r, err := relayd.Start(f.listen, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	line.URL = r.URL()
	if f.metrics != "" {
		stop, url, err := serveMetrics(f.metrics, r.Server)
		if err != nil {
			return err
		}
		defer stop()
		line.Metrics = url
	}
	a.print(line, "listening on %s, events in %s", line.URL, line.Store)
	<-ctx.Done()
	if err := r.Close(); err != nil {
		return err
	}
	events := r.Stats().Events
	a.print(stoppedLine{"relay_stopped", events}, "stopped; %d events are kept", events)
	return nil
}

func (a *app) openRelayStore(path string) (*disk.Store, string, error) {
	if path == "" {
		home, err := a.homeDir()
		if err != nil {
			return nil, "", err
		}
		path = filepath.Join(home, fileRelay)
	}
	db, err := disk.Open(path)
	if errors.Is(err, disk.ErrInUse) {
		err = fmt.Errorf("%w: %s: stop the other relay, or give this one a --store of its own", err, path)
	}
	return db, path, err
}

// serveMetrics listens on an address of its own, so that what is for the operator
// is not for every client.
func serveMetrics(addr string, s *relayd.Server) (stop func(), url string, err error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, "", fmt.Errorf("metrics: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics.Handler(s))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l) // ends with stop
	}()
	return func() { _ = server.Close(); <-done }, "http://" + l.Addr().String() + "/metrics", nil
}
