package mls

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
)

// counted is a value with the number of leaves that have it.
type counted[T any] struct {
	value  T
	leaves int
}

// count adds delta leaves like leaf to the counts. The lists are copied, since
// other trees share them.
func (t *ratchetTree) count(leaf *LeafNode, delta int) {
	t.capabilities = adjust(t.capabilities, &leaf.Capabilities, delta, compareCapabilities)
	t.credentials = adjust(t.credentials, leaf.Credential.Type, delta, cmp.Compare)
}

// countAlike reports whether one leaf in the place of the other leaves the
// counts as they are.
func countAlike(a, b *LeafNode) bool {
	return a.Credential.Type == b.Credential.Type && compareCapabilities(&a.Capabilities, &b.Capabilities) == 0
}

func adjust[T any](list []counted[T], value T, delta int, compare func(a, b T) int) []counted[T] {
	at, found := slices.BinarySearchFunc(list, value, func(c counted[T], v T) int { return compare(c.value, v) })
	switch {
	case !found:
		list = slices.Insert(slices.Clip(list), at, counted[T]{value, delta})
	case list[at].leaves+delta == 0:
		list = slices.Concat(list[:at], list[at+1:])
	default:
		list = slices.Clone(list)
		list[at].leaves += delta
	}
	return list
}

// countAll counts all leaves of a decoded tree, which are not shared yet, and
// lets leaves with equal capabilities share one list.
func (t *ratchetTree) countAll() {
	all := make([]*LeafNode, 0, t.members())
	for _, leaf := range t.leaves() {
		all = append(all, leaf)
		at, found := slices.BinarySearchFunc(t.credentials, leaf.Credential.Type,
			func(c counted[CredentialType], v CredentialType) int { return cmp.Compare(c.value, v) })
		if !found {
			t.credentials = slices.Insert(t.credentials, at, counted[CredentialType]{leaf.Credential.Type, 0})
		}
		t.credentials[at].leaves++
	}
	slices.SortFunc(all, func(a, b *LeafNode) int { return compareCapabilities(&a.Capabilities, &b.Capabilities) })
	for _, leaf := range all {
		if last := len(t.capabilities) - 1; last >= 0 && compareCapabilities(t.capabilities[last].value, &leaf.Capabilities) == 0 {
			leaf.Capabilities = *t.capabilities[last].value
			t.capabilities[last].leaves++
			continue
		}
		t.capabilities = append(t.capabilities, counted[*Capabilities]{&leaf.Capabilities, 1})
	}
}

// compareCapabilities orders lists as written; lists that differ only in
// order count as different, which costs a comparison and nothing else.
func compareCapabilities(a, b *Capabilities) int {
	if a == b {
		return 0
	}
	return cmp.Or(
		slices.Compare(a.Versions, b.Versions),
		slices.Compare(a.Suites, b.Suites),
		slices.Compare(a.Extensions, b.Extensions),
		slices.Compare(a.Proposals, b.Proposals),
		slices.Compare(a.Credentials, b.Credentials),
	)
}

// allSupport checks that every member supports what is required (RFC 9420,
// Sections 7.3 and 11.1). The error names the first leaf that does not.
func (t *ratchetTree) allSupport(required RequiredCapabilities) error {
	for _, c := range t.capabilities {
		if err := c.value.meets(required); err != nil {
			return t.nameLeaf(func(caps *Capabilities) error { return caps.meets(required) })
		}
	}
	return nil
}

// credentialTypesSupported checks that every member supports every credential
// type in use (Section 7.3).
func (t *ratchetTree) credentialTypesSupported() error {
	var used RequiredCapabilities
	for _, c := range t.credentials {
		used.Credentials = append(used.Credentials, c.value)
	}
	return t.allSupport(used)
}

func (t *ratchetTree) nameLeaf(check func(*Capabilities) error) error {
	for i, leaf := range t.leaves() {
		if err := check(&leaf.Capabilities); err != nil {
			return fmt.Errorf("leaf %d: %w", i, err)
		}
	}
	return fmt.Errorf("%w: capability counts", ErrInvalidTree)
}

// keysUnique checks that no encryption key, of leaf or parent, and no
// signature key occurs twice (Sections 7.3 and 12.4.3.1).
func (t *ratchetTree) keysUnique() error {
	encryption := make(map[string]struct{}, 2*t.members())
	signature := make(map[string]struct{}, t.members())
	unique := true
	add := func(set map[string]struct{}, key []byte) {
		before := len(set)
		set[string(key)] = struct{}{}
		unique = unique && len(set) > before
	}
	t.root.eachUsed(func(n *treeNode) {
		add(encryption, n.encryptionKey())
		if n.leaf != nil {
			add(signature, n.leaf.SignatureKey)
		}
	})
	if !unique {
		return fmt.Errorf("%w: key occurs twice", ErrInvalidTree)
	}
	return nil
}

// hasEncryptionKey reports whether a node of the tree has one of the keys.
func (t *ratchetTree) hasEncryptionKey(keys ...[]byte) bool {
	if x := t.indexed(); x != nil && x.lacks(keys) {
		return false
	}
	return newKeySet(keys).count(t.root) > 0
}

// hasSignatureKey reports whether a leaf other than except has the key. What
// the leaf itself has no other one has, since the keys of a tree are unique.
func (t *ratchetTree) hasSignatureKey(except LeafIndex, key []byte) bool {
	if own, ok := t.leaf(except); ok && bytes.Equal(own.SignatureKey, key) {
		return false
	}
	for i, leaf := range t.leaves() {
		if i != except && bytes.Equal(leaf.SignatureKey, key) {
			return true
		}
	}
	return false
}

// newLeavesUnique checks that the keys of the leaves put into the tree occur
// only there.
func (t *ratchetTree) newLeavesUnique(changes []leafChange) error {
	var encryption, signature [][]byte
	for _, c := range changes {
		if c.leaf != nil {
			encryption = append(encryption, c.leaf.EncryptionKey)
			signature = append(signature, c.leaf.SignatureKey)
		}
	}
	if len(encryption) == 0 {
		return nil
	}
	if !distinct(encryption) || !distinct(signature) {
		return fmt.Errorf("%w: two new leaves with one key", ErrInvalidLeaf)
	}
	signatureSet, hits := newKeySet(signature), newKeySet(encryption).count(t.root)
	for _, leaf := range t.leaves() {
		if signatureSet.has(leaf.SignatureKey) {
			hits++
		}
	}
	if hits != len(encryption)+len(signature) {
		return fmt.Errorf("%w: key of a new leaf occurs twice", ErrInvalidLeaf)
	}
	return nil
}

// distinct reports whether no key occurs twice.
func distinct(keys [][]byte) bool {
	sorted := slices.Clone(keys)
	slices.SortFunc(sorted, bytes.Compare)
	return len(slices.CompactFunc(sorted, bytes.Equal)) == len(keys)
}

// keySet finds keys among a few. A filter over two of their bytes, which nodes
// of the tree keep at hand, answers for almost every key of a tree; a sender
// who picks keys that pass it makes others compare at most keySetScan keys
// instead.
type keySet struct {
	filter [filterSize / 64]uint64
	keys   [][]byte
	many   map[string]struct{}
}

const (
	filterSize = 1024
	keySetScan = 32
)

func newKeySet(keys [][]byte) *keySet {
	s := &keySet{keys: keys}
	for _, k := range keys {
		bit := filterBits(k)
		s.filter[bit/64] |= 1 << (bit % 64)
	}
	if len(keys) > keySetScan {
		s.many = make(map[string]struct{}, len(keys))
		for _, k := range keys {
			s.many[string(k)] = struct{}{}
		}
	}
	return s
}

// filterBits takes two bytes that differ between keys of every suite: the
// first byte of a point on a NIST curve does not.
func filterBits(key []byte) uint16 {
	if len(key) < 3 {
		return 0
	}
	return (uint16(key[1])<<8 | uint16(key[2])) % filterSize
}

func (s *keySet) may(bits uint16) bool { return s.filter[bits/64]>>(bits%64)&1 != 0 }

func (s *keySet) has(key []byte) bool {
	if !s.may(filterBits(key)) {
		return false
	}
	if s.many != nil {
		_, ok := s.many[string(key)]
		return ok
	}
	for _, k := range s.keys {
		if bytes.Equal(k, key) {
			return true
		}
	}
	return false
}

// count returns how many nodes of a subtree have an encryption key of the set.
func (s *keySet) count(n *treeNode) int {
	hits := 0
	if s.may(n.keyBits) && n.used() && s.has(n.encryptionKey()) {
		hits++
	}
	if n.left != nil {
		hits += s.count(n.left) + s.count(n.right)
	}
	return hits
}
