package marmot

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// Group is a handle on one group of an account. It may be used from any
// goroutine, and costs nothing to make.
type Group struct {
	a   *Account
	key string
}

// ID names the group on this account: the MLS group id in hex. It is private.
func (g *Group) ID() string { return g.key }

// Status returns the group's state: epoch, members, what it waits for.
func (g *Group) Status(ctx context.Context) (group.Status, error) {
	var s group.Status
	err := g.a.do(ctx, func() error {
		l, err := g.a.known(g.key)
		if err != nil {
			return err
		}
		s = l.status()
		return nil
	})
	return s, err
}

// Report describes what the group does, what it waits for and what to do next.
// It names relays and accounts: it is for the account's owner.
func (g *Group) Report(ctx context.Context) (group.Report, error) {
	var r group.Report
	err := g.a.do(ctx, func() error {
		l, err := g.a.group(g.key)
		if err != nil {
			return err
		}
		r = l.state.Report(g.a.cfg.Now())
		return nil
	})
	return r, err
}

// Send sends a chat message (kind 9). It returns the message's id when it is
// stored; it is published in the background.
func (g *Group) Send(ctx context.Context, text string) (nostr.ID, error) {
	return g.SendPayload(ctx, wire.KindChat, text, nil)
}

// Reply sends a chat message that answers another.
func (g *Group) Reply(ctx context.Context, to nostr.ID, text string) (nostr.ID, error) {
	return g.SendPayload(ctx, wire.KindChat, text, nostr.Tags{{"e", to.String()}, {"q", to.String()}})
}

// React sends a reaction (kind 7) to a message: an emoji, or + or -.
func (g *Group) React(ctx context.Context, to nostr.ID, reaction string) (nostr.ID, error) {
	return g.SendPayload(ctx, wire.KindReaction, reaction, nostr.Tags{{"e", to.String()}})
}

// Edit replaces the text of a message of this account (kind 1009). Others
// honour it only for their author's own messages.
func (g *Group) Edit(ctx context.Context, message nostr.ID, text string) (nostr.ID, error) {
	return g.SendPayload(ctx, wire.KindEdit, text, nostr.Tags{{"e", message.String()}})
}

// Delete asks everyone to delete a message of this account (kind 5).
func (g *Group) Delete(ctx context.Context, message nostr.ID) (nostr.ID, error) {
	return g.SendPayload(ctx, wire.KindDelete, "", nostr.Tags{{"e", message.String()}})
}

// SendPayload sends an inner event of any kind. Its tags never leave the
// encryption. The error is [ErrSame] when one text was said some sixty times within
// a second.
func (g *Group) SendPayload(ctx context.Context, kind nostr.Kind, content string, tags nostr.Tags) (nostr.ID, error) {
	var id nostr.ID
	err := g.a.do(ctx, func() error {
		l, err := g.a.group(g.key)
		if err != nil {
			return err
		}
		e, err := g.a.newPayload(l, kind, content, tags)
		if err != nil {
			return err
		}
		id = e.ID
		_, err = g.a.step(l, group.Send{Ref: e.ID.String(), Payload: e})
		return err
	})
	return id, err
}

// ErrSame means that one text was said too often within a second.
var ErrSame = errors.New("marmot: this was said too often just now, word for word: wait some seconds")

// maxSame is how many messages with the same text a member can send in a second.
const maxSame = 60

// newPayload dates a payload now. What was said in this second already, word for
// word, is dated a second later: it would be the same message.
func (a *Account) newPayload(l *live, kind nostr.Kind, content string, tags nostr.Tags) (*nostr.Event, error) {
	now := nostr.Timestamp(a.cfg.Now().Unix())
	for later := range nostr.Timestamp(maxSame) {
		if e := wire.NewPayload(a.self, kind, content, tags, now+later); !l.state.Said(e.ID) {
			return e, nil
		}
	}
	return nil, ErrSame
}

// Invite adds people in one commit, and returns when a relay has taken it;
// their invitations follow in the background. See [Account.Lookup].
func (g *Group) Invite(ctx context.Context, people ...Contact) error {
	st, err := g.Status(ctx)
	if err != nil {
		return err
	}
	in := group.Invite{Ref: newRef()}
	if in.Invitees, err = invitees(st.Protocol, people); err != nil {
		return err
	}
	return g.a.request(ctx, g.key, in.Ref, in)
}

// Remove removes people with all their devices, and their admin rights.
func (g *Group) Remove(ctx context.Context, people ...nostr.PubKey) error {
	in := group.Remove{Ref: newRef(), Accounts: people}
	return g.a.request(ctx, g.key, in.Ref, in)
}

// SetProfile replaces the group's name and description.
func (g *Group) SetProfile(ctx context.Context, name, description string) error {
	in := group.SetProfile{Ref: newRef(), Profile: wire.Profile{Name: name, Description: description}}
	return g.a.request(ctx, g.key, in.Ref, in)
}

// Promote makes members admins.
func (g *Group) Promote(ctx context.Context, people ...nostr.PubKey) error {
	in := group.SetAdmins{Ref: newRef(), Grant: people}
	return g.a.request(ctx, g.key, in.Ref, in)
}

// Demote takes admin rights back. The last admin stays.
func (g *Group) Demote(ctx context.Context, people ...nostr.PubKey) error {
	in := group.SetAdmins{Ref: newRef(), Revoke: people}
	return g.a.request(ctx, g.key, in.Ref, in)
}

// SetRelays replaces the group's relays; the change itself goes to the old
// ones, and the old ones are read as long as something may still come there.
func (g *Group) SetRelays(ctx context.Context, relays []string) error {
	in := group.SetRouting{Ref: newRef(), Relays: relays}
	return g.a.request(ctx, g.key, in.Ref, in)
}

// RotateAddress gives the group another random public id (the h tag of its
// events). Somebody who was removed before does not learn it.
func (g *Group) RotateAddress(ctx context.Context) error {
	in := group.SetRouting{Ref: newRef(), NewID: true}
	return g.a.request(ctx, g.key, in.Ref, in)
}

// SetRetention says for how long messages should be kept, in whole seconds; 0
// is for ever. It holds for messages sent from then on.
func (g *Group) SetRetention(ctx context.Context, d time.Duration) error {
	in := group.SetRetention{Ref: newRef(), Retention: wire.Retention(d / time.Second)}
	return g.a.request(ctx, g.key, in.Ref, in)
}

// Disband ends the group for everyone, for good. It returns when the group has
// ended here. From the call on nothing else can be sent; the request goes on
// after a restart, and ends with an error only if this account is no admin any
// more.
func (g *Group) Disband(ctx context.Context) error {
	in := group.Disband{Ref: newRef()}
	return g.a.request(ctx, g.key, in.Ref, in)
}

// SelfUpdate renews this member's keys, its signature key too.
func (g *Group) SelfUpdate(ctx context.Context) error {
	in := group.SelfUpdate{Ref: newRef()}
	return g.a.request(ctx, g.key, in.Ref, in)
}

// Leave asks the others to remove this member. From then on nothing more can
// be sent; the group is left when one of them has committed it.
func (g *Group) Leave(ctx context.Context) error {
	in := group.Leave{Ref: newRef()}
	return g.a.request(ctx, g.key, in.Ref, in)
}

// Addresses returns where the group's events are on Nostr: the h tag and the
// relays, the current ones first.
func (g *Group) Addresses(ctx context.Context) ([]group.Address, error) {
	var out []group.Address
	err := g.a.do(ctx, func() error {
		l, err := g.a.known(g.key)
		if err != nil {
			return err
		}
		out = slices.Clone(l.addresses)
		return nil
	})
	return out, err
}
