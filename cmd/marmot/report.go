package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// operatorView is what somebody who runs the relay could see, computed from
// what the relay stored.
type operatorView struct {
	Published map[string]int `json:"published"`    // events by account, in public
	Wraps     map[string]int `json:"gift_wraps"`   // sealed invitations by recipient
	Group     groupView      `json:"group"`        // of the group itself
	Other     int            `json:"other_events"` // 0
}

type groupView struct {
	Events   int   `json:"events"`
	Authors  int   `json:"authors"` // distinct keys: one for each event
	Routes   int   `json:"routes"`  // distinct h tags
	Smallest int   `json:"smallest_bytes"`
	Largest  int   `json:"largest_bytes"`
	First    int64 `json:"first"` // created_at
	Last     int64 `json:"last"`
}

// report prints the operator's view and the run's figures.
func (d *demo) report(ctx context.Context) error {
	events, err := d.stored(ctx)
	if err != nil {
		return err
	}
	names := map[nostr.PubKey]string{}
	for _, a := range []*actor{d.alice, d.bob, d.carol} {
		names[a.PubKey()] = a.name
	}
	view, err := look(events, names)
	if err != nil {
		return err
	}
	d.out.operator(view)
	size := 0
	for _, e := range events {
		size += len(e.AppendJSON(nil))
	}
	disk, err := diskUse(d.dir)
	if err != nil {
		return err
	}
	d.out.figures(figures{
		Events: len(events), Bytes: size, Epochs: d.alice.epoch(ctx), Disk: disk, Seconds: time.Since(d.started).Seconds(),
	})
	return nil
}

// look sorts the stored events as an operator would, and checks that the
// group's events name no member.
func look(events []*nostr.Event, names map[nostr.PubKey]string) (operatorView, error) {
	v := operatorView{Published: map[string]int{}, Wraps: map[string]int{}}
	authors, routes := map[nostr.PubKey]bool{}, map[string]bool{}
	var leaks []error
	for _, e := range events {
		switch {
		case e.Kind == wire.KindGroupEvent:
			leaks = append(leaks, leak(e, names))
			authors[e.PubKey] = true
			v.Group.add(e, routes)
		case e.Kind == nostr.KindGiftWrap:
			v.Wraps[recipient(e, names)]++
		case names[e.PubKey] != "":
			v.Published[names[e.PubKey]]++
		default:
			v.Other++
		}
	}
	v.Group.Authors, v.Group.Routes = len(authors), len(routes)
	if v.Group.Authors != v.Group.Events {
		leaks = append(leaks, fmt.Errorf("%d group events have only %d authors", v.Group.Events, v.Group.Authors))
	}
	return v, errors.Join(leaks...)
}

func recipient(e *nostr.Event, names map[nostr.PubKey]string) string {
	p, _ := e.Tags.Find("p")
	if len(p) > 1 {
		if key, err := nostr.ParsePubKey(p[1]); err == nil && names[key] != "" {
			return names[key]
		}
	}
	return "others"
}

func (g *groupView) add(e *nostr.Event, routes map[string]bool) {
	h, _ := e.Tags.Find("h")
	routes[strings.Join(h, ",")] = true
	size, at := len(e.AppendJSON(nil)), int64(e.CreatedAt)
	if g.Events == 0 {
		g.Smallest, g.First = size, at
	}
	g.Events++
	g.Smallest, g.Largest = min(g.Smallest, size), max(g.Largest, size)
	g.First, g.Last = min(g.First, at), max(g.Last, at)
}

// leak reports a group event that names a member: as author, in a tag or
// anywhere in its bytes, as hex or npub.
func leak(e *nostr.Event, names map[nostr.PubKey]string) error {
	raw := e.AppendJSON(nil)
	for key, name := range names {
		if bytes.Contains(raw, []byte(key.String())) || bytes.Contains(raw, []byte(key.Npub())) {
			return fmt.Errorf("a group event names %s", name)
		}
	}
	for _, tag := range e.Tags {
		if len(tag) != 2 || tag[0] != "h" && (tag[0] != "encoding" || tag[1] != "base64") { // the second is of v1
			return fmt.Errorf("a group event has the tag %q", tag)
		}
	}
	return nil
}

func diskUse(dir string) (total int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a journal that was folded in meanwhile
		}
		if err == nil {
			total += info.Size()
		}
		return err
	})
	return total, err
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
