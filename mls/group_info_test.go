package mls

import (
	"errors"
	"testing"
)

func TestGroupInfoLeaves(t *testing.T) {
	members := newTesters(t, testSuite, 3)
	g := members[1].group
	full := must(g.Info(members[1].signer, InfoConfig{}))(t)
	tree, _ := full.Extensions.Find(ExtRatchetTree)
	bare := must(g.Info(members[1].signer, InfoConfig{NoTree: true}))(t)
	if _, err := bare.Leaves(nil, Limits{}, nil); !errors.Is(err, ErrMissingTree) {
		t.Errorf("without a tree: %v", err)
	}
	if _, err := full.Leaves(nil, Limits{TreeLeaves: 2}, nil); !errors.Is(err, ErrInvalidTree) {
		t.Errorf("with more leaves than allowed: %v", err)
	}
	for _, leaves := range []func() int{
		func() int { return count(t, full, nil) },
		func() int { return count(t, bare, tree) },
	} {
		if n := leaves(); n != 3 {
			t.Errorf("%d leaves", n)
		}
	}
	forged := *full
	forged.Signature = append([]byte(nil), full.Signature...)
	forged.Signature[3] ^= 1
	if _, err := forged.Leaves(nil, Limits{}, nil); !errors.Is(err, ErrSignature) {
		t.Errorf("forged: %v", err)
	}
}

func count(t *testing.T, i *GroupInfo, tree []byte) (n int) {
	t.Helper()
	for at := range must(i.Leaves(tree, Limits{}, nil))(t) {
		if at != LeafIndex(n) {
			t.Errorf("leaf %d is number %d", at, n)
		}
		n++
	}
	return n
}
