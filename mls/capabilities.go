package mls

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/marmotgo/marmot/mls/internal/wire"
)

// ProposalType is the type of a proposal (RFC 9420, Section 17.4).
type ProposalType uint16

// The proposal types this package knows: those of RFC 9420 and of
// draft-ietf-mls-extensions-10.
const (
	ProposalAdd                    ProposalType = 1
	ProposalUpdate                 ProposalType = 2
	ProposalRemove                 ProposalType = 3
	ProposalPSK                    ProposalType = 4
	ProposalReInit                 ProposalType = 5
	ProposalExternalInit           ProposalType = 6
	ProposalGroupContextExtensions ProposalType = 7
	ProposalAppDataUpdate          ProposalType = 8
	ProposalAppEphemeral           ProposalType = 9
	ProposalSelfRemove             ProposalType = 10
)

// isDefault reports whether every client supports the type without listing it.
func (t ProposalType) isDefault() bool {
	return t >= ProposalAdd && t <= ProposalGroupContextExtensions
}

// Capabilities lists what a client supports beyond the defaults of RFC 9420
// (Section 7.2). The order of the lists has no meaning, values that nobody
// knows (GREASE) are ignored, and default types should not be listed.
type Capabilities struct {
	Versions    []uint16
	Suites      []Suite
	Extensions  []ExtensionType
	Proposals   []ProposalType
	Credentials []CredentialType
}

func (c *Capabilities) append(b []byte) []byte {
	b = appendUint16s(b, c.Versions)
	b = appendUint16s(b, c.Suites)
	b = appendUint16s(b, c.Extensions)
	b = appendUint16s(b, c.Proposals)
	return appendUint16s(b, c.Credentials)
}

func decodeCapabilities(r *wire.Reader) Capabilities {
	return Capabilities{
		Versions:    decodeUint16s[uint16](r),
		Suites:      decodeUint16s[Suite](r),
		Extensions:  decodeUint16s[ExtensionType](r),
		Proposals:   decodeUint16s[ProposalType](r),
		Credentials: decodeUint16s[CredentialType](r),
	}
}

func (c *Capabilities) supportsExtension(t ExtensionType) bool {
	return t.isDefault() || slices.Contains(c.Extensions, t)
}

func (c *Capabilities) supportsProposal(t ProposalType) bool {
	return t.isDefault() || slices.Contains(c.Proposals, t)
}

func (c *Capabilities) supportsCredential(t CredentialType) bool {
	return slices.Contains(c.Credentials, t)
}

// meets returns nil if the capabilities cover required, else an error naming
// the first thing that lacks.
func (c *Capabilities) meets(required RequiredCapabilities) error {
	for _, t := range required.Extensions {
		if !c.supportsExtension(t) {
			return fmt.Errorf("%w: extension 0x%04x not supported", ErrInvalidLeaf, uint16(t))
		}
	}
	for _, t := range required.Proposals {
		if !c.supportsProposal(t) {
			return fmt.Errorf("%w: proposal 0x%04x not supported", ErrInvalidLeaf, uint16(t))
		}
	}
	for _, t := range required.Credentials {
		if !c.supportsCredential(t) {
			return fmt.Errorf("%w: credential 0x%04x not supported", ErrInvalidLeaf, uint16(t))
		}
	}
	return nil
}

// RequiredCapabilities is the content of the required_capabilities extension:
// what every member must support (Section 11.1).
type RequiredCapabilities struct {
	Extensions  []ExtensionType
	Proposals   []ProposalType
	Credentials []CredentialType
}

// Append appends the extension's data to b.
func (c RequiredCapabilities) Append(b []byte) []byte {
	b = appendUint16s(b, c.Extensions)
	b = appendUint16s(b, c.Proposals)
	return appendUint16s(b, c.Credentials)
}

// DecodeRequiredCapabilities reads the extension's data and nothing after it.
func DecodeRequiredCapabilities(b []byte) (RequiredCapabilities, error) {
	r := wire.NewReader(b)
	c := RequiredCapabilities{
		Extensions:  decodeUint16s[ExtensionType](r),
		Proposals:   decodeUint16s[ProposalType](r),
		Credentials: decodeUint16s[CredentialType](r),
	}
	if err := r.Finish(); err != nil {
		return RequiredCapabilities{}, err
	}
	return c, nil
}

func appendUint16s[T ~uint16](b []byte, list []T) []byte {
	b = wire.AppendVarint(b, 2*len(list))
	for _, v := range list {
		b = binary.BigEndian.AppendUint16(b, uint16(v))
	}
	return b
}

func decodeUint16s[T ~uint16](r *wire.Reader) []T {
	data := r.Opaque()
	if len(data)%2 != 0 || len(data)/2 > maxCapabilityEntries {
		r.Fail(fmt.Errorf("%w: list of %d bytes", ErrMalformed, len(data)))
		return nil
	}
	if len(data) == 0 {
		return nil
	}
	list := make([]T, len(data)/2)
	for i := range list {
		list[i] = T(binary.BigEndian.Uint16(data[2*i:]))
	}
	return list
}
