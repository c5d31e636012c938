package mls

import (
	"crypto"
	"crypto/hpke"
	"fmt"
	"slices"

	"github.com/marmotgo/marmot/mls/internal/suites"
	"github.com/marmotgo/marmot/mls/internal/wire"
)

// Config adds to what this package knows by itself: cipher suites and proposal
// types. Nil and the zero value add nothing. It is handed in where a key
// package, a group or a message begins, kept by what was made with it, and
// must not be changed after that; nothing is registered anywhere. What the
// package has itself cannot be replaced.
type Config struct {
	Suites    []CipherSuite
	Proposals []ProposalKind
}

// CipherSuite is a suite that this package does not use unasked: one of
// [XWing] or of package suite448.
type CipherSuite struct{ row *cipherSuite }

// NewCipherSuite is for packages beside this one: outside of this module a
// suite cannot be described.
func NewCipherSuite(d suites.Suite) CipherSuite { return CipherSuite{newSuite(d)} }

// ID returns the suite's number.
func (c CipherSuite) ID() Suite {
	if c.row == nil {
		return 0
	}
	return c.row.id
}

// XWing returns a post-quantum hybrid suite: X-Wing (ML-KEM-768 with X25519)
// for key exchange, AES-128-GCM, SHA-256 and Ed25519. It protects against
// those who record today and decrypt with a quantum computer later, not
// against forged signatures. Its number is not settled between
// implementations, so id is the caller's to agree on; use 0xf000 to 0xffff
// (private use) where nothing else is agreed. Keys and KEM outputs have 1,216
// and 1,120 bytes.
func XWing(id Suite) CipherSuite {
	return NewCipherSuite(suites.Suite{ID: uint16(id), Hash: crypto.SHA256, NewAEAD: newGCM, KeySize: 16,
		HPKE:      &stdHPKE{1216, hpke.MLKEM768X25519(), hpke.HKDFSHA256(), hpke.AES128GCM(), nil},
		Signature: ed25519Scheme{}})
}

// ProposalKind describes a proposal type that this package does not know, so
// that commits which contain it can be read. The package applies nothing of
// it; the caller finds it among [VerifiedCommit.Proposals] as an
// [OtherProposal].
type ProposalKind struct {
	Type         ProposalType
	PathRequired bool // a commit with it must have an update path
	External     bool // external senders may send it, and external commits contain it
	// Scan returns the length in bytes of the body that b starts with; false
	// if there is none. Bytes of other objects may follow in b. It must not
	// panic, and must answer in time proportional to b.
	Scan func(b []byte) (length int, ok bool)
}

// suiteOf returns the row of a suite.
func (c *Config) suiteOf(id Suite) (*cipherSuite, error) {
	for _, s := range builtinSuites {
		if s.id == id {
			return s, nil
		}
	}
	if c != nil {
		for _, s := range c.Suites {
			if s.row != nil && s.row.id == id {
				return s.row, nil
			}
		}
	}
	return nil, fmt.Errorf("%w: 0x%04x", ErrUnsupportedSuite, uint16(id))
}

// kindOf returns the description of a proposal type; nil if there is none.
func (c *Config) kindOf(t ProposalType) *ProposalKind {
	if c == nil {
		return nil
	}
	i := slices.IndexFunc(c.Proposals, func(k ProposalKind) bool { return k.Type == t && k.Scan != nil })
	if i < 0 {
		return nil
	}
	return &c.Proposals[i]
}

// scan returns the body of a proposal, which it reads.
func (k *ProposalKind) scan(r *wire.Reader) []byte {
	n, ok := k.Scan(r.Peek())
	if !ok || n < 0 {
		r.Fail(fmt.Errorf("%w: proposal 0x%04x", ErrMalformed, uint16(k.Type)))
		return nil
	}
	return r.Bytes(n)
}

// DecodeMessage is the function [DecodeMessage] with the suites and proposal
// types of c.
func (c *Config) DecodeMessage(b []byte) (*Message, error) { return decodeMessage(b, c) }

// DecodeKeyPackage is the function [DecodeKeyPackage] with the suites of c.
func (c *Config) DecodeKeyPackage(b []byte) (*KeyPackage, error) { return decodeKeyPackage(b, c) }

// DecodeState is the function [DecodeState] with the suites and proposal types
// of c, which are not part of a saved state.
func (c *Config) DecodeState(state, secrets, ratchets []byte) (*Group, error) {
	return decodeState(state, secrets, ratchets, c)
}
