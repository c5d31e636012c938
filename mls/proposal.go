package mls

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/marmotgo/marmot/mls/internal/wire"
)

// Proposal is one proposed change (RFC 9420, Section 12.1). It is one of
// [Add], [Update], [Remove], [PreSharedKey], [ReInit], [ExternalInit],
// [GroupContextExtensions], [AppDataUpdate], [AppEphemeral], [SelfRemove] and
// [OtherProposal], always as a value, not a pointer.
type Proposal interface {
	Type() ProposalType
	appendBody(b []byte) []byte
}

// Add proposes to add the owner of a KeyPackage (Section 12.1.1).
type Add struct{ KeyPackage *KeyPackage }

// Update proposes to replace the sender's leaf (Section 12.1.2).
type Update struct{ Leaf *LeafNode }

// Remove proposes to remove a member (Section 12.1.3).
type Remove struct{ Removed LeafIndex }

// PreSharedKey proposes to mix a pre-shared key into the key schedule
// (Section 12.1.4).
type PreSharedKey struct{ ID PSKID }

// ReInit proposes to continue in a new group (Section 12.1.5).
type ReInit struct {
	GroupID    []byte
	Version    uint16
	Suite      Suite
	Extensions Extensions
}

func (p ReInit) clone() *ReInit {
	p.GroupID, p.Extensions = bytes.Clone(p.GroupID), p.Extensions.Clone()
	return &p
}

// ExternalInit is part of an external commit (Section 12.1.6).
type ExternalInit struct{ KEMOutput []byte }

// GroupContextExtensions proposes to replace the extensions of the group
// (Section 12.1.7). Their order is kept.
type GroupContextExtensions struct{ Extensions Extensions }

// AppDataUpdate proposes to change or remove the data of one component
// (draft-ietf-mls-extensions, "AppDataUpdate").
type AppDataUpdate struct {
	Component ComponentID
	Remove    bool
	Data      []byte // of an update; its meaning is the component's
}

// AppEphemeral carries data for one component that leaves no state behind.
type AppEphemeral struct {
	Component ComponentID
	Data      []byte
}

// SelfRemove proposes to remove its sender.
type SelfRemove struct{}

// OtherProposal is a proposal of a type that the caller describes in a
// [Config].
type OtherProposal struct {
	Kind ProposalType
	Body []byte // without the type
}

// Type returns the Kind.
func (p OtherProposal) Type() ProposalType { return p.Kind }

// Type returns [ProposalAdd].
func (Add) Type() ProposalType { return ProposalAdd }

// Type returns [ProposalUpdate].
func (Update) Type() ProposalType { return ProposalUpdate }

// Type returns [ProposalRemove].
func (Remove) Type() ProposalType { return ProposalRemove }

// Type returns [ProposalPSK].
func (PreSharedKey) Type() ProposalType { return ProposalPSK }

// Type returns [ProposalReInit].
func (ReInit) Type() ProposalType { return ProposalReInit }

// Type returns [ProposalExternalInit].
func (ExternalInit) Type() ProposalType { return ProposalExternalInit }

// Type returns [ProposalGroupContextExtensions].
func (GroupContextExtensions) Type() ProposalType { return ProposalGroupContextExtensions }

// Type returns [ProposalAppDataUpdate].
func (AppDataUpdate) Type() ProposalType { return ProposalAppDataUpdate }

// Type returns [ProposalAppEphemeral].
func (AppEphemeral) Type() ProposalType { return ProposalAppEphemeral }

// Type returns [ProposalSelfRemove].
func (SelfRemove) Type() ProposalType { return ProposalSelfRemove }

func (p Add) appendBody(b []byte) []byte    { return append(b, p.KeyPackage.raw...) }
func (p Update) appendBody(b []byte) []byte { return append(b, p.Leaf.raw...) }

func (p Remove) appendBody(b []byte) []byte {
	return binary.BigEndian.AppendUint32(b, uint32(p.Removed))
}

func (p PreSharedKey) appendBody(b []byte) []byte { return p.ID.append(b) }

func (p ReInit) appendBody(b []byte) []byte {
	b = wire.AppendOpaque(b, p.GroupID)
	b = binary.BigEndian.AppendUint16(b, p.Version)
	b = binary.BigEndian.AppendUint16(b, uint16(p.Suite))
	return p.Extensions.append(b)
}

func (p ExternalInit) appendBody(b []byte) []byte { return wire.AppendOpaque(b, p.KEMOutput) }

func (p GroupContextExtensions) appendBody(b []byte) []byte { return p.Extensions.append(b) }

const (
	appDataUpdate uint8 = 1
	appDataRemove uint8 = 2
)

func (p AppDataUpdate) appendBody(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(p.Component))
	if p.Remove {
		return append(b, appDataRemove)
	}
	return wire.AppendOpaque(append(b, appDataUpdate), p.Data)
}

func (p AppEphemeral) appendBody(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(p.Component))
	return wire.AppendOpaque(b, p.Data)
}

func (p OtherProposal) appendBody(b []byte) []byte { return append(b, p.Body...) }

func (SelfRemove) appendBody(b []byte) []byte { return b }

func appendProposal(b []byte, p Proposal) []byte {
	return p.appendBody(binary.BigEndian.AppendUint16(b, uint16(p.Type())))
}

// encodable reports whether p can be put into a message: a known value type
// with its parts present and within the limits.
func (x *Config) encodable(p Proposal) error {
	switch p := p.(type) {
	case Add:
		if p.KeyPackage == nil || p.KeyPackage.raw == nil {
			return fmt.Errorf("%w: Add without a key package", ErrInvalidConfig)
		}
	case Update:
		if p.Leaf == nil || p.Leaf.raw == nil {
			return fmt.Errorf("%w: Update without a leaf", ErrInvalidConfig)
		}
	case Remove, PreSharedKey, ReInit, ExternalInit, GroupContextExtensions, AppDataUpdate, AppEphemeral, SelfRemove, OtherProposal:
	default:
		return fmt.Errorf("%w: proposal is a %T", ErrInvalidConfig, p)
	}
	r := wire.NewReader(appendProposal(nil, p))
	same := x.decodeProposal(r)
	if err := r.Finish(); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidConfig, err)
	}
	if _, other := p.(OtherProposal); other && same != nil {
		if _, still := same.(OtherProposal); !still {
			return fmt.Errorf("%w: proposal type 0x%04x is this package's own", ErrInvalidConfig, uint16(p.Type()))
		}
	}
	return nil
}

// decodeProposal reads one proposal. What the result keeps aliases the input,
// except for leaves and KeyPackages. A proposal of unknown type has no
// readable end, so it stops the reader with ErrUnsupportedProposal.
func (x *Config) decodeProposal(r *wire.Reader) Proposal {
	switch t := ProposalType(r.Uint16()); t {
	case ProposalAdd:
		return Add{KeyPackage: x.readKeyPackage(r)}
	case ProposalUpdate:
		leaf, _ := decodeLeafNode(r)
		return Update{Leaf: leaf}
	case ProposalRemove:
		return Remove{Removed: LeafIndex(r.Uint32())}
	case ProposalPSK:
		return PreSharedKey{ID: decodePSKID(r)}
	case ProposalReInit:
		return readReInit(r)
	case ProposalExternalInit:
		return ExternalInit{KEMOutput: r.Opaque()}
	case ProposalGroupContextExtensions:
		return GroupContextExtensions{Extensions: decodeExtensions(r)}
	case ProposalAppDataUpdate:
		return decodeAppDataUpdate(r)
	case ProposalAppEphemeral:
		return AppEphemeral{Component: ComponentID(r.Uint16()), Data: r.Opaque()}
	case ProposalSelfRemove:
		return SelfRemove{}
	default:
		if kind := x.kindOf(t); kind != nil {
			return OtherProposal{Kind: t, Body: kind.scan(r)}
		}
		r.Fail(fmt.Errorf("%w: 0x%04x", ErrUnsupportedProposal, uint16(t)))
		return nil
	}
}

func readReInit(r *wire.Reader) ReInit {
	p := ReInit{GroupID: r.Opaque(), Version: r.Uint16(), Suite: Suite(r.Uint16()), Extensions: decodeExtensions(r)}
	if len(p.GroupID) > maxGroupIDBytes {
		r.Fail(fmt.Errorf("%w: group id of %d bytes", ErrMalformed, len(p.GroupID)))
	}
	return p
}

// scanProposal finds the end of a proposal.
func (x *Config) scanProposal(r *wire.Reader) {
	switch t := ProposalType(r.Uint16()); t {
	case ProposalAdd:
		scanKeyPackage(r)
	case ProposalUpdate:
		scanLeafNode(r)
	case ProposalRemove:
		r.Bytes(4)
	case ProposalPSK:
		scanPSKID(r)
	case ProposalReInit:
		r.Opaque()
		r.Bytes(4)
		r.Opaque()
	case ProposalExternalInit, ProposalGroupContextExtensions:
		r.Opaque()
	case ProposalAppDataUpdate:
		r.Uint16()
		if r.Uint8() == appDataUpdate {
			r.Opaque()
		}
	case ProposalAppEphemeral:
		r.Uint16()
		r.Opaque()
	case ProposalSelfRemove:
	default:
		if kind := x.kindOf(t); kind != nil {
			kind.scan(r)
			return
		}
		r.Fail(fmt.Errorf("%w: 0x%04x", ErrUnsupportedProposal, uint16(t)))
	}
}

func decodeAppDataUpdate(r *wire.Reader) Proposal {
	p := AppDataUpdate{Component: ComponentID(r.Uint16())}
	switch op := r.Uint8(); op {
	case appDataUpdate:
		p.Data = r.Opaque()
	case appDataRemove:
		p.Remove = true
	default:
		r.Fail(fmt.Errorf("%w: AppDataUpdate operation %d", ErrMalformed, op))
	}
	return p
}
