package nostr

import (
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// scanner reads JSON strictly, in one pass, without reflection. The first
// error sticks, and what is returned after it is zero: callers look at err
// once, at the end of a value.
type scanner struct {
	b   []byte
	i   int
	err error
}

// newScanner refuses what is too long or not UTF-8 before anything is read. A
// byte order mark is not white space and so is refused too.
func newScanner(b []byte) *scanner {
	s := &scanner{b: b}
	switch {
	case len(b) > MaxEventSize:
		s.fail("more than 1 MiB")
	case !utf8.Valid(b):
		s.fail("not UTF-8")
	}
	return s
}

func (s *scanner) fail(why string) {
	if s.err == nil {
		s.err = fmt.Errorf("%w JSON at byte %d: %s", ErrMalformed, s.i, why)
	}
	s.i = len(s.b)
}

// peek skips white space and returns the next byte, or 0 at the end.
func (s *scanner) peek() byte {
	for ; s.i < len(s.b); s.i++ {
		switch c := s.b[s.i]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

func (s *scanner) accept(c byte) bool {
	if s.peek() != c || s.i >= len(s.b) {
		return false
	}
	s.i++
	return true
}

func (s *scanner) expect(c byte) {
	if !s.accept(c) {
		s.fail("want " + strconv.QuoteRune(rune(c)))
	}
}

// end requires that nothing but white space follows.
func (s *scanner) end() error {
	if s.err == nil && (s.peek() != 0 || s.i < len(s.b)) {
		s.fail("data after the value")
	}
	return s.err
}

// array calls each before every element.
func (s *scanner) array(each func()) {
	s.expect('[')
	if s.accept(']') {
		return
	}
	for s.err == nil {
		each()
		if s.accept(']') {
			return
		}
		s.expect(',')
	}
}

// object calls each for every member, its value not yet read.
func (s *scanner) object(each func(key string)) {
	s.expect('{')
	if s.accept('}') {
		return
	}
	for s.err == nil {
		key := s.str()
		s.expect(':')
		if s.err != nil {
			return
		}
		each(key)
		if s.accept('}') {
			return
		}
		s.expect(',')
	}
}

// uint reads an unsigned integer as JSON writes one: no sign, fraction,
// exponent or leading zero.
func (s *scanner) uint(limit uint64) uint64 {
	s.peek()
	start := s.i
	for s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9' {
		s.i++
	}
	digits := s.b[start:s.i]
	if len(digits) == 0 || len(digits) > 1 && digits[0] == '0' || len(digits) > 19 {
		s.fail("want an unsigned integer")
		return 0
	}
	n, err := strconv.ParseUint(string(digits), 10, 64)
	if err != nil || n > limit {
		s.fail("integer out of range")
		return 0
	}
	return n
}

func (s *scanner) bool() bool {
	if s.peek() == 't' {
		s.word("true")
		return s.err == nil
	}
	s.word("false")
	return false
}

func (s *scanner) word(w string) {
	s.peek()
	if len(s.b)-s.i < len(w) || string(s.b[s.i:s.i+len(w)]) != w {
		s.fail("want " + w)
		return
	}
	s.i += len(w)
}

// str reads a string and resolves its escapes.
func (s *scanner) str() string {
	s.expect('"')
	start := s.i
	for ; s.i < len(s.b); s.i++ {
		switch c := s.b[s.i]; {
		case c == '"':
			s.i++
			return string(s.b[start : s.i-1])
		case c == '\\':
			return s.escaped(append(make([]byte, 0, s.i-start+16), s.b[start:s.i]...))
		case c < 0x20:
			s.fail("control character in a string")
			return ""
		}
	}
	s.fail("string without end")
	return ""
}

// escaped goes on with a string from its first backslash.
func (s *scanner) escaped(out []byte) string {
	for s.i < len(s.b) {
		c := s.b[s.i]
		s.i++
		switch {
		case c == '"':
			return string(out)
		case c < 0x20:
			s.fail("control character in a string")
			return ""
		case c == '\\':
			out = s.escape(out)
		default:
			out = append(out, c)
		}
	}
	s.fail("string without end")
	return ""
}

func (s *scanner) escape(out []byte) []byte {
	if s.i >= len(s.b) {
		s.fail("string without end")
		return out
	}
	c := s.b[s.i]
	s.i++
	switch c {
	case '"', '\\', '/':
		return append(out, c)
	case 'b':
		return append(out, '\b')
	case 'f':
		return append(out, '\f')
	case 'n':
		return append(out, '\n')
	case 'r':
		return append(out, '\r')
	case 't':
		return append(out, '\t')
	case 'u':
		return s.unicode(out)
	}
	s.fail("unknown escape")
	return out
}

// unicode reads the digits of a \u escape. A surrogate without its partner has
// no UTF-8 form and would come back as another string, so it is refused.
func (s *scanner) unicode(out []byte) []byte {
	r := s.hex4()
	if utf16.IsSurrogate(r) {
		if len(s.b)-s.i < 6 || s.b[s.i] != '\\' || s.b[s.i+1] != 'u' {
			s.fail("lone surrogate")
			return out
		}
		s.i += 2
		if r = utf16.DecodeRune(r, s.hex4()); r == utf8.RuneError {
			s.fail("lone surrogate")
			return out
		}
	}
	return utf8.AppendRune(out, r)
}

func (s *scanner) hex4() rune {
	if len(s.b)-s.i < 4 {
		s.fail("short \\u escape")
		return 0
	}
	n, err := strconv.ParseUint(string(s.b[s.i:s.i+4]), 16, 16)
	if err != nil {
		s.fail("bad \\u escape")
		return 0
	}
	s.i += 4
	return rune(n)
}

// skip reads any value and forgets it.
func (s *scanner) skip(depth int) {
	if depth > maxDepth {
		s.fail("nested too deep")
		return
	}
	switch c := s.peek(); {
	case c == '{':
		s.object(func(string) { s.skip(depth + 1) })
	case c == '[':
		s.array(func() { s.skip(depth + 1) })
	case c == '"':
		s.str()
	case c == 't' || c == 'f':
		s.bool()
	case c == 'n':
		s.word("null")
	default:
		s.number()
	}
}

// number passes over any JSON number (RFC 8259, Section 6).
func (s *scanner) number() {
	digits := func() int {
		start := s.i
		for s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9' {
			s.i++
		}
		return s.i - start
	}
	next := func(set string) bool {
		if s.i >= len(s.b) {
			return false
		}
		for _, c := range []byte(set) {
			if s.b[s.i] == c {
				s.i++
				return true
			}
		}
		return false
	}
	next("-")
	zero := s.i < len(s.b) && s.b[s.i] == '0'
	n := digits()
	ok := n > 0 && (!zero || n == 1)
	if next(".") {
		ok = digits() > 0 && ok
	}
	if next("eE") {
		next("+-")
		ok = digits() > 0 && ok
	}
	if !ok {
		s.fail("want a value")
	}
}
