package mls

import (
	"fmt"

	"github.com/marmotgo/marmot/mls/internal/wire"
)

// The components that draft-ietf-mls-extensions-10 defines itself.
const (
	ComponentAppComponents     ComponentID = 1 // supported by a leaf, required by a group
	ComponentSafeAAD           ComponentID = 2 // the same for what uses [SafeAAD]
	ComponentContentMediaTypes ComponentID = 3
	ComponentLastResort        ComponentID = 4 // of a KeyPackage, without data
	ComponentAppAck            ComponentID = 5 // in an AppEphemeral
)

// SafeAAD is authenticated data that several components share
// (draft-ietf-mls-extensions, "Safe Additional Authenticated Data"): items in
// ascending order of their ids. Where the GroupContext's dictionary has
// [ComponentSafeAAD], the authenticated data of every message are exactly one,
// which this package checks on both sides; nil data of an own message become
// an empty one.
type SafeAAD []ComponentData

// Append appends the encoding to b. Items must be ascending.
func (a SafeAAD) Append(b []byte) []byte { return AppDataDictionary(a).Append(b) }

// DecodeSafeAAD reads a SafeAAD and nothing after it. Items must be strictly
// ascending. The result holds copies. The error is [ErrMalformed].
func DecodeSafeAAD(b []byte) (SafeAAD, error) {
	// Both structs are the same on the wire.
	d, err := DecodeAppDataDictionary(b)
	return SafeAAD(d), err
}

// framesAAD reports whether authenticated data must be a SafeAAD. It looks at
// every message, so it builds no dictionary.
func (e Extensions) framesAAD() bool {
	data, _ := e.Find(ExtAppDataDictionary)
	entries := wire.NewReader(wire.NewReader(data).Opaque())
	for !entries.Empty() {
		id := ComponentID(entries.Uint16())
		entries.Opaque()
		if id >= ComponentSafeAAD {
			return id == ComponentSafeAAD
		}
	}
	return false
}

// checkAAD holds the authenticated data of a received message to the group's
// framing.
func (c *GroupContext) checkAAD(aad []byte) error {
	if !c.Extensions.framesAAD() {
		return nil
	}
	if _, err := DecodeSafeAAD(aad); err != nil {
		return fmt.Errorf("authenticated data: %w", err)
	}
	return nil
}

// ownAAD returns the authenticated data of a message to be sent.
func (c *GroupContext) ownAAD(aad []byte) ([]byte, error) {
	if aad == nil && c.Extensions.framesAAD() {
		return SafeAAD{}.Append(nil), nil
	}
	if err := c.checkAAD(aad); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidConfig, err)
	}
	return aad, nil
}
