package group

import (
	"errors"
	"fmt"

	"github.com/marmotgo/marmot/mls"
)

func unauthorized(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrUnauthorized, fmt.Sprintf(format, args...))
}

func invalidResult(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalidResult, fmt.Sprintf(format, args...))
}

// edge judges a commit in its parent state and returns the state it leads to,
// not yet linked (protocol-core.md, 4). Nothing is changed.
func (g *Group) edge(parent *node, commit *mls.VerifiedCommit) (*node, error) {
	props, err := commit.Proposals(parent.proposals)
	if err != nil {
		return nil, err
	}
	info, err := g.gen.authorize(parent, commit, props)
	if err != nil {
		return nil, err
	}
	next, err := parent.state.Apply(commit, mls.ApplyInput{
		Proposals: parent.proposals, Parallel: g.cfg.Parallel, PathOptional: g.gen.pathOptional(),
	})
	if errors.Is(err, mls.ErrRemoved) {
		n := &node{commit: info, removed: true, settings: parent.settings}
		return n, g.gen.removal(parent, props)
	}
	if err != nil {
		return nil, err
	}
	n := &node{commit: info, state: next}
	return n, g.gen.result(parent, n)
}
