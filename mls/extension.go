package mls

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/marmotgo/marmot/mls/internal/wire"
)

// ExtensionType is the type of an extension (RFC 9420, Section 17.3).
type ExtensionType uint16

// The extension types this package knows.
const (
	ExtApplicationID        ExtensionType = 1
	ExtRatchetTree          ExtensionType = 2
	ExtRequiredCapabilities ExtensionType = 3
	ExtExternalPub          ExtensionType = 4
	ExtExternalSenders      ExtensionType = 5
	ExtAppDataDictionary    ExtensionType = 6
)

// isDefault reports whether every client supports the type without listing it.
func (t ExtensionType) isDefault() bool { return t >= ExtApplicationID && t <= ExtExternalSenders }

// Extension is one extension of a KeyPackage, leaf node, GroupContext or
// GroupInfo.
type Extension struct {
	Type ExtensionType
	Data []byte
}

// Extensions is a list of extensions in wire order. A type occurs once.
type Extensions []Extension

// Find returns the data of the extension of type t. The result aliases the
// list.
func (e Extensions) Find(t ExtensionType) ([]byte, bool) {
	for i := range e {
		if e[i].Type == t {
			return e[i].Data, true
		}
	}
	return nil, false
}

// Clone returns a deep copy.
func (e Extensions) Clone() Extensions {
	if e == nil {
		return nil
	}
	c := make(Extensions, len(e))
	for i := range e {
		c[i] = Extension{Type: e[i].Type, Data: bytes.Clone(e[i].Data)}
	}
	return c
}

// Equal reports whether both lists have the same encoding.
func (e Extensions) Equal(o Extensions) bool {
	if len(e) != len(o) {
		return false
	}
	for i := range e {
		if e[i].Type != o[i].Type || !bytes.Equal(e[i].Data, o[i].Data) {
			return false
		}
	}
	return true
}

func (e Extensions) append(b []byte) []byte {
	return wire.AppendVector(b, func(b []byte) []byte {
		for i := range e {
			b = binary.BigEndian.AppendUint16(b, uint16(e[i].Type))
			b = wire.AppendOpaque(b, e[i].Data)
		}
		return b
	})
}

// check holds a list made by the caller to the rules of decodeExtensions.
func (e Extensions) check() error {
	_, err := finishExtensions(wire.NewReader(e.append(nil)))
	return err
}

func finishExtensions(r *wire.Reader) (Extensions, error) {
	e := decodeExtensions(r)
	return e, r.Finish()
}

// decodeExtensions reads a list whose data alias the input. Types occur once
// (Section 13.4), and the data of known types must be well formed.
func decodeExtensions(r *wire.Reader) Extensions {
	data := r.Opaque()
	n := scanExtensions(r, data)
	if n == 0 || r.Err() != nil {
		return nil
	}
	e := make(Extensions, 0, n)
	for list := wire.NewReader(data); !list.Empty(); {
		x := Extension{Type: ExtensionType(list.Uint16()), Data: list.Opaque()}
		if _, ok := e.Find(x.Type); ok {
			r.Fail(fmt.Errorf("%w: extension 0x%04x twice", ErrMalformed, uint16(x.Type)))
			return nil
		}
		if err := checkExtensionData(x.Type, x.Data); err != nil {
			r.Fail(fmt.Errorf("extension 0x%04x: %w", uint16(x.Type), err))
			return nil
		}
		e = append(e, x)
	}
	return e
}

// scanExtensions counts the entries of a list, the content of r's last vector.
func scanExtensions(r *wire.Reader, data []byte) (n int) {
	list := wire.NewReader(data)
	for ; !list.Empty(); n++ {
		list.Uint16()
		list.Opaque()
		if n == maxExtensions {
			list.Fail(fmt.Errorf("%w: more than %d extensions", ErrMalformed, maxExtensions))
		}
	}
	if list.Err() != nil {
		r.Fail(list.Err())
	}
	return n
}

func checkExtensionData(t ExtensionType, data []byte) error {
	if len(data) > maxExtensionBytes && t != ExtRatchetTree {
		return fmt.Errorf("%w: %d bytes", ErrMalformed, len(data))
	}
	if t > ExtAppDataDictionary {
		return nil // not known, so its data mean nothing
	}
	r := wire.NewReader(data)
	switch t {
	case ExtApplicationID, ExtExternalPub, ExtRatchetTree:
		r.Opaque() // the tree's nodes are checked when they are decoded
	case ExtRequiredCapabilities:
		_, err := DecodeRequiredCapabilities(data)
		return err
	case ExtExternalSenders:
		readExternalSenders(r)
	case ExtAppDataDictionary:
		_, err := scanAppData(data)
		return err
	default:
		return nil
	}
	return r.Finish()
}
