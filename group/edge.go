package group

import (
	"errors"
	"fmt"
	"slices"

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

// checkAllLeaves checks every leaf, on the caller's pool if there is one: in v2
// each costs a Schnorr signature.
func (n *node) checkAllLeaves(parallel mls.Parallel, check func(*mls.LeafNode) error) error {
	var leaves []*mls.LeafNode
	for _, leaf := range n.state.Leaves() {
		leaves = append(leaves, leaf)
	}
	errs := make([]error, len(leaves))
	job := func(i int) { errs[i] = check(leaves[i]) }
	if parallel != nil && len(leaves) > 3 {
		parallel(len(leaves), job)
	} else {
		for i := range leaves {
			job(i)
		}
	}
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
		return errs[i]
	}
	return nil
}
