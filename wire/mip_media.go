package wire

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/marmotgo/marmot/nostr"
	"golang.org/x/crypto/chacha20poly1305"
)

// ErrMedia means that a file is not the one that a message names, or does not open.
var ErrMedia = errors.New("wire: encrypted file")

// The scheme of MIP-04, version 2, and the exporter value that its keys come from.
const (
	mipMediaVersion = "mip04-v2"
	maxMediaName    = 210 // bytes, as MDK allows
)

// MIPMedia is an encrypted file as a message of protocol v1 refers to it: an imeta
// tag (MIP-04).
type MIPMedia struct {
	URL   string
	Type  string // MIME type: lower case, without parameters
	Name  string // 1 to 210 bytes
	Hash  [32]byte
	Nonce [12]byte
}

// SealMIPMedia encrypts a file for a group. secret is the group's exporter value
// ("marmot", "encrypted-media", 32 bytes) of the epoch in which the message is sent.
// The URL is left to whoever uploads the blob.
func SealMIPMedia(secret []byte, mime, name string, file []byte) (m MIPMedia, blob []byte, err error) {
	m = MIPMedia{Type: cleanMIME(mime), Name: name, Hash: sha256.Sum256(file)}
	_, _ = rand.Read(m.Nonce[:]) // never fails
	blob, err = m.seal(secret, file)
	return m, blob, err
}

func cleanMIME(mime string) string {
	mime, _, _ = strings.Cut(mime, ";")
	return strings.ToLower(strings.TrimSpace(mime))
}

func (m MIPMedia) seal(secret, file []byte) ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	key, aad, err := m.key(secret)
	if err != nil {
		return nil, err
	}
	aead, err := chacha20poly1305.New(key)
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, m.Nonce[:], file, aad), nil
}

// key derives the file's key. The exporter value is used as the pseudorandom key
// itself: MDK before 0.7.1 extracted once more.
func (m MIPMedia) key(secret []byte) (key, aad []byte, err error) {
	aad = append([]byte(mipMediaVersion), 0)
	aad = append(append(aad, m.Hash[:]...), 0)
	aad = append(append(aad, m.Type...), 0)
	aad = append(aad, m.Name...)
	key, err = hkdf.Expand(sha256.New, secret, string(aad)+"\x00key", chacha20poly1305.KeySize)
	return key, aad, err
}

// Open decrypts a blob and checks that it is the file that the message names.
func (m MIPMedia) Open(secret, blob []byte) ([]byte, error) {
	key, aad, err := m.key(secret)
	if err != nil {
		return nil, err
	}
	aead, err := chacha20poly1305.New(key)
	if err != nil {
		return nil, err
	}
	file, err := aead.Open(nil, m.Nonce[:], blob, aad)
	if err != nil {
		return nil, fmt.Errorf("%w: its key does not fit", ErrMedia)
	}
	if sha256.Sum256(file) != m.Hash {
		return nil, fmt.Errorf("%w: another file than the message names", ErrMedia)
	}
	return file, nil
}

// Tag returns the imeta tag.
func (m MIPMedia) Tag() nostr.Tag {
	return nostr.Tag{
		"imeta", "url " + m.URL, "m " + m.Type, "filename " + m.Name, "x " + hex.EncodeToString(m.Hash[:]),
		"n " + hex.EncodeToString(m.Nonce[:]), "v " + mipMediaVersion,
	}
}

// ParseMIPMedia reads an imeta tag. Elements may come in any order, and others than
// those of MIP-04 are passed over; older versions of the scheme are refused.
func ParseMIPMedia(tag nostr.Tag) (MIPMedia, error) {
	fields := map[string]string{}
	for _, element := range tag {
		name, value, _ := strings.Cut(element, " ")
		if _, twice := fields[name]; twice {
			return MIPMedia{}, malformed("imeta names %q twice", name)
		}
		fields[name] = value
	}
	if v := fields["v"]; v != mipMediaVersion {
		return MIPMedia{}, malformed("a file encrypted with %.32q", v)
	}
	m := MIPMedia{URL: fields["url"], Type: fields["m"], Name: fields["filename"]}
	hash, err := hex.DecodeString(fields["x"])
	if err != nil || copy(m.Hash[:], hash) != len(m.Hash) || len(hash) != len(m.Hash) {
		return MIPMedia{}, malformed("imeta has no hash of 32 bytes")
	}
	nonce, err := hex.DecodeString(fields["n"])
	if err != nil || copy(m.Nonce[:], nonce) != len(m.Nonce) || len(nonce) != len(m.Nonce) {
		return MIPMedia{}, malformed("imeta has no nonce of 12 bytes")
	}
	return m, m.check()
}

func (m MIPMedia) check() error {
	switch {
	case len(m.Name) == 0 || len(m.Name) > maxMediaName || !utf8.ValidString(m.Name) || strings.ContainsAny(m.Name, `/\`) ||
		strings.ContainsFunc(m.Name, unicode.IsControl):
		return malformed("a file's name has 1 to %d bytes, no slashes and no control characters", maxMediaName)
	case m.Type == "" || m.Type != cleanMIME(m.Type) || strings.ContainsFunc(m.Type, unicode.IsControl):
		return malformed("a file without a MIME type in lower case")
	}
	return nil
}
