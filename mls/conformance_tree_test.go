package mls

import (
	"bytes"

	"github.com/marmotgo/marmot/mls/internal/wire"
)

func appendOpaque(b, data []byte) []byte { return wire.AppendOpaque(b, data) }

var treeRows = []requirement{
	{section: "7.5", rule: "new members are left out of the path's recipients", broken: "path encrypted to a member added in the same commit", want: ErrInvalidPath,
		violate: func(w *world) error {
			add := Add{KeyPackage: w.outsider.kp}
			g := w.a.group
			plan := must(g.planCommit([]ProposalFrom{{Proposal: add, Sender: w.member()}}, w.member(), nil, testTime))(w.t)
			step := must(g.applyPlan(plan))(w.t)
			newLeaf := func(key, hash []byte) (*LeafNode, error) {
				l := *g.selfLeaf()
				l.Source, l.EncryptionKey, l.ParentHash = LeafSourceCommit, key, hash
				return newLeafNode(w.s, w.a.signer, l, g.context.GroupID, g.self)
			}
			path := must(step.base.createPath(g.self, newLeaf, nil, func(h []byte) []byte { step.context.TreeHash = h; return step.context.encode() }, nil))(w.t)
			return w.answer(w.commit(path.encoded, values(add)...))
		}},
	{section: "7.5", rule: "a leaf in a path is held to what an Update is", tests: "TestConformance"},
	{section: "7.5", rule: "the derived public keys are those of the path", broken: "a node has another key than its secret gives", want: ErrInvalidPath,
		violate: func(w *world) error {
			return w.pathed(pathHooks{keys: func(keys [][]byte) { keys[0] = w.outsider.kp.InitKey }})
		}},
	{section: "7.5", rule: "the derived public keys are those of the path", broken: "the root has another key than its secret gives", want: ErrInvalidPath,
		violate: func(w *world) error {
			return w.pathed(pathHooks{keys: func(keys [][]byte) { keys[len(keys)-1] = w.outsider.kp.InitKey }})
		}},
	{section: "7.5", rule: "outdated keys are deleted", tests: "TestPathKeysAreSeparateAndRedacted TestErase"},
	{section: "7.6", rule: "a path has one node for each of the filtered direct path", broken: "a node less", want: ErrInvalidPath,
		violate: func(w *world) error {
			return w.pathed(pathHooks{nodes: func(p *updatePath) { p.nodes = p.nodes[:len(p.nodes)-1] }})
		}},
	{section: "7.6", rule: "a path has one node for each of the filtered direct path", broken: "a node more", want: ErrInvalidPath,
		violate: func(w *world) error {
			return w.pathed(pathHooks{nodes: func(p *updatePath) { p.nodes = append(p.nodes, p.nodes[0]) }})
		}},
	{section: "7.6", rule: "a node has one ciphertext for each of the resolution", broken: "a ciphertext less", want: ErrInvalidPath,
		violate: func(w *world) error {
			return w.pathed(pathHooks{nodes: func(p *updatePath) { p.nodes[0].ciphertexts = nil }})
		}},
	{section: "7.6", rule: "a node has one ciphertext for each of the resolution", broken: "a ciphertext more", want: ErrInvalidPath,
		violate: func(w *world) error {
			return w.pathed(pathHooks{nodes: func(p *updatePath) {
				p.nodes[0].ciphertexts = append(bytes.Clone(p.nodes[0].ciphertexts), p.nodes[0].ciphertexts...)
			}})
		}},
	{section: "7.6", rule: "a ciphertext is for its recipient", broken: "ciphertexts exchanged", want: ErrInvalidPath,
		violate: func(w *world) error {
			return w.pathed(pathHooks{nodes: func(p *updatePath) { p.nodes[0].ciphertexts = p.nodes[1].ciphertexts }})
		}},
	{section: "7.8", rule: "a node is in the hash exactly if it is not blank", tests: "TestTreeAgainstModel TestVectorsTreeOperations"},

	{section: "7.9.2", rule: "who joins checks that each parent node has exactly one valid parent hash below it", broken: "parent node's key changed", want: ErrInvalidTree,
		violate: func(w *world) error {
			return w.welcomed(welcomeHooks{tree: func(m *treeModel) { m.nodes[5].parent.encryptionKey = w.outsider.kp.InitKey }})
		}},
	{section: "7.9.2", rule: "who joins checks that each parent node has exactly one valid parent hash below it", broken: "parent node's parent hash dropped", want: ErrInvalidTree,
		violate: func(w *world) error {
			return w.welcomed(welcomeHooks{tree: func(m *treeModel) { m.nodes[1].parent.parentHash = nil }})
		}},
	{section: "7.9.2", rule: "who joins checks that each parent node has exactly one valid parent hash below it", broken: "parent node invented", want: ErrInvalidTree,
		violate: func(w *world) error {
			return w.welcomed(welcomeHooks{tree: func(m *treeModel) { m.nodes[9].parent = &parentNode{encryptionKey: w.outsider.kp.InitKey} }})
		}},
	{section: "7.9.2", rule: "who joins checks that each parent node has exactly one valid parent hash below it", broken: "committer's leaf lost its parent hash", want: ErrInvalidTree,
		violate: func(w *world) error { return w.inTree(0, func(l *LeafNode) { l.ParentHash = nil }) }},
	{section: "7.9.2", rule: "the same on every shape of tree", tests: "TestBugParentHashes TestTreeAgainstModel TestVectorsTreeValidation"},
	{section: "7.9.2", rule: "who processes a path compares the leaf's parent hash", broken: "another parent hash in the path's leaf", want: ErrInvalidPath,
		violate: func(w *world) error {
			return w.pathed(pathHooks{leaf: func(l *LeafNode) { l.ParentHash = flip(l.ParentHash) }})
		}},
	{section: "7.9.2", rule: "who processes a path compares the leaf's parent hash", broken: "no parent hash in the path's leaf", want: ErrInvalidPath,
		violate: func(w *world) error { return w.pathed(pathHooks{leaf: func(l *LeafNode) { l.ParentHash = nil }}) }},
	{section: "7.9.2", rule: "who processes a path compares the leaf's parent hash", broken: "another key in a node", want: ErrInvalidPath,
		violate: func(w *world) error {
			return w.pathed(pathHooks{nodes: func(p *updatePath) { p.nodes[0].encryptionKey = w.outsider.kp.InitKey }})
		}},
}
