package group

import (
	"bytes"
	"errors"

	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/wire"
)

// Reasons why the purpose of a commit that lost is not pursued.
var (
	errRivalChange = errors.New("group: somebody else changed the same thing at the same time")
	errRivalInvite = errors.New("group: another change won; invite again")
)

// wish is what a commit of our own is for, without its keys, so that it can
// be made again if the commit loses. SelfRemoves of others are found again by
// themselves.
func (i *intent) wish() *intent {
	if i.Kind == intentDepartures {
		return nil
	}
	w := *i
	w.Seed, w.Proof = nil, nil
	return &w
}

// wishAgain takes up what the superseded commits were for, on the branch that
// won. Nothing staged before is reused.
func (s *step) wishAgain() {
	for _, n := range s.superseded {
		w := *n.wish
		w.NotBefore, w.For = s.now, n.id
		switch {
		case w.Kind == intentInvite:
			// The invited joined a branch that lost. Another Welcome to the same
			// group would be refused there, so a person has to decide.
			s.refuse(&w, errRivalInvite)
			continue
		case !s.stillMeant(n):
			s.refuse(&w, errRivalChange)
			continue
		case w.Kind == intentDisband, w.Kind == intentLifecycle:
			continue // pursued as long as the request stands
		case w.Kind == intentUpdate:
			w.NotBefore = s.now.Add(s.g.joinDelay()) // spread those who collided
		}
		s.push(&w)
	}
	s.superseded = nil
}

// stillMeant reports whether the branch that won left what a commit of ours
// replaced as it was before: else somebody else's change stands.
func (s *step) stillMeant(n *node) bool {
	component, ok := map[intentKind]mls.ComponentID{
		intentProfile: wire.ComponentProfile, intentRouting: wire.ComponentRouting, intentRetention: wire.ComponentRetention,
	}[n.wish.Kind]
	if !ok {
		return true
	}
	before, _ := n.parent.settings.Dictionary.Get(component)
	now, _ := s.g.tip.settings.Dictionary.Get(component)
	return bytes.Equal(before, now)
}
