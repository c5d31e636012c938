package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/nostr"
)

// ExtGroupData is marmot_group_data, the GroupContext extension in which a
// group of protocol v1 holds its settings (MIP-01).
const ExtGroupData mls.ExtensionType = 0xF2EE

// Versions of group data that are written.
const (
	groupDataVersion    = 2
	groupDataDisappears = 3 // only with disappearing messages: some readers know no version above 2
)

// Bounds of group data. What an admin put beyond them is left out where it is a
// list and refused where it is not.
const (
	maxGroupDataText   = 65_535
	maxGroupDataAdmins = 4096
	maxGroupDataRelays = 64
)

// GroupData is marmot_group_data. Admins and relays are sets: their order on the
// wire means nothing, so they are kept sorted.
type GroupData struct {
	Version     uint16
	GroupID     [32]byte // nostr_group_id, the value of the h tag
	Name        string
	Description string
	Admins      Admins   // may name accounts that are no members
	Relays      []string // those that can be used
	Image       GroupImage
	Retention   Retention // disappearing_message_secs; 0 is off
}

// GroupImage tells where a group's picture is and how it is encrypted; all
// fields are empty without one. See [GroupImage.Open].
type GroupImage struct {
	Hash      []byte // SHA-256 of the encrypted picture, its Blossom address; 32 bytes
	Key       []byte // 32 bytes
	Nonce     []byte // 12 bytes
	UploadKey []byte // 32 bytes; empty in old groups
}

// Newer reports that a later version wrote the data: what is known of it was
// read, and it must not be written again, because the rest would be lost.
func (d *GroupData) Newer() bool { return d.Version > groupDataDisappears }

// Append appends the encoding to b. The version rises when it has to, and stays
// as it is otherwise; version 1 becomes 2. Data that is [GroupData.Newer] must
// not be written.
func (d *GroupData) Append(b []byte) []byte {
	version := max(d.Version, groupDataVersion)
	if d.Retention > 0 {
		version = groupDataDisappears
	}
	b = binary.BigEndian.AppendUint16(b, version)
	b = append(b, d.GroupID[:]...)
	b = appendOpaque(appendOpaque(b, d.Name), d.Description)
	b = d.Admins.Append(b)
	var relays []byte
	for _, u := range d.Relays {
		relays = appendOpaque(relays, u)
	}
	b = appendOpaque(b, relays)
	for _, field := range [][]byte{d.Image.Hash, d.Image.Key, d.Image.Nonce, d.Image.UploadKey} {
		b = appendOpaque(b, field)
	}
	if version < groupDataDisappears {
		return b
	}
	if d.Retention == 0 {
		return appendLength(b, 0)
	}
	return binary.BigEndian.AppendUint64(appendLength(b, 8), uint64(d.Retention))
}

// DecodeGroupData reads every version: the three layouts that were called 1, 2,
// 3, and of later ones the fields that 3 has. Bytes behind the known fields are
// passed over, as in MIP-01.
func DecodeGroupData(b []byte) (*GroupData, error) {
	r := &reader{rest: b}
	version := uint16(r.uint(2))
	switch {
	case r.err != nil:
		return nil, fmt.Errorf("group data: %w", r.err)
	case version == 0:
		return nil, malformed("group data of version 0")
	case version > 1:
		d := r.groupData(version, (*reader).rawAdmins, true)
		return d, r.known("group data")
	}
	return decodeGroupDataV1(b)
}

// known is finish without the demand that nothing follows.
func (r *reader) known(what string) error {
	if r.err != nil {
		return fmt.Errorf("%s: %w", what, r.err)
	}
	return nil
}

func (r *reader) groupData(version uint16, admins func(*reader) []nostr.PubKey, uploadKey bool) *GroupData {
	d := &GroupData{Version: version}
	copy(d.GroupID[:], r.fixed(32))
	d.Name, d.Description = r.text(0, maxGroupDataText), r.text(0, maxGroupDataText)
	d.Admins = NewAdmins(admins(r)...)
	list := r.vector()
	var urls []string
	for list.more() {
		urls = append(urls, string(list.opaque(0, maxGroupDataText)))
	}
	r.join(list)
	d.Relays = usableRelays(urls)
	d.Image = GroupImage{Hash: r.bytes(32), Key: r.bytes(32), Nonce: r.bytes(12)}
	if uploadKey {
		d.Image.UploadKey = r.bytes(32)
	}
	if version >= groupDataDisappears {
		d.Retention = r.disappearing()
	}
	return d
}

// bytes reads a vector that is empty or has n bytes.
func (r *reader) bytes(n int) []byte {
	b := r.opaque(0, n)
	if len(b) != 0 && len(b) != n {
		r.fail("%d bytes where none or %d belong", len(b), n)
	}
	return slices.Clone(b)
}

func (r *reader) disappearing() Retention {
	b := r.opaque(0, 8)
	if len(b) == 0 {
		return 0
	}
	if len(b) != 8 {
		r.fail("a duration of %d bytes", len(b))
		return 0
	}
	d := Retention(binary.BigEndian.Uint64(b))
	if r.err == nil && d == 0 {
		r.fail("a duration of zero")
	}
	return d
}

func (r *reader) rawAdmins() (out []nostr.PubKey) {
	sub := r.vector()
	for sub.more() {
		var key nostr.PubKey
		copy(key[:], sub.fixed(32))
		out = append(out, key)
		if len(out) > maxGroupDataAdmins {
			sub.fail("more than %d admins", maxGroupDataAdmins)
		}
	}
	r.join(sub)
	return out
}

// usableRelays keeps the addresses that are any, sorted, each once: a bad one
// that an admin put there must not keep the others from being used.
func usableRelays(urls []string) []string {
	out := slices.DeleteFunc(urls, func(u string) bool { return len(u) > maxRelayURL || nostr.CheckRelayURL(u) != nil })
	slices.Sort(out)
	out = slices.Compact(out)
	return out[:min(len(out), maxGroupDataRelays)]
}

// decodeGroupDataV1 reads what was called version 1: MDK's layouts, in which
// lengths are variable, or the one of the text of 2025. Only one fits exactly.
func decodeGroupDataV1(b []byte) (*GroupData, error) {
	for _, layout := range []struct {
		admins    func(*reader) []nostr.PubKey
		uploadKey bool
	}{{(*reader).rawAdmins, true}, {(*reader).rawAdmins, false}, {(*reader).textAdmins, true}, {(*reader).textAdmins, false}} {
		r := &reader{rest: b[2:]}
		d := r.groupData(1, layout.admins, layout.uploadKey)
		if r.finish("group data") == nil {
			return d, nil
		}
	}
	r := &reader{rest: b[2:]}
	d := &GroupData{Version: 1}
	copy(d.GroupID[:], r.fixed(32))
	d.Name, d.Description = r.text16(), r.text16()
	admins, relays := r.text16(), r.text16()
	d.Image = GroupImage{Hash: r.unlessZero(32), Key: r.unlessZero(32), Nonce: r.unlessZero(12)}
	keys := parseAdmins(r, strings.Split(admins, ","))
	d.Admins, d.Relays = NewAdmins(keys...), usableRelays(strings.Split(relays, ","))
	return d, r.finish("group data of version 1")
}

// textAdmins reads keys that are hex text, each with its length.
func (r *reader) textAdmins() []nostr.PubKey {
	sub := r.vector()
	var list []string
	for sub.more() {
		list = append(list, string(sub.opaque(64, 64)))
	}
	r.join(sub)
	return parseAdmins(r, list)
}

func parseAdmins(r *reader, list []string) (out []nostr.PubKey) {
	for _, text := range list {
		b, err := hex.DecodeString(text)
		switch {
		case text == "":
		case err != nil || len(b) != 32:
			r.fail("an admin that is no key")
		default:
			out = append(out, nostr.PubKey(b))
		}
	}
	if len(out) > maxGroupDataAdmins {
		r.fail("more than %d admins", maxGroupDataAdmins)
	}
	return out
}

func (r *reader) text16() string {
	b := r.fixed(int(r.uint(2)))
	if !utf8.Valid(b) {
		r.fail("text is not UTF-8")
	}
	return string(b)
}

func (r *reader) unlessZero(n int) []byte {
	b := r.fixed(n)
	if len(bytes.Trim(b, "\x00")) == 0 {
		return nil
	}
	return slices.Clone(b)
}
