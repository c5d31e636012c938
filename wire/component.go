package wire

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/marmotgo/marmot/mls"
)

// Component ids (registries.md). The first three are from the MLS extensions
// draft, the rest are Marmot's.
const (
	ComponentAppComponents  mls.ComponentID = 0x0001
	ComponentSafeAAD        mls.ComponentID = 0x0002
	ComponentLastResort     mls.ComponentID = 0x0004
	ComponentProfile        mls.ComponentID = 0x8001
	ComponentBlossomImage   mls.ComponentID = 0x8002
	ComponentAdmins         mls.ComponentID = 0x8003
	ComponentRouting        mls.ComponentID = 0x8004
	ComponentRetention      mls.ComponentID = 0x8005
	ComponentAgentStream    mls.ComponentID = 0x8006
	ComponentAvatarURL      mls.ComponentID = 0x8007
	ComponentLegacyMedia    mls.ComponentID = 0x8008
	ComponentIdentityProof  mls.ComponentID = 0x8009
	ComponentEncryptedMedia mls.ComponentID = 0x800b
	ComponentLifecycle      mls.ComponentID = 0x800c
)

// Role markers of the agent text stream: extension types that stand in a
// leaf's capabilities and never have a body (registries.md).
const (
	RoleReceive mls.ExtensionType = 0xf2d1
	RoleSend    mls.ExtensionType = 0xf2d2
	RoleFanout  mls.ExtensionType = 0xf2d4

	// legacyProof is the superseded identity proof v1; it must not appear.
	legacyProof mls.ExtensionType = 0xf2f1
)

// firstMarmotComponent is where the private-use range starts: ids below it
// are the draft's own and are not advertised in key package tags.
const firstMarmotComponent mls.ComponentID = 0x8000

// SupportedComponents returns the component ids that this implementation
// lists in its leaves, ascending. The caller owns the result.
func SupportedComponents() []mls.ComponentID {
	return []mls.ComponentID{
		ComponentAppComponents, ComponentProfile, ComponentBlossomImage, ComponentAdmins,
		ComponentRouting, ComponentRetention, ComponentAgentStream, ComponentAvatarURL,
		ComponentIdentityProof, ComponentEncryptedMedia, ComponentLifecycle,
	}
}

// Unavailable names the features that a group requires and this implementation
// does not have yet. Their components are advertised, because groups of other
// clients require them; their bytes are validated and kept.
func Unavailable(required []mls.ComponentID) []string {
	var out []string
	for _, f := range []struct {
		id   mls.ComponentID
		name string
	}{
		{ComponentBlossomImage, "group image"}, {ComponentAgentStream, "live agent text"},
		{ComponentAvatarURL, "group avatar"}, {ComponentEncryptedMedia, "encrypted media"},
	} {
		if slices.Contains(required, f.id) {
			out = append(out, f.name)
		}
	}
	return out
}

// AppendComponents appends a ComponentsList: sorted, unique ids.
func AppendComponents(b []byte, ids []mls.ComponentID) []byte {
	b = appendLength(b, uint64(2*len(ids)))
	for _, id := range ids {
		b = binary.BigEndian.AppendUint16(b, uint16(id))
	}
	return b
}

// DecodeComponents reads a ComponentsList and nothing after it. The list must
// be sorted and free of duplicates (mls-extensions-draft.md, 5.3).
func DecodeComponents(b []byte) ([]mls.ComponentID, error) {
	r := &reader{rest: b}
	sub := r.vector()
	ids := make([]mls.ComponentID, 0, len(sub.rest)/2)
	for sub.more() {
		id := mls.ComponentID(sub.uint(2))
		if n := len(ids); sub.err == nil && n > 0 && id <= ids[n-1] {
			sub.fail("component list not ascending")
		}
		ids = append(ids, id)
	}
	r.join(sub)
	if err := r.finish("component list"); err != nil {
		return nil, err
	}
	return ids, nil
}

// LeafComponents returns the component ids a leaf says it supports, and the
// leaf's dictionary.
func LeafComponents(leaf *mls.LeafNode) ([]mls.ComponentID, mls.AppDataDictionary, error) {
	data, ok := leaf.Extensions.Find(mls.ExtAppDataDictionary)
	if !ok {
		return nil, nil, malformed("leaf has no app_data_dictionary")
	}
	dict, err := mls.DecodeAppDataDictionary(data)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: leaf dictionary: %w", ErrEncoding, err)
	}
	list, ok := dict.Get(ComponentAppComponents)
	if !ok {
		return nil, nil, malformed("leaf has no component list")
	}
	ids, err := DecodeComponents(list)
	return ids, dict, err
}

// Covers reports the first of required that supported lacks.
func Covers[T comparable](supported, required []T) (missing T, ok bool) {
	for _, want := range required {
		if !slices.Contains(supported, want) {
			return want, false
		}
	}
	return missing, true
}

// idList writes registry ids as a key package tag does: "0x" and exactly four
// lowercase hex digits each.
func idList[T ~uint16](name string, ids []T) []string {
	tag := make([]string, 0, 1+len(ids))
	tag = append(tag, name)
	for _, id := range ids {
		tag = append(tag, fmt.Sprintf("0x%04x", uint16(id)))
	}
	return tag
}

func parseIDList[T ~uint16](tag []string) ([]T, error) {
	ids := make([]T, 0, len(tag))
	for _, v := range tag[1:] {
		n, err := strconv.ParseUint(strings.TrimPrefix(v, "0x"), 16, 16)
		if err != nil || v != fmt.Sprintf("0x%04x", n) {
			return nil, malformed("tag %q has a value that is not 0x and four hex digits", tag[0])
		}
		if slices.Contains(ids, T(n)) {
			return nil, malformed("tag %q repeats a value", tag[0])
		}
		ids = append(ids, T(n))
	}
	if len(ids) == 0 {
		return nil, malformed("tag %q has no value", tag[0])
	}
	return ids, nil
}

// sameSet compares two lists without repetitions as sets.
func sameSet[T comparable](a, b []T) bool {
	_, ok := Covers(a, b)
	return ok && len(a) == len(b)
}
