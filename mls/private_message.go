package mls

import (
	"bytes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"fmt"

	"github.com/marmotgo/marmot/mls/internal/forget"
	"github.com/marmotgo/marmot/mls/internal/wire"
)

// privateMessage is a PrivateMessage (RFC 9420, Section 6.3). Its fields alias
// the message.
type privateMessage struct {
	groupID     []byte
	epoch       uint64
	contentType ContentType
	aad         []byte
	senderData  []byte
	ciphertext  []byte

	senderAAD  []byte // SenderDataAAD
	contentAAD []byte // PrivateContentAAD
}

func readPrivateMessage(raw []byte, r *wire.Reader) *privateMessage {
	start := r.Offset()
	p := &privateMessage{groupID: r.Opaque(), epoch: r.Uint64(), contentType: ContentType(r.Uint8())}
	p.senderAAD = r.Since(start)
	p.aad = r.Opaque()
	p.contentAAD = r.Since(start)
	p.senderData = r.Opaque()
	p.ciphertext = r.Opaque()
	if p.contentType < ContentApplication || p.contentType > ContentCommit {
		r.Fail(fmt.Errorf("%w: content type %d", ErrMalformed, p.contentType))
	}
	return p
}

// senderData is the inner SenderData (Section 6.3.2).
type senderData struct {
	leaf       LeafIndex
	generation uint32
	guard      [4]byte
}

const senderDataLen = 12

// aeadOverhead is the length of the tag of every AEAD that a suite has.
const aeadOverhead = 16

// padded returns what is encrypted of the content: its body and zeros (Section
// 6.3.1).
func (c *authenticatedContent) padded() []byte {
	body := c.raw[c.bodyStart:len(c.raw):len(c.raw)]
	if c.padding == 0 {
		return body
	}
	return append(body, make([]byte, c.padding)...)
}

// senderKey derives the key that hides the sender from a sample of the
// ciphertext.
func (s *cipherSuite) senderKey(secret, ciphertext []byte) (k messageKey) {
	sample := ciphertext[:min(len(ciphertext), s.nh)]
	s.expandInto(k.key[:s.nk], secret, "key", sample)
	s.expandInto(k.nonce[:s.nn], secret, "nonce", sample)
	return k
}

// guardNonce applies the reuse guard (Section 6.3.1).
func (k *messageKey) guardNonce(guard [4]byte) {
	for i, c := range guard {
		k.nonce[i] ^= c
	}
}

// opening holds what the two decryptions of a PrivateMessage need and the
// AEADs make escape: one object instead of five.
type opening struct {
	redactedValue
	key    messageKey // of the sender data, then of the content
	sender [senderDataLen]byte
	reader wire.Reader
	result authenticatedContent
}

func (s *cipherSuite) openSenderData(o *opening, secret []byte, p *privateMessage) (senderData, error) {
	o.key = s.senderKey(secret, p.ciphertext)
	defer o.key.erase()
	b, err := s.openAEAD(o.sender[:0], &o.key, p.senderData, p.senderAAD)
	if err != nil || len(b) != senderDataLen {
		return senderData{}, errOpen
	}
	return senderData{
		leaf:       LeafIndex(binary.BigEndian.Uint32(b)),
		generation: binary.BigEndian.Uint32(b[4:]),
		guard:      [4]byte(b[8:]),
	}, nil
}

// openAEAD appends to dst what a ciphertext opens to.
func (s *cipherSuite) openAEAD(dst []byte, k *messageKey, ciphertext, aad []byte) (plaintext []byte, err error) {
	forget.Do(func() {
		var aead cipher.AEAD
		if aead, err = s.newAEAD(k.key[:s.nk]); err == nil {
			plaintext, err = aead.Open(dst, k.nonce[:s.nn], ciphertext, aad)
		}
	})
	return plaintext, err
}

// sealAEAD appends to dst what a plaintext is sealed to.
func (s *cipherSuite) sealAEAD(dst []byte, k *messageKey, plaintext, aad []byte) (ciphertext []byte, err error) {
	forget.Do(func() {
		var aead cipher.AEAD
		if aead, err = s.newAEAD(k.key[:s.nk]); err == nil {
			ciphertext = aead.Seal(dst, k.nonce[:s.nn], plaintext, aad)
		}
	})
	return ciphertext, err
}

// openContent decrypts p with o.key, which it erases, into an
// authenticatedContent. The signature is still unchecked.
func (x *Config) openContent(s *cipherSuite, o *opening, sender senderData, p *privateMessage) (*authenticatedContent, error) {
	defer o.key.erase()
	o.key.guardNonce(sender.guard)
	// The plaintext is decrypted behind the header it is signed with.
	raw := make([]byte, 0, len(p.groupID)+len(p.aad)+len(p.ciphertext)+32)
	raw = appendMessageHeader(raw, WirePrivateMessage)
	raw = appendContentHeader(raw, p.groupID, p.epoch, Sender{Type: SenderMember, Leaf: sender.leaf}, p.aad, p.contentType)
	raw, err := s.openAEAD(raw, &o.key, p.ciphertext, p.contentAAD)
	if err != nil {
		return nil, errOpen
	}
	o.reader = *wire.NewReader(raw)
	r, c := &o.reader, &o.result
	r.Bytes(4)
	x.readContent(c, raw, r)
	if r.Err() == nil && len(bytes.TrimLeft(r.Rest(), "\x00")) != 0 {
		r.Fail(fmt.Errorf("%w: padding is not zero", ErrMalformed))
	}
	return c, r.Err()
}

// sealContent encrypts c with the key of the given generation.
func (s *cipherSuite) sealContent(k messageKey, generation uint32, senderSecret []byte, c *authenticatedContent) ([]byte, error) {
	sender := senderData{leaf: c.sender.Leaf, generation: generation}
	if _, err := rand.Read(sender.guard[:]); err != nil {
		return nil, err
	}
	k.guardNonce(sender.guard)
	plaintext := c.padded()
	sealedLen := len(plaintext) + aeadOverhead
	b := make([]byte, 0, len(c.groupID)+len(c.aad)+sealedLen+80)
	b = appendMessageHeader(b, WirePrivateMessage)
	start := len(b)
	b = wire.AppendOpaque(b, c.groupID)
	b = binary.BigEndian.AppendUint64(b, c.epoch)
	b = append(b, byte(c.contentType))
	senderAAD := b[start:]
	b = wire.AppendOpaque(b, c.aad)
	contentAAD := b[start:]

	// The sender data come first but are keyed by the ciphertext.
	var room [senderDataLen + aeadOverhead]byte
	b = wire.AppendOpaque(b, room[:])
	place := b[len(b)-len(room):]
	b = wire.AppendVarint(b, sealedLen)
	b, err := s.sealAEAD(b, &k, plaintext, contentAAD)
	if err != nil {
		return nil, err
	}
	return b, s.sealSenderData(place, senderSecret, sender, b[len(b)-sealedLen:], senderAAD)
}

func (s *cipherSuite) sealSenderData(dst, secret []byte, d senderData, ciphertext, aad []byte) error {
	k := s.senderKey(secret, ciphertext)
	var plain [senderDataLen]byte
	binary.BigEndian.PutUint32(plain[:], uint32(d.leaf))
	binary.BigEndian.PutUint32(plain[4:], d.generation)
	copy(plain[8:], d.guard[:])
	_, err := s.sealAEAD(dst[:0], &k, plain[:], aad)
	return err
}
