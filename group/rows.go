package group

import (
	"crypto/sha256"
	"fmt"
)

// rowSum names the set of a group's stored records by their keys. It is part
// of the meta record, so that a record that is gone is noticed: a missing
// message or commit would otherwise change the choice of a branch in silence.
type rowSum struct {
	Count int      `json:"count"`
	Sum   [16]byte `json:"sum"` // of the keys' hashes, combined with xor
}

// rowSet holds the keys of the stored records, as their hashes: what is
// compared never depends on an order.
type rowSet map[[16]byte]struct{}

func rowHash(key string) [16]byte {
	sum := sha256.Sum256([]byte(key))
	return [16]byte(sum[:16])
}

func (r *rowSum) toggle(h [16]byte, by int) {
	r.Count += by
	for i := range r.Sum {
		r.Sum[i] ^= h[i]
	}
}

// countRows takes the records of this step into the sum.
func (s *step) countRows() {
	g := s.g
	sum := rowSum{}
	if g.meta.Rows != nil {
		sum = *g.meta.Rows
	}
	for _, r := range s.out.Records {
		if r.Key == keyMeta {
			continue
		}
		h := rowHash(r.Key)
		_, known := g.rows[h]
		switch {
		case r.Value != nil && !known:
			g.rows[h] = struct{}{}
			sum.toggle(h, 1)
		case r.Value == nil && known:
			delete(g.rows, h)
			sum.toggle(h, -1)
		}
	}
	if g.meta.Rows == nil || sum != *g.meta.Rows {
		g.meta.Rows = &sum
	}
}

// checkRows compares the records that were read with what was stored last.
// Records from before sums were kept are taken as they are.
func (l *loader) checkRows(records []Record) error {
	sum := rowSum{}
	for _, r := range records {
		if r.Key != keyMeta {
			h := rowHash(r.Key)
			l.g.rows[h] = struct{}{}
			sum.toggle(h, 1)
		}
	}
	switch want := l.g.meta.Rows; {
	case want == nil:
		l.g.meta.Rows = &sum
	case sum != *want:
		return fmt.Errorf("%d records are there, %d were stored, or others", sum.Count, want.Count)
	}
	return nil
}
