package mls

import (
	"bytes"
	"crypto"
	"fmt"
	"iter"
)

// Group is one member's state in one epoch: group context, ratchet tree, own
// path keys, key schedule. It never changes, except that [Group.Protect],
// [Group.Unprotect], [Group.ExportComponent], private framing and
// [Group.Erase] consume secrets of its epoch. A group and its relatives belong
// to one goroutine.
type Group struct {
	redactedValue
	suite        *cipherSuite
	config       *Config
	limits       Limits
	context      GroupContext
	contextBytes []byte
	tag          []byte // confirmation tag
	self         LeafIndex
	tree         *ratchetTree
	founding     ResumptionUsage // in epoch 0 of a continuation: the usage of its first commit's PSK
	reInit       *ReInit         // of the commit that ended the group; no epoch follows

	keys       *pathKeys     // nil once erased
	secrets    *epochSecrets // never nil; its parts may be
	messages   *secretTree
	verified   *verifiedSignatures // by readers; nil if there was none
	components *frontier
}

// exporterTreeWidth is the number of leaves of the exporter tree: one for each
// component id.
const exporterTreeWidth = 1 << 16

// erasedTrees gives a group without any consumable secret.
func erasedTrees() (*secretTree, *frontier) {
	return &secretTree{frontier: &frontier{}}, &frontier{}
}

// plant starts the trees of a new epoch.
func (g *Group) plant(roots treeRoots) {
	g.messages = newSecretTree(g.tree.leafWidth(), roots.encryption)
	g.components = newFrontier(exporterTreeWidth, roots.components)
}

// ID returns a copy of the group id.
func (g *Group) ID() []byte { return bytes.Clone(g.context.GroupID) }

// Epoch returns the epoch's number.
func (g *Group) Epoch() uint64 { return g.context.Epoch }

// Suite returns the cipher suite.
func (g *Group) Suite() Suite { return g.suite.id }

// Self returns this member's leaf.
func (g *Group) Self() LeafIndex { return g.self }

// Size returns the number of members.
func (g *Group) Size() int { return g.tree.members() }

// Context returns a copy of the GroupContext.
func (g *Group) Context() *GroupContext { return g.context.clone() }

// Leaf returns the leaf of a member; false if there is none at i.
func (g *Group) Leaf(i LeafIndex) (*LeafNode, bool) { return g.tree.leaf(i) }

// Leaves yields the members in ascending order.
func (g *Group) Leaves() iter.Seq2[LeafIndex, *LeafNode] { return g.tree.leaves() }

// ReInit returns the proposal that ended the group; false if it goes on.
func (g *Group) ReInit() (ReInit, bool) {
	if g.reInit == nil {
		return ReInit{}, false
	}
	return *g.reInit.clone(), true
}

// goesOn refuses what would send in a group that was reinitialized.
func (g *Group) goesOn() error {
	if g.reInit != nil {
		return ErrReInitialized
	}
	return nil
}

// ConfirmationTag returns a copy of the epoch's confirmation tag, Nh bytes. It
// names the epoch: rival epochs of the same number have different ones.
func (g *Group) ConfirmationTag() []byte { return bytes.Clone(g.tag) }

func (g *Group) selfLeaf() *LeafNode {
	leaf, ok := g.tree.leaf(g.self)
	if !ok {
		panic("mls: own leaf is blank") // a group without this member is never built
	}
	return leaf
}

// checkSigner refuses a signer that is not the one of this member's leaf: what
// it signs would be refused by everyone. In a group that was reinitialized
// nobody signs any more (Section 12.4.2).
func (g *Group) checkSigner(signer crypto.Signer) error {
	if err := g.goesOn(); err != nil {
		return err
	}
	pub, err := g.suite.signaturePublicKey(signer)
	if err != nil {
		return err
	}
	if !bytes.Equal(pub, g.selfLeaf().SignatureKey) {
		return fmt.Errorf("%w: signer is not that of the own leaf", ErrInvalidConfig)
	}
	return nil
}

// checkLeaf holds a leaf that is to enter the tree to Section 7.3, but for its
// signature, which depends on its place, and what depends on other leaves.
func checkLeaf(s *cipherSuite, l *LeafNode, extensions Extensions) error {
	if err := l.checkKeys(s); err != nil {
		return err
	}
	if err := l.supportsOwn(); err != nil {
		return err
	}
	context := GroupContext{Extensions: extensions}
	if err := l.Capabilities.meets(context.Required()); err != nil {
		return err
	}
	return l.Capabilities.meets(RequiredCapabilities{Extensions: extensions.nonDefault()})
}

// Use names what a retained epoch may still be needed for. It is a set.
type Use uint8

// The uses that [Group.Erase] ends.
const (
	UseAdvance  Use = 1 << iota // verify and apply public handshakes, commit
	UseMessages                 // protect and unprotect, private handshakes
	UseExports                  // exporters, epoch authenticator, resumption PSK
	UseAll      = UseAdvance | UseMessages | UseExports
)

// Erase overwrites what the given uses need. Operations that need it then
// return [ErrErased]. Children of this group are not affected.
func (g *Group) Erase(u Use) {
	if u&UseAdvance != 0 {
		g.secrets.erase(epochInit, epochSenderData)
		if g.keys != nil {
			g.keys.erase()
			g.keys = nil
		}
	}
	if u&UseMessages != 0 {
		g.secrets.erase(epochSenderData, epochExporter)
		g.messages.erase()
	}
	if u&UseExports != 0 {
		g.secrets.erase(epochExporter, epochSecretCount)
		g.components.erase()
	}
}
