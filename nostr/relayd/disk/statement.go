package disk

import (
	"fmt"
	"io/fs"

	"github.com/ncruces/go-sqlite3"
)

// statement returns a prepared statement that is kept: for the few fixed texts.
func (s *Store) statement(sql string, args []any) (*sqlite3.Stmt, error) {
	if s.conn == nil {
		return nil, fs.ErrClosed
	}
	st := s.fixed[sql]
	if st == nil {
		var err error
		if st, _, err = s.conn.Prepare(sql); err != nil {
			return nil, err
		}
		s.fixed[sql] = st
	}
	return st, bind(st, args)
}

func (s *Store) run(sql string, args ...any) error {
	st, err := s.statement(sql, args)
	if err != nil {
		return err
	}
	return st.Exec()
}

// get reads rows with a fixed statement.
func (s *Store) get(sql string, row func(*sqlite3.Stmt) error, args ...any) error {
	st, err := s.statement(sql, args)
	if err != nil {
		return err
	}
	for st.Step() {
		if err := row(st); err != nil {
			_ = st.Reset()
			return err
		}
	}
	return st.Reset() // with the error of the last step
}

// query reads rows with a statement of its own.
func (s *Store) query(sql string, row func(*sqlite3.Stmt) error, args ...any) error {
	return s.queryUntil(sql, func(st *sqlite3.Stmt) (bool, error) { return true, row(st) }, args...)
}

// queryUntil is query until row wants no more.
func (s *Store) queryUntil(sql string, row func(*sqlite3.Stmt) (more bool, err error), args ...any) error {
	if s.conn == nil {
		return fs.ErrClosed
	}
	st, _, err := s.conn.Prepare(sql)
	if err != nil {
		return err
	}
	defer st.Close()
	if err := bind(st, args); err != nil {
		return err
	}
	for st.Step() {
		if more, err := row(st); err != nil || !more {
			return err
		}
	}
	return st.Err()
}

func bind(st *sqlite3.Stmt, args []any) error {
	for i, arg := range args {
		var err error
		switch v := arg.(type) {
		case nil:
			err = st.BindNull(i + 1)
		case string:
			err = st.BindText(i+1, v)
		case []byte:
			err = st.BindBlob(i+1, v)
		case int64:
			err = st.BindInt64(i+1, v)
		default:
			err = fmt.Errorf("cannot bind %T", arg)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
