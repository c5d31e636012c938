package compact

import (
	"bytes"
	"testing"
	"time"
)

type record struct {
	ID   [32]byte  `json:"id" cbor:"1,keyasint,omitzero"`
	Text string    `json:"text" cbor:"2,keyasint,omitempty"`
	At   time.Time `json:"at" cbor:"3,keyasint,omitzero"`
	More []string  `json:"more" cbor:"4,keyasint,omitempty"`
}

// TestRecords writes records and reads them, and one of an older home.
func TestRecords(t *testing.T) {
	at := time.Date(2026, 11, 27, 1, 2, 3, 456_789_123, time.UTC)
	for _, r := range []record{{}, {ID: [32]byte{1}, Text: "\xff text", At: at, More: []string{"", "x"}}} {
		var got record
		if err := Decode(Encode(r), &got); err != nil || got.ID != r.ID || got.Text != r.Text || !got.At.Equal(r.At) || len(got.More) != len(r.More) {
			t.Errorf("%+v is read as %+v, %v", r, got, err)
		}
	}
	var older record
	if err := Decode([]byte(`{"text":"older","at":"2026-11-27T01:02:03.456789123Z"}`), &older); err != nil || older.Text != "older" || !older.At.Equal(at) {
		t.Errorf("of an older home: %+v, %v", older, err)
	}
	for _, bad := range []string{"", "{", "null", "\xa1\x02", "\x9f\xff", "\xbb\xff\xff\xff\xff\xff\xff\xff\xff"} {
		if err := Decode([]byte(bad), &older); err == nil {
			t.Errorf("%q is read as %+v", bad, older)
		}
	}
	for _, want := range []time.Time{{}, at, time.Unix(0, -1).UTC()} {
		if got := Time(Nanos(want)); !got.Equal(want) {
			t.Errorf("%v comes back as %v", want, got)
		}
	}
}

// FuzzDecode reads anything, in bounds: what is read is written in one way.
func FuzzDecode(f *testing.F) {
	f.Add(Encode(record{ID: [32]byte{1}, Text: "text", At: time.Unix(1, 2), More: []string{"x"}}))
	f.Add([]byte(`{"text":"older"}`))
	f.Add([]byte("\xa2\x02\x60\x02\x60"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r, again record
		if Decode(b, &r) != nil || r.At.Year() < 0 || r.At.Year() > 9999 {
			return // no clock tells such a time, and a number may
		}
		short := Encode(r)
		if err := Decode(short, &again); err != nil || !bytes.Equal(Encode(again), short) {
			t.Fatalf("%+v is read as %+v, %v", r, again, err)
		}
	})
}
