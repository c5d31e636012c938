package sim

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/internal/compact"
	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// ledger is what the oracle knows: every state that somebody made, every
// message that somebody sent. It reads them with package mls from the bytes
// that were stored and published, and takes nobody's word for what they mean.
type ledger struct {
	states   map[string]*state         // by name
	commits  map[wire.MessageID]*state // by the commit that leads there
	order    []*state
	said     map[wire.MessageID]*said
	asks     map[wire.MessageID]*state                       // standalone proposals, by the state they were made in
	messages map[nostr.ID]wire.MessageID                     // what is in an event
	junk     map[nostr.ID]bool                               // events that nobody can use
	labels   map[wire.MessageID]string                       // of the first event of a message
	props    map[*state]mls.ProposalSet                      // standalone proposals of a state
	refs     map[mls.ProposalRef]wire.MessageID              // of standalone proposals
	asker    map[wire.MessageID]*seat                        // who made them
	broken   map[wire.MessageID]string                       // commits that must be refused, and why
	bySeat   map[*seat]map[string]*reading                   // what a member's records say
	copies   map[*state]map[*seat]func() (*mls.Group, error) // members' own copies of a state, as first stored
}

// state is one epoch on one branch.
type state struct {
	name      string // hash of the confirmation tag: all who are in it agree on it
	commit    wire.MessageID
	parent    *state
	depth     int // commits since the founding
	epoch     uint64
	maker     *seat
	group     *mls.Group // the maker's
	key       wire.EventKey
	settings  *wire.Settings
	members   map[nostr.PubKey]bool
	published bool

	// Of the commit, read from its bytes.
	committer  nostr.PubKey
	privileged bool
	disbands   bool
	needs      []wire.MessageID // standalone proposals that it refers to
	sealed     []byte           // a commit of v1 that nobody's copy has opened yet
	date       date             // of the event that its maker published
}

// said is one application message: a payload sealed in a state.
type said struct {
	id     wire.MessageID
	state  *state
	sender nostr.PubKey
	inner  nostr.ID
	text   string
	label  string
	by     *seat
}

// reading is a state as one member's records have it.
type reading struct {
	parent string
	group  *mls.Group
}

func newLedger() *ledger {
	return &ledger{
		states: map[string]*state{}, commits: map[wire.MessageID]*state{}, said: map[wire.MessageID]*said{},
		asks: map[wire.MessageID]*state{}, messages: map[nostr.ID]wire.MessageID{}, junk: map[nostr.ID]bool{},
		labels: map[wire.MessageID]string{}, props: map[*state]mls.ProposalSet{}, refs: map[mls.ProposalRef]wire.MessageID{}, asker: map[wire.MessageID]*seat{}, broken: map[wire.MessageID]string{},
		bySeat: map[*seat]map[string]*reading{}, copies: map[*state]map[*seat]func() (*mls.Group, error){},
	}
}

// nameOfState is what group.Tip shows of a state.
func nameOfState(g *mls.Group) string {
	sum := sha256.Sum256(g.ConfirmationTag())
	return hex.EncodeToString(sum[:])
}

func (l *ledger) named(name string) *state { return l.states[name] }

// nodeRecord is the part of a stored state that the oracle reads.
type nodeRecord struct {
	Parent string `json:"parent"`
	Full   bool   `json:"full"`
	Erased bool   `json:"erased"`
	State  []byte `json:"state"`
}

// learn reads the states that a member stored. The first who stores one made
// it.
func (l *ledger) learn(m *member, records []group.Record) error {
	mine := l.bySeat[m.seat]
	if mine == nil {
		mine = map[string]*reading{}
		l.bySeat[m.seat] = mine
	}
	at := map[string]group.Record{}
	for _, r := range records {
		if _, before := at[r.Key]; !before { // keys as they were when nothing had been opened with them
			at[r.Key] = r
		}
	}
	for _, r := range records {
		id, ok := strings.CutPrefix(r.Key, "node/")
		if !ok || r.Value == nil || mine[id] != nil {
			continue
		}
		if err := l.read(m, mine, id, r.Value, at); err != nil {
			return fmt.Errorf("%s stored a state that cannot be read: %w", m, err)
		}
	}
	return nil
}

func (l *ledger) read(m *member, mine map[string]*reading, id string, value []byte, at map[string]group.Record) error {
	if mine[id] != nil {
		return nil
	}
	var node nodeRecord
	if err := json.Unmarshal(value, &node); err != nil {
		return err
	}
	mine[id] = &reading{parent: node.Parent}
	if node.State == nil || node.Erased {
		return nil
	}
	if next, ok := at["node/"+node.Parent]; ok { // founded and added in one transaction
		if err := l.read(m, mine, node.Parent, next.Value, at); err != nil {
			return err
		}
	}
	g, err := l.decode(mine, &node, at["secrets/"+id].Value, at["ratchets/"+id].Value)
	if err != nil {
		return err
	}
	mine[id].group = g
	if l.states[nameOfState(g)] == nil {
		if err := l.add(m, mine, id, node.Parent, g); err != nil {
			return err
		}
	}
	s, secrets, ratchets := l.states[nameOfState(g)], at["secrets/"+id].Value, at["ratchets/"+id].Value
	if l.copies[s] == nil {
		l.copies[s] = map[*seat]func() (*mls.Group, error){}
	}
	l.copies[s][m.seat] = func() (*mls.Group, error) { return l.decode(mine, &node, secrets, ratchets) }
	return nil
}

func parseNode(value []byte) (*nodeRecord, error) {
	node := &nodeRecord{}
	return node, json.Unmarshal(value, node)
}

func (l *ledger) decode(mine map[string]*reading, node *nodeRecord, secrets, ratchets []byte) (*mls.Group, error) {
	if node.Full {
		return mls.DecodeState(node.State, secrets, ratchets)
	}
	parent := mine[node.Parent]
	if parent == nil || parent.group == nil {
		return nil, errors.New("the state before it is missing")
	}
	return parent.group.DecodeDelta(node.State, secrets, ratchets)
}

func (l *ledger) add(m *member, mine map[string]*reading, id, parentID string, g *mls.Group) error {
	s := &state{name: nameOfState(g), epoch: g.Epoch(), maker: m.seat, group: g, members: map[nostr.PubKey]bool{}}
	if p := mine[parentID]; p != nil && p.group != nil {
		s.parent = l.states[nameOfState(p.group)]
	}
	var err error
	if s.key, err = wire.EventKeyOf(g); err != nil {
		return err
	}
	if s.settings, err = settingsOf(g.Context().Extensions); err != nil {
		return err
	}
	for _, leaf := range g.Leaves() {
		a, err := wire.LeafAccount(leaf)
		if err != nil {
			return err
		}
		s.members[a] = true
	}
	l.states[s.name] = s
	l.order = append(l.order, s)
	if s.parent != nil {
		if s.parent.epoch+1 != s.epoch {
			return fmt.Errorf("epoch %d follows epoch %d", s.epoch, s.parent.epoch)
		}
		s.depth = s.parent.depth + 1
		if err := s.commit.UnmarshalText([]byte(id)); err != nil {
			return err
		}
		l.commits[s.commit] = s
		s.committer = m.c.account.pub
	}
	return nil
}

// open finds the state in which an event was made.
func (l *ledger) open(e *nostr.Event) (*state, []byte) {
	ev, err := wire.ParseMIPGroupEvent(e) // the looser form
	if err != nil {
		return nil, nil
	}
	for i := len(l.order) - 1; i >= 0; i-- {
		if b, ok := ev.Open(l.order[i].key); ok {
			return l.order[i], b
		}
	}
	return nil, nil
}

// published reads an event that a member hands out.
func (l *ledger) published(m *member, p *packet) error {
	s, b := l.open(p.event)
	if s == nil {
		return fmt.Errorf("%s published %s, which no state's key opens", m, p.label)
	}
	id := wire.MessageIDOf(b)
	l.messages[p.event.ID] = id
	if l.labels[id] == "" {
		l.labels[id] = p.label
	}
	msg, err := mls.DecodeMessage(b)
	if err != nil {
		return fmt.Errorf("%s published %s: %w", m, p.label, err)
	}
	switch {
	case msg.ContentType() == mls.ContentApplication:
		return l.publishedApp(m, p, s, id)
	case msg.ContentType() == mls.ContentCommit:
		return l.publishedCommit(m, s, id, b, p)
	}
	if msg.WireFormat() == mls.WirePrivateMessage {
		return fmt.Errorf("%s published %s: a proposal in a private message, though all know SelfRemove", m, p.label)
	}
	if _, err := s.group.Verify(msg); err != nil {
		return fmt.Errorf("%s published a proposal that does not verify: %w", m, err)
	}
	l.proposed(m, s, b)
	l.asks[id] = s
	return nil
}

// proposed notes a proposal that verifies in a state.
func (l *ledger) proposed(m *member, s *state, b []byte) {
	msg, err := mls.DecodeMessage(b)
	if err != nil {
		return
	}
	v, _ := s.group.Verify(msg)
	if p, ok := v.(*mls.VerifiedProposal); ok {
		if l.props[s] == nil {
			l.props[s] = mls.ProposalSet{}
		}
		l.props[s][p.Ref()] = p
		l.refs[p.Ref()], l.asker[wire.MessageIDOf(b)] = wire.MessageIDOf(b), m.seat
	}
}

func (l *ledger) publishedApp(m *member, p *packet, s *state, id wire.MessageID) error {
	a := &said{id: id, state: s, sender: m.c.account.pub, label: p.label, by: m.seat}
	for _, e := range m.effects {
		if e.Message == id && (e.Kind == group.EffectMessage || e.Kind == group.EffectRestored) {
			rumor, err := nostr.ParseRumor(e.Payload)
			if err != nil {
				return fmt.Errorf("%s was told a payload that is none: %w", m, err)
			}
			a.inner, a.text = rumor.ID, rumor.Content
		}
	}
	if a.inner == (nostr.ID{}) { // a copy of what is shown already
		in, err := m.inputRecord(id)
		if err != nil {
			return err
		}
		if _, a.inner, err = wire.UnpackPayload(in.Payload, a.sender); err != nil {
			return err
		}
	}
	l.said[id] = a
	return nil
}

// publishedCommit reads what branch choice needs out of a commit, by the text:
// a commit is ordinary if it is a bare update or holds SelfRemoves alone.
func (l *ledger) publishedCommit(m *member, parent *state, id wire.MessageID, b []byte, p *packet) error {
	s := l.commits[id]
	if s == nil || s.parent != parent {
		return fmt.Errorf("%s published a commit of another state than it stored", m)
	}
	s.published, s.date = true, dateOf(p.event)
	msg, err := mls.DecodeMessage(b)
	if err != nil {
		return err
	}
	if msg.WireFormat() == mls.WirePrivateMessage {
		s.sealed = b
		return nil
	}
	v, err := parent.group.Verify(msg)
	if err != nil {
		return fmt.Errorf("%s published a commit that does not verify: %w", m, err)
	}
	return l.readCommit(s, v.(*mls.VerifiedCommit))
}

func (l *ledger) readCommit(s *state, commit *mls.VerifiedCommit) error {
	parent := s.parent
	leaf, ok := parent.group.Leaf(commit.Sender().Leaf)
	if !ok {
		return fmt.Errorf("%s published a commit from a leaf that is not there", s.maker.client)
	}
	var err error
	if s.committer, err = wire.LeafAccount(leaf); err != nil {
		return err
	}
	props, err := commit.Proposals(l.props[parent])
	if err != nil {
		return err
	}
	s.needs = nil
	for _, ref := range commit.Refs() {
		s.needs = append(s.needs, l.refs[ref])
	}
	_, path := commit.Path()
	onlyDepartures := len(props) > 0
	for _, p := range props {
		switch body := p.Proposal.(type) {
		case mls.SelfRemove:
		case mls.AppDataUpdate:
			onlyDepartures = false
			s.disbands = s.disbands || body.Component == wire.ComponentLifecycle && string(body.Data) == string(wire.Disbanded.Append(nil))
		default:
			onlyDepartures = false
		}
	}
	s.privileged = !(len(props) == 0 && path) && !onlyDepartures
	return nil
}

// inputRecord is the part of a stored message that the oracle reads.
type inputRecord struct {
	ID          wire.MessageID `cbor:"1,keyasint"`
	Kind        string         `cbor:"2,keyasint"`
	Epoch       uint64         `cbor:"3,keyasint"`
	Own         bool           `cbor:"6,keyasint"`
	Disposition string         `cbor:"7,keyasint"`
	Category    string         `cbor:"8,keyasint"`
	State       [32]byte       `cbor:"14,keyasint"`
	Payload     []byte         `cbor:"17,keyasint"`
}

func readInput(r group.Record) (in inputRecord, err error) {
	err = compact.Decode(r.Value, &in)
	return in, err
}

// placed reports whether the message has a state.
func (in inputRecord) placed() bool { return in.State != [32]byte{} }

func (m *member) inputRecord(id wire.MessageID) (in inputRecord, err error) {
	records, err := m.c.disk.records(m.prefix())
	if err != nil {
		return in, err
	}
	for _, r := range records {
		if !strings.HasPrefix(r.Key, "input/") {
			continue
		}
		if in, err = readInput(r); err != nil || in.ID == id {
			return in, err
		}
	}
	return in, fmt.Errorf("%s published a message that it did not store", m)
}

// leadsTo reports whether s is on the way to tip.
func (s *state) leadsTo(tip *state) bool {
	for t := tip; t != nil; t = t.parent {
		if t == s {
			return true
		}
	}
	return false
}

// fork returns the last state that s and t have in common.
func fork(s, t *state) *state {
	for f := s; f != nil; f = f.parent {
		if f.leadsTo(t) {
			return f
		}
	}
	return nil
}
