package sim

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// account is a person's key, and what is signed with it.
type account struct {
	secret nostr.SecretKey
	pub    nostr.PubKey
	hex    string
}

var accounts = map[int]account{} // made before

func newAccount(i int) account {
	if a, ok := accounts[i]; ok {
		return a
	}
	var secret nostr.SecretKey
	binary.BigEndian.PutUint64(secret[24:], uint64(i+1))
	pub := secret.PubKey()
	accounts[i] = account{secret, pub, pub.String()}
	return accounts[i]
}

// keyPackage is what others invite an account with, and its private half.
type keyPackage struct {
	event *wire.KeyPackageEvent
	keys  *mls.KeyPackageKeys
	key   ed25519.PrivateKey
}

func (a *account) newSignatureKey(at nostr.Timestamp) (ed25519.PrivateKey, wire.IdentityProof, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, wire.IdentityProof{}, err
	}
	wanted := wire.ProofEvent(a.pub, mls.X25519_AES128GCM_SHA256_Ed25519, key.Public().(ed25519.PublicKey), at)
	signed := *wanted
	if err := a.secret.SignEvent(&signed); err != nil {
		return nil, wire.IdentityProof{}, err
	}
	proof, err := wire.NewIdentityProof(wanted, &signed)
	return key, proof, err
}

// offer returns the key package that others invite this client with. It is
// made anew after each use.
func (c *Client) offer() (*keyPackage, error) {
	if c.offered != nil {
		return c.offered, nil
	}
	if c.w.cfg.Protocol == group.V1 {
		return c.offerV1()
	}
	key, proof, err := c.account.newSignatureKey(c.timestamp())
	if err != nil {
		return nil, err
	}
	kp, keys, err := mls.NewKeyPackage(key, wire.KeyPackageConfig(c.account.pub, proof, c.now()))
	if err != nil {
		return nil, err
	}
	e, err := wire.NewKeyPackageEvent(c.account.pub, strings.Repeat("00", 32), kp, c.timestamp())
	if err != nil {
		return nil, err
	}
	if err := c.account.secret.SignEvent(e); err != nil {
		return nil, err
	}
	parsed, err := wire.ParseKeyPackageEvent(e, c.now())
	c.offered = &keyPackage{parsed, keys, key}
	return c.offered, err
}

// offerV1 is offer for groups of v1.
func (c *Client) offerV1() (*keyPackage, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	kp, keys, err := mls.NewKeyPackage(key, wire.MIPKeyPackageConfig(c.account.pub, c.now()))
	if err != nil {
		return nil, err
	}
	e := wire.NewMIPKeyPackageEvent(c.account.pub, wire.KindMIPKeyPackage, "", []string{c.w.relays[0].url}, kp, c.timestamp())
	if err := c.account.secret.SignEvent(e); err != nil {
		return nil, err
	}
	parsed, err := wire.ParseMIPKeyPackageEvent(e, c.now())
	c.offered = &keyPackage{parsed, keys, key}
	return c.offered, err
}

func (c *Client) invitee() (group.Invitee, error) {
	k, err := c.offer()
	if err != nil {
		return group.Invitee{}, err
	}
	return group.Invitee{KeyPackage: k.event, Inbox: []string{c.w.relays[0].url}}, nil
}

// answer does what a group asks of the account's key.
func (a *account) answer(r group.Request) group.Answer {
	e := *r.Event
	if r.Kind == group.RequestSeal {
		conversation, err := nostr.ConversationKey(a.secret, r.Recipient)
		if err != nil {
			return group.Answer{Request: r.ID, Err: err}
		}
		content, err := conversation.Encrypt(nostr.AppendRumorJSON(nil, r.Event))
		if err != nil {
			return group.Answer{Request: r.ID, Err: err}
		}
		e = *nostr.SealEvent(r.Event, content, r.Event.CreatedAt)
	}
	err := a.secret.SignEvent(&e)
	return group.Answer{Request: r.ID, Event: &e, Err: err}
}

func (a *account) welcome(e *nostr.Event) (*wire.Welcome, error) {
	_, rumor, err := nostr.Unwrap(a.secret, e)
	if err != nil {
		return nil, fmt.Errorf("sim: gift wrap: %w", err)
	}
	return wire.ParseAnyWelcome(rumor)
}
