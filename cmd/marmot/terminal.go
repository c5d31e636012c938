package main

import (
	"strings"
	"unicode"
)

// clean keeps what others wrote from steering the terminal: control
// characters, and characters that change the direction of the text, become
// visible marks. Line breaks stay.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r), r == '\u2028', r == '\u2029', r == unicode.ReplacementChar:
			return '·'
		}
		return r
	}, s)
}

// oneLine is clean without line breaks, for names.
func oneLine(s string) string {
	return strings.NewReplacer("\n", "·", "\t", " ").Replace(clean(s))
}
