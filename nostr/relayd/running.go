package relayd

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

// Running is a [Server] that listens on an address.
type Running struct {
	*Server
	url  string
	http *http.Server
	done chan struct{}
}

// Start listens on addr and serves until Close. Without a host, as in ":0" for
// any free port, it listens on loopback only.
func Start(addr string, cfg Config) (*Running, error) {
	if strings.HasPrefix(addr, ":") {
		addr = "127.0.0.1" + addr
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("relayd: %w", err)
	}
	r := &Running{Server: New(cfg), url: "ws://" + l.Addr().String(), done: make(chan struct{})}
	r.http = &http.Server{Handler: r.Server, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10}
	go func() {
		defer close(r.done)
		r.http.Serve(l)
	}()
	return r, nil
}

// URL returns the relay's address, such as ws://127.0.0.1:43210.
func (r *Running) URL() string { return r.url }

// Close stops listening, then closes the [Server].
func (r *Running) Close() error {
	err := r.http.Close()
	<-r.done
	return errors.Join(err, r.Server.Close())
}
