package mls

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/marmotgo/marmot/mls/internal/wire"
)

// PSKType says where a pre-shared key comes from (RFC 9420, Section 8.4).
type PSKType uint8

// The types of pre-shared keys.
const (
	PSKExternal    PSKType = 1
	PSKResumption  PSKType = 2
	PSKApplication PSKType = 3 // draft-ietf-mls-extensions
)

// ResumptionUsage says what a resumption PSK is used for.
type ResumptionUsage uint8

// The usages of a resumption PSK.
const (
	ResumptionApplication ResumptionUsage = 1
	ResumptionReInit      ResumptionUsage = 2
	ResumptionBranch      ResumptionUsage = 3
)

// PSKID names a pre-shared key (PreSharedKeyID).
type PSKID struct {
	Type      PSKType
	ID        []byte          // external and application
	Component ComponentID     // application
	Usage     ResumptionUsage // resumption
	GroupID   []byte          // resumption
	Epoch     uint64          // resumption
	Nonce     []byte          // Nh random bytes for each use; nil in a proposal to be sent: they are drawn
}

// Key names the secret itself: the encoding without the nonce. The maps of
// pre-shared keys that this package takes are keyed by it.
func (id PSKID) Key() string { return string(id.appendName(nil)) }

func (id PSKID) appendName(b []byte) []byte {
	b = append(b, byte(id.Type))
	switch id.Type {
	case PSKResumption:
		b = append(b, byte(id.Usage))
		b = wire.AppendOpaque(b, id.GroupID)
		return binary.BigEndian.AppendUint64(b, id.Epoch)
	case PSKApplication:
		b = binary.BigEndian.AppendUint16(b, uint16(id.Component))
	}
	return wire.AppendOpaque(b, id.ID)
}

func (id PSKID) append(b []byte) []byte {
	return wire.AppendOpaque(id.appendName(b), id.Nonce)
}

// continues reports whether the PSK ties a new group to an old one.
func (id PSKID) continues() bool {
	return id.Type == PSKResumption && id.Usage != ResumptionApplication
}

func (id PSKID) equal(o PSKID) bool { return bytes.Equal(id.append(nil), o.append(nil)) }

func decodePSKID(r *wire.Reader) PSKID {
	id := PSKID{Type: PSKType(r.Uint8())}
	switch id.Type {
	case PSKExternal:
		id.ID = r.Opaque()
	case PSKResumption:
		id.Usage = ResumptionUsage(r.Uint8())
		id.GroupID = r.Opaque()
		id.Epoch = r.Uint64()
		if id.Usage < ResumptionApplication || id.Usage > ResumptionBranch {
			r.Fail(fmt.Errorf("%w: resumption usage %d", ErrMalformed, id.Usage))
		}
	case PSKApplication:
		id.Component = ComponentID(r.Uint16())
		id.ID = r.Opaque()
	default:
		r.Fail(fmt.Errorf("%w: PSK type %d", ErrMalformed, id.Type))
	}
	id.Nonce = r.Opaque()
	if len(id.ID) > maxPSKIDBytes || len(id.GroupID) > maxPSKIDBytes || len(id.Nonce) > maxPSKIDBytes {
		r.Fail(fmt.Errorf("%w: oversized PSK id", ErrMalformed))
	}
	if r.Err() == nil && len(id.Nonce) < minHashBytes {
		r.Fail(fmt.Errorf("%w: PSK nonce of %d bytes", ErrMalformed, len(id.Nonce)))
	}
	return id
}

// scanPSKID finds the end of a PreSharedKeyID.
func scanPSKID(r *wire.Reader) {
	switch t := PSKType(r.Uint8()); t {
	case PSKResumption:
		r.Uint8()
		r.Opaque()
		r.Bytes(8)
	case PSKApplication:
		r.Uint16()
		r.Opaque()
	default:
		r.Opaque()
	}
	r.Opaque()
}

func decodePSKIDs(r *wire.Reader) []PSKID {
	list := r.Vector()
	var ids []PSKID
	for !list.Empty() {
		if len(ids) == maxPSKs {
			r.Fail(fmt.Errorf("%w: more than %d PSKs", ErrMalformed, maxPSKs))
			return nil
		}
		ids = append(ids, decodePSKID(list))
	}
	return ids
}

// completed returns a proposal with what its sender leaves to this package: a
// PSK's nonce (Section 8.4).
func (s *cipherSuite) completed(p Proposal) Proposal {
	if psk, ok := p.(PreSharedKey); ok && psk.ID.Nonce == nil {
		psk.ID.Nonce = randomBytes(s.nh)
		return psk
	}
	return p
}

// lookupPSKs returns the secrets of ids in their order.
func lookupPSKs(ids []PSKID, known map[string][]byte) ([]secret, error) {
	var secrets []secret
	for i, id := range ids {
		psk, ok := known[id.Key()]
		if !ok {
			return nil, fmt.Errorf("%w: number %d of %d, type %d", ErrMissingPSK, i+1, len(ids), id.Type)
		}
		secrets = append(secrets, psk)
	}
	return secrets, nil
}

// pskSecret combines pre-shared keys in order (Section 8.4).
func (s *cipherSuite) pskSecret(ids []PSKID, psks []secret) secret {
	zero := make([]byte, s.nh)
	sum := make(secret, s.nh)
	for i, id := range ids {
		extracted := s.extract(zero, psks[i])
		label := id.append(nil)
		label = binary.BigEndian.AppendUint16(label, uint16(i))
		label = binary.BigEndian.AppendUint16(label, uint16(len(ids)))
		input := s.expandWithLabel(extracted, "derived psk", label, s.nh)
		sum = s.extract(input, sum)
		clear(extracted)
		clear(input)
	}
	return sum
}
