package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/marmotgo/marmot"
	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/nostr/relayd"
	"github.com/spf13/cobra"
)

// demoTimeout is far above what the conversation takes: a demo that hangs
// fails instead.
const demoTimeout = time.Minute

func newDemoCommand(a *app) *cobra.Command {
	d := &demo{}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Play a whole conversation on this machine and check every step",
		Long: `Play a whole conversation on this machine: three people with nothing but Nostr
keys form a group over a relay, talk, go offline and come back, and lose the
right to read when they are removed. Every step is checked; the exit status is
not zero if any expectation fails. Then it shows what the relay's operator
could see.

The relay, the accounts and their encrypted databases are real, and made for
this run. Nothing leaves this machine unless --relay names another one.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), demoTimeout)
			defer cancel()
			if err := checkProtocol(d.protocol); err != nil {
				return err
			}
			d.json = a.json
			d.out = newPrinter(a.out, d.json)
			return d.run(ctx)
		},
	}
	cmd.Flags().StringVar(&d.dir, "dir", "", "keep the databases in this folder (default: a temporary one, deleted at the end)")
	cmd.Flags().StringVar(&d.protocol, "protocol", string(group.V2), "generation of the protocol that the group has: v2 or v1")
	cmd.Flags().StringVar(&d.relayURL, "relay", "", "use this relay (ws:// or wss://) instead of one of our own")
	return cmd
}

// demo is one run of the conversation.
type demo struct {
	json     bool
	dir      string
	relayURL string
	protocol string
	out      *printer

	// afterJoin is called, by tests, when both invitations were accepted.
	afterJoin func(*relayd.Running)

	relay             *relayd.Running // nil with --relay
	started           time.Time
	alice, bob, carol *actor
	known             map[nostr.ID]bool // events the relay had at some point
}

func (d *demo) run(ctx context.Context) (err error) {
	d.started = time.Now()
	if d.dir == "" {
		dir, err := os.MkdirTemp("", "marmot-demo-")
		if err != nil {
			return err
		}
		d.dir = dir
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	if err := d.startRelay(); err != nil {
		return err
	}
	if d.relay != nil {
		defer func() { err = errors.Join(err, d.relay.Close()) }()
	}
	for _, p := range []struct {
		name string
		to   **actor
	}{{"alice", &d.alice}, {"bob", &d.bob}, {"carol", &d.carol}} {
		a, err := d.newActor(ctx, p.name)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		*p.to = a
		defer func() { err = errors.Join(err, a.stop()) }()
	}
	if err := d.conversation(ctx); err != nil {
		return err
	}
	return d.report(ctx)
}

func (d *demo) startRelay() error {
	if d.relayURL != "" {
		d.out.line(entry{Who: "relay", What: "using " + d.relayURL})
		return nil
	}
	r, err := relayd.Start("127.0.0.1:0", relayd.Config{Name: "marmot demo"})
	if err != nil {
		return err
	}
	d.relay, d.relayURL = r, r.URL()
	d.out.line(entry{Who: "relay", What: "our own relay listens on " + d.relayURL})
	return nil
}

// act is one line of the script: who does what.
type act struct {
	who  *actor
	what string
	do   func(ctx context.Context) error
}

// conversation plays the script. Each act waits for what it promises.
func (d *demo) conversation(ctx context.Context) error {
	alice, bob, carol := d.alice, d.bob, d.carol
	everyone := []*actor{alice, bob, carol}
	script := []act{
		{alice, fmt.Sprintf("looks bob and carol up, and founds the group \"Burrow\" (protocol %s) with both", d.protocol), func(ctx context.Context) error {
			return alice.found(ctx, marmot.NewGroup{Protocol: group.Protocol(d.protocol), Name: "Burrow", Relays: []string{d.relayURL}}, bob, carol)
		}},
		{bob, "accepts the invitation", bob.accept},
		{carol, "accepts the invitation", carol.accept},
		{nil, "", func(context.Context) error { d.joined(); return nil }},
		{nil, "everyone settles on one state (both newcomers renewed their keys)", func(ctx context.Context) error {
			return settle(ctx, 3, everyone...)
		}},
		{alice, "says \"Hello, both of you!\"", func(ctx context.Context) error {
			return alice.say(ctx, "Hello, both of you!", bob, carol)
		}},
		{bob, "says \"Hi Alice. No phone number, no server: nice.\"", func(ctx context.Context) error {
			return bob.say(ctx, "Hi Alice. No phone number, no server: nice.", alice, carol)
		}},
		{carol, "replies to bob: \"And nobody to ask for permission.\"", func(ctx context.Context) error {
			return carol.reply(ctx, "And nobody to ask for permission.", alice, bob)
		}},
		{alice, "reacts to carol's message with 🎉", func(ctx context.Context) error {
			return alice.react(ctx, "🎉", bob, carol)
		}},
		{alice, "renames the group to \"Marmot burrow\"", func(ctx context.Context) error {
			return errors.Join(alice.group.SetProfile(ctx, "Marmot burrow", ""), settle(ctx, 0, everyone...), named("Marmot burrow", everyone...)(ctx))
		}},
		{alice, "makes bob an admin", func(ctx context.Context) error {
			return errors.Join(alice.group.Promote(ctx, bob.PubKey()), settle(ctx, 0, everyone...))
		}},
		{bob, "goes offline: the process stops, only the database stays", func(context.Context) error { return bob.stop() }},
		{alice, "says \"Bob, are you there?\"", func(ctx context.Context) error { return alice.say(ctx, "Bob, are you there?", carol) }},
		{carol, "says \"He will read it later.\"", func(ctx context.Context) error { return carol.say(ctx, "He will read it later.", alice) }},
		{bob, "comes back from disk and reads both, once each", func(ctx context.Context) error {
			return errors.Join(bob.start(ctx), bob.reads(ctx, "Bob, are you there?"), bob.reads(ctx, "He will read it later."))
		}},
		{carol, "suspects something and keeps a copy of all her keys", carol.keepKeys},
		{bob, "removes carol", func(ctx context.Context) error {
			return errors.Join(bob.group.Remove(ctx, carol.PubKey()), carol.waitRemoved(ctx), settle(ctx, 0, alice, bob))
		}},
		{nil, "", d.remember},
		{alice, "says \"Carol cannot read this.\"", func(ctx context.Context) error {
			return alice.say(ctx, "Carol cannot read this.", bob)
		}},
		{carol, "finds the new event at the relay; neither her client nor the kept keys open it", func(ctx context.Context) error {
			return d.cannotRead(ctx, "Carol cannot read this.")
		}},
		{nil, "every message was shown exactly once to everyone who was a member", d.checkMessages},
	}
	for _, a := range script {
		if err := d.play(ctx, a); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) joined() {
	if d.afterJoin != nil {
		d.afterJoin(d.relay)
	}
}

func (d *demo) play(ctx context.Context, a act) error {
	err := a.do(ctx)
	if a.what == "" {
		return err
	}
	who := "all"
	reader := d.alice
	if a.who != nil {
		who, reader = a.who.name, a.who
	}
	e := entry{Who: who, What: a.what, Epoch: reader.epoch(ctx), At: time.Since(d.started)}
	if err != nil {
		e.Failed = err.Error()
	}
	d.out.line(e)
	if err != nil {
		return fmt.Errorf("%s %s: %w", who, a.what, err)
	}
	return nil
}

// checkMessages compares what each person was shown with what was said while
// they were a member.
func (d *demo) checkMessages(context.Context) error {
	common := []string{
		"Hello, both of you!", "Hi Alice. No phone number, no server: nice.", "And nobody to ask for permission.", "🎉",
		"Bob, are you there?", "He will read it later.",
	}
	return errors.Join(
		d.alice.shows(append(common, "Carol cannot read this.")...),
		d.bob.shows(append(common, "Carol cannot read this.")...),
		d.carol.shows(common...),
	)
}
