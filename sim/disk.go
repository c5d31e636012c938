package sim

import (
	"maps"
	"slices"

	"github.com/marmotgo/marmot/group"
)

// disk keeps what one client must not lose: the records of its groups, by the
// prefix of the group, and what the application was told.
type disk interface {
	// write stores one transaction. What it returns without an error stays.
	write(prefix string, records []group.Record, effects []group.Effect) error
	// drop deletes the records of a group.
	drop(prefix string) error
	// records returns the records of a group, by ascending key.
	records(prefix string) ([]group.Record, error)
	// crash stops the process without closing anything. A torn one happens in
	// the middle of a write, which leaves nothing behind that counts.
	crash(torn *transaction) error
	close() error
}

type transaction struct {
	prefix  string
	records []group.Record
	effects []group.Effect
}

// modelDisk is a disk that keeps whole transactions in memory and loses what
// was not written out.
type modelDisk struct {
	groups map[string]map[string]group.Record
}

func newModelDisk() *modelDisk { return &modelDisk{map[string]map[string]group.Record{}} }

func (d *modelDisk) write(prefix string, records []group.Record, _ []group.Effect) error {
	at := d.groups[prefix]
	if at == nil {
		at = map[string]group.Record{}
		d.groups[prefix] = at
	}
	for _, r := range records {
		if r.Value == nil {
			delete(at, r.Key)
		} else {
			at[r.Key] = r
		}
	}
	return nil
}

func (d *modelDisk) drop(prefix string) error {
	delete(d.groups, prefix)
	return nil
}

func (d *modelDisk) records(prefix string) ([]group.Record, error) {
	at := d.groups[prefix]
	out := make([]group.Record, 0, len(at))
	for _, key := range slices.Sorted(maps.Keys(at)) {
		out = append(out, at[key])
	}
	return out, nil
}

func (d *modelDisk) crash(*transaction) error { return nil }
func (d *modelDisk) close() error             { return nil }
