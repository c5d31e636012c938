package mls

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/marmotgo/marmot/mls/internal/wire"
)

// ComponentID names an application component (draft-ietf-mls-extensions,
// "Component IDs").
type ComponentID uint16

// ComponentData is one entry of an [AppDataDictionary].
type ComponentData struct {
	ID   ComponentID
	Data []byte
}

// AppDataDictionary is the content of the app_data_dictionary extension:
// entries in ascending order of their ids.
type AppDataDictionary []ComponentData

// DecodeAppDataDictionary reads the extension's data and nothing after it.
// Entries must be strictly ascending. The result holds copies.
func DecodeAppDataDictionary(b []byte) (AppDataDictionary, error) {
	n, err := scanAppData(b)
	if n == 0 || err != nil {
		return nil, err
	}
	// All is checked, so what follows reads without errors.
	list := wire.NewReader(wire.NewReader(b).Opaque())
	d := make(AppDataDictionary, 0, n)
	block := make([]byte, 0, len(b))
	for !list.Empty() {
		c := ComponentData{ID: ComponentID(list.Uint16())}
		from := len(block)
		block = append(block, list.Opaque()...)
		c.Data = block[from:len(block):len(block)]
		d = append(d, c)
	}
	return d, nil
}

// scanAppData checks an encoded dictionary and counts its entries.
func scanAppData(b []byte) (n int, err error) {
	r := wire.NewReader(b)
	list := wire.NewReader(r.Opaque())
	for last := -1; !list.Empty(); n++ {
		id := int(list.Uint16())
		list.Opaque()
		if id <= last && list.Err() == nil {
			list.Fail(fmt.Errorf("%w: components not ascending", ErrMalformed))
		}
		if n == maxComponents {
			list.Fail(fmt.Errorf("%w: more than %d components", ErrMalformed, maxComponents))
		}
		last = id
	}
	if err := r.Finish(); err != nil {
		return 0, err
	}
	return n, list.Err()
}

// Append appends the extension's data to b. Entries must be ascending.
func (d AppDataDictionary) Append(b []byte) []byte {
	return wire.AppendVector(b, func(b []byte) []byte {
		for i := range d {
			b = binary.BigEndian.AppendUint16(b, uint16(d[i].ID))
			b = wire.AppendOpaque(b, d[i].Data)
		}
		return b
	})
}

// Get returns a copy of the data of component id.
func (d AppDataDictionary) Get(id ComponentID) ([]byte, bool) {
	i, ok := d.find(id)
	if !ok {
		return nil, false
	}
	return append([]byte{}, d[i].Data...), true
}

// With returns a dictionary in which component id has the given data.
func (d AppDataDictionary) With(id ComponentID, data []byte) AppDataDictionary {
	i, ok := d.find(id)
	entry := ComponentData{ID: id, Data: append([]byte{}, data...)}
	next := slices.Clone(d)
	if ok {
		next[i] = entry
		return next
	}
	return slices.Insert(next, i, entry)
}

// Without returns a dictionary that lacks component id.
func (d AppDataDictionary) Without(id ComponentID) AppDataDictionary {
	i, ok := d.find(id)
	if !ok {
		return d
	}
	return slices.Delete(slices.Clone(d), i, i+1)
}

func (d AppDataDictionary) find(id ComponentID) (int, bool) {
	return slices.BinarySearchFunc(d, id, func(c ComponentData, id ComponentID) int { return int(c.ID) - int(id) })
}
