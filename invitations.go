package marmot

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// EffectInvited tells of an invitation: Subject is the inviter, Text the
// group's name.
const EffectInvited group.EffectKind = "invited"

// Bounds of what strangers can make the account keep: invitations that wait,
// and gift wraps that were dealt with. Of these the oldest are forgotten first;
// meeting one again costs its decryption.
const (
	maxInvitations = 256
	maxSeen        = 8192
)

// openTimeout bounds the signer's work on one gift wrap, so that one it never
// answers for does not hold up the inbox.
const openTimeout = 2 * time.Minute

// invitation is a Welcome that was opened and checked, and waits for a
// decision. It holds the group's state, so the key package it used up can be
// replaced at once; nothing the invitation names has been contacted. Records
// and Effects are only in the store.
type invitation struct {
	Invitation group.Invitation `json:"invitation"`
	Event      nostr.ID         `json:"event"`
	Since      nostr.Timestamp  `json:"since"`
	Records    []group.Record   `json:"records"`
	Effects    []group.Effect   `json:"effects"`
}

func (a *Account) loadInvitations() error {
	return each(a.cfg.Store, keyInvitation, func(key string, i *invitation) { a.invitations[key] = i.brief() })
}

// brief is what of an invitation is kept in memory.
func (i *invitation) brief() *invitation {
	return &invitation{Invitation: i.Invitation, Event: i.Event, Since: i.Since}
}

func (a *Account) loadSeen() error {
	for r, err := range a.cfg.Store.Range(keySeen) {
		if err != nil {
			return err
		}
		id, err := nostr.ParseID(r.Key[len(keySeen):])
		if err == nil && len(r.Value) == 8 {
			a.seen[id] = nostr.Timestamp(binary.BigEndian.Uint64(r.Value))
		}
	}
	return nil
}

// saw remembers a gift wrap that was dealt with. What is returned belongs into
// the store.
func (a *Account) saw(id nostr.ID, at nostr.Timestamp) []group.Record {
	a.seen[id] = at
	records := []group.Record{{Key: keySeen + id.String(), Value: binary.BigEndian.AppendUint64(nil, uint64(at))}}
	if len(a.seen) <= maxSeen {
		return records
	}
	ids := slices.SortedFunc(maps.Keys(a.seen), func(x, y nostr.ID) int { return cmp.Compare(a.seen[x], a.seen[y]) })
	for _, id := range ids[:maxSeen/8] {
		delete(a.seen, id)
		records = append(records, group.Record{Key: keySeen + id.String()})
	}
	return records
}

// flush stores the marks that wait. They wait so that a flood of gift wraps
// from strangers does not cost a synced write for each.
func (a *Account) flush() error {
	if len(a.unsaved) == 0 {
		return nil
	}
	err := a.write(a.unsaved, nil)
	if err == nil || len(a.unsaved) > 2*maxSeen { // lost marks cost a decryption
		a.unsaved = nil
	}
	return err
}

// takeWrap opens a gift wrap with the signer's help and deals with what is in
// it. It reports false when the wrap must stay obtainable.
func (a *Account) takeWrap(ctx context.Context, e *nostr.Event) bool {
	known, mine := a.startOpening(ctx, e.ID)
	if !mine {
		return known
	}
	defer a.post(func() { a.endOpening(e.ID) })
	patient, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	rumor, err := unwrap(patient, a.signer, e)
	if err != nil {
		final := errors.Is(err, nostr.ErrMalformed) || errors.Is(err, nostr.ErrBadSignature) || errors.Is(err, nostr.ErrBadID) ||
			errors.Is(err, nostr.ErrDecrypt) || errors.Is(err, nostr.ErrWrongRecipient)
		return a.drop(ctx, e, "gift_wrap", final)
	}
	if rumor.Kind != wire.KindWelcome {
		return a.drop(ctx, e, "gift_wrap_kind", true)
	}
	settled := false
	err = a.do(ctx, func() error {
		settled = a.receiveWelcome(e, rumor)
		return nil
	})
	return settled && err == nil
}

// startOpening reports whether a gift wrap was dealt with already, or else
// whether the caller should open it. Several relays bring the same one: the
// signer is asked once, and the others wait for that.
func (a *Account) startOpening(ctx context.Context, id nostr.ID) (known, mine bool) {
	var other chan struct{}
	look := func() error {
		_, known = a.seen[id]
		if other = a.opening[id]; !known && other == nil {
			a.opening[id] = make(chan struct{})
			mine = true
		}
		return nil
	}
	if a.do(ctx, look) != nil || known || mine {
		return known, mine
	}
	select {
	case <-other:
	case <-ctx.Done():
		return false, false
	}
	err := a.do(ctx, func() error { _, known = a.seen[id]; return nil })
	return known && err == nil, false
}

func (a *Account) endOpening(id nostr.ID) {
	close(a.opening[id])
	delete(a.opening, id)
}

// drop counts a gift wrap that leads to nothing, and remembers it if that is
// final. One that only the signer failed on may be opened another time.
func (a *Account) drop(ctx context.Context, e *nostr.Event, why string, final bool) bool {
	a.refused.add(why)
	if !final {
		return false
	}
	return a.do(ctx, func() error {
		a.unsaved = append(a.unsaved, a.saw(e.ID, e.CreatedAt)...)
		return nil
	}) == nil
}

// receiveWelcome opens an invitation and stores it. Until it is stored, the
// key package is as it was.
func (a *Account) receiveWelcome(wrap, rumor *nostr.Event) bool {
	refuse := func(why string) bool {
		a.refused.add(why)
		a.unsaved = append(a.unsaved, a.saw(wrap.ID, wrap.CreatedAt)...)
		return true
	}
	w, err := wire.ParseAnyWelcome(rumor)
	if err != nil {
		return refuse(string(group.InvalidEncoding))
	}
	ref, k := a.packageFor(w)
	if k == nil {
		return refuse("welcome_not_for_us")
	}
	if w, err = packagings[k.protocol()].welcome(rumor); err != nil {
		return refuse(string(group.InvalidEncoding))
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
	i := &invitation{
		Invitation: g.Invitation(w.Author), Event: wrap.ID, Since: w.CreatedAt, Records: out.Records, Effects: out.Effects,
	}
	old := a.invitations[key]
	if _, ok := a.suspended[key]; ok {
		return false
	}
	live := a.groups[key]
	if i.Invitation.Rejoin = live.going(); i.Invitation.Rejoin && a.rouse(live) != nil {
		return false
	}
	if i.Invitation.Rejoin && live.state.Knows(g) || old != nil && old.Invitation.Epoch >= i.Invitation.Epoch {
		return refuse("welcome_known_group")
	}
	if old == nil && len(a.invitations) >= maxInvitations {
		a.refused.add(string(group.ResourceRefused))
		return false
	}
	used := *k
	used.Used = true
	entry := Update{Group: key, Effect: group.Effect{
		ID: "invited/" + wrap.ID.String(), Kind: EffectInvited, At: a.cfg.Now(), Subject: w.Author, Text: i.Invitation.Name,
	}}
	err = a.write(
		append(a.saw(wrap.ID, wrap.CreatedAt), i.stored(key), used.stored(ref)),
		[]group.Record{{Key: key + "/" + entry.Effect.ID, Value: encode(entry)}},
	)
	if err != nil {
		a.cfg.Log.Error("state could not be stored", "error", err)
		delete(a.seen, wrap.ID)
		return false
	}
	*k = used
	a.invitations[key] = i.brief()
	if a.cfg.Accept != nil && a.mayGiveUp(live, i.Invitation) && a.cfg.Accept(i.Invitation) {
		if err := a.accept(key); err != nil {
			a.cfg.Log.Error("an invitation could not be accepted", "error", err)
		}
	}
	a.renewKeyPackages()
	return true
}

// mayGiveUp reports whether an invitation may be accepted without asking a
// person. One that replaces a live copy only if that copy is on a dead branch,
// and an admin of it invites: whoever knows a group's id can make a Welcome for
// a group of their own with it.
func (a *Account) mayGiveUp(l *live, i group.Invitation) bool {
	return !i.Rejoin || (slices.Contains(l.state.Status().Admins, i.Inviter) && l.state.Stranded())
}

// going reports whether a group can still be taken part in. What it is not may
// be joined again.
func (l *live) going() bool {
	if l == nil {
		return false
	}
	s := l.status()
	return !s.Removed && s.Lifecycle != group.Unrecoverable && s.Lifecycle != group.Disbanded
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
// A newer invitation to the same group replaces the one before: i must be the
// one that waits.
func (a *Account) Accept(ctx context.Context, i group.Invitation) (*Group, error) {
	key := hex.EncodeToString(i.GroupID)
	err := a.do(ctx, func() error {
		if w := a.invitations[key]; w == nil || w.Invitation.Inviter != i.Inviter || w.Invitation.Epoch != i.Epoch {
			return ErrNoInvitation
		}
		return a.accept(key)
	})
	if err != nil {
		return nil, err
	}
	return &Group{a: a, key: key}, nil
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
	if a.invitations[key] == nil {
		return ErrNoInvitation
	}
	b, err := a.cfg.Store.Get(keyInvitation + key)
	if err != nil {
		return err
	}
	i := new(invitation)
	if err := json.Unmarshal(b, i); err != nil {
		return fmt.Errorf("marmot: invitation: %w", err)
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
	l := a.newLive(key, g)
	records = append(records, l.begins(min(i.Since, l.born))) // not what the inviter's clock says, if it is ahead
	out.Effects = append(i.Effects, out.Effects...)
	if err := a.commit(l, out, records); err != nil {
		return err
	}
	delete(a.invitations, key)
	return nil
}

// dropRemnant deletes what is left of a copy this account was removed from.
func (a *Account) dropRemnant(key string, records *[]group.Record) error {
	for r, err := range a.cfg.Store.Range(keyGroups + key + "/") {
		if err != nil {
			return err
		}
		*records = append(*records, group.Record{Key: r.Key})
	}
	return a.forgetTaken(key, records)
}
