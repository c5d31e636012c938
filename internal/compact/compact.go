// Package compact writes small records in few bytes, as CBOR (RFC 8949), and reads
// them. Records of older homes are JSON objects and are read as well.
package compact

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"
)

var encoder, decoder = modes()

// maxElements is far above what a payload can hold, each of whose tags takes two bytes.
const maxElements = 1 << 24

// modes returns how records are written and read: times as text, which keeps every
// nanosecond, and strings as they are, which a peer may have chosen.
func modes() (cbor.EncMode, cbor.DecMode) {
	e, err := cbor.EncOptions{Time: cbor.TimeRFC3339Nano, Sort: cbor.SortBytewiseLexical}.EncMode()
	if err != nil {
		panic("compact: " + err.Error()) // constant options
	}
	d, err := cbor.DecOptions{UTF8: cbor.UTF8DecodeInvalid, DupMapKey: cbor.DupMapKeyEnforcedAPF, MaxArrayElements: maxElements}.DecMode()
	if err != nil {
		panic("compact: " + err.Error()) // constant options
	}
	return e, d
}

// Nanos is a time in eight bytes: nanoseconds since 1970, and 0 for no time.
func Nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// Time is the time that [Nanos] was given.
func Time(nanos int64) time.Time {
	if nanos == 0 {
		return time.Time{}
	}
	return time.Unix(0, nanos).UTC()
}

// Encode returns a record. Its type must be one that CBOR can hold, and its times of
// the years 0 to 9999.
func Encode(v any) []byte {
	b, err := encoder.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("compact: own record does not encode: %v", err)) // our bug: the types are ours
	}
	return b
}

// Decode reads a record into v, which is undefined after an error.
func Decode(b []byte, v any) error {
	if len(b) > 0 && b[0] == '{' {
		return json.Unmarshal(b, v)
	}
	return decoder.Unmarshal(b, v)
}
