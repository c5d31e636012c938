package group

import (
	"time"

	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// Reader looks into events that are on their way to a group, on another goroutine, and
// verifies the signatures inside. [Group.Step] then does all that it does otherwise,
// but for those. See [mls.Reader].
type Reader struct {
	gen    generation
	states []readerState // the newest last
}

// readerState is a state with the keys to read in it.
type readerState struct {
	shadow *node // has an id, an epoch and the key of envelopes
	reader *mls.Reader
}

// readerStates is how many states a reader keeps: messages come a little after the
// commit that ends their epoch.
const readerStates = 3

// Reader lets a reader, a new one for nil, see what comes next in the present state,
// and returns it. One goroutine at a time may use it, and it has to be erased.
func (g *Group) Reader(r *Reader) *Reader {
	if r == nil {
		r = &Reader{gen: g.gen}
	}
	if g.damaged || !g.tip.usable() || len(r.states) > 0 && r.states[len(r.states)-1].shadow.id == g.tip.id {
		return r
	}
	key, err := g.tip.eventKey()
	if err != nil {
		return r // erased: nothing is read ahead
	}
	if r.states = append(r.states, readerState{
		shadow: &node{id: g.tip.id, epoch: g.tip.epoch, key: &key}, reader: g.tip.state.Reader(),
	}); len(r.states) > readerStates {
		r.states[0].erase()
		r.states = r.states[1:]
	}
	return r
}

// Check looks into verified events.
func (r *Reader) Check(now time.Time, events []*nostr.Event, parallel mls.Parallel) {
	messages := make([][]*mls.Message, len(r.states))
	for _, e := range events {
		ev, err := r.gen.parse(e, now)
		if err != nil {
			continue
		}
		for i, s := range r.states {
			b, ok := ev.open(s.shadow)
			if !ok {
				continue
			}
			if m, err := mls.DecodeMessage(b); err == nil && m.Epoch() == s.shadow.epoch {
				messages[i] = append(messages[i], m)
			}
			break
		}
	}
	for i, s := range r.states {
		s.reader.Check(messages[i], parallel)
	}
}

// Erase overwrites the reader's keys. It may be nil.
func (r *Reader) Erase() {
	if r == nil {
		return
	}
	for _, s := range r.states {
		s.erase()
	}
	r.states = nil
}

func (s readerState) erase() {
	s.reader.Erase()
	*s.shadow.key = wire.EventKey{}
}
