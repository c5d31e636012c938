package wire

import (
	"bytes"
	"encoding/binary"
	"slices"
	"unicode/utf8"

	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/nostr"
)

// Bounds of component fields, in bytes unless said otherwise (app-components/*).
const (
	maxName        = 256
	maxDescription = 4096
	maxRelays      = 16 // entries
	maxRelayURL    = 512
	maxEndpointURL = 2048
	maxMediaLists  = 16 // entries
	maxLocatorKind = 64
)

// Profile is component 0x8001: a group's name and description
// (group-profile-v1.md). An empty profile differs from an absent one.
type Profile struct{ Name, Description string }

// Append appends the component's bytes.
func (p Profile) Append(b []byte) []byte {
	return appendOpaque(appendOpaque(b, p.Name), p.Description)
}

// Check reports a field that is too long or not UTF-8.
func (p Profile) Check() error {
	_, err := DecodeProfile(p.Append(nil))
	return err
}

// DecodeProfile reads component 0x8001.
func DecodeProfile(b []byte) (Profile, error) {
	r := &reader{rest: b}
	p := Profile{Name: r.text(0, maxName), Description: r.text(0, maxDescription)}
	return p, r.finish("group profile")
}

func (r *reader) text(low, high int) string {
	b := r.opaque(low, high)
	if !utf8.Valid(b) {
		r.fail("text is not UTF-8")
	}
	return string(b)
}

// Admins is component 0x8003: the accounts that may change the group, sorted
// and unique (admin-policy-v1.md).
type Admins []nostr.PubKey

// NewAdmins sorts keys and drops repetitions.
func NewAdmins(keys ...nostr.PubKey) Admins {
	a := Admins(slices.Clone(keys))
	slices.SortFunc(a, comparePubKeys)
	return slices.Compact(a)
}

func comparePubKeys(a, b nostr.PubKey) int { return bytes.Compare(a[:], b[:]) }

// Contains reports whether key is listed.
func (a Admins) Contains(key nostr.PubKey) bool {
	_, ok := slices.BinarySearchFunc(a, key, comparePubKeys)
	return ok
}

// Append appends the component's bytes.
func (a Admins) Append(b []byte) []byte {
	b = appendLength(b, uint64(32*len(a)))
	for _, key := range a {
		b = append(b, key[:]...)
	}
	return b
}

// DecodeAdmins reads component 0x8003.
func DecodeAdmins(b []byte) (Admins, error) {
	r := &reader{rest: b}
	sub := r.vector()
	a := make(Admins, 0, len(sub.rest)/32)
	for sub.more() {
		var key nostr.PubKey
		copy(key[:], sub.fixed(32))
		if n := len(a); sub.err == nil && n > 0 && comparePubKeys(a[n-1], key) >= 0 {
			sub.fail("admins not sorted or repeated")
		}
		a = append(a, key)
	}
	r.join(sub)
	if r.err == nil && len(a) == 0 {
		r.fail("no admin")
	}
	if err := r.finish("admin policy"); err != nil {
		return nil, err
	}
	return a, nil
}

// Routing is component 0x8004: where a group's events are found on Nostr
// (nostr-routing-v1.md). Relays are compared byte for byte and never rewritten.
type Routing struct {
	GroupID [32]byte // nostr_group_id, random; the value of the h tag
	Relays  []string // 1 to 16, sorted, unique
}

// NewRouting sorts relays and drops repetitions.
func NewRouting(id [32]byte, relays []string) Routing {
	sorted := slices.Clone(relays)
	slices.Sort(sorted)
	return Routing{GroupID: id, Relays: slices.Compact(sorted)}
}

// Append appends the component's bytes.
func (r Routing) Append(b []byte) []byte {
	b = append(b, r.GroupID[:]...)
	var list []byte
	for _, u := range r.Relays {
		list = appendOpaque(list, u)
	}
	return appendOpaque(b, list)
}

// Check reports what makes the routing invalid.
func (r Routing) Check() error {
	_, err := DecodeRouting(r.Append(nil))
	return err
}

// DecodeRouting reads component 0x8004.
func DecodeRouting(b []byte) (Routing, error) {
	r := &reader{rest: b}
	var out Routing
	copy(out.GroupID[:], r.fixed(32))
	sub := r.vector()
	for sub.more() {
		u := string(sub.opaque(1, maxRelayURL))
		if sub.err == nil && nostr.CheckRelayURL(u) != nil {
			sub.fail("relay URL not valid")
		}
		if n := len(out.Relays); sub.err == nil && n > 0 && u <= out.Relays[n-1] {
			sub.fail("relays not sorted or repeated")
		}
		out.Relays = append(out.Relays, u)
		if len(out.Relays) > maxRelays {
			sub.fail("more than %d relays", maxRelays)
		}
	}
	r.join(sub)
	if r.err == nil && len(out.Relays) == 0 {
		r.fail("no relay")
	}
	if err := r.finish("routing"); err != nil {
		return Routing{}, err
	}
	return out, nil
}

// Retention is component 0x8005: for how many seconds messages should be
// kept; 0 is off (message-retention-v1.md).
type Retention uint64

// Append appends the component's bytes.
func (d Retention) Append(b []byte) []byte { return binary.BigEndian.AppendUint64(b, uint64(d)) }

// DecodeRetention reads component 0x8005.
func DecodeRetention(b []byte) (Retention, error) {
	r := &reader{rest: b}
	d := Retention(r.uint(8))
	return d, r.finish("message retention")
}

// Expiry returns when a message created at createdAt expires; ok is false when
// retention is off or the sum does not fit.
func (d Retention) Expiry(createdAt nostr.Timestamp) (at nostr.Timestamp, ok bool) {
	if d == 0 || createdAt < 0 {
		return 0, false
	}
	sum := uint64(createdAt) + uint64(d)
	if sum < uint64(d) || int64(sum) < 0 {
		return 0, false
	}
	return nostr.Timestamp(sum), true
}

// Lifecycle is component 0x800c (group-lifecycle-v1.md).
type Lifecycle byte

// The two lifecycle states.
const (
	Active    Lifecycle = 0
	Disbanded Lifecycle = 1
)

// Append appends the component's bytes.
func (l Lifecycle) Append(b []byte) []byte { return append(b, byte(l)) }

// DecodeLifecycle reads component 0x800c.
func DecodeLifecycle(b []byte) (Lifecycle, error) {
	r := &reader{rest: b}
	v := r.uint(1)
	if r.err == nil && v > uint64(Disbanded) {
		r.fail("lifecycle state %d", v)
	}
	return Lifecycle(v), r.finish("group lifecycle")
}

// AgentStream is component 0x8006 (agent-text-stream-quic-v1.md). Masks: 1
// receive, 2 send, 4 fanout.
type AgentStream struct {
	Required, Allowed uint8
	MaxFrame          uint32 // bytes
	ReplayTTL         uint32 // seconds
	Padding           uint16 // bytes, reserved: 0 is written, any value kept
}

// DefaultAgentStream is what clients of the network put into new groups.
var DefaultAgentStream = AgentStream{Required: 1, Allowed: 3, MaxFrame: 4096}

// Append appends the component's bytes.
func (a AgentStream) Append(b []byte) []byte {
	b = append(b, a.Required, a.Allowed)
	b = binary.BigEndian.AppendUint32(b, a.MaxFrame)
	b = binary.BigEndian.AppendUint32(b, a.ReplayTTL)
	return binary.BigEndian.AppendUint16(b, a.Padding)
}

// DecodeAgentStream reads component 0x8006.
func DecodeAgentStream(b []byte) (AgentStream, error) {
	r := &reader{rest: b}
	a := AgentStream{
		Required: uint8(r.uint(1)), Allowed: uint8(r.uint(1)),
		MaxFrame: uint32(r.uint(4)), ReplayTTL: uint32(r.uint(4)), Padding: uint16(r.uint(2)),
	}
	switch {
	case r.err != nil:
	case a.Required == 0 || a.Required&^a.Allowed != 0 || a.Allowed&^7 != 0:
		r.fail("agent stream roles")
	case a.MaxFrame < 1 || a.MaxFrame > 65519 || a.ReplayTTL > 300 || a.Padding > 4096:
		r.fail("agent stream bounds")
	}
	return a, r.finish("agent text stream")
}

// RequiredMarkers returns the role markers every leaf must list.
func (a AgentStream) RequiredMarkers() []mls.ExtensionType {
	var out []mls.ExtensionType
	for i, m := range []mls.ExtensionType{RoleReceive, RoleSend, RoleFanout} {
		if a.Required&(1<<i) != 0 {
			out = append(out, m)
		}
	}
	return out
}
