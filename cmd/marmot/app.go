package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/marmotgo/marmot"
	"github.com/spf13/cobra"
)

// app is one invocation: where it reads and writes, and the flags that all
// verbs share.
type app struct {
	in             io.Reader
	out, err       io.Writer
	json           bool
	account        string
	home           string
	timeout        time.Duration
	passphraseFile string // holds the passphrase of the database; empty: ask
	trace          string // file for a trace of branch decisions; empty for none

	quiet    bool      // for shell completions: nothing but names
	busy     bool      // the verb works towards an outcome, which a person waits for
	progress *progress // nil unless something is being waited for

	args []string // as given, to hand over to the process that owns the account
	// shared is the open account when this invocation runs in the process that
	// owns it already.
	shared *marmot.Account
}

func newApp() *app {
	return &app{in: os.Stdin, out: os.Stdout, err: os.Stderr, args: os.Args[1:]}
}

// run executes the command line and returns the exit code.
func (a *app) run(ctx context.Context, args []string) int {
	a.args = args
	root := a.command()
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	err := root.ExecuteContext(ctx)
	var relayed exitCode
	if err != nil && !errors.As(err, &relayed) {
		fmt.Fprintln(a.err, "marmot:", clean(err.Error()))
	}
	return codeOf(err)
}

func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use:           "marmot",
		Short:         "End-to-end encrypted group messaging over Nostr relays",
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       versionText(),
	}
	flags := root.PersistentFlags()
	flags.BoolVar(&a.json, "json", false, "print one JSON object a line")
	flags.StringVar(&a.account, "account", "", "account to use: npub, or the beginning of one (default: see account use)")
	flags.StringVar(&a.home, "home", "", "folder with all accounts (default: $MARMOT_HOME, else the platform's data folder)")
	flags.DurationVar(&a.timeout, "timeout", 30*time.Second, "how long to wait for an outcome")
	flags.StringVar(&a.passphraseFile, "passphrase-file", "", "file with the passphrase of the database, if it is under one (default: ask)")
	flags.StringVar(&a.trace, "trace", "", "write a trace of branch decisions to this new file: no keys, texts or identities (see replay)")
	root.AddCommand(
		newDemoCommand(a), a.accountCommand(), a.profileCommand(), a.relaysCommand(), a.keysCommand(), a.groupsCommand(), a.invitesCommand(),
		a.sendCommand(), a.replyCommand(), a.reactCommand(), a.editCommand(), a.deleteCommand(), a.messagesCommand(), a.searchCommand(), a.watchCommand(), a.syncCommand(),
		a.relayCommand(), a.storeCommand(), a.doctorCommand(), a.replayCommand(), a.manCommand(),
	)
	a.addCompletions(root)
	usageErrors(root)
	return root
}

// usageErrors gives every command's flag and argument errors the usage code.
func usageErrors(c *cobra.Command) {
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage(err) })
	if check := c.Args; check != nil {
		c.Args = func(cmd *cobra.Command, args []string) error { return usage(check(cmd, args)) }
	}
	for _, sub := range c.Commands() {
		usageErrors(sub)
	}
}

// print writes v as a JSON line, or text for a person. What comes from others
// is cleaned of control characters.
func (a *app) print(v any, format string, args ...any) {
	a.progress.hide()
	if a.json {
		b, err := json.Marshal(v)
		if err != nil {
			panic("marmot: output does not encode: " + err.Error()) // our bug
		}
		fmt.Fprintf(a.out, "%s\n", b)
		return
	}
	fmt.Fprintln(a.out, clean(fmt.Sprintf(format, args...)))
}

// verb is a command that works on the open account, within the timeout.
func (a *app) verb(use, short string, args cobra.PositionalArgs, run func(ctx context.Context, s *session, args []string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: args,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.within(cmd.Context(), func(ctx context.Context, s *session) error { return run(ctx, s, args) })
		},
	}
}

// within runs f on the open account, within the timeout.
func (a *app) within(ctx context.Context, f func(ctx context.Context, s *session) error) error {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	a.busy = true
	return a.withAccount(ctx, false, func(ctx context.Context, s *session) error {
		a.startProgress("waiting for relays")
		defer a.progress.stop()
		return f(ctx, s)
	})
}
