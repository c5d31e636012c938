package mls

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/marmotgo/marmot/mls/internal/wire"
)

// GroupContext is what all members of an epoch agree on (RFC 9420, Section
// 8.1).
type GroupContext struct {
	Version                 uint16
	Suite                   Suite
	GroupID                 []byte
	Epoch                   uint64
	TreeHash                []byte
	ConfirmedTranscriptHash []byte
	Extensions              Extensions
}

// encode returns the encoding in a slice without much room to spare: every
// epoch keeps one.
func (c *GroupContext) encode() []byte {
	size := 32 + len(c.GroupID) + len(c.TreeHash) + len(c.ConfirmedTranscriptHash)
	for i := range c.Extensions {
		size += 6 + len(c.Extensions[i].Data)
	}
	return c.append(make([]byte, 0, size))
}

func (c *GroupContext) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, c.Version)
	b = binary.BigEndian.AppendUint16(b, uint16(c.Suite))
	b = wire.AppendOpaque(b, c.GroupID)
	b = binary.BigEndian.AppendUint64(b, c.Epoch)
	b = wire.AppendOpaque(b, c.TreeHash)
	b = wire.AppendOpaque(b, c.ConfirmedTranscriptHash)
	return c.Extensions.append(b)
}

// decodeGroupContext reads a GroupContext that aliases the input.
func decodeGroupContext(r *wire.Reader) GroupContext {
	c := GroupContext{
		Version: r.Uint16(), Suite: Suite(r.Uint16()), GroupID: r.Opaque(), Epoch: r.Uint64(),
		TreeHash: r.Opaque(), ConfirmedTranscriptHash: r.Opaque(), Extensions: decodeExtensions(r),
	}
	if r.Err() == nil && c.Version != version10 {
		r.Fail(fmt.Errorf("%w: %d", ErrUnsupportedVersion, c.Version))
	}
	if len(c.GroupID) > maxGroupIDBytes || len(c.TreeHash) > maxNh || len(c.ConfirmedTranscriptHash) > maxNh {
		r.Fail(fmt.Errorf("%w: group id of %d bytes, hashes of %d and %d", ErrMalformed, len(c.GroupID), len(c.TreeHash),
			len(c.ConfirmedTranscriptHash)))
	}
	return c
}

func (c *GroupContext) clone() *GroupContext {
	n := *c
	n.GroupID = bytes.Clone(c.GroupID)
	n.TreeHash = bytes.Clone(c.TreeHash)
	n.ConfirmedTranscriptHash = bytes.Clone(c.ConfirmedTranscriptHash)
	n.Extensions = c.Extensions.Clone()
	return &n
}

// Required returns the content of the required_capabilities extension, empty
// if there is none.
func (c *GroupContext) Required() RequiredCapabilities {
	data, ok := c.Extensions.Find(ExtRequiredCapabilities)
	if !ok {
		return RequiredCapabilities{}
	}
	required, err := DecodeRequiredCapabilities(data)
	if err != nil {
		// Lists are checked when they are decoded or taken from a config.
		panic("mls: unchecked required_capabilities")
	}
	return required
}

// AppData returns the content of the app_data_dictionary extension, empty if
// there is none.
func (c *GroupContext) AppData() AppDataDictionary { return c.Extensions.appData() }

func (e Extensions) appData() AppDataDictionary {
	data, ok := e.Find(ExtAppDataDictionary)
	if !ok {
		return nil
	}
	d, err := DecodeAppDataDictionary(data)
	if err != nil {
		panic("mls: unchecked app_data_dictionary")
	}
	return d
}

// nonDefault returns the types that a member must list to support this list.
func (e Extensions) nonDefault() []ExtensionType {
	var types []ExtensionType
	for i := range e {
		if !e[i].Type.isDefault() {
			types = append(types, e[i].Type)
		}
	}
	return types
}

// dictionaryMovesToEnd decides where an existing app_data_dictionary goes when
// a commit changes it. The draft edits it in place; deployed groups move it to
// the end of the GroupContext's extensions. The bytes are hashed, so both
// readings together would split a group.
const dictionaryMovesToEnd = true

// withAppData returns the list with its dictionary replaced by d.
func (e Extensions) withAppData(d AppDataDictionary, moveToEnd bool) Extensions {
	entry := Extension{Type: ExtAppDataDictionary, Data: d.Append(nil)}
	next := make(Extensions, 0, len(e)+1)
	found := false
	for i := range e {
		switch {
		case e[i].Type != ExtAppDataDictionary:
			next = append(next, e[i])
		case !moveToEnd:
			next, found = append(next, entry), true
		}
	}
	if !found {
		next = append(next, entry)
	}
	return next
}
