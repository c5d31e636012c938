package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/ncruces/go-sqlite3"
)

// The ids of log entries are long texts, and stand in the table and in its index:
// both keep a short form. It begins with groupBytes of the hash of the group, so
// that a group can be forgotten, and an entry's order of arrival where the id tells
// it: neighbours are written together. The rest is keyBytes of the hash of the whole.
const (
	groupBytes = 8
	keyBytes   = 16
	orderHex   = 12 // digits of an order of arrival
)

// logID is the short form of an entry's key: group, kind and more, with slashes
// between them.
func logID(key string) []byte {
	parts := strings.SplitN(key, "/", 4)
	id := logGroup(parts[0])
	if len(parts) == 4 && len(parts[2]) == orderHex {
		if order, err := hex.DecodeString(parts[2]); err == nil {
			id = append(id, order...)
		}
	}
	sum := sha256.Sum256([]byte(key))
	return append(id, sum[:keyBytes]...)
}

// logGroup is what the short forms of a group's entries begin with.
func logGroup(group string) []byte {
	sum := sha256.Sum256([]byte(group))
	return sum[:groupBytes:groupBytes]
}

// logRange are bounds between which a group's ids lie, and no others.
func logRange(group string) (first, last []byte) {
	first = logGroup(group)
	return first, append(first, bytes.Repeat([]byte{0xFF}, orderHex/2+keyBytes)...)
}

// maxMigrated is how many entries are rewritten at once.
const maxMigrated = 500

// shortenLog gives the entries of an older home their short ids, to which their
// values are then bound. A damaged value stays, and stays damaged.
func (s *Store) shortenLog() error {
	p := s.statements()
	defer p.close()
	for last := int64(0); ; {
		type entry struct {
			cursor    int64
			id, value []byte
		}
		var piece []entry
		err := p.each("SELECT cursor, id, value FROM log WHERE cursor > ? ORDER BY cursor LIMIT ?", func(st *sqlite3.Stmt) error {
			key := st.ColumnText(1)
			e := entry{st.ColumnInt64(0), logID(key), st.ColumnBlob(2, []byte{})}
			if value, err := s.unseal(logPlace+key, e.value); err == nil {
				e.value = s.seal(logPlace+string(e.id), value)
			}
			piece = append(piece, e)
			return nil
		}, last, maxMigrated)
		if err != nil || len(piece) == 0 {
			return err
		}
		for _, e := range piece {
			if err := p.exec("UPDATE log SET id = ?, value = ? WHERE cursor = ?", e.id, e.value, e.cursor); err != nil {
				return err
			}
			last = e.cursor
		}
	}
}
