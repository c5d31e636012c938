package kdf

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"testing"
)

func FuzzExpand(f *testing.F) {
	f.Add([]byte("secret"), []byte("info"))
	f.Add([]byte{}, []byte{})
	f.Fuzz(func(t *testing.T, secret, info []byte) {
		if len(secret) > blockSize || len(info) > MaxMessage-1 {
			return
		}
		want, err := hkdf.Expand(sha256.New, secret, string(info), sha256.Size)
		if err != nil {
			t.Fatal(err)
		}
		if got := Expand(secret, info); !bytes.Equal(got[:], want) {
			t.Fatalf("got %x, want %x", got, want)
		}
		h := hmac.New(sha256.New, secret)
		h.Write(info)
		if got := HMAC(secret, info); !bytes.Equal(got[:], h.Sum(nil)) {
			t.Fatal("HMAC differs")
		}
		long := bytes.Repeat(info, 3) // on both sides of MaxMessage
		h.Write(long)
		if got := Tag(secret, info, long); !bytes.Equal(got[:], h.Sum(nil)) {
			t.Fatal("Tag differs")
		}
	})
}

func TestNoAllocation(t *testing.T) {
	key, info := make([]byte, 32), make([]byte, 100)
	if n := testing.AllocsPerRun(100, func() { Expand(key, info) }); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func TestBounds(t *testing.T) {
	for name, f := range map[string]func(){
		"key":     func() { HMAC(make([]byte, blockSize+1), nil) },
		"message": func() { HMAC(nil, make([]byte, MaxMessage+1)) },
		"info":    func() { Expand(nil, make([]byte, MaxMessage)) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s beyond its bound was taken", name)
				}
			}()
			f()
		}()
	}
}
