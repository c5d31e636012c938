package store

import (
	"errors"
	"fmt"

	"github.com/ncruces/go-sqlite3"
)

// statements keeps prepared statements for one piece of work that runs the
// same ones often. It is used under the store's lock.
type statements struct {
	s    *Store
	open map[string]*sqlite3.Stmt
}

func (s *Store) statements() *statements {
	return &statements{s: s, open: map[string]*sqlite3.Stmt{}}
}

func (p *statements) close() error {
	var err error
	for _, st := range p.open {
		err = errors.Join(err, st.Close())
	}
	return err
}

// each runs a statement and visits its rows. It does not nest with itself.
func (p *statements) each(sql string, row func(*sqlite3.Stmt) error, args ...any) (err error) {
	st := p.open[sql]
	if st == nil {
		if st, _, err = p.s.conn.Prepare(sql); err != nil {
			return fmt.Errorf("store: timeline: %w", err)
		}
		p.open[sql] = st
	}
	defer func() { err = errors.Join(err, st.Reset()) }()
	if err := bind(st, args); err != nil {
		return err
	}
	for st.Step() {
		if row == nil {
			continue
		}
		if err := row(st); err != nil {
			return err
		}
	}
	if err := st.Err(); err != nil {
		return fmt.Errorf("store: timeline: %w", err)
	}
	return nil
}

// exec runs a statement without rows.
func (p *statements) exec(sql string, args ...any) error { return p.each(sql, nil, args...) }

// number runs a statement that gives one number; false if it gives none.
func (p *statements) number(sql string, args ...any) (n int64, ok bool, err error) {
	err = p.each(sql, func(st *sqlite3.Stmt) error {
		n, ok = st.ColumnInt64(0), true
		return nil
	}, args...)
	return n, ok, err
}
