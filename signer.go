package marmot

import (
	"context"
	"fmt"
	"slices"

	"github.com/marmotgo/marmot/nostr"
)

// Signer is an account's Nostr key, wherever it lives. Its methods may take
// long, fail or refuse; they are called from several goroutines, never from
// the one that owns the account's state. When ctx ends nobody waits for them
// any more, so they should end too.
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

// Format prints [redacted] for every verb: fmt would look into the struct.
func (localSigner) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[redacted]")) }

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

// guardedSigner is a Signer whose account cannot change and that nobody waits
// for longer than ctx, even if it does not listen to it.
type guardedSigner struct {
	signer Signer
	self   nostr.PubKey
}

func (s guardedSigner) PubKey() nostr.PubKey { return s.self }

func (s guardedSigner) SignEvent(ctx context.Context, e *nostr.Event) error {
	signed, err := patiently(ctx, func() (*nostr.Event, error) {
		own := *e // e is not touched after ctx has ended
		own.Tags = make(nostr.Tags, len(e.Tags))
		for i, t := range e.Tags {
			own.Tags[i] = slices.Clone(t)
		}
		err := s.signer.SignEvent(ctx, &own)
		return &own, err
	})
	if err == nil {
		*e = *signed
	}
	return err
}

func (s guardedSigner) Encrypt(ctx context.Context, peer nostr.PubKey, plaintext []byte) (string, error) {
	return patiently(ctx, func() (string, error) { return s.signer.Encrypt(ctx, peer, plaintext) })
}

func (s guardedSigner) Decrypt(ctx context.Context, peer nostr.PubKey, payload string) ([]byte, error) {
	return patiently(ctx, func() ([]byte, error) { return s.signer.Decrypt(ctx, peer, payload) })
}

// patiently waits for f until ctx ends.
func patiently[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	done := make(chan answer, 1)
	go func() {
		value, err := f()
		done <- answer{value, err}
	}()
	select {
	case a := <-done:
		return a.value, a.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
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
