package store

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/ncruces/go-sqlite3"
)

// explain puts the words that a person needs before an error of the disk.
func explain(err error) error {
	for _, full := range []error{sqlite3.FULL, syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG} {
		if errors.Is(err, full) {
			return fmt.Errorf("%w (%w)", ErrFull, err)
		}
	}
	for _, closed := range []error{sqlite3.READONLY, syscall.EROFS, syscall.EACCES, syscall.EPERM} {
		if errors.Is(err, closed) {
			return fmt.Errorf("%w (%w)", ErrReadOnly, err)
		}
	}
	return err
}
