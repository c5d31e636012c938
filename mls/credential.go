package mls

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/marmotgo/marmot/mls/internal/wire"
)

// CredentialType is the type of a credential (RFC 9420, Section 17.5).
type CredentialType uint16

// The registered credential types.
const (
	CredentialBasic CredentialType = 1
	CredentialX509  CredentialType = 2
)

// Credential says who a leaf is (Section 5.3). This package gives it no
// meaning; the caller authenticates it.
type Credential struct {
	Type     CredentialType
	Identity []byte // of a basic credential
	Raw      []byte // the single vector of any other type, without its length
}

// BasicCredential returns a basic credential over a copy of identity.
func BasicCredential(identity []byte) Credential {
	return Credential{Type: CredentialBasic, Identity: bytes.Clone(identity)}
}

// Equal reports whether both credentials have the same encoding.
func (c Credential) Equal(o Credential) bool {
	return c.Type == o.Type && bytes.Equal(c.body(), o.body())
}

func (c Credential) body() []byte {
	if c.Type == CredentialBasic {
		return c.Identity
	}
	return c.Raw
}

func (c Credential) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(c.Type))
	return wire.AppendOpaque(b, c.body())
}

// decodeCredential reads a credential. The body of every registered type is
// one vector; an unknown type is read the same way, since the RFC gives no
// other way to find its end.
func decodeCredential(r *wire.Reader) Credential {
	c := Credential{Type: CredentialType(r.Uint16())}
	body := r.Opaque()
	if len(body) > maxIdentityBytes {
		r.Fail(fmt.Errorf("%w: credential of %d bytes", ErrMalformed, len(body)))
	}
	switch c.Type {
	case 0:
		r.Fail(fmt.Errorf("%w: credential type 0", ErrMalformed))
	case CredentialBasic:
		c.Identity = body
	default:
		c.Raw = body
	}
	if c.Type == CredentialX509 && r.Err() == nil {
		certificates := wire.NewReader(body)
		for !certificates.Empty() {
			certificates.Opaque()
		}
		if err := certificates.Finish(); err != nil {
			r.Fail(err)
		}
	}
	return c
}
