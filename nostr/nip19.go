package nostr

import (
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf8"
)

// The types of a NIP-19 TLV.
const (
	tlvSpecial = 0
	tlvRelay   = 1
	tlvAuthor  = 2
	tlvKind    = 3
)

// ProfilePointer is an nprofile: a person and relays they can be found at.
type ProfilePointer struct {
	PubKey PubKey
	Relays []string
}

// EventPointer is an nevent. Author and Kind are nil when not given.
type EventPointer struct {
	ID     ID
	Relays []string
	Author *PubKey
	Kind   *Kind
}

// AddressPointer is an naddr: an addressable event by kind, author and d tag.
type AddressPointer struct {
	Identifier string
	PubKey     PubKey
	Kind       Kind
	Relays     []string
}

// Npub returns the key in NIP-19 form.
func (p PubKey) Npub() string { return encodeBech32("npub", p[:]) }

// Note returns the id in NIP-19 form.
func (id ID) Note() string { return encodeBech32("note", id[:]) }

// ParsePerson reads a public key as 64 lowercase hex digits or as npub. It
// returns [ErrBadKey] for a key that is not on the curve.
func ParsePerson(s string) (PubKey, error) {
	var p PubKey
	var err error
	if strings.HasPrefix(strings.ToLower(s), "npub1") {
		p, err = decodeBare("npub", s)
	} else {
		p, err = ParsePubKey(s)
	}
	if err == nil && !p.Valid() {
		err = ErrBadKey
	}
	if err != nil {
		return PubKey{}, err
	}
	return p, nil
}

func decodeBare(prefix, s string) (out [32]byte, err error) {
	got, data, err := decodeBech32(s)
	if err != nil {
		return out, err
	}
	if got != prefix || len(data) != len(out) {
		return out, fmt.Errorf("%w %s", ErrMalformed, prefix)
	}
	return [32]byte(data), nil
}

// ParseEntity reads a NIP-19 string. The result is a [PubKey], [SecretKey],
// [ID], [ProfilePointer], [EventPointer] or [AddressPointer].
func ParseEntity(s string) (any, error) {
	prefix, data, err := decodeBech32(s)
	if err != nil {
		return nil, err
	}
	switch prefix {
	case "npub", "nsec", "note":
		if len(data) != 32 {
			return nil, fmt.Errorf("%w %s", ErrMalformed, prefix)
		}
	}
	switch prefix {
	case "npub":
		return PubKey(data), nil
	case "nsec":
		return SecretKey(data), nil
	case "note":
		return ID(data), nil
	case "nprofile", "nevent", "naddr":
		t, err := parseTLV(data)
		if err != nil {
			return nil, err
		}
		return t.pointer(prefix)
	}
	return nil, fmt.Errorf("%w NIP-19: unknown prefix", ErrMalformed)
}

// ParseURI reads a nostr: URI (NIP-21), which is never an nsec.
func ParseURI(s string) (any, error) {
	entity, ok := strings.CutPrefix(s, "nostr:")
	if !ok || strings.HasPrefix(strings.ToLower(entity), "nsec") {
		return nil, fmt.Errorf("%w nostr URI", ErrMalformed)
	}
	return ParseEntity(entity)
}

// tlv are the entries of a pointer; special and author are nil when absent.
type tlv struct {
	special []byte
	relays  []string
	author  *PubKey
	kind    *Kind
}

// parseTLV takes the first special, author and kind, every relay, and ignores
// types it does not know (NIP-19).
func parseTLV(data []byte) (t tlv, err error) {
	for len(data) > 0 {
		if len(data) < 2 || len(data)-2 < int(data[1]) {
			return tlv{}, fmt.Errorf("%w NIP-19: truncated", ErrMalformed)
		}
		typ, value := data[0], data[2:2+int(data[1])]
		data = data[2+len(value):]
		if err := t.add(typ, value); err != nil {
			return tlv{}, err
		}
	}
	return t, nil
}

func (t *tlv) add(typ byte, value []byte) error {
	switch typ {
	case tlvSpecial:
		if t.special == nil {
			t.special = value[:len(value):len(value)]
		}
	case tlvRelay:
		if !utf8.Valid(value) {
			return fmt.Errorf("%w NIP-19: relay", ErrMalformed)
		}
		t.relays = append(t.relays, string(value))
	case tlvAuthor:
		if len(value) != 32 {
			return fmt.Errorf("%w NIP-19: author", ErrMalformed)
		}
		if p := PubKey(value); t.author == nil {
			t.author = &p
		}
	case tlvKind:
		if len(value) != 4 || binary.BigEndian.Uint32(value) > MaxKind {
			return fmt.Errorf("%w NIP-19: kind", ErrMalformed)
		}
		if k := Kind(binary.BigEndian.Uint32(value)); t.kind == nil {
			t.kind = &k
		}
	}
	return nil
}

func (t *tlv) pointer(prefix string) (any, error) {
	switch {
	case prefix == "nprofile" && len(t.special) == 32:
		return ProfilePointer{PubKey(t.special), t.relays}, nil
	case prefix == "nevent" && len(t.special) == 32:
		return EventPointer{ID(t.special), t.relays, t.author, t.kind}, nil
	case prefix == "naddr" && t.special != nil && utf8.Valid(t.special) && t.author != nil && t.kind != nil:
		return AddressPointer{string(t.special), *t.author, *t.kind, t.relays}, nil
	}
	return nil, fmt.Errorf("%w %s", ErrMalformed, prefix)
}

// Encode returns the nprofile. Values longer than a TLV holds (255 bytes) are
// [ErrMalformed].
func (p ProfilePointer) Encode() (string, error) {
	return encodeTLV("nprofile", tlv{special: p.PubKey[:], relays: p.Relays})
}

// Encode returns the nevent; see [ProfilePointer.Encode].
func (p EventPointer) Encode() (string, error) {
	return encodeTLV("nevent", tlv{p.ID[:], p.Relays, p.Author, p.Kind})
}

// Encode returns the naddr; see [ProfilePointer.Encode].
func (p AddressPointer) Encode() (string, error) {
	return encodeTLV("naddr", tlv{[]byte(p.Identifier), p.Relays, &p.PubKey, &p.Kind})
}

func encodeTLV(prefix string, t tlv) (string, error) {
	var data []byte
	fits := true
	put := func(typ byte, value string) {
		fits = fits && len(value) <= 255
		data = append(append(data, typ, byte(len(value))), value...)
	}
	put(tlvSpecial, string(t.special))
	for _, r := range t.relays {
		put(tlvRelay, r)
	}
	if t.author != nil {
		put(tlvAuthor, string(t.author[:]))
	}
	if t.kind != nil {
		fits = fits && *t.kind >= 0 && *t.kind <= MaxKind
		put(tlvKind, string(binary.BigEndian.AppendUint32(nil, uint32(*t.kind))))
	}
	s := encodeBech32(prefix, data)
	if !fits || len(s) > MaxEntity {
		return "", fmt.Errorf("%w %s: a value is too long", ErrMalformed, prefix)
	}
	return s, nil
}
