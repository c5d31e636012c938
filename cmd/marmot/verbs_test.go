package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr/relayd"
)

// shell runs command lines on one home, as a person would.
type shell struct {
	t    *testing.T
	home string
}

type result struct {
	out, err string
	code     int
}

func (s shell) run(args ...string) result { return s.runWith("", args...) }

func (s shell) runWith(input string, args ...string) result {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 30*time.Second)
	defer cancel()
	var out, errs bytes.Buffer
	a := &app{in: strings.NewReader(input), out: &out, err: &errs}
	code := a.run(ctx, append([]string{"--home", s.home}, args...))
	return result{out.String(), errs.String(), code}
}

// ok runs a command line that must succeed.
func (s shell) ok(args ...string) string {
	s.t.Helper()
	r := s.run(args...)
	if r.code != exitDone {
		s.t.Fatalf("marmot %s: exit %d\n%s%s", strings.Join(args, " "), r.code, r.out, r.err)
	}
	return r.out
}

func (s shell) fails(code int, args ...string) {
	s.t.Helper()
	if r := s.run(args...); r.code != code || r.err == "" {
		s.t.Errorf("marmot %s: exit %d, want %d; says %q", strings.Join(args, " "), r.code, code, r.err)
	}
}

func (s shell) newAccount(relay string) string {
	s.t.Helper()
	var line accountLine
	if err := json.Unmarshal([]byte(s.ok("account", "create", "--relay", relay, "--json")), &line); err != nil {
		s.t.Fatal(err)
	}
	s.ok("keys", "publish")
	return line.Npub
}

// relayOf starts a relay that lives as long as the test.
func relayOf(t *testing.T) string {
	t.Helper()
	r, err := relayd.Start("127.0.0.1:0", relayd.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r.URL()
}

func TestVerbs(t *testing.T) {
	r, err := relayd.Start("127.0.0.1:0", relayd.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	alice, bob := shell{t, filepath.Join(t.TempDir(), "alice")}, shell{t, filepath.Join(t.TempDir(), "bob")}
	alice.fails(exitNotFound, "groups", "list") // no account yet
	aliceKey, bobKey := alice.newAccount(r.URL()), bob.newAccount(r.URL())
	alice.ok("keys", "check", bobKey)
	alice.fails(exitRefused, "keys", "check", "npub1sg6plzptd64u62a878hep2kev88swjh3tw00gjsfl8f237lmu63q0uf63m")
	alice.ok("groups", "create", "Burrow", bobKey)
	if list := bob.ok("invites", "list"); !strings.Contains(list, "Burrow") || !strings.Contains(list, aliceKey) {
		t.Errorf("invitations: %s", list)
	}
	bob.ok("invites", "accept", "burrow")
	alice.ok("send", "Burrow", "hello\x1b[2J\u202e")
	bob.fails(exitNotFound, "send", "Hole", "x")
	bob.fails(exitRefused, "groups", "rename", "Burrow", "Hole")
	bob.fails(exitUsage, "send", "Burrow")
	bob.fails(exitUsage, "send", "--nonsense")
	bob.ok("sync")
	messages := bob.ok("messages", "Burrow")
	if !strings.Contains(messages, "hello·[2J·") {
		t.Errorf("control characters reach the terminal: %q", messages)
	}
	id := strings.TrimSpace(alice.ok("send", "Burrow", "second"))
	bob.ok("sync")
	bob.ok("reply", "Burrow", id, "yes?")
	bob.ok("react", "Burrow", id, "+")
	alice.ok("edit", "Burrow", id, "second, corrected")
	alice.ok("delete", "Burrow", id)
	alice.ok("sync")
	if out := alice.ok("messages", "Burrow"); !strings.Contains(out, "yes?") || !strings.Contains(out, id[:8]+"  you: (deleted)\n") || strings.Contains(out, "second") {
		t.Errorf("alice reads %s", out)
	}
	alice.fails(exitNotFound, "search", "corrected")
	if out := bob.ok("search", "--group", "burrow", "YES"); !strings.Contains(out, "Burrow") || !strings.Contains(out, "yes?") {
		t.Errorf("bob finds %s", out)
	}
	if out := alice.ok("groups", "status", "Burrow"); !strings.Contains(out, "Burrow: Stable, Settled") || !strings.Contains(out, "→ "+group.NothingToDo) ||
		!strings.Contains(out, r.URL()+": answers") {
		t.Errorf("status: %s", out)
	}
	if out := bob.ok("doctor"); strings.Contains(out, "✗") || !strings.Contains(out, "you can be invited") {
		t.Errorf("doctor: %s", out)
	}
	trace := filepath.Join(t.TempDir(), "trace")
	alice.ok("groups", "promote", "Burrow", bobKey[:12], "--trace", trace)
	alice.fails(exitUsage, "sync", "--trace", trace)
	if out := alice.ok("replay", trace); !strings.Contains(out, "the same states") {
		t.Errorf("replay: %s", out)
	}
	alice.fails(exitError, "replay", os.Args[0])
	alice.ok("groups", "rename", "Burrow", "Marmots")
	second := relayOf(t)
	alice.ok("groups", "relays", "Marmots", "--add", second)
	alice.fails(exitNotFound, "groups", "relays", "Marmots", "--remove", "ws://127.0.0.1:1")
	if out := alice.ok("groups", "relays", "Marmots", "--remove", r.URL(), "--new-address"); !strings.HasPrefix(out, second+"\nstill read for now: "+r.URL()) {
		t.Errorf("relays: %s", out)
	}
	alice.ok("groups", "retention", "Marmots", "30d")
	alice.fails(exitRefused, "groups", "retention", "Marmots", "720h")
	alice.fails(exitUsage, "groups", "retention", "Marmots", "1ms")
	alice.ok("send", "Marmots", "from the new place")
	bob.ok("sync")
	if out := bob.ok("messages", "Marmots"); !strings.Contains(out, "from the new place") {
		t.Errorf("bob reads %s", out)
	}
	if out := bob.ok("groups", "retention", "Marmots"); !strings.Contains(out, "720h") {
		t.Errorf("bob sees %s", out)
	}
	alice.ok("groups", "remove", "Marmots", bobKey[:12])
	bob.ok("sync")
	if out := bob.ok("groups", "list"); !strings.Contains(out, "you were removed") {
		t.Errorf("bob sees %s", out)
	}
	bob.fails(exitRefused, "send", "Marmots", "still here?")
	alice.fails(exitUsage, "groups", "disband", "Marmots")
	alice.ok("groups", "disband", "Marmots", "--yes")
	if out := alice.ok("groups", "list"); !strings.Contains(out, "has ended") {
		t.Errorf("alice sees %s", out)
	}
	alice.fails(exitRefused, "send", "Marmots", "hello?")
}

// TestTwoProcesses watches in one process and sends from others: they hand
// their command lines to the owner of the account.
func TestTwoProcesses(t *testing.T) {
	r, err := relayd.Start("127.0.0.1:0", relayd.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	home, err := os.MkdirTemp("", "marmot") // a short path: sockets need one
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(home)
	alice := shell{t, home}
	alice.newAccount(r.URL())
	alice.ok("groups", "create", "Notes")

	ctx, stop := context.WithCancel(t.Context())
	var watched syncBuffer
	done := make(chan int, 1)
	go func() {
		a := &app{in: strings.NewReader(""), out: &watched, err: &watched}
		done <- a.run(ctx, []string{"--home", alice.home, "watch"})
	}()
	waitSocket(t, home)
	if got := alice.runWith("from a pipe\n", "send", "Notes", "-"); got.code != exitDone {
		t.Fatalf("exit %d: %s", got.code, got.err)
	}
	alice.fails(exitNotFound, "send", "Nothing", "x") // exit codes come through
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(watched.String(), "you: from a pipe"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("watch shows %q", watched.String())
		}
	}
	stop()
	if code := <-done; code != exitDone {
		t.Errorf("watch ends with %d: %s", code, watched.String())
	}
}

// waitSocket waits until watch listens, and looks at the socket's mode.
func waitSocket(t *testing.T, home string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		found, err := filepath.Glob(filepath.Join(home, "*.sock"))
		if err != nil {
			t.Fatal(err)
		}
		if len(found) == 0 {
			continue
		}
		info, err := os.Stat(found[0])
		if err == nil && info.Mode().Perm() == 0o600 {
			return
		}
	}
	t.Fatal("watch never listened on a socket of mode 0600")
}

// TestImport takes a key from standard input and never from an argument.
func TestImport(t *testing.T) {
	s := shell{t, t.TempDir()}
	const nsec = "nsec1vl029mgpspedva04g90vltkh6fvh240zqtv9k0t9af8935ke9laqsnlfe5"
	const npub = "npub10elfcs4fr0l0r8af98jlmgdh9c8tcxjvz9qkw038js35mp4dma8qzvjptg"
	r := s.runWith(nsec+"\n", "account", "import", "--relay", "ws://127.0.0.1:1")
	if r.code != exitDone || !strings.Contains(r.out, npub) || strings.Contains(r.out+r.err, nsec) {
		t.Errorf("exit %d: %s%s", r.code, r.out, r.err)
	}
	if r := s.runWith("not a key\n", "account", "import"); r.code != exitUsage {
		t.Errorf("exit %d: %s", r.code, r.err)
	}
	s.fails(exitUsage, "account", "import", nsec)
	if r := s.runWith(nsec+"\n", "account", "import"); r.code == exitDone {
		t.Error("an account was imported twice")
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
