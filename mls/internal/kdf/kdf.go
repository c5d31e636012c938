// Package kdf computes HMAC-SHA-256 and HKDF steps without allocating. The
// secret tree derives thousands of short secrets; crypto/hkdf needs 13
// allocations for each.
package kdf

import "crypto/sha256"

const (
	blockSize = 64
	// MaxMessage is the longest message that [HMAC] takes.
	MaxMessage = 256
)

// HMAC returns HMAC-SHA-256 of msg. The key must be at most 64 bytes long and
// msg at most [MaxMessage]; both bounds are the caller's to keep.
func HMAC(key, msg []byte) [sha256.Size]byte {
	if len(key) > blockSize || len(msg) > MaxMessage {
		panic("kdf: key or message too long")
	}
	var inner [blockSize + MaxMessage]byte
	var outer [blockSize + sha256.Size]byte
	copy(inner[:], key)
	copy(outer[:], key)
	for i := range blockSize {
		inner[i] ^= 0x36
		outer[i] ^= 0x5c
	}
	n := blockSize + copy(inner[blockSize:], msg)
	digest := sha256.Sum256(inner[:n])
	copy(outer[blockSize:], digest[:])
	out := sha256.Sum256(outer[:])
	clear(inner[:])
	clear(outer[:])
	clear(digest[:])
	return out
}

// Tag is HMAC of the concatenated parts, of any length. The key must be at
// most 64 bytes long.
func Tag(key []byte, parts ...[]byte) [sha256.Size]byte {
	if len(key) > blockSize {
		panic("kdf: key too long")
	}
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	if n <= MaxMessage {
		var msg [MaxMessage]byte
		b := msg[:0]
		for _, p := range parts {
			b = append(b, p...)
		}
		out := HMAC(key, b)
		clear(msg[:])
		return out
	}
	var pad [blockSize]byte
	var outer [blockSize + sha256.Size]byte
	copy(pad[:], key)
	copy(outer[:], key)
	for i := range blockSize {
		pad[i] ^= 0x36
		outer[i] ^= 0x5c
	}
	h := sha256.New()
	h.Write(pad[:])
	for _, p := range parts {
		h.Write(p)
	}
	h.Sum(outer[:blockSize])
	out := sha256.Sum256(outer[:])
	clear(pad[:])
	clear(outer[:])
	return out
}

// Expand returns the first block of HKDF-Expand with SHA-256. Info must be at
// most MaxMessage-1 bytes long.
func Expand(secret, info []byte) [sha256.Size]byte {
	var msg [MaxMessage]byte
	n := copy(msg[:MaxMessage-1], info)
	if n != len(info) {
		panic("kdf: info too long")
	}
	msg[n] = 1
	return HMAC(secret, msg[:n+1])
}
