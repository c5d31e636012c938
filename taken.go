package marmot

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
)

// What was missed is asked for from a day before, because events come late. So
// that a restart does not verify and open a day's events once more, those that
// were dealt with are remembered for two days. A lost mark costs an event's
// verification; there is none for what has to stay obtainable.
const (
	takenDays = 2
	maxTaken  = 1 << 17 // of one group and day
	takenPart = 64      // marks that wait to be written together
)

const day = 24 * 3600

// taken marks the events of a group that were dealt with, by the day on which
// they are dated.
type taken map[int64]*takenDay

type takenDay struct {
	marks   map[uint64]bool // the first eight bytes of ids
	pending []byte          // of those that are not stored
	parts   int             // that are stored
}

func markOf(id nostr.ID) uint64 { return binary.BigEndian.Uint64(id[:8]) }

func takenPrefix(key string) string { return keyTaken + key + "/" }

func takenKey(key string, number int64, part int) string {
	return fmt.Sprintf("%s%08d/%04d", takenPrefix(key), number, part)
}

// loadTaken reads a group's marks when they are first asked for.
func (a *Account) loadTaken(l *live) {
	if l.taken != nil {
		return
	}
	l.taken = taken{}
	for r, err := range a.cfg.Store.Range(takenPrefix(l.key)) {
		n, _, _ := strings.Cut(r.Key[len(takenPrefix(l.key)):], "/")
		number, bad := strconv.ParseInt(n, 10, 64)
		if err != nil || bad != nil {
			continue
		}
		d := l.taken.day(number)
		d.parts++
		for b := range slices.Chunk(r.Value, 8) {
			if len(b) == 8 {
				d.marks[binary.BigEndian.Uint64(b)] = true
			}
		}
	}
}

func (t taken) day(number int64) *takenDay {
	if t[number] == nil {
		t[number] = &takenDay{marks: map[uint64]bool{}}
	}
	return t[number]
}

// took marks an event as dealt with.
func (a *Account) took(l *live, e *nostr.Event) {
	today := a.cfg.Now().Unix() / day
	number := int64(e.CreatedAt) / day
	if number < today-takenDays || number > today+1 {
		return
	}
	a.loadTaken(l)
	d, mark := l.taken.day(number), markOf(e.ID)
	if d.marks[mark] || len(d.marks) >= maxTaken {
		return
	}
	d.marks[mark] = true
	d.pending = binary.BigEndian.AppendUint64(d.pending, mark)
}

// tookBefore reports whether an event was marked as dealt with.
func (a *Account) tookBefore(l *live, e *nostr.Event) bool {
	a.loadTaken(l)
	d := l.taken[int64(e.CreatedAt)/day]
	return d != nil && d.marks[markOf(e.ID)]
}

// takenRecords returns what is to be stored: marks that wait, when there are so
// many or it is the last moment, and the end of those that are too old.
func (a *Account) takenRecords(l *live, least int) (records []group.Record) {
	today := a.cfg.Now().Unix() / day
	for number, d := range l.taken {
		switch {
		case number < today-takenDays:
			for part := range d.parts {
				records = append(records, group.Record{Key: takenKey(l.key, number, part)})
			}
			delete(l.taken, number)
		case len(d.pending) >= 8*least:
			records = append(records, group.Record{Key: takenKey(l.key, number, d.parts), Value: d.pending})
			d.parts++
			d.pending = nil
		}
	}
	return records
}

// waitingMarks are the marks that still wait to be stored.
func (a *Account) waitingMarks() (records []group.Record) {
	for _, l := range a.groups {
		records = append(records, a.takenRecords(l, 1)...)
	}
	return records
}

// untaken keeps the events of a group that were not dealt with. It is called
// from other goroutines.
func (a *Account) untaken(ctx context.Context, key string, events []*nostr.Event) (out []*nostr.Event, err error) {
	err = a.do(ctx, func() error {
		l := a.groups[key]
		if l == nil {
			out = events
			return nil
		}
		for _, e := range events {
			if !a.tookBefore(l, e) {
				out = append(out, e)
			}
		}
		return nil
	})
	return out, err
}

// forgetTaken deletes a group's marks: another copy of it may need the events.
func (a *Account) forgetTaken(key string, records *[]group.Record) error {
	for r, err := range a.cfg.Store.Range(takenPrefix(key)) {
		if err != nil {
			return err
		}
		*records = append(*records, group.Record{Key: r.Key})
	}
	return nil
}
