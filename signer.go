package marmot

import (
	"context"

	"github.com/marmotgo/marmot/nostr"
)

// Signer is an account's Nostr key, wherever it lives. Its methods may take
// long, fail or refuse; they are called from several goroutines, never from
// the one that owns the account's state.
type Signer interface {
	PubKey() nostr.PubKey
	// SignEvent sets e's ID and Sig. It must not change anything else.
	SignEvent(ctx context.Context, e *nostr.Event) error
	// Encrypt and Decrypt are NIP-44 v2 between the account and peer.
	Encrypt(ctx context.Context, peer nostr.PubKey, plaintext []byte) (string, error)
	Decrypt(ctx context.Context, peer nostr.PubKey, payload string) ([]byte, error)
}

// LocalSigner is a Signer over a key in this process.
func LocalSigner(key nostr.SecretKey) Signer { return localSigner{key} }

type localSigner struct{ key nostr.SecretKey }

func (s localSigner) PubKey() nostr.PubKey { return s.key.PubKey() }

func (s localSigner) SignEvent(_ context.Context, e *nostr.Event) error { return s.key.SignEvent(e) }

func (s localSigner) Encrypt(_ context.Context, peer nostr.PubKey, plaintext []byte) (string, error) {
	c, err := nostr.ConversationKey(s.key, peer)
	if err != nil {
		return "", err
	}
	return c.Encrypt(plaintext)
}

func (s localSigner) Decrypt(_ context.Context, peer nostr.PubKey, payload string) ([]byte, error) {
	c, err := nostr.ConversationKey(s.key, peer)
	if err != nil {
		return nil, err
	}
	return c.Decrypt(payload)
}

// sign asks the signer for a signature and refuses an answer to another
// question.
func sign(ctx context.Context, s Signer, template *nostr.Event) (*nostr.Event, error) {
	e := *template
	e.PubKey = s.PubKey()
	want := e.ComputeID()
	if err := s.SignEvent(ctx, &e); err != nil {
		return nil, err
	}
	if e.ID != want {
		return nil, nostr.ErrBadID
	}
	return &e, e.Verify()
}

// seal asks the signer for a NIP-59 seal of rumor.
func seal(ctx context.Context, s Signer, rumor *nostr.Event, to nostr.PubKey, at nostr.Timestamp) (*nostr.Event, error) {
	content, err := s.Encrypt(ctx, to, nostr.AppendRumorJSON(nil, rumor))
	if err != nil {
		return nil, err
	}
	return sign(ctx, s, nostr.SealEvent(rumor, content, nostr.RandomPast(at, nil)))
}

// unwrap opens a gift wrap to the account: its two layers, each decrypted by
// the signer and checked.
func unwrap(ctx context.Context, s Signer, wrap *nostr.Event) (*nostr.Event, error) {
	if err := nostr.CheckWrap(wrap, s.PubKey()); err != nil {
		return nil, err
	}
	b, err := s.Decrypt(ctx, wrap.PubKey, wrap.Content)
	if err != nil {
		return nil, err
	}
	sealed, err := nostr.ParseSeal(b)
	if err != nil {
		return nil, err
	}
	if b, err = s.Decrypt(ctx, sealed.PubKey, sealed.Content); err != nil {
		return nil, err
	}
	return nostr.ParseSealed(sealed, b)
}
