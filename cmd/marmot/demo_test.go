package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/nostr/relayd"
	"github.com/marmotgo/marmot/wire"
)

func runDemo(t *testing.T, d *demo) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var out bytes.Buffer
	d.out = newPrinter(&out, d.json)
	if err := d.run(ctx); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	return out.String()
}

// TestDemo plays the demo in each protocol against a relay that runs already, and
// reads its JSON.
func TestDemo(t *testing.T) {
	for _, p := range []string{"v2", "v1"} {
		t.Run(p, func(t *testing.T) { testDemo(t, p) })
	}
}

func testDemo(t *testing.T, protocol string) {
	r, err := relayd.Start("127.0.0.1:0", relayd.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	started := time.Now()
	out := runDemo(t, &demo{protocol: protocol, json: true, relayURL: r.URL(), dir: t.TempDir()})
	if took := time.Since(started); took > 15*time.Second {
		t.Errorf("took %s", took)
	}
	lines, types := bufio.NewScanner(strings.NewReader(out)), map[string]int{}
	for lines.Scan() {
		var line struct {
			Type   string `json:"type"`
			Failed string `json:"failed"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		if line.Failed != "" {
			t.Errorf("%s", lines.Text())
		}
		types[line.Type]++
	}
	if types["operator"] != 1 || types["figures"] != 1 || types["transcript"] < 20 {
		t.Errorf("lines by type: %v", types)
	}
}

// TestDemoWithAFork forces both newcomers to renew their keys without seeing
// each other: the relay takes their commits and passes nothing on until both
// have applied their own.
func TestDemoWithAFork(t *testing.T) {
	d := &demo{protocol: "v2", dir: t.TempDir()}
	d.afterJoin = func(r *relayd.Running) {
		r.SetFaults(relayd.Faults{Drop: 1})
		for _, a := range []*actor{d.bob, d.carol} {
			for a.epoch(t.Context()) < 2 {
				time.Sleep(10 * time.Millisecond)
			}
		}
		r.SetFaults(relayd.Faults{})
		r.Disconnect()
	}
	runDemo(t, d)
	recovered := 0
	for _, a := range []*actor{d.bob, d.carol} {
		if err := a.start(t.Context()); err != nil {
			t.Fatal(err) // the relay is gone; the database tells all the same
		}
		updates, err := a.History(0, 10_000)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range updates {
			if u.Effect.Kind == group.EffectSuperseded {
				recovered++
			}
		}
		if err := a.stop(); err != nil {
			t.Fatal(err)
		}
	}
	if recovered == 0 {
		t.Error("no commit was superseded: there was no fork")
	}
}

// TestLookFindsLeaks shows that the operator's view is a check and not a
// phrase.
func TestLookFindsLeaks(t *testing.T) {
	alice := nostr.GenerateSecretKey()
	names := map[nostr.PubKey]string{alice.PubKey(): "alice"}
	event := func(edit func(*nostr.Event)) []*nostr.Event {
		e, err := wire.SealGroupEvent(wire.EventKey{}, [32]byte{}, nil, 1, 0)
		if err != nil {
			t.Fatal(err)
		}
		edit(e)
		return []*nostr.Event{e}
	}
	for name, edit := range map[string]func(*nostr.Event){
		"author":  func(e *nostr.Event) { e.PubKey = alice.PubKey() },
		"p tag":   func(e *nostr.Event) { e.Tags = append(e.Tags, nostr.Tag{"p", alice.PubKey().String()}) },
		"content": func(e *nostr.Event) { e.Content = "from " + alice.PubKey().Npub() },
	} {
		if _, err := look(event(edit), names); err == nil {
			t.Errorf("%s: not noticed", name)
		}
	}
	same := event(func(*nostr.Event) {})
	if _, err := look(append(same, same...), names); err == nil {
		t.Error("a key used twice: not noticed")
	}
	if _, err := look(same, names); err != nil {
		t.Error(err)
	}
}
