package nostr

import (
	"crypto/rand"
	"fmt"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/crypto/scrypt"
	"golang.org/x/text/unicode/norm"
)

// What NIP-49 fixes.
const (
	ncryptsecPrefix  = "ncryptsec"
	ncryptsecVersion = 2
	ncryptsecSize    = 1 + 1 + 16 + 24 + 1 + 32 + 16 // bytes: version, log_n, salt, nonce, security, key, tag
	// DefaultScryptLogN makes a guess cost 64 MiB and about a fifth of a second.
	DefaultScryptLogN = 16
	// maxScryptLogN bounds what a string from somebody else may cost: 1 GiB.
	maxScryptLogN = 20
)

// KeySecurity says how a key was handled before it was encrypted (NIP-49).
type KeySecurity byte

// The values of KeySecurity.
const (
	KeyHandledInsecurely KeySecurity = 0 // known to have been
	KeyHandledSecurely   KeySecurity = 1 // not known to have been handled insecurely
	KeyHandlingUnknown   KeySecurity = 2
)

// EncryptSecretKey returns k encrypted under a password as an ncryptsec string
// (NIP-49). logN is the cost of guessing, 2^logN scrypt rounds; 0 means
// [DefaultScryptLogN].
func EncryptSecretKey(k SecretKey, password []byte, security KeySecurity, logN uint8) (string, error) {
	if logN == 0 {
		logN = DefaultScryptLogN
	}
	if logN > maxScryptLogN {
		return "", fmt.Errorf("%w: cost above 2^%d", ErrMalformed, maxScryptLogN)
	}
	b := make([]byte, 0, ncryptsecSize)
	b = append(b, ncryptsecVersion, logN)
	random := make([]byte, 16+24)
	_, _ = rand.Read(random) // never fails
	b = append(b, random...)
	b = append(b, byte(security))
	key, err := scryptKey(password, random[:16], logN)
	if err != nil {
		return "", err
	}
	defer clear(key)
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return "", err
	}
	b = aead.Seal(b, random[16:], k[:], []byte{byte(security)})
	return encodeBech32(ncryptsecPrefix, b), nil
}

// DecryptSecretKey opens an ncryptsec string. The error is [ErrDecrypt] for a
// wrong password, [ErrMalformed] for anything that is no such string or wants
// more than 1 GiB of memory; it repeats nothing of either.
func DecryptSecretKey(s string, password []byte) (SecretKey, KeySecurity, error) {
	var k SecretKey
	prefix, b, err := decodeBech32(strings.TrimSpace(s))
	if err != nil {
		return k, 0, err
	}
	if prefix != ncryptsecPrefix || len(b) != ncryptsecSize || b[0] != ncryptsecVersion || b[1] == 0 || b[1] > maxScryptLogN {
		return k, 0, fmt.Errorf("%w ncryptsec", ErrMalformed)
	}
	security := KeySecurity(b[42])
	key, err := scryptKey(password, b[2:18], b[1])
	if err != nil {
		return k, 0, err
	}
	defer clear(key)
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return k, 0, err
	}
	plain, err := aead.Open(nil, b[18:42], b[43:], b[42:43])
	if err != nil {
		return k, 0, fmt.Errorf("%w: wrong password", ErrDecrypt)
	}
	defer clear(plain)
	copy(k[:], plain)
	if _, ok := k.scalar(); !ok {
		return SecretKey{}, 0, ErrBadKey
	}
	return k, security, nil
}

// scryptKey stretches a password. It is normalized first, because keyboards
// write the same letter in several ways.
func scryptKey(password, salt []byte, logN uint8) ([]byte, error) {
	normal := norm.NFKC.Bytes(password)
	defer clear(normal)
	return scrypt.Key(normal, salt, 1<<logN, 8, 1, 32)
}
