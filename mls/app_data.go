package mls

import (
	"bytes"
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
	r := wire.NewReader(bytes.Clone(b))
	list := r.Vector()
	var d AppDataDictionary
	for !list.Empty() {
		c := ComponentData{ID: ComponentID(list.Uint16()), Data: list.Opaque()}
		if len(d) > 0 && c.ID <= d[len(d)-1].ID {
			r.Fail(fmt.Errorf("%w: components not ascending", ErrMalformed))
		}
		if list.Err() != nil {
			break
		}
		d = append(d, c)
	}
	if err := r.Finish(); err != nil {
		return nil, err
	}
	return d, nil
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
