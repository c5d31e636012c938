package mls

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/marmotgo/marmot/mls/internal/wire"
)

// many returns a vector of n elements.
func many(n int, element func(i int) []byte) []byte {
	return wire.AppendVector(nil, func(b []byte) []byte {
		for i := range n {
			b = append(b, element(i)...)
		}
		return b
	})
}

// fixed returns n bytes behind their length.
func fixed(n int) []byte { return wire.AppendOpaque(nil, bytes.Repeat([]byte{9}, n)) }

// cheapLeaf is a leaf node of the fewest bytes with a given list of extensions.
func cheapLeaf(extensions []byte) []byte {
	b := append(append([]byte{}, fixed(minKeyBytes)...), fixed(minKeyBytes)...)
	b = append(b, 0, 1, 0)            // a basic credential
	b = append(b, make([]byte, 5)...) // capabilities
	b = append(b, byte(LeafSourceUpdate))
	return append(append(b, extensions...), fixed(minSignature)...)
}

// TestHostileAllocations: structures of as many and as small parts as the
// grammar allows cost no more memory than honest ones.
func TestHostileAllocations(t *testing.T) {
	uint16s := func(i int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(i)) }
	extension := func(i int) []byte { return append(uint16s(0x1000+i), 0) }
	proposals := func(n int, p ...byte) []byte {
		return append(many(n, func(int) []byte { return append([]byte{1}, p...) }), 0)
	}
	key := func(n int) []byte { return many(n, func(int) []byte { return append(fixed(32), 0, 1, 0) }) }
	keyPackage := append([]byte{0, 1, 0, 1}, fixed(minKeyBytes)...)
	keyPackage = append(keyPackage, cheapLeaf(many(maxExtensions, extension))...)
	keyPackage = append(append(keyPackage, many(maxExtensions, extension)...), 0)
	context := append([]byte{0, 1, 0, 1, 0}, make([]byte, 8)...)
	context = append(context, 0, 0)
	context = append(context, many(maxExtensions, extension)...)
	nonce := fixed(minHashBytes)
	psk := append([]byte{1, 0}, nonce...)
	path := append([]byte{0, 1}, cheapLeaf([]byte{0})...)
	path = append(path, many(maxPathNodes, func(int) []byte { return append(fixed(minKeyBytes), 0) })...)
	recipient := append(append(fixed(minHashBytes), fixed(minKeyBytes)...), fixed(minSealed)...)
	tree := many(801, func(i int) []byte {
		if i%2 == 1 {
			return []byte{0}
		}
		return append([]byte{1, 1}, cheapLeaf([]byte{0})...)
	})
	for name, c := range map[string]struct {
		codec string
		b     []byte
		bad   bool // refused, which may cost no more either
	}{
		"SelfRemoves":          {"commit", proposals(maxProposals, 0, 10), false},
		"AppEphemerals":        {"commit", proposals(maxProposals, 0, 9, 0, 0, 0), false},
		"empty contexts":       {"commit", proposals(maxProposals, 0, 7, 0), false},
		"PSKs in a commit":     {"commit", proposals(maxProposals, append([]byte{0, 4}, psk...)...), false},
		"too many proposals":   {"commit", proposals(maxProposals+1, 0, 10), true},
		"tiny references":      {"commit", append(many(500, func(int) []byte { return []byte{2, 0} }), 0), true},
		"path":                 {"commit", path, false},
		"extensions":           {"extensions", many(maxExtensions, extension), false},
		"too many extensions":  {"extensions", many(5000, extension), true},
		"the same extension":   {"extensions", many(64, func(int) []byte { return []byte{9, 9, 0} }), true},
		"components":           {"app data dictionary", many(maxComponents, func(i int) []byte { return append(uint16s(i), 0) }), false},
		"too many components":  {"app data dictionary", many(4000, func(i int) []byte { return append(uint16s(i), 0) }), true},
		"leaf":                 {"leaf node", cheapLeaf(many(maxExtensions, extension)), false},
		"key package":          {"key package", keyPackage, false},
		"group info":           {"group info", append(append(append(context, many(maxExtensions, extension)...), fixed(minHashBytes)...), 0, 0, 0, 0, 0), false},
		"recipients":           {"welcome", append(append([]byte{0, 1}, many(1000, func(int) []byte { return recipient })...), 0), false},
		"tiny recipients":      {"welcome", append(append([]byte{0, 1}, many(1000, func(int) []byte { return []byte{0, 0, 0} })...), 0), true},
		"PSKs in a Welcome":    {"group secrets", append([]byte{0, 0}, many(maxPSKs, func(int) []byte { return psk })...), false},
		"external senders":     {"external senders", key(300), false},
		"tiny senders":         {"external senders", many(1000, func(int) []byte { return []byte{0, 0, 1, 0} }), true},
		"required":             {"required capabilities", bytes.Repeat(many(maxCapabilityEntries, uint16s), 3), false},
		"leaves without nodes": {"ratchet tree", tree, false},
		"certificates": {"external senders", many(1, func(int) []byte {
			return append(fixed(32), append([]byte{0, 2}, wire.AppendOpaque(nil, make([]byte, 5000))...)...)
		}), false},
		"lengths that lie": {"welcome", []byte{0, 1, 0xbf, 0xff, 0xff, 0xff}, true},
	} {
		_, err := codecs[c.codec].decode(bytes.Clone(c.b))
		if (err != nil) != c.bad {
			t.Errorf("%s: %v", name, err)
		}
		t.Run(name, func(t *testing.T) { allocates(t, codecs[c.codec], c.b) })
	}
}
