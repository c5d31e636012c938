package marmot

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// EffectInvited tells of an invitation: Subject is the inviter, Text the
// group's name.
const EffectInvited group.EffectKind = "invited"

// maxInvitations bounds what strangers can make the account keep, in entries.
const maxInvitations = 256

// invitation is a Welcome that was opened and checked, and waits for a
// decision. It holds the group's state, so the key package it used up can be
// replaced at once; nothing the invitation names has been contacted.
type invitation struct {
	Invitation group.Invitation `json:"invitation"`
	Event      nostr.ID         `json:"event"`
	Since      nostr.Timestamp  `json:"since"`
	Records    []group.Record   `json:"records"`
	Effects    []group.Effect   `json:"effects"`
}

func (a *Account) loadInvitations() error {
	return each(a.cfg.Store, keyInvitation, func(key string, i *invitation) { a.invitations[key] = i })
}

func (a *Account) loadSeen() error {
	for r, err := range a.cfg.Store.Range(keySeen) {
		if err != nil {
			return err
		}
		if id, err := nostr.ParseID(r.Key[len(keySeen):]); err == nil {
			a.seen[id] = true
		}
	}
	return nil
}

// takeWrap opens a gift wrap with the signer's help and deals with what is in
// it. It reports false when the wrap must stay obtainable.
func (a *Account) takeWrap(ctx context.Context, e *nostr.Event) bool {
	known := false
	if err := a.do(ctx, func() error { known = a.seen[e.ID]; return nil }); err != nil || known {
		return known
	}
	rumor, err := unwrap(ctx, a.cfg.Signer, e)
	if err != nil {
		final := errors.Is(err, nostr.ErrMalformed) || errors.Is(err, nostr.ErrBadSignature) || errors.Is(err, nostr.ErrBadID) ||
			errors.Is(err, nostr.ErrDecrypt) || errors.Is(err, nostr.ErrWrongRecipient)
		return a.drop(ctx, e.ID, "gift_wrap", final)
	}
	if rumor.Kind != wire.KindWelcome {
		return a.drop(ctx, e.ID, "gift_wrap_kind", true)
	}
	w, err := wire.ParseWelcome(rumor)
	if err != nil {
		return a.drop(ctx, e.ID, string(group.InvalidEncoding), true)
	}
	settled := false
	err = a.do(ctx, func() error {
		settled = a.receiveWelcome(e.ID, w)
		return nil
	})
	return settled && err == nil
}

// drop counts a gift wrap that leads to nothing, and remembers it if that is
// final. One that only the signer failed on may be opened another time.
func (a *Account) drop(ctx context.Context, id nostr.ID, why string, final bool) bool {
	err := a.do(ctx, func() error {
		a.count(why)
		if !final {
			return nil
		}
		a.seen[id] = true
		return a.write([]group.Record{seenRecord(id)}, nil)
	})
	return final && err == nil
}

func seenRecord(id nostr.ID) group.Record {
	return group.Record{Key: keySeen + id.String(), Value: []byte{1}}
}

// receiveWelcome opens an invitation and stores it. Until it is stored, the
// key package is as it was.
func (a *Account) receiveWelcome(id nostr.ID, w *wire.Welcome) bool {
	if a.seen[id] {
		return true
	}
	refuse := func(why string) bool {
		a.count(why)
		a.seen[id] = true
		return a.write([]group.Record{seenRecord(id)}, nil) == nil
	}
	ref, k := a.packageFor(w)
	if k == nil {
		return refuse("welcome_not_for_us")
	}
	cfg, err := a.joinConfig(w, k)
	if err != nil {
		return refuse("welcome_not_for_us")
	}
	g, out, err := group.Join(a.cfg.Now(), cfg)
	if err != nil {
		a.cfg.Log.Info("an invitation was refused", "error", err)
		return refuse("welcome_invalid")
	}
	key := hex.EncodeToString(g.ID())
	if l := a.groups[key]; (l != nil && !l.state.Status().Removed) || a.invitations[key] != nil {
		return refuse("welcome_known_group")
	}
	if len(a.invitations) >= maxInvitations {
		a.count(string(group.ResourceRefused))
		return false
	}
	i := &invitation{
		Invitation: g.Invitation(w.Author), Event: id, Since: w.CreatedAt, Records: out.Records, Effects: out.Effects,
	}
	used := *k
	used.Used = true
	entry := Update{Group: key, Effect: group.Effect{
		ID: "invited/" + id.String(), Kind: EffectInvited, At: a.cfg.Now(), Subject: w.Author, Text: i.Invitation.Name,
	}}
	err = a.write(
		[]group.Record{i.stored(key), used.stored(ref), seenRecord(id)},
		[]group.Record{{Key: key + "/" + entry.Effect.ID, Value: encode(entry)}},
	)
	if err != nil {
		a.cfg.Log.Error("state could not be stored", "error", err)
		return false
	}
	a.seen[id] = true
	*k = used
	a.invitations[key] = i
	if a.cfg.Accept != nil && a.cfg.Accept(i.Invitation) {
		if err := a.accept(key); err != nil {
			a.cfg.Log.Error("an invitation could not be accepted", "error", err)
		}
	}
	a.renewKeyPackage()
	return true
}

func (i *invitation) stored(key string) group.Record {
	return group.Record{Key: keyInvitation + key, Value: encode(i), Secret: true}
}

// packageFor finds the key package that a Welcome was made for.
func (a *Account) packageFor(w *wire.Welcome) (string, *keyPackage) {
	m, err := mls.DecodeMessage(w.Message)
	if err != nil {
		return "", nil
	}
	welcome, ok := m.Welcome()
	if !ok {
		return "", nil
	}
	for _, ref := range welcome.Refs() {
		key := hex.EncodeToString(ref)
		if k := a.packages[key]; k != nil {
			return key, k
		}
	}
	return "", nil
}

func (a *Account) joinConfig(w *wire.Welcome, k *keyPackage) (group.JoinConfig, error) {
	kp, err := mls.DecodeKeyPackage(k.KeyPackage)
	if err != nil {
		return group.JoinConfig{}, err
	}
	keys, err := mls.DecodeKeyPackageKeys(k.Keys)
	return group.JoinConfig{
		Config: a.groupConfig(), Welcome: w, KeyPackage: kp, Keys: keys, Signer: ed25519.NewKeyFromSeed(k.Seed),
	}, err
}

// Invitations returns the invitations that wait for a decision.
func (a *Account) Invitations(ctx context.Context) ([]group.Invitation, error) {
	var out []group.Invitation
	err := a.do(ctx, func() error {
		for _, i := range a.invitations {
			out = append(out, i.Invitation)
		}
		return nil
	})
	slices.SortFunc(out, func(x, y group.Invitation) int { return slices.Compare(x.GroupID, y.GroupID) })
	return out, err
}

// Accept joins the group of an invitation. Only now are its relays contacted.
func (a *Account) Accept(ctx context.Context, i group.Invitation) (*Group, error) {
	key := hex.EncodeToString(i.GroupID)
	err := a.do(ctx, func() error { return a.accept(key) })
	return &Group{a: a, key: key}, err
}

// Decline drops an invitation without a word. The seat in the group stays: the
// others see a member who never comes.
func (a *Account) Decline(ctx context.Context, i group.Invitation) error {
	key := hex.EncodeToString(i.GroupID)
	return a.do(ctx, func() error {
		if a.invitations[key] == nil {
			return ErrNoInvitation
		}
		if err := a.write([]group.Record{{Key: keyInvitation + key}}, nil); err != nil {
			return err
		}
		delete(a.invitations, key)
		return nil
	})
}

// accept makes the invitation's state a group of the account: in one
// transaction with the end of the invitation.
func (a *Account) accept(key string) error {
	i := a.invitations[key]
	if i == nil {
		return ErrNoInvitation
	}
	records := []group.Record{{Key: keyInvitation + key}}
	if err := a.dropRemnant(key, &records); err != nil {
		return err
	}
	g, out, err := group.Load(a.cfg.Now(), a.groupConfig(), i.Records)
	if err != nil {
		return fmt.Errorf("marmot: invitation: %w", err)
	}
	for _, r := range i.Records {
		r.Key = keyGroups + key + "/" + r.Key
		records = append(records, r)
	}
	for _, address := range g.Addresses() {
		for _, url := range address.Relays {
			// What was sent before the invitation cannot be read; slow clocks get
			// the overlap.
			name := keySync + "group/" + hex.EncodeToString(address.GroupID[:]) + "/" + url
			records = append(records, group.Record{Key: name, Value: encode(i.Since)})
		}
	}
	l := &live{key: key, state: g}
	out.Effects = append(slices.Clone(i.Effects), out.Effects...)
	a.groups[key] = l
	if err := a.commit(l, out, records); err != nil {
		delete(a.groups, key)
		return err
	}
	delete(a.invitations, key)
	return nil
}

// dropRemnant deletes what is left of a copy this account was removed from.
func (a *Account) dropRemnant(key string, records *[]group.Record) error {
	if a.groups[key] == nil {
		return nil
	}
	for r, err := range a.cfg.Store.Range(keyGroups + key + "/") {
		if err != nil {
			return err
		}
		*records = append(*records, group.Record{Key: r.Key})
	}
	return nil
}
