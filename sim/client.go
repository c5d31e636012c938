package sim

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// Client is one person's client with its disk.
type Client struct {
	w       *World
	name    string
	secret  nostr.SecretKey
	g       *group.Group // nil before joining
	disk    map[string]group.Record
	effects []group.Effect
	told    map[string]bool
	offered *keyPackage
	wake    time.Time
	joined  time.Time
	seen    map[nostr.ID]bool // gift wraps
}

type keyPackage struct {
	event *wire.KeyPackageEvent
	keys  *mls.KeyPackageKeys
	key   ed25519.PrivateKey
}

func newClient(w *World, i int) *Client {
	var secret nostr.SecretKey
	binary.BigEndian.PutUint64(secret[24:], uint64(i+1))
	return &Client{
		w: w, name: fmt.Sprintf("client %d", i), secret: secret,
		disk: map[string]group.Record{}, told: map[string]bool{}, seen: map[nostr.ID]bool{},
	}
}

func (c *Client) pub() nostr.PubKey { return c.secret.PubKey() }

func (c *Client) config() group.Config { return group.Config{Self: c.pub()} }

func (c *Client) isFor(e *nostr.Event) bool {
	p, ok := e.Tags.Find("p")
	return ok && len(p) == 2 && p[1] == c.pub().String()
}

func (c *Client) newSignatureKey() (ed25519.PrivateKey, wire.IdentityProof, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, wire.IdentityProof{}, err
	}
	wanted := wire.ProofEvent(c.pub(), mls.X25519_AES128GCM_SHA256_Ed25519, key.Public().(ed25519.PublicKey), c.timestamp())
	signed := *wanted
	if err := c.secret.SignEvent(&signed); err != nil {
		return nil, wire.IdentityProof{}, err
	}
	proof, err := wire.NewIdentityProof(wanted, &signed)
	return key, proof, err
}

func (c *Client) timestamp() nostr.Timestamp { return nostr.Timestamp(c.w.now.Unix()) }

// offer makes the key package that others invite this client with.
func (c *Client) offer() (*keyPackage, error) {
	if c.offered != nil {
		return c.offered, nil
	}
	key, proof, err := c.newSignatureKey()
	if err != nil {
		return nil, err
	}
	kp, keys, err := mls.NewKeyPackage(key, wire.KeyPackageConfig(c.pub(), proof, c.w.now))
	if err != nil {
		return nil, err
	}
	e, err := wire.NewKeyPackageEvent(c.pub(), strings.Repeat("00", 32), kp, c.timestamp())
	if err != nil {
		return nil, err
	}
	if err := c.secret.SignEvent(e); err != nil {
		return nil, err
	}
	parsed, err := wire.ParseKeyPackageEvent(e, c.w.now)
	c.offered = &keyPackage{parsed, keys, key}
	return c.offered, err
}

func (c *Client) invitee() (group.Invitee, error) {
	k, err := c.offer()
	if err != nil {
		return group.Invitee{}, err
	}
	return group.Invitee{KeyPackage: k.event, Inbox: []string{"wss://inbox.example"}}, nil
}

func (c *Client) found(with []*Client) error {
	key, proof, err := c.newSignatureKey()
	if err != nil {
		return err
	}
	cfg := group.CreateConfig{
		Config: c.config(), Profile: wire.Profile{Name: "sim"}, Relays: []string{"wss://relay.example"}, Signer: key, Proof: proof,
	}
	for _, other := range with {
		v, err := other.invitee()
		if err != nil {
			return err
		}
		cfg.Invitees = append(cfg.Invitees, v)
	}
	g, out, err := group.Create(c.w.now, cfg)
	if err != nil {
		return err
	}
	c.g, c.joined = g, c.w.now
	return c.carryOut(out)
}

// take receives an event as a relay delivers it.
func (c *Client) take(e *nostr.Event) error {
	if e.Kind == nostr.KindGiftWrap {
		return c.welcome(e)
	}
	if c.g == nil {
		return nil
	}
	return c.step(group.Received{Event: e})
}

func (c *Client) welcome(e *nostr.Event) error {
	if c.seen[e.ID] || c.offered == nil {
		return nil
	}
	c.seen[e.ID] = true
	_, rumor, err := nostr.Unwrap(c.secret, e)
	if err != nil {
		return err
	}
	w, err := wire.ParseWelcome(rumor)
	if err != nil {
		return err
	}
	if c.g != nil && !c.g.Status().Removed {
		return nil // a client keeps the group it has
	}
	g, out, err := group.Join(c.w.now, group.JoinConfig{
		Config: c.config(), Welcome: w, KeyPackage: c.offered.event.KeyPackage, Keys: c.offered.keys, Signer: c.offered.key,
	})
	if errors.Is(err, group.ErrInvitation) {
		return nil // made for a key package that was replaced meanwhile
	}
	if err != nil {
		return err
	}
	c.g, c.offered, c.joined = g, nil, c.w.now
	c.disk = map[string]group.Record{}
	return c.carryOut(out)
}

// step gives the group one input. It may be lost before it is stored, or the
// client may stop right after; then it starts again from its disk.
func (c *Client) step(in group.Input) error {
	out, err := c.g.Step(c.w.now, in)
	if err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	if c.w.chance(c.w.cfg.Crash) {
		c.w.Stats.Crashes++
		if c.w.rng.IntN(2) == 0 {
			c.store(out)
		}
		return c.restart()
	}
	return c.carryOut(out)
}

func (c *Client) restart() error {
	var records []group.Record
	for _, key := range slices.Sorted(maps.Keys(c.disk)) {
		records = append(records, c.disk[key])
	}
	g, out, err := group.Load(c.w.now, c.config(), records)
	if err != nil {
		return fmt.Errorf("%s does not load: %w", c.name, err)
	}
	c.g = g
	return c.carryOut(out)
}

func (c *Client) store(out group.Output) {
	for _, r := range out.Records {
		if r.Value == nil {
			delete(c.disk, r.Key)
		} else {
			c.disk[r.Key] = r
		}
	}
	for _, e := range out.Effects {
		if !c.told[e.ID] {
			c.told[e.ID] = true
			c.effects = append(c.effects, e)
			c.count(e)
		}
	}
}

func (c *Client) count(e group.Effect) {
	switch e.Kind {
	case group.EffectSuperseded:
		c.w.Stats.Forks++
	case group.EffectEpoch:
		c.w.Stats.Commits++
	case group.EffectInvalidated:
		c.w.Stats.Withdrawn++
	}
}

func (c *Client) carryOut(out group.Output) error {
	c.store(out)
	c.plan(out.Wake)
	for _, p := range out.Publish {
		ok := c.w.publish(c, p.Event)
		for _, url := range p.Relays {
			c.w.after(c.w.delay(), func() error {
				return c.step(group.RelayResult{Event: p.Event.ID, Relay: url, Accepted: ok})
			})
		}
	}
	for _, r := range out.Requests {
		c.w.after(c.w.delay(), func() error { return c.step(c.answer(r)) })
	}
	return nil
}

// plan schedules the next tick.
func (c *Client) plan(at time.Time) {
	if at.IsZero() || at.Equal(c.wake) && at.After(c.w.now) {
		return
	}
	c.wake = at
	c.w.after(max(at.Sub(c.w.now), time.Millisecond), func() error { return c.step(group.Tick{}) })
}

func (c *Client) answer(r group.Request) group.Answer {
	e := *r.Event
	if r.Kind == group.RequestSeal {
		conversation, err := nostr.ConversationKey(c.secret, r.Recipient)
		if err != nil {
			return group.Answer{Request: r.ID, Err: err}
		}
		content, err := conversation.Encrypt(nostr.AppendRumorJSON(nil, r.Event))
		if err != nil {
			return group.Answer{Request: r.ID, Err: err}
		}
		e = *nostr.SealEvent(r.Event, content, r.Event.CreatedAt)
	}
	err := c.secret.SignEvent(&e)
	return group.Answer{Request: r.ID, Event: &e, Err: err}
}

// active reports whether the client is in the group, as far as it knows.
func (c *Client) active() bool {
	return c.g != nil && !c.g.Status().Removed
}

// tip names the client's canonical state.
func (c *Client) tip() string {
	if !c.active() {
		return "none"
	}
	return c.g.Tip()
}
