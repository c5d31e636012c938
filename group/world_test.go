package group

import (
	"crypto/ed25519"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// world is a set of clients whose steps a test carries out by hand: it plays
// the store (records that survive), the relays (events to deliver) and the
// account keys.
type world struct {
	t       testing.TB
	now     time.Time
	clients map[string]*client
	plan    *plan     // of a crash; may be nil
	writes  *writeLog // may be nil
	proto   Protocol
}

type client struct {
	w       *world
	name    string
	marked  int // effects before the last mark of a story
	secret  nostr.SecretKey
	cfg     Config
	g       *Group
	disk    map[string]Record
	effects []Effect
	ids     map[string]bool
	sent    []*nostr.Event // group events handed out for publication, in order
	handed  map[nostr.ID]outbound
	offered *bundle        // the key package that an invitation of a story was made for
	wraps   []*nostr.Event // gift wraps
	mute    bool           // relays answer nothing
	failing bool           // the next write fails
	wake    time.Time
	last    Outcome
	life    Lifecycle // before the last step
	wrote   int       // steps so far
	tracer  *Tracer
	trace   []byte
}

func newWorld(t testing.TB, names ...string) *world {
	w := &world{t: t, now: time.Unix(1_790_000_000, 0), clients: map[string]*client{}}
	for i, name := range names {
		var secret nostr.SecretKey
		secret[31] = byte(i + 1)
		c := &client{w: w, name: name, secret: secret, disk: map[string]Record{}, ids: map[string]bool{}, handed: map[nostr.ID]outbound{}}
		c.cfg = Config{Self: secret.PubKey(), Trace: true}
		c.tracer = NewTracer()
		w.clients[name] = c
	}
	return w
}

func (w *world) client(name string) *client { return w.clients[name] }

func (c *client) pub() nostr.PubKey { return c.secret.PubKey() }

// signatureKey makes an MLS key and the account's proof for it.
func (c *client) signatureKey() (ed25519.PrivateKey, wire.IdentityProof) {
	c.w.t.Helper()
	key := ed25519.NewKeyFromSeed(newSeed())
	wanted := wire.ProofEvent(c.pub(), mls.X25519_AES128GCM_SHA256_Ed25519, key.Public().(ed25519.PublicKey), nostr.Timestamp(c.w.now.Unix()))
	signed := *wanted
	if err := c.secret.SignEvent(&signed); err != nil {
		c.w.t.Fatal(err)
	}
	proof, err := wire.NewIdentityProof(wanted, &signed)
	if err != nil {
		c.w.t.Fatal(err)
	}
	return key, proof
}

type bundle struct {
	event *wire.KeyPackageEvent
	keys  *mls.KeyPackageKeys
	key   ed25519.PrivateKey
}

func (c *client) keyPackage() *bundle {
	c.w.t.Helper()
	if c.w.proto == V1 {
		return c.keyPackageV1()
	}
	key, proof := c.signatureKey()
	kp, keys, err := mls.NewKeyPackage(key, wire.KeyPackageConfig(c.pub(), proof, c.w.now))
	if err != nil {
		c.w.t.Fatal(err)
	}
	e, err := wire.NewKeyPackageEvent(c.pub(), fmt.Sprintf("%064x", 7), kp, nostr.Timestamp(c.w.now.Unix()))
	if err != nil {
		c.w.t.Fatal(err)
	}
	if err := c.secret.SignEvent(e); err != nil {
		c.w.t.Fatal(err)
	}
	parsed, err := wire.ParseKeyPackageEvent(e, c.w.now)
	if err != nil {
		c.w.t.Fatal(err)
	}
	return &bundle{parsed, keys, key}
}

// apply plays store, signer and relays for one Output. What it causes in turn
// is carried out too. It reports whether the output was lost in a crash.
func (c *client) apply(out Output, err error) (lost bool) {
	c.w.t.Helper()
	if err != nil {
		c.w.t.Fatalf("%s: %v", c.name, err)
	}
	c.w.writes.add(c, out)
	if c.tracer != nil {
		c.trace = c.tracer.Append(c.trace, "g", out)
	}
	due := c.w.plan.due(c) && len(c.disk)+len(out.Records) > 0 && (len(c.disk) > 0 || !c.w.plan.before)
	if c.failing || (due && c.w.plan.before) {
		c.failing = false
		c.restart()
		return true
	}
	for _, r := range out.Records {
		if r.Value == nil {
			delete(c.disk, r.Key)
		} else {
			c.disk[r.Key] = r
		}
	}
	for _, e := range out.Effects {
		if !c.ids[e.ID] {
			c.ids[e.ID] = true
			c.effects = append(c.effects, e)
		}
	}
	c.wake, c.last = out.Wake, out.Outcome
	if due {
		c.restart()
		return false
	}
	for _, p := range out.Publish {
		c.publish(p)
	}
	for _, r := range out.Requests {
		c.step(c.answer(r))
	}
	return false
}

func (c *client) publish(p Publication) {
	if p.Event.Kind == wire.KindGroupEvent {
		if !slices.ContainsFunc(c.sent, func(e *nostr.Event) bool { return e.ID == p.Event.ID }) {
			c.sent = append(c.sent, p.Event)
			c.handed[p.Event.ID] = *c.g.out[p.Event.ID]
		}
	} else {
		c.wraps = append(c.wraps, p.Event)
	}
	if c.mute {
		return
	}
	for _, url := range p.Relays {
		c.step(RelayResult{Event: p.Event.ID, Relay: url, Accepted: true})
	}
}

func (c *client) answer(r Request) Answer {
	e := *r.Event
	if r.Kind == RequestSeal {
		conv, err := nostr.ConversationKey(c.secret, r.Recipient)
		if err != nil {
			return Answer{Request: r.ID, Err: err}
		}
		content, err := conv.Encrypt(nostr.AppendRumorJSON(nil, r.Event))
		if err != nil {
			return Answer{Request: r.ID, Err: err}
		}
		e = *nostr.SealEvent(r.Event, content, r.Event.CreatedAt)
	}
	err := c.secret.SignEvent(&e)
	return Answer{Request: r.ID, Event: &e, Err: err}
}

func (c *client) step(in Input) {
	c.w.t.Helper()
	out, err := c.g.Step(c.w.now, in)
	if !c.apply(out, err) {
		return
	}
	switch in.(type) {
	case Received, Tick, RelayResult, Answer: // come again, or were never asked
	default:
		c.step(in) // the person who asked sees that it failed
	}
}

// try returns the error of a local request.
func (c *client) try(in Input) error {
	out, err := c.g.Step(c.w.now, in)
	if err == nil {
		c.apply(out, nil)
	}
	return err
}

func (c *client) records() []Record {
	keys := slices.Sorted(maps.Keys(c.disk))
	out := make([]Record, len(keys))
	for i, k := range keys {
		out[i] = c.disk[k]
	}
	return out
}

// restart loses everything that is not on disk.
func (c *client) restart() {
	c.w.t.Helper()
	g, out, err := Load(c.w.now, c.cfg, c.records())
	c.g = g
	c.apply(out, err)
}

func (c *client) create(name string, invitees ...*client) {
	c.w.t.Helper()
	c.createWith(name, nil, invitees...)
}

func (c *client) createWith(name string, admins []nostr.PubKey, invitees ...*client) {
	c.w.t.Helper()
	key, proof := c.signatureKey()
	cfg := CreateConfig{
		Config: c.cfg, Protocol: c.w.proto, Profile: wire.Profile{Name: name}, Relays: []string{"wss://a.example", "wss://b.example"},
		Signer: key, Proof: proof, Admins: admins,
	}
	bundles := make([]*bundle, len(invitees))
	for i, v := range invitees {
		bundles[i] = v.keyPackage()
		cfg.Invitees = append(cfg.Invitees, Invitee{KeyPackage: bundles[i].event, Inbox: []string{"wss://inbox.example"}})
	}
	g, out, err := Create(c.w.now, cfg)
	c.g = g
	c.apply(out, err)
	for i, v := range invitees {
		v.join(c, bundles[i])
	}
}

// join takes the newest gift wrap that the inviter made for this client.
func (c *client) join(from *client, b *bundle) {
	c.w.t.Helper()
	cfg, err := c.welcome(from, b)
	if err != nil {
		c.w.t.Fatal(err)
	}
	g, out, err := Join(c.w.now, cfg)
	c.g = g
	c.apply(out, err)
}

func (c *client) welcome(from *client, b *bundle) (JoinConfig, error) {
	for _, wrap := range slices.Backward(from.wraps) {
		_, rumor, err := nostr.Unwrap(c.secret, wrap)
		if err != nil {
			continue
		}
		w, err := wire.ParseAnyWelcome(rumor)
		return JoinConfig{Config: c.cfg, Welcome: w, KeyPackage: b.event.KeyPackage, Keys: b.keys, Signer: b.key}, err
	}
	return JoinConfig{}, fmt.Errorf("no welcome for %s", c.name)
}

// invite adds a client through from.
func (c *client) invite(who *client) {
	c.w.t.Helper()
	b := who.keyPackage()
	c.step(Invite{Ref: "invite " + who.name, Invitees: []Invitee{{KeyPackage: b.event, Inbox: []string{"wss://inbox.example"}}}})
	who.join(c, b)
}

func (c *client) say(text string) {
	c.w.t.Helper()
	c.step(Send{Ref: text, Payload: wire.NewPayload(c.pub(), wire.KindChat, text, nil, nostr.Timestamp(c.w.now.Unix()))})
}

// receive delivers events to this client.
func (c *client) receive(events ...*nostr.Event) {
	c.w.t.Helper()
	for _, e := range events {
		c.step(Received{Event: e})
	}
}

// advance moves the clock and lets every client do what is due.
func (w *world) advance(d time.Duration) {
	w.t.Helper()
	w.now = w.now.Add(d)
	for _, name := range slices.Sorted(maps.Keys(w.clients)) {
		if c := w.clients[name]; c.g != nil {
			c.step(Tick{})
		}
	}
}

// flood delivers everything sent so far to everyone, again and again, until
// nothing changes any more.
func (w *world) flood() {
	w.t.Helper()
	for range 12 {
		for _, from := range slices.Sorted(maps.Keys(w.clients)) {
			for _, to := range slices.Sorted(maps.Keys(w.clients)) {
				if from != to && w.clients[to].g != nil {
					w.clients[to].receive(w.clients[from].sent...)
				}
			}
		}
		w.advance(1100 * time.Millisecond)
	}
}

// shown lists the texts a client shows: delivered and not withdrawn.
func (c *client) shown() []string {
	var out []string
	for _, e := range c.effects {
		payload, err := nostr.ParseRumor(e.Payload)
		if err != nil {
			continue
		}
		switch e.Kind {
		case EffectMessage, EffectRestored:
			out = append(out, payload.Content)
		case EffectInvalidated:
			if i := slices.Index(out, payload.Content); i >= 0 {
				out = slices.Delete(out, i, i+1)
			}
		}
	}
	slices.Sort(out)
	return out
}

func (c *client) count(kind EffectKind) int {
	n := 0
	for _, e := range c.effects {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

func (w *world) sameTip(names ...string) {
	w.t.Helper()
	first := w.client(names[0])
	want, err := first.g.tip.state.EpochAuthenticator()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, name := range names[1:] {
		c := w.client(name)
		got, err := c.g.tip.state.EpochAuthenticator()
		if err != nil {
			w.t.Fatal(err)
		}
		if string(got) != string(want) {
			w.t.Errorf("%s is at epoch %d, %s at epoch %d: different states", names[0], first.g.tip.epoch, name, c.g.tip.epoch)
		}
	}
}

func equalTexts(t testing.TB, who string, got []string, want ...string) {
	t.Helper()
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s shows %q, want %q", who, got, want)
	}
}

func keyOfSeed(seed []byte) ed25519.PrivateKey { return ed25519.NewKeyFromSeed(seed) }
