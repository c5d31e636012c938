package group

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/marmotgo/marmot/internal/compact"
	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// Load rebuilds a group from its stored records. The Output repeats what has
// not been published or answered; its Wake says when the group needs a Tick.
// An error wraps [ErrCorrupt]: the records are incomplete or damaged, and no
// branch is guessed.
func Load(now time.Time, cfg Config, records []Record) (*Group, Output, error) {
	g := newGroup(cfg, v2{})
	l := &loader{g: g, nodes: map[stateID]*storedNode{}, secrets: map[string][]byte{}, ratchets: map[string][]byte{}}
	for _, r := range records {
		if err := l.record(r); err != nil {
			return nil, Output{}, fmt.Errorf("%w: record %s: %w", ErrCorrupt, kindOf(r.Key), err)
		}
	}
	err := l.checkRows(records)
	if err == nil {
		err = l.build()
	}
	if err != nil {
		return nil, Output{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	s := g.begin(now)
	if g.meta.Renewed.IsZero() {
		g.meta.Renewed = now // records from before renewals were planned
	}
	s.changed = true // proposals and waiting input find their states again
	s.counted = true // but no keys changed
	s.resume()
	s.settle()
	out, err := s.finish()
	return g, out, err
}

func kindOf(key string) string {
	kind, _, _ := strings.Cut(key, "/")
	return kind
}

type loader struct {
	g        *Group
	nodes    map[stateID]*storedNode
	secrets  map[string][]byte
	ratchets map[string][]byte
}

func (l *loader) record(r Record) error {
	kind, rest, _ := strings.Cut(r.Key, "/")
	switch kind + "/" {
	case keyMeta + "/":
		l.g.saved = slices.Clone(r.Value)
		return json.Unmarshal(r.Value, &l.g.meta)
	case keyNode:
		return l.node(rest, r.Value)
	case keySecrets:
		l.secrets[rest] = r.Value
	case keyRatchets:
		l.ratchets[rest] = r.Value
	case keyInput:
		return l.input(r.Key, r.Value)
	case keyRaw:
		id, err := nostr.ParseID(rest)
		if err != nil {
			return err
		}
		l.g.raw[id] = &rawEvent{}
		return compact.Decode(r.Value, l.g.raw[id])
	case keyOut:
		return l.outbound(rest, r.Value)
	case keyAsk:
		a := &ask{}
		if err := json.Unmarshal(r.Value, a); err != nil || a.ID != rest {
			return fmt.Errorf("request")
		}
		l.g.asks[rest] = a
	case keyIntent:
		return l.intent(r.Key, r.Value)
	case keySignature:
		return l.signatureKey(rest, r.Value)
	default:
		return fmt.Errorf("unknown kind")
	}
	return nil
}

func (l *loader) input(key string, value []byte) error {
	in := &retained{key: key}
	if err := in.decode(value, l.g.cfg.Self); err != nil || !in.named(strings.TrimPrefix(key, keyInput)) {
		return fmt.Errorf("message")
	}
	if in.waiting() && len(in.Bytes) == 0 {
		return fmt.Errorf("message without its bytes")
	}
	l.g.note(in)
	return nil
}

// named reports whether a record can be a message's: it is named by the order of
// arrival, which may have been corrected since. Older names end with the id.
func (in *retained) named(name string) bool {
	return len(name) == 16 || strings.HasSuffix(name, in.ID.String())
}

func (l *loader) intent(key string, value []byte) error {
	i := &intent{}
	if err := json.Unmarshal(value, i); err != nil || intentKey(i.Seq) != key || !i.complete() {
		return fmt.Errorf("request")
	}
	l.g.queue = append(l.g.queue, i)
	return nil
}

// complete reports whether a stored intent can be carried out.
func (i *intent) complete() bool {
	return (len(i.Seed) == 0 || len(i.Seed) == ed25519.SeedSize) &&
		(len(i.Proof) == 0 || len(i.Proof) == len(wire.IdentityProof{}) && len(i.Seed) > 0) &&
		(i.Kind != intentProfile || i.Profile != nil)
}

func (l *loader) node(name string, value []byte) error {
	var id stateID
	if err := id.UnmarshalText([]byte(name)); err != nil {
		return err
	}
	l.nodes[id] = &storedNode{}
	return json.Unmarshal(value, l.nodes[id])
}

func (l *loader) outbound(name string, value []byte) error {
	id, err := nostr.ParseID(name)
	if err != nil {
		return err
	}
	o := &outbound{id: id}
	l.g.out[id] = o
	return compact.Decode(value, o)
}

func (l *loader) signatureKey(name string, seed []byte) error {
	pub, err := hex.DecodeString(name)
	if err != nil || len(seed) != ed25519.SeedSize {
		return fmt.Errorf("signature key")
	}
	l.g.keys[string(pub)] = ed25519.NewKeyFromSeed(seed)
	return nil
}

// build makes the states, parents first.
func (l *loader) build() error {
	g := l.g
	if g.meta.Version != recordVersion {
		return fmt.Errorf("version %d of the group's records is not known", g.meta.Version)
	}
	if g.gen = generations[g.meta.Protocol]; g.gen == nil {
		return fmt.Errorf("protocol %q of the group is not known", g.meta.Protocol)
	}
	g.id = g.meta.ID
	slices.SortFunc(g.queue, func(a, b *intent) int { return cmp.Compare(a.Seq, b.Seq) })
	if g.ended() != (g.meta.Last != nil) {
		return fmt.Errorf("the group has ended and has not")
	}
	if g.meta.Last != nil {
		g.tip = g.meta.Last.node(g.meta.Tip)
		g.nodes[g.tip.id] = g.tip
		return nil
	}
	for _, id := range l.order() {
		if err := l.restore(id, l.nodes[id]); err != nil {
			return fmt.Errorf("epoch %d: %w", l.nodes[id].Epoch, err)
		}
	}
	if g.tip = g.nodes[g.meta.Tip]; g.tip == nil || !g.tip.usable() || generationOf(g.tip.state) != g.gen {
		return fmt.Errorf("the canonical state is missing")
	}
	return l.checkPending()
}

// order returns the stored states, parents first.
func (l *loader) order() []stateID {
	ids := make([]stateID, 0, len(l.nodes))
	for id := range l.nodes {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b stateID) int {
		return cmp.Or(cmp.Compare(l.nodes[a].Epoch, l.nodes[b].Epoch), slices.Compare(a[:], b[:]))
	})
	return ids
}

// checkPending demands the obligation of every staged commit, and one at most:
// what may have been published is never made again.
func (l *loader) checkPending() error {
	owed := map[stateID]bool{}
	for _, o := range l.g.out {
		if o.Kind == outCommit {
			owed[o.Commit] = true
		}
	}
	count := 0
	for _, n := range l.g.nodes {
		if !n.pending {
			continue
		}
		if count++; count > 1 || n.parent != l.g.tip || (!owed[n.id] && l.g.meta.Cause == "") {
			return fmt.Errorf("a staged commit does not fit")
		}
	}
	return nil
}

func (l *loader) restore(id stateID, stored *storedNode) error {
	n := &node{
		id: id, epoch: stored.Epoch, commit: stored.Commit, wish: stored.Wish, removed: stored.Removed,
		pending: stored.Pending, abandoned: stored.Abandoned, full: stored.Full, erased: stored.Erased,
	}
	parent := l.g.nodes[stored.Parent]
	switch {
	case parent == nil && (stored.State == nil || stored.Removed):
		return fmt.Errorf("no state")
	case parent != nil && (stored.Commit == nil || stored.Epoch != parent.epoch+1 || parent.removed):
		return fmt.Errorf("the state does not follow from the one before it")
	case stored.Wish != nil && !stored.Wish.complete():
		return fmt.Errorf("a purpose that is not complete")
	case (stored.State == nil) != stored.Removed:
		return fmt.Errorf("a removal and a state")
	}
	if stored.State != nil {
		var err error
		secrets, ratchets := l.secrets[id.String()], l.ratchets[id.String()]
		if !stored.Erased && (secrets == nil || ratchets == nil) {
			return fmt.Errorf("secrets are missing")
		}
		if n.state, err = decodeState(stored, parent, secrets, ratchets); err != nil {
			return err
		}
		if n.settings, err = generationOf(n.state).decode(n.state.Context().Extensions); err != nil {
			return err
		}
		if n.state.Epoch() != n.epoch || !bytes.Equal(n.state.ID(), l.g.id) || n.settings.Routing == nil {
			return fmt.Errorf("a state of something else")
		}
	} else {
		n.settings = parent.settings
	}
	n.link(parent)
	l.g.nodes[id] = n
	return nil
}

func decodeState(stored *storedNode, parent *node, secrets, ratchets []byte) (*mls.Group, error) {
	if stored.Full {
		return mls.DecodeState(stored.State, secrets, ratchets)
	}
	if parent == nil || parent.state == nil {
		return nil, fmt.Errorf("the state before it is missing")
	}
	return parent.state.DecodeDelta(stored.State, secrets, ratchets)
}

// resume repeats, byte for byte, what was not published or answered.
func (s *step) resume() {
	for _, o := range s.g.sortedOut() {
		e, err := nostr.ParseEvent(o.Event)
		if err != nil {
			s.fail(err)
			return
		}
		o.RetryAt = time.Time{}
		s.emit(o, e)
	}
	ids := make([]string, 0, len(s.g.asks))
	for id := range s.g.asks {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		r, err := s.g.asks[id].request()
		if err != nil {
			s.fail(err)
			return
		}
		s.out.Requests = append(s.out.Requests, r)
	}
}
