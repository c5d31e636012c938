package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/marmotgo/marmot"
	"github.com/marmotgo/marmot/nostr"
)

// maxHandedOver bounds what is read from another process: a command line and
// the standard input of send.
const maxHandedOver = 1 << 20

// handOverRequest is a command line for the process that owns the account.
type handOverRequest struct {
	Args  []string `json:"args"`
	Input string   `json:"input,omitempty"`
}

// handOverFrame is a piece of its answer.
type handOverFrame struct {
	Out  string `json:"out,omitempty"`
	Err  string `json:"err,omitempty"`
	Exit *int   `json:"exit,omitempty"`
}

// socketPath stands in the home and not in the account's folder: most systems
// allow about a hundred bytes.
func (a *app) socketPath(key nostr.PubKey) (string, error) {
	home, err := a.homeDir()
	return filepath.Join(home, key.String()[:12]+".sock"), err
}

// handOver lets the owner of the account run this command line. It returns an
// error when nobody listens.
func (a *app) handOver(ctx context.Context, key nostr.PubKey) (int, error) {
	path, err := a.socketPath(key)
	if err != nil {
		return 0, err
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	r := handOverRequest{Args: a.args}
	if slices.Contains(a.args, "-") {
		b, err := io.ReadAll(io.LimitReader(a.in, maxHandedOver/2))
		if err != nil {
			return 0, err
		}
		r.Input = string(b)
	}
	if err := json.NewEncoder(conn).Encode(r); err != nil {
		return 0, err
	}
	a.startProgress("waiting for the process that has this account")
	defer a.progress.stop()
	frames := json.NewDecoder(conn)
	for {
		var f handOverFrame
		if err := frames.Decode(&f); err != nil {
			return exitError, nil // it had begun: running it again could do it twice
		}
		a.progress.hide()
		fmt.Fprint(a.out, f.Out)
		fmt.Fprint(a.err, f.Err)
		if f.Exit != nil {
			return *f.Exit, nil
		}
	}
}

// serveOthers runs the command lines of other processes of this user on the
// open account.
func (a *app) serveOthers(ctx context.Context, key nostr.PubKey, account *marmot.Account) (stop func(), err error) {
	path, err := a.socketPath(key)
	if err != nil {
		return nil, err
	}
	_ = os.Remove(path) // the database is ours, so nobody listens there
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("local socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { a.serve(ctx, conn, account) })
		}
	})
	return func() {
		cancel()
		_ = l.Close()
		wg.Wait()
	}, nil
}

func (a *app) serve(ctx context.Context, conn net.Conn, account *marmot.Account) {
	defer conn.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	reader := bufio.NewReader(conn)
	var r handOverRequest
	if err := json.NewDecoder(io.LimitReader(reader, maxHandedOver)).Decode(&r); err != nil {
		return
	}
	go func() { // the other process went away: so does its verb
		_, _ = io.Copy(io.Discard, reader)
		cancel()
	}()
	w := &frameWriter{enc: json.NewEncoder(conn)}
	sub := &app{in: strings.NewReader(r.Input), out: w.stream(false), err: w.stream(true), home: a.home, shared: account}
	code := sub.run(ctx, r.Args)
	w.send(handOverFrame{Exit: &code})
}

// frameWriter sends output as frames, one writer at a time.
type frameWriter struct {
	mu  sync.Mutex
	enc *json.Encoder
}

func (w *frameWriter) send(f handOverFrame) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = w.enc.Encode(f) // the other side is gone; its verb is cancelled
}

func (w *frameWriter) stream(isErr bool) io.Writer { return frameStream{w, isErr} }

type frameStream struct {
	w     *frameWriter
	isErr bool
}

func (s frameStream) Write(b []byte) (int, error) {
	f := handOverFrame{Out: string(b)}
	if s.isErr {
		f = handOverFrame{Err: string(b)}
	}
	s.w.send(f)
	return len(b), nil
}
