package treemath

import (
	"encoding/json"
	"testing"

	"github.com/marmotgo/marmot/internal/vectors"
)

func TestVectors(t *testing.T) {
	var entries []struct {
		Leaves  uint32    `json:"n_leaves"`
		Nodes   uint32    `json:"n_nodes"`
		Root    uint32    `json:"root"`
		Left    []*uint32 `json:"left"`
		Right   []*uint32 `json:"right"`
		Parent  []*uint32 `json:"parent"`
		Sibling []*uint32 `json:"sibling"`
	}
	if err := json.Unmarshal(vectors.Read(t, "mls/tree-math.json"), &entries); err != nil {
		t.Fatal(err)
	}
	if len(entries) != 10 {
		t.Fatalf("%d entries, want 10", len(entries))
	}
	check := func(name string, node uint32, got uint32, ok bool, want *uint32) {
		t.Helper()
		if ok != (want != nil) || ok && got != *want {
			t.Errorf("%s(%d) = %d, %v", name, node, got, ok)
		}
	}
	for _, e := range entries {
		if Width(e.Leaves) != e.Nodes || Root(e.Leaves) != e.Root {
			t.Errorf("%d leaves: width %d, root %d", e.Leaves, Width(e.Leaves), Root(e.Leaves))
		}
		for x := range e.Nodes {
			got, ok := Left(x)
			check("left", x, got, ok, e.Left[x])
			got, ok = Right(x)
			check("right", x, got, ok, e.Right[x])
			got, ok = Parent(x, e.Leaves)
			check("parent", x, got, ok, e.Parent[x])
			got, ok = Sibling(x, e.Leaves)
			check("sibling", x, got, ok, e.Sibling[x])
		}
	}
}

func TestWidthFor(t *testing.T) {
	for leaves, want := range map[uint32]uint32{0: 1, 1: 1, 2: 2, 3: 4, 4: 4, 5: 8, 1023: 1024, 1025: 2048, MaxLeaves: MaxLeaves} {
		if got := WidthFor(leaves); got != want {
			t.Errorf("WidthFor(%d) = %d, want %d", leaves, got, want)
		}
	}
	if Width(MaxLeaves) != 1<<32-1 {
		t.Error("the widest tree overflows")
	}
}

func TestCommonLevel(t *testing.T) {
	const leaves = 32
	for a := range uint32(leaves) {
		for b := range uint32(leaves) {
			x, y := 2*a, 2*b
			for x != y {
				if Level(x) <= Level(y) {
					x, _ = Parent(x, leaves)
				} else {
					y, _ = Parent(y, leaves)
				}
			}
			if got := CommonLevel(a, b); got != Level(x) {
				t.Fatalf("CommonLevel(%d, %d) = %d, want %d", a, b, got, Level(x))
			}
		}
	}
}
