package wire

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math/bits"
	"strings"
)

// ErrEncoding is wrapped by every decoding error of this package: the bytes
// are not the canonical encoding of anything.
var ErrEncoding = errors.New("wire: invalid encoding")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrEncoding, fmt.Sprintf(format, args...))
}

// reader walks over component bytes in the Marmot binary profile
// (canonical-encoding.md). The first error sticks; results alias the input.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = malformed(format, args...)
		r.rest = nil
	}
}

func (r *reader) fixed(n int) []byte {
	if r.err != nil || len(r.rest) < n {
		r.fail("%d bytes wanted, %d left", n, len(r.rest))
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) uint(n int) uint64 {
	var v uint64
	for _, c := range r.fixed(n) {
		v = v<<8 | uint64(c)
	}
	return v
}

// length reads a QUIC variable-length integer in its shortest form.
func (r *reader) length() uint64 {
	first := r.fixed(1)
	if first == nil {
		return 0
	}
	size := 1 << (first[0] >> 6)
	v := uint64(first[0] & 0x3f)
	for _, c := range r.fixed(size - 1) {
		v = v<<8 | uint64(c)
	}
	if r.err == nil && size != lengthSize(v) {
		r.fail("length not in its shortest form")
	}
	return v
}

// opaque reads a length-prefixed vector of low to high bytes.
func (r *reader) opaque(low, high int) []byte {
	n := r.length()
	if r.err != nil {
		return nil
	}
	if n > uint64(len(r.rest)) || n < uint64(low) || n > uint64(high) {
		r.fail("vector of %d bytes, %d to %d allowed, %d left", n, low, high, len(r.rest))
		return nil
	}
	return r.fixed(int(n))
}

// vector is a sub-reader over a length-prefixed vector; join takes its error back.
func (r *reader) vector() *reader {
	b := r.opaque(0, len(r.rest))
	return &reader{rest: b, err: r.err}
}

func (r *reader) join(sub *reader) {
	if r.err == nil && sub.err != nil {
		r.err, r.rest = sub.err, nil
	}
}

func (r *reader) more() bool { return r.err == nil && len(r.rest) > 0 }

// finish returns the first error, or one if bytes are left over.
func (r *reader) finish(what string) error {
	if r.err == nil && len(r.rest) > 0 {
		r.fail("%d bytes after its end", len(r.rest))
	}
	if r.err != nil {
		return fmt.Errorf("%s: %w", what, r.err)
	}
	return nil
}

func lengthSize(v uint64) int {
	switch n := bits.Len64(v); {
	case n <= 6:
		return 1
	case n <= 14:
		return 2
	case n <= 30:
		return 4
	default:
		return 8
	}
}

func appendLength(b []byte, v uint64) []byte {
	size := lengthSize(v)
	start := len(b)
	for i := size - 1; i >= 0; i-- {
		b = append(b, byte(v>>(8*i)))
	}
	b[start] |= byte(bits.Len(uint(size))-1) << 6
	return b
}

func appendOpaque[T ~string | ~[]byte](b []byte, v T) []byte {
	b = appendLength(b, uint64(len(v)))
	return append(b, v...)
}

// decodeBase64 reads standard, padded base64 and nothing else; the standard
// library's decoder would skip line breaks.
func decodeBase64(s string) ([]byte, error) {
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || strings.ContainsAny(s, "\r\n") {
		return nil, malformed("content is not padded base64")
	}
	return b, nil
}
