//go:build interop

// Package interop tests our code against other implementations. See README.md;
// it is run by the script beside it.
package interop

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"testing"
)

// peer is another implementation behind a driver that speaks JSON lines.
type peer struct {
	t   *testing.T
	in  io.WriteCloser
	out *bufio.Reader
}

// startPeer starts a driver; it ends with the test.
func startPeer(t *testing.T, driver string, arguments ...string) *peer {
	t.Helper()
	// Node 20 has its WebSocket behind this flag, later ones without it.
	flags := []string{"--experimental-websocket", "--no-warnings", driver}
	cmd := exec.Command("node", append(flags, arguments...)...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	return &peer{t: t, in: in, out: bufio.NewReader(out)}
}

// args are the arguments of one request.
type args map[string]any

// try sends a request and returns the peer's error, "" for none. The result is
// decoded into result unless that is nil.
func (p *peer) try(op string, a args, result any) string {
	p.t.Helper()
	request := args{"op": op}
	for k, v := range a {
		request[k] = v
	}
	line, err := json.Marshal(request)
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := p.in.Write(append(line, '\n')); err != nil {
		p.t.Fatal(err)
	}
	line, err = p.out.ReadBytes('\n')
	if err != nil {
		p.t.Fatalf("%s: the peer ended: %v", op, err)
	}
	var answer struct {
		Result json.RawMessage
		Error  string
	}
	if err := json.Unmarshal(line, &answer); err != nil {
		p.t.Fatalf("%s: %s: %v", op, line, err)
	}
	if answer.Error == "" && result != nil {
		if err := json.Unmarshal(answer.Result, result); err != nil {
			p.t.Fatalf("%s: %s: %v", op, line, err)
		}
	}
	return answer.Error
}

// call is try for what must succeed.
func (p *peer) call(op string, a args, result any) {
	p.t.Helper()
	if e := p.try(op, a, result); e != "" {
		p.t.Fatalf("%s: the peer says: %s", op, e)
	}
}
