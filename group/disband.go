package group

import (
	"slices"

	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// disband is this member's request to end the group (group-lifecycle-v1.md,
// "Disbanding"). It is durable and blocks all other outbound work until a
// disband commit, whoever's, is selected, or this member may not ask any more.
type disband struct {
	Ref string `json:"ref,omitempty"`
}

// pursueDisband prepares the next disband commit: the first one, or another
// after a branch without it won. Nothing else waits any more.
func (s *step) pursueDisband() {
	g := s.g
	if g.meta.Disband == nil || g.ended() || g.meta.Cause != "" || g.meta.Pass != nil || g.pending() != nil {
		return
	}
	if !g.tip.isAdmin(g.cfg.Self) {
		s.abandonDisband(ErrNotAdmin)
		return
	}
	s.sendQueued() // what was said before the request is still said
	for _, i := range slices.Clone(g.queue) {
		if i.Kind == intentDisband || i.Kind == intentLifecycle {
			return
		}
		s.refuse(i, ErrDisbanding)
	}
	kind := intentDisband
	if !slices.Contains(g.tip.settings.Required, wire.ComponentLifecycle) {
		kind = intentLifecycle
	}
	s.push(&intent{Kind: kind, NotBefore: s.now})
}

// abandonDisband ends the request and says why.
func (s *step) abandonDisband(why error) {
	ref := s.g.meta.Disband.Ref
	s.g.meta.Disband = nil
	for _, i := range slices.Clone(s.g.queue) {
		if i.Kind == intentDisband || i.Kind == intentLifecycle {
			s.done(i)
		}
	}
	if ref != "" {
		s.effect(Effect{Kind: EffectFailed, Epoch: s.g.tip.epoch, Ref: ref, Text: why.Error()})
	}
}

// fulfilDisband tells the one who asked that the group has ended.
func (s *step) fulfilDisband(tip *node) {
	if d := s.g.meta.Disband; d != nil && d.Ref != "" {
		s.effect(Effect{Kind: EffectPublished, Epoch: tip.epoch, Ref: d.Ref})
	}
	s.g.meta.Disband = nil
}

// disbandment is the only shape of a commit that ends a group: see
// [checkDisband].
func (n *node) disbandment(committer nostr.PubKey) mls.CommitConfig {
	cfg := mls.CommitConfig{Path: mls.PathAlways, Proposals: []mls.Proposal{
		mls.AppDataUpdate{Component: wire.ComponentAdmins, Data: wire.NewAdmins(committer).Append(nil)},
		mls.AppDataUpdate{Component: wire.ComponentLifecycle, Data: wire.Disbanded.Append(nil)},
	}}
	for i := range n.state.Leaves() {
		if i != n.state.Self() {
			cfg.Proposals = append(cfg.Proposals, mls.Remove{Removed: i})
		}
	}
	return cfg
}

// lifecycleEnablement makes a group that lacks the lifecycle component one
// that can be disbanded. The result is refused if a leaf does not support it.
func (n *node) lifecycleEnablement() mls.CommitConfig {
	required := append(slices.Clone(n.settings.Required), wire.ComponentLifecycle)
	slices.Sort(required)
	cfg := mls.CommitConfig{Proposals: []mls.Proposal{
		mls.AppDataUpdate{Component: wire.ComponentAppComponents, Data: wire.AppendComponents(nil, required)},
	}}
	if n.settings.Lifecycle == nil {
		cfg.Proposals = append(cfg.Proposals, mls.AppDataUpdate{Component: wire.ComponentLifecycle, Data: wire.Active.Append(nil)})
	}
	return cfg
}
