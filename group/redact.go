package group

import "fmt"

// What holds keys or payloads prints nothing of them, under any verb.

const redacted = "[redacted]"

// Format prints a placeholder.
func (*Group) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("group " + redacted)) }

// Format prints the kind and the size of a record.
func (r Record) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "record %s (%d bytes) %s", kindOf(r.Key), len(r.Value), redacted)
}

// Format prints a placeholder.
func (CreateConfig) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// Format prints a placeholder.
func (JoinConfig) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }
