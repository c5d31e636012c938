package group

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// authorize applies the rules about who may commit what, all in the parent.
func (v2) authorize(parent *node, commit *mls.VerifiedCommit, props []mls.ProposalFrom) (*commitInfo, error) {
	if commit.Sender().Type != mls.SenderMember {
		return nil, unauthorized("external commit")
	}
	committer, err := parent.account(commit.Sender().Leaf)
	if err != nil {
		return nil, err
	}
	info := &commitInfo{Committer: committer}
	_, path := commit.Path()
	selfRemoves := 0
	for _, p := range props {
		if _, ok := p.Proposal.(mls.SelfRemove); ok {
			selfRemoves++
		}
	}
	ordinary := (len(props) == 0 && path) || (len(props) > 0 && selfRemoves == len(props))
	info.Privileged = !ordinary
	if info.Privileged && !parent.isAdmin(committer) {
		return nil, unauthorized("commit of a member who is no admin")
	}
	updated := map[mls.ComponentID]bool{}
	for _, p := range props {
		if err := authorizeProposal(parent, commit, p, info, updated); err != nil {
			return nil, err
		}
	}
	if info.Disbands {
		return info, checkDisband(parent, commit.Sender().Leaf, committer, props)
	}
	return info, nil
}

// checkDisband holds the commit that ends a group to its only allowed shape:
// the two component updates, and a Remove of every other leaf
// (group-lifecycle-v1.md).
func checkDisband(parent *node, self mls.LeafIndex, committer nostr.PubKey, props []mls.ProposalFrom) error {
	if !slices.Contains(parent.settings.Required, wire.ComponentLifecycle) {
		return invalidResult("disband without a required lifecycle")
	}
	removed, admins := map[mls.LeafIndex]bool{}, false
	for _, p := range props {
		switch body := p.Proposal.(type) {
		case mls.Remove:
			removed[body.Removed] = true
		case mls.AppDataUpdate:
			if body.Component == wire.ComponentAdmins {
				admins = bytes.Equal(body.Data, wire.NewAdmins(committer).Append(nil))
			} else if body.Component != wire.ComponentLifecycle {
				return invalidResult("disband with an unrelated update")
			}
		default:
			return invalidResult("disband with a proposal of type %d", p.Proposal.Type())
		}
	}
	if !admins {
		return invalidResult("disband without its admin list")
	}
	for i := range parent.state.Leaves() {
		if i != self && !removed[i] {
			return invalidResult("disband that leaves a member behind")
		}
	}
	return nil
}

// removal checks what can be known of the result of a commit that removes
// this member: it has no keys of that epoch, but the others would refuse a
// result with broken components or an admin without a leaf.
func (v2) removal(parent *node, props []mls.ProposalFrom) error {
	members, err := membersAfter(parent, props)
	if err != nil {
		return err
	}
	dict := parent.settings.Dictionary
	for _, p := range props {
		u, ok := p.Proposal.(mls.AppDataUpdate)
		switch {
		case !ok:
		case u.Remove:
			dict = dict.Without(u.Component)
		default:
			dict = dict.With(u.Component, u.Data)
		}
	}
	data, ok := dict.Get(wire.ComponentAdmins)
	if !ok {
		return invalidResult("no admins")
	}
	admins, err := wire.DecodeAdmins(data)
	if err != nil {
		return err
	}
	for _, entry := range dict {
		if err := wire.CheckComponent(entry.ID, entry.Data); err != nil {
			return err
		}
	}
	return allMembers(admins, members)
}

func authorizeProposal(parent *node, commit *mls.VerifiedCommit, p mls.ProposalFrom, info *commitInfo, updated map[mls.ComponentID]bool) error {
	sender, err := parent.account(p.Sender.Leaf)
	if err != nil {
		return err
	}
	switch body := p.Proposal.(type) {
	case mls.SelfRemove:
		if !p.ByReference || p.Sender.Leaf == commit.Sender().Leaf || parent.isAdmin(sender) {
			return unauthorized("SelfRemove inline, of the committer or of an admin")
		}
		info.Left = append(info.Left, sender)
		return nil
	case mls.AppDataUpdate:
		if updated[body.Component] {
			return invalidResult("two operations on component 0x%04x", uint16(body.Component))
		}
		updated[body.Component] = true
		if err := checkUpdate(parent, body, p.ByReference); err != nil {
			return err
		}
		info.Disbands = info.Disbands || body.Component == wire.ComponentLifecycle && bytes.Equal(body.Data, wire.Disbanded.Append(nil))
	case mls.Add:
		if _, _, err := wire.CheckLeaf(body.KeyPackage.Leaf, body.KeyPackage.Suite); err != nil {
			return err
		}
	case mls.Remove, mls.GroupContextExtensions:
	case mls.Update:
		if _, _, err := wire.CheckLeaf(body.Leaf, parent.state.Suite()); err != nil {
			return err
		}
		if err := sameAccount(body.Leaf, sender); err != nil {
			return err
		}
	default:
		return fmt.Errorf("%w: type %d", mls.ErrUnsupportedProposal, p.Proposal.Type())
	}
	if !parent.isAdmin(sender) {
		return unauthorized("proposal of a member who is no admin")
	}
	return nil
}

// checkUpdate applies the rules about single components (app-components/*).
func checkUpdate(parent *node, u mls.AppDataUpdate, byReference bool) error {
	id := uint16(u.Component)
	switch u.Component {
	case wire.ComponentSafeAAD, wire.ComponentIdentityProof, wire.ComponentLegacyMedia:
		return invalidResult("component 0x%04x cannot be group state", id)
	case wire.ComponentAppComponents, wire.ComponentAdmins, wire.ComponentRouting:
		if u.Remove {
			return invalidResult("component 0x%04x cannot be removed", id)
		}
	case wire.ComponentLifecycle:
		state, err := wire.DecodeLifecycle(u.Data)
		before := parent.settings.Lifecycle
		switch {
		case u.Remove || err != nil || byReference:
			return invalidResult("lifecycle change")
		case before != nil && *before == state:
			return invalidResult("lifecycle change without effect")
		}
	}
	if _, ok := parent.settings.Dictionary.Get(u.Component); u.Remove && !ok {
		return invalidResult("component 0x%04x is not there to be removed", id)
	}
	return nil
}

// result applies the invariants of every epoch to a commit's result and
// sets its settings (protocol-core.md, 3.3 and 4.5).
func (v2) result(parent, n *node) error {
	settings, err := wire.DecodeSettings(n.state.Context().Extensions)
	if err != nil {
		return err
	}
	n.settings = settings
	was := parent.settings
	switch {
	case settings.Routing == nil:
		return invalidResult("no routing")
	case slices.Contains(was.Required, wire.ComponentLifecycle) && !slices.Contains(settings.Required, wire.ComponentLifecycle):
		return invalidResult("lifecycle is no longer required")
	}
	if err := checkAdmins(n); err != nil {
		return err
	}
	all := !sameRequirements(parent.settings, n.settings)
	return checkLeaves(parent, n, all, func(leaf *mls.LeafNode) error { return checkLeaf(n, leaf) })
}

// joined holds a group that this member enters to the rules of every epoch
// (joining.md, steps 5 to 8).
func (v2) joined(n *node, parallel mls.Parallel) error {
	settings, err := wire.DecodeSettings(n.state.Context().Extensions)
	if err != nil {
		return err
	}
	n.settings = settings
	switch {
	case settings.Routing == nil:
		return invalidResult("no routing")
	case *lifecycleOf(settings) == wire.Disbanded:
		return invalidResult("the group was disbanded")
	}
	if err := n.checkAllLeaves(parallel, func(leaf *mls.LeafNode) error { return checkLeaf(n, leaf) }); err != nil {
		return err
	}
	return checkAdmins(n)
}

// checkAdmins demands a leaf of every listed admin, on every commit.
func checkAdmins(n *node) error {
	return allMembers(n.settings.Admins, n.members())
}

func allMembers(admins, members wire.Admins) error {
	for _, admin := range admins {
		if !members.Contains(admin) {
			return invalidResult("an admin has no leaf")
		}
	}
	return nil
}

func checkLeaf(n *node, leaf *mls.LeafNode) error {
	_, components, err := wire.CheckLeaf(leaf, n.state.Suite())
	if err != nil {
		return err
	}
	return wire.CheckSupport(leaf, components, n.settings)
}

func sameRequirements(a, b *wire.Settings) bool {
	return slices.Equal(a.Required, b.Required) && slices.Equal(a.RequiredMarkers(), b.RequiredMarkers()) &&
		slices.Equal(a.Capabilities.Extensions, b.Capabilities.Extensions) &&
		slices.Equal(a.Capabilities.Proposals, b.Capabilities.Proposals) &&
		slices.Equal(a.Capabilities.Credentials, b.Capabilities.Credentials)
}

// mayPropose judges a standalone proposal in the state of its own epoch
// (group-messaging.md): members may only ask to be removed, admins may
// propose what the profile knows.
func (v2) mayPropose(n *node, p *mls.VerifiedProposal) error {
	account, err := n.account(p.Sender().Leaf)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnauthorized, err)
	}
	switch p.Proposal().(type) {
	case mls.SelfRemove:
		if n.isAdmin(account) {
			return fmt.Errorf("%w: an admin asks to be removed", ErrUnauthorized)
		}
		return nil
	case mls.AppDataUpdate, mls.GroupContextExtensions, mls.Add, mls.Remove, mls.Update:
		if !n.isAdmin(account) {
			return fmt.Errorf("%w: a proposal of a member who is no admin", ErrUnauthorized)
		}
		return nil
	}
	return fmt.Errorf("%w: standalone proposal of type %d", mls.ErrUnsupportedProposal, p.Proposal().Type())
}
