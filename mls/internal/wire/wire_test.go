package wire

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"testing"

	"github.com/marmotgo/marmot/internal/vectors"
)

func TestVectorsDeserialization(t *testing.T) {
	var list []struct {
		Header string `json:"vlbytes_header"`
		Length int
	}
	if err := json.Unmarshal(vectors.Read(t, "mls/deserialization.json"), &list); err != nil {
		t.Fatal(err)
	}
	for _, v := range list {
		header, err := hex.DecodeString(v.Header)
		if err != nil {
			t.Fatal(err)
		}
		if got := AppendVarint(nil, v.Length); !bytes.Equal(got, header) {
			t.Errorf("length %d written as %x, want %x", v.Length, got, header)
		}
		r := NewReader(header)
		if n := r.varint(); n != v.Length || r.Finish() != nil {
			t.Errorf("%x read as %d: %v", header, n, r.Err())
		}
	}
	if len(list) != 14 {
		t.Fatalf("%d entries ran, want 14", len(list))
	}
}

func TestVarintBoundaries(t *testing.T) {
	for _, n := range []int{0, 1, 63, 64, 16383, 16384, MaxVarint} {
		b := AppendVarint(nil, n)
		r := NewReader(b)
		if got := r.varint(); got != n || r.Finish() != nil {
			t.Errorf("%d read as %d: %v", n, got, r.Err())
		}
	}
	for _, b := range [][]byte{{0x40, 63}, {0x80, 0, 0x3f, 0xff}, {0xc0, 0, 0, 0, 0, 0, 0, 1}, {0x40}, {0x80, 1}, {}} {
		r := NewReader(b)
		r.varint()
		if !errors.Is(r.Err(), ErrMalformed) {
			t.Errorf("%x accepted", b)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("2^30 was encoded")
		}
	}()
	AppendVarint(nil, MaxVarint+1)
}

func TestAppendVector(t *testing.T) {
	for _, n := range []int{0, 1, 63, 64, 16383, 16384} {
		data := bytes.Repeat([]byte{7}, n)
		got := AppendVector([]byte("x"), func(b []byte) []byte { return append(b, data...) })
		if want := AppendOpaque([]byte("x"), data); !bytes.Equal(got, want) {
			t.Errorf("%d bytes: vector and opaque differ", n)
		}
	}
}

func TestErrorSticks(t *testing.T) {
	r := NewReader([]byte{3, 0, 1, 2, 9})
	v := r.Vector()
	if v.Uint8(); v.Uint32() != 0 || v.Err() == nil || r.Err() == nil {
		t.Fatal("error in a vector did not reach its reader")
	}
	if !r.Empty() || !v.Empty() || r.Bytes(1) != nil || r.Since(0) != nil || r.Finish() == nil {
		t.Fatal("reading goes on after an error")
	}
	r = NewReader([]byte{1, 2})
	r.Uint8()
	if err := r.Finish(); !errors.Is(err, ErrMalformed) {
		t.Fatalf("left-over bytes: %v", err)
	}
	r = NewReader([]byte{2})
	if r.Optional(); r.Err() == nil {
		t.Fatal("presence octet 2 accepted")
	}
}
