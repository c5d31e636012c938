package mls

import (
	"bytes"
	"fmt"
	"reflect"
	"testing"
)

// reachable returns every byte string that can be reached from v, to the end
// of what was allocated for it, by any path of pointers.
func reachable(v any) [][]byte {
	w := &memory{seen: map[visit]bool{}}
	w.walk(reflect.ValueOf(v))
	return w.found
}

type visit struct {
	at  uintptr
	typ reflect.Type
}

type memory struct {
	seen  map[visit]bool
	found [][]byte
}

func (w *memory) walk(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		at := visit{v.Pointer(), v.Type()}
		if v.IsNil() || w.seen[at] {
			return
		}
		w.seen[at] = true
		w.walk(v.Elem())
	case reflect.Interface:
		if !v.IsNil() {
			w.walk(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			w.walk(v.Field(i))
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			w.walk(it.Key())
			w.walk(it.Value())
		}
	case reflect.String:
		w.found = append(w.found, []byte(v.String()))
	case reflect.Slice:
		if v.IsNil() {
			return
		}
		v = v.Slice3(0, v.Cap(), v.Cap())
		if v.Type().Elem().Kind() == reflect.Uint8 {
			w.found = append(w.found, v.Bytes())
			return
		}
		for i := range v.Len() {
			w.walk(v.Index(i))
		}
	case reflect.Array:
		if v.Type().Elem().Kind() != reflect.Uint8 {
			for i := range v.Len() {
				w.walk(v.Index(i))
			}
			return
		}
		b := make([]byte, v.Len())
		for i := range b {
			b[i] = byte(v.Index(i).Uint())
		}
		w.found = append(w.found, b)
	}
}

// lineage returns everything from which the key of a generation of a leaf can
// be derived, and the key.
func lineage(t *testing.T, g *Group, leaf LeafIndex, kind ContentType, generation uint32) map[string][]byte {
	t.Helper()
	s, f := g.suite, g.messages.frontier
	secrets := map[string][]byte{}
	if l := g.messages.ratchets[leaf]; l != nil {
		r := l.of(kind)
		addRatchet(s, secrets, r.secret, r.next, generation)
		return secrets
	}
	node, index := bytes.Clone(f.nodes[0].value), uint32(1) // nothing is used yet: the root
	if f.nodes[0].index != 1 {
		t.Fatal("the tree was used already")
	}
	for target := f.width + uint32(leaf); ; {
		secrets[fmt.Sprintf("node %d", index)] = node
		if index == target {
			break
		}
		depth := 0
		for target>>depth != index {
			depth++
		}
		index = target >> (depth - 1)
		side := "left"
		if index&1 == 1 {
			side = "right"
		}
		node = s.expandWithLabel(node, "tree", []byte(side), s.nh)
	}
	label := "application"
	if kind != ContentApplication {
		label = "handshake"
	}
	addRatchet(s, secrets, s.deriveSecret(node, label), 0, generation)
	return secrets
}

func addRatchet(s *cipherSuite, secrets map[string][]byte, current []byte, from, generation uint32) {
	current = bytes.Clone(current)
	for g := from; g <= generation; g++ {
		secrets[fmt.Sprintf("ratchet %d", g)] = bytes.Clone(current)
		if g == generation {
			k := s.messageKey(current, g)
			secrets["key"], secrets["nonce"] = bytes.Clone(k.key[:s.nk]), bytes.Clone(k.nonce[:s.nn])
		}
		s.stepSecret(current, g)
	}
}

// holds reports which of the secrets can be reached from v.
func holds(t *testing.T, v any, secrets map[string][]byte) (names []string) {
	t.Helper()
	for _, b := range reachable(v) {
		for name, s := range secrets {
			if bytes.Contains(b, s) {
				names = append(names, name)
			}
		}
	}
	return names
}

// TestNoKeyIsReachable walks all memory of a group after it read or sent a
// message: nothing is left from which the message's key could be had.
func TestNoKeyIsReachable(t *testing.T) {
	for _, s := range allSuites() {
		members := newTesters(t, s.id, 5)
		a, b := members[1], members[3]
		for _, generation := range []uint32{0, 1, 4, 5} {
			at := generation
			secrets := lineage(t, b.group, a.group.self, ContentApplication, generation)
			if len(holds(t, b.group, secrets)) == 0 {
				t.Fatal("the walk finds no secret before the message is read")
			}
			var m *Message
			for next := uint32(0); ; {
				sealed := must(a.group.Protect(a.signer, []byte("x"), nil))(t)
				if next = sealed.Generation; next == at {
					m = decode(t, sealed.Message)
					break
				}
			}
			if _, err := b.group.Unprotect(m); err != nil {
				t.Fatal(err)
			}
			// A skipped generation's key stays for its message, but nothing above.
			for who, g := range map[string]*Group{"receiver": b.group, "sender": a.group} {
				if left := holds(t, g, secrets); len(left) > 0 {
					t.Fatalf("suite %d, generation %d: the %s still has %v", s.id, generation, who, left)
				}
			}
		}
	}
}

// TestNoPathSecretIsReachable: what a commit was derived from is gone from the
// next epoch of the committer and of those who followed.
func TestErasedGroupHoldsNoSecret(t *testing.T) {
	members := newTesters(t, testSuite, 4)
	advance(t, members, 2, CommitConfig{Path: PathAlways})
	g := members[1].group
	secrets := map[string][]byte{"root of messages": bytes.Clone(g.messages.frontier.nodes[0].value),
		"root of components": bytes.Clone(g.components.nodes[0].value)}
	for i, label := range epochLabels {
		secrets[label] = bytes.Clone(g.secrets.get(i))
	}
	for height := range g.tree.root.height + 1 {
		if k := g.keys.at(height); k != nil {
			secrets[fmt.Sprintf("key at height %d", height)] = bytes.Clone(k)
		}
	}
	// The memory itself is looked at, since erasing also drops the pointers.
	memory := reachable(g)
	contains := func(s []byte) bool {
		for _, b := range memory {
			if bytes.Contains(b, s) {
				return true
			}
		}
		return false
	}
	for name, s := range secrets {
		if !contains(s) {
			t.Fatalf("%s is not found before it is erased", name)
		}
	}
	g.Erase(UseAll)
	for name, s := range secrets {
		if contains(s) {
			t.Errorf("%s is still in memory", name)
		}
	}
}

// TestReuseGuard: the same state encrypts the same text twice to different
// bytes, since the guard is drawn for each message.
func TestReuseGuard(t *testing.T) {
	members := newTesters(t, testSuite, 2)
	stored := save(members[0].group)
	guards := map[[4]byte]bool{}
	for range 16 {
		sender, reader := stored.load(t), save(members[1].group).load(t)
		m := decode(t, must(sender.Protect(members[0].signer, []byte("x"), nil))(t).Message)
		d := must(reader.suite.openSenderData(&opening{}, reader.secrets.get(epochSenderData), m.private))(t)
		if d.generation != 0 || guards[d.guard] {
			t.Fatalf("generation %d with the guard %x twice", d.generation, d.guard)
		}
		guards[d.guard] = true
	}
}

func TestPSKNonces(t *testing.T) {
	members := newTesters(t, testSuite, 2)
	id := PSKID{Type: PSKExternal, ID: []byte("psk")}
	psks := map[string][]byte{id.Key(): []byte("secret")}
	nonces := map[string]bool{}
	for range 8 {
		staged := members[0].commit(CommitConfig{Proposals: []Proposal{PreSharedKey{ID: id}}, PSKs: psks})
		v := members[1].verifyCommit(staged.Message)
		used := v.list[0].proposal.(PreSharedKey).ID
		if len(used.Nonce) != 32 || nonces[string(used.Nonce)] || used.Key() != id.Key() {
			t.Fatalf("nonce %x", used.Nonce)
		}
		nonces[string(used.Nonce)] = true
		if _, err := members[1].group.Apply(v, ApplyInput{PSKs: psks}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestKeyPackageKeysAreFresh(t *testing.T) {
	signer, seen := newSigner(t, testSuite), map[string]bool{}
	for range 8 {
		k, _, err := NewKeyPackage(signer, KeyPackageConfig{Suite: testSuite, Credential: BasicCredential([]byte("x")), Capabilities: testCapabilities(testSuite)})
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range [][]byte{k.InitKey, k.Leaf.EncryptionKey} {
			if seen[string(key)] {
				t.Fatal("a key occurs twice")
			}
			seen[string(key)] = true
		}
	}
}
