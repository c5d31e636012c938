package main

import (
	"errors"
	"net"
	"os/exec"
	"regexp"
	"strconv"
	"testing"

	"github.com/marmotgo/marmot/nostr/relayd"
	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets scripts run this binary as marmot.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"marmot": main})
}

// TestScripts runs the manual's examples: real processes and a relay on
// loopback. Each script has a relay at $RELAY, and the homes of alice, bob and
// carol are in folders of their own.
//
//	as alice                the verbs that follow are alice's
//	exits 4 marmot send …   the exit code
//	listening               waits until watch has the account
//	capture NAME regexp     sets $NAME to what the group in the regexp matched
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			r, err := relayd.Start("127.0.0.1:0", relayd.Config{})
			if err != nil {
				return err
			}
			e.Defer(func() { _ = r.Close() })
			e.Setenv("RELAY", r.URL())
			free, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			e.Setenv("PORT", strconv.Itoa(free.Addr().(*net.TCPAddr).Port)) // for a relay of the script's own
			if err := free.Close(); err != nil {
				return err
			}
			e.Setenv("MARMOT_HOME", e.WorkDir+"/alice")
			e.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent") // no keychain
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"as": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Setenv("MARMOT_HOME", ts.Getenv("WORK")+"/"+args[0])
			},
			"listening": func(ts *testscript.TestScript, _ bool, _ []string) { waitSocket(t, ts.Getenv("MARMOT_HOME")) },
			"exits":     scriptExits,
			"capture":   scriptCapture,
		},
	})
}

func scriptExits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func scriptCapture(ts *testscript.TestScript, _ bool, args []string) {
	m := regexp.MustCompile(args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if len(m) != 2 {
		ts.Fatalf("%s does not match", args[1])
	}
	ts.Setenv(args[0], m[1])
}
