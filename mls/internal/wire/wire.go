// Package wire reads and writes the presentation language of RFC 9420,
// Section 2.1: big-endian integers, variable-size vectors and optionals. It
// knows no MLS type.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

// ErrMalformed is wrapped by every error of a [Reader].
var ErrMalformed = errors.New("mls: malformed bytes")

// MaxVarint is the largest length a variable-size vector can have.
const MaxVarint = 1<<30 - 1

// Reader reads a byte slice from front to back. The first error sticks, also
// in the readers this one was taken from, and all later reads give zero
// values. Results alias the input.
type Reader struct {
	data   []byte
	off    int
	err    error
	parent *Reader
}

// NewReader returns a reader over b.
func NewReader(b []byte) *Reader { return &Reader{data: b} }

// Err returns the first error, or nil.
func (r *Reader) Err() error { return r.err }

// Fail records err unless there is one already, and skips what is left.
func (r *Reader) Fail(err error) {
	for ; r != nil; r = r.parent {
		if r.err == nil {
			r.err = err
		}
		r.off = len(r.data)
	}
}

// Empty reports whether all bytes are read. It is true after an error, so
// that loops over a vector end.
func (r *Reader) Empty() bool { return r.off >= len(r.data) }

// Offset returns the number of bytes read from this reader.
func (r *Reader) Offset() int { return r.off }

// Since returns the bytes read since the offset start, or nil after an error.
func (r *Reader) Since(start int) []byte {
	if r.err != nil {
		return nil
	}
	return r.data[start:r.off:r.off]
}

// Peek returns the bytes that are left without reading them.
func (r *Reader) Peek() []byte { return r.data[r.off:len(r.data):len(r.data)] }

// Rest reads all bytes that are left.
func (r *Reader) Rest() []byte {
	b := r.data[r.off:]
	r.off = len(r.data)
	return b
}

// Finish returns the error that stuck, or one if bytes are left over.
func (r *Reader) Finish() error {
	if r.err == nil && r.off != len(r.data) {
		r.Fail(fmt.Errorf("%w: %d bytes left over", ErrMalformed, len(r.data)-r.off))
	}
	return r.err
}

// Bytes reads n bytes.
func (r *Reader) Bytes(n int) []byte {
	if r.err != nil {
		return nil
	}
	if n < 0 || n > len(r.data)-r.off {
		r.Fail(fmt.Errorf("%w: %d bytes wanted, %d left", ErrMalformed, n, len(r.data)-r.off))
		return nil
	}
	b := r.data[r.off : r.off+n : r.off+n]
	r.off += n
	return b
}

// Uint8 reads one byte.
func (r *Reader) Uint8() uint8 {
	if b := r.Bytes(1); b != nil {
		return b[0]
	}
	return 0
}

// Uint16 reads a big-endian uint16.
func (r *Reader) Uint16() uint16 {
	if b := r.Bytes(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

// Uint32 reads a big-endian uint32.
func (r *Reader) Uint32() uint32 {
	if b := r.Bytes(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// Uint64 reads a big-endian uint64.
func (r *Reader) Uint64() uint64 {
	if b := r.Bytes(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// varint reads a vector length (Section 2.1.2). Only the shortest form is
// accepted, since two encodings of one value would have two hashes.
func (r *Reader) varint() int {
	first := r.Uint8()
	size := 1 << (first >> 6)
	if size == 8 {
		r.Fail(fmt.Errorf("%w: length prefix", ErrMalformed))
		return 0
	}
	n := int(first & 0x3f)
	for _, c := range r.Bytes(size - 1) {
		n = n<<8 | int(c)
	}
	if r.err == nil && varintSize(n) != size {
		r.Fail(fmt.Errorf("%w: length prefix not minimal", ErrMalformed))
	}
	if r.err != nil {
		return 0
	}
	return n
}

// Opaque reads an opaque<V>.
func (r *Reader) Opaque() []byte { return r.Bytes(r.varint()) }

// Vector reads a <V> and returns a reader over its content. An error in it
// sticks in r as well; bytes left over in it do not (see [Reader.Finish]).
func (r *Reader) Vector() *Reader {
	return &Reader{data: r.Opaque(), err: r.err, parent: r}
}

// Optional reads the presence octet of an optional.
func (r *Reader) Optional() bool {
	switch r.Uint8() {
	case 0:
	case 1:
		return true
	default:
		r.Fail(fmt.Errorf("%w: presence octet", ErrMalformed))
	}
	return false
}

func varintSize(n int) int {
	switch l := bits.Len(uint(n)); {
	case l <= 6:
		return 1
	case l <= 14:
		return 2
	case l <= 30:
		return 4
	}
	panic("mls: vector longer than 2^30-1 bytes")
}

// AppendVarint appends a vector length. It panics above [MaxVarint].
func AppendVarint(b []byte, n int) []byte {
	switch varintSize(n) {
	case 1:
		return append(b, byte(n))
	case 2:
		return append(b, 0x40|byte(n>>8), byte(n))
	}
	return append(b, 0x80|byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}

// AppendOpaque appends data as an opaque<V>.
func AppendOpaque(b, data []byte) []byte {
	return append(AppendVarint(b, len(data)), data...)
}

// AppendVector appends what body appends, with its length in front.
func AppendVector(b []byte, body func(b []byte) []byte) []byte {
	start := len(b)
	b = body(b)
	n := len(b) - start
	var prefix [4]byte
	p := AppendVarint(prefix[:0], n)
	b = append(b, p...)
	copy(b[start+len(p):], b[start:start+n])
	copy(b[start:], p)
	return b
}
