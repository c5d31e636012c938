package nostr

import (
	"fmt"
	"strings"
)

const bech32Alphabet = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"

// encodeBech32 returns data in Bech32 (BIP-173) under a lowercase prefix.
func encodeBech32(prefix string, data []byte) string {
	groups := regroup8to5(data)
	var b strings.Builder
	b.Grow(len(prefix) + 7 + len(groups))
	b.WriteString(prefix)
	b.WriteByte('1')
	check := bech32Checksum(prefix, groups)
	for _, g := range append(groups, check[:]...) {
		b.WriteByte(bech32Alphabet[g])
	}
	return b.String()
}

// decodeBech32 reads Bech32 of any length up to [MaxEntity], in one case.
// Errors do not repeat the string, which may be a secret key.
func decodeBech32(s string) (prefix string, data []byte, err error) {
	malformed := func(why string) (string, []byte, error) {
		return "", nil, fmt.Errorf("%w bech32: %s", ErrMalformed, why)
	}
	lower := strings.ToLower(s)
	if len(s) > MaxEntity || lower != s && strings.ToUpper(s) != s {
		return malformed("too long or mixed case")
	}
	sep := strings.LastIndexByte(lower, '1')
	if sep < 1 || len(lower)-sep-1 < 6 {
		return malformed("no prefix or no checksum")
	}
	prefix = lower[:sep]
	for i := range len(prefix) {
		if prefix[i] < 33 || prefix[i] > 126 {
			return malformed("prefix")
		}
	}
	groups := make([]byte, 0, len(lower)-sep-1)
	for i := sep + 1; i < len(lower); i++ {
		v := strings.IndexByte(bech32Alphabet, lower[i])
		if v < 0 {
			return malformed("character")
		}
		groups = append(groups, byte(v))
	}
	if bech32Polymod(prefix, groups) != 1 {
		return malformed("checksum")
	}
	data, ok := regroup5to8(groups[:len(groups)-6])
	if !ok {
		return malformed("padding")
	}
	return prefix, data, nil
}

func bech32Checksum(prefix string, groups []byte) (out [6]byte) {
	padded := append(append(make([]byte, 0, len(groups)+6), groups...), out[:]...)
	sum := bech32Polymod(prefix, padded) ^ 1
	for i := range out {
		out[i] = byte(sum>>(5*(5-i))) & 31
	}
	return out
}

func bech32Polymod(prefix string, groups []byte) uint32 {
	generator := [5]uint32{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3}
	sum := uint32(1)
	step := func(v byte) {
		top := sum >> 25
		sum = sum&0x1ffffff<<5 ^ uint32(v)
		for i, g := range generator {
			if top>>i&1 == 1 {
				sum ^= g
			}
		}
	}
	for i := range len(prefix) {
		step(prefix[i] >> 5)
	}
	step(0)
	for i := range len(prefix) {
		step(prefix[i] & 31)
	}
	for _, g := range groups {
		step(g)
	}
	return sum
}

func regroup8to5(data []byte) []byte {
	out := make([]byte, 0, (len(data)*8+4)/5+6)
	acc, n := uint32(0), 0
	for _, c := range data {
		acc, n = acc<<8|uint32(c), n+8
		for ; n >= 5; n -= 5 {
			out = append(out, byte(acc>>(n-5))&31)
		}
	}
	if n > 0 {
		out = append(out, byte(acc<<(5-n))&31)
	}
	return out
}

// regroup5to8 refuses padding that is longer than four bits or not zero.
func regroup5to8(groups []byte) ([]byte, bool) {
	out := make([]byte, 0, len(groups)*5/8)
	acc, n := uint32(0), 0
	for _, g := range groups {
		acc, n = acc<<5|uint32(g), n+5
		if n >= 8 {
			n -= 8
			out = append(out, byte(acc>>n))
		}
	}
	return out, n < 5 && acc&(1<<n-1) == 0
}
