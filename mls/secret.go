package mls

import (
	"fmt"
	"log/slog"
)

const redacted = "[redacted]"

// secret holds key material. It prints as [redacted] under every verb. Note
// that package fmt does not call methods on unexported fields, so a struct
// that holds one needs the redaction itself or keeps it behind a pointer.
type secret []byte

func (secret) String() string               { return redacted }
func (secret) GoString() string             { return redacted }
func (secret) Format(f fmt.State, _ rune)   { redact(f) }
func (secret) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
func (secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// erase overwrites the secret. The runtime may have copied it before; this is
// best effort.
func (s secret) erase() { clear(s) }

func redact(f fmt.State) { _, _ = f.Write([]byte(redacted)) }

// redactedValue is embedded by structs that hold secrets in unexported
// fields, so that printing the struct prints nothing of them.
type redactedValue struct{}

func (redactedValue) String() string               { return redacted }
func (redactedValue) GoString() string             { return redacted }
func (redactedValue) Format(f fmt.State, _ rune)   { redact(f) }
func (redactedValue) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (redactedValue) MarshalText() ([]byte, error) { return []byte(redacted), nil }
func (redactedValue) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
