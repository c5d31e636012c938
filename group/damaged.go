package group

import (
	"encoding/json"
	"fmt"
	"time"
)

// Damaged returns what can be shown of a group whose records [Load] refused
// with why: an Unrecoverable copy that does nothing. No branch is guessed, and
// nothing is written over the records, so restoring them repairs the group;
// so does a new invitation. The Output tells the application.
func Damaged(now time.Time, cfg Config, records []Record, why error) (*Group, Output) {
	g := newGroup(cfg, v2{})
	g.damaged = true
	for _, r := range records {
		if r.Key == keyMeta {
			_ = json.Unmarshal(r.Value, &g.meta) // what is unreadable stays empty
			if gen := generations[g.meta.Protocol]; gen != nil {
				g.gen = gen
			}
		}
	}
	g.id = g.meta.ID
	last := g.meta.Last
	if last == nil {
		last = lastReadable(g, records)
	}
	g.meta = meta{Version: recordVersion, ID: g.id, Last: last, Cause: "what is stored of this group is incomplete or damaged"}
	g.tip = last.node(g.meta.Tip)
	g.nodes[g.tip.id] = g.tip
	s := g.begin(now)
	s.cross(Stopped)
	s.effect(Effect{Kind: EffectHelp, Epoch: g.tip.epoch, Text: fmt.Sprintf("%s (%s)", g.meta.Cause, why)})
	return g, s.out
}

// lastReadable describes the newest state that can still be read, for a person
// to recognize the group by. Nothing is decided with it.
func lastReadable(g *Group, records []Record) *lastSeen {
	l := &loader{g: newGroup(g.cfg, g.gen), nodes: map[stateID]*storedNode{}, secrets: map[string][]byte{}, ratchets: map[string][]byte{}}
	for _, r := range records {
		_ = l.record(r)
	}
	l.g.id = g.id
	clear(l.secrets)
	clear(l.ratchets)
	best := &lastSeen{}
	for _, id := range l.order() {
		stored := l.nodes[id]
		stored.Erased = true // without its secrets it can still be read
		if l.restore(id, stored) != nil || stored.State == nil {
			continue
		}
		if n := l.g.nodes[id]; id == g.meta.Tip || (n.epoch >= best.Epoch && !n.private()) {
			best = newLastSeen(n)
		}
		if id == g.meta.Tip {
			break
		}
	}
	return best
}

// stepDamaged answers every input of a damaged copy: it takes nothing, so what
// comes from outside stays obtainable for a repair.
func (g *Group) stepDamaged(in Input) (Output, error) {
	switch in.(type) {
	case Received:
		return Output{Outcome: Outcome{Category: MissingHistory, Refetch: true}}, nil
	case Tick, CatchUp, RelayResult, Answer:
		return Output{}, nil
	}
	return Output{}, ErrEnded
}
