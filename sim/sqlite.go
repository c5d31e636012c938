package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/store"
)

// sqliteDisk is the real store on a real file.
type sqliteDisk struct {
	dir   string
	key   store.Key
	store *store.Store
	lives int
}

func newSQLiteDisk(dir string) (*sqliteDisk, error) {
	d := &sqliteDisk{dir: dir, key: store.NewKey()}
	var err error
	d.store, err = store.Open(d.path(), d.key)
	return d, err
}

func (d *sqliteDisk) path() string { return filepath.Join(d.dir, fmt.Sprintf("%d.db", d.lives)) }

func (d *sqliteDisk) write(prefix string, records []group.Record, effects []group.Effect) error {
	return d.store.Write(placed(prefix, records), entries(prefix, effects))
}

func placed(prefix string, records []group.Record) []group.Record {
	out := make([]group.Record, len(records))
	for i, r := range records {
		r.Key = prefix + r.Key
		out[i] = r
	}
	return out
}

func entries(prefix string, effects []group.Effect) []group.Record {
	out := make([]group.Record, len(effects))
	for i, e := range effects {
		value, err := json.Marshal(e)
		if err != nil {
			panic("sim: an effect does not encode: " + err.Error())
		}
		out[i] = group.Record{Key: prefix + e.ID, Value: value, Secret: true}
	}
	return out
}

func (d *sqliteDisk) drop(prefix string) error {
	records, err := d.records(prefix)
	for i := range records {
		records[i].Value = nil
	}
	return errors.Join(err, d.store.Write(placed(prefix, records), nil))
}

func (d *sqliteDisk) records(prefix string) (out []group.Record, err error) {
	for r, err := range d.store.Range(prefix) {
		if err != nil {
			return nil, err
		}
		r.Key = strings.TrimPrefix(r.Key, prefix)
		out = append(out, r)
	}
	return out, nil
}

// crash goes on with a copy of the files as they are, which is what a killed
// process leaves: no checkpoint, and the write-ahead log as far as it got. A
// torn write is cut short in the middle of what it appended to the log.
func (d *sqliteDisk) crash(torn *transaction) error {
	from := d.path()
	d.lives++
	for _, suffix := range []string{"", "-wal"} {
		if err := copyFile(from+suffix, d.path()+suffix); err != nil {
			return err
		}
	}
	if torn != nil {
		if err := d.tear(torn, from+"-wal"); err != nil {
			return err
		}
	}
	err := d.store.Close()
	next, opened := store.Open(d.path(), d.key)
	if err := errors.Join(err, opened); err != nil {
		return fmt.Errorf("sim: after a crash: %w", err)
	}
	d.store = next
	return os.Remove(from)
}

// tear writes to the files that are given up, and takes half of what that
// appended to the log. A log that was begun anew shows nothing of the write.
func (d *sqliteDisk) tear(t *transaction, log string) error {
	before, err := fileSize(log)
	if err != nil {
		return err
	}
	if err := d.write(t.prefix, t.records, t.effects); err != nil {
		return err
	}
	after, err := fileSize(log)
	if err != nil || after <= before {
		return err
	}
	return errors.Join(copyFile(log, d.path()+"-wal"), os.Truncate(d.path()+"-wal", (before+(after-before)/2)/block*block))
}

// block is the unit in which the encrypting file system writes.
const block = 4096

func fileSize(path string) (int64, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func copyFile(from, to string) error {
	b, err := os.ReadFile(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o600)
}

func (d *sqliteDisk) close() error { return d.store.Close() }
