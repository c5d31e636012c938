package mls

import (
	"bytes"
	"crypto"
	"encoding/binary"
	"fmt"

	"github.com/marmotgo/marmot/mls/internal/wire"
)

// Welcome brings new members into a group (RFC 9420, Section 12.4.3.1). Treat
// it as read-only.
type Welcome struct {
	suite     Suite
	secrets   []encryptedSecrets
	groupInfo []byte // encrypted
}

type encryptedSecrets struct{ ref, kemOutput, ciphertext []byte }

// DecodeWelcome reads a bare Welcome and nothing after it. The Welcome holds a
// copy of b.
func DecodeWelcome(b []byte) (*Welcome, error) {
	r := wire.NewReader(bytes.Clone(b))
	w := readWelcome(r)
	if err := r.Finish(); err != nil {
		return nil, fmt.Errorf("welcome: %w", err)
	}
	return w, nil
}

func readWelcome(r *wire.Reader) *Welcome {
	w := &Welcome{suite: Suite(r.Uint16())}
	list := r.Vector()
	for !list.Empty() {
		if len(w.secrets) == maxWelcomeSecrets {
			r.Fail(fmt.Errorf("%w: more than %d recipients", ErrMalformed, maxWelcomeSecrets))
			return nil
		}
		e := encryptedSecrets{ref: list.Opaque(), kemOutput: list.Opaque(), ciphertext: list.Opaque()}
		if list.Err() == nil && (len(e.ref) < minHashBytes || len(e.kemOutput) < minKeyBytes || len(e.ciphertext) < minSealed) {
			list.Fail(fmt.Errorf("%w: recipient %d", ErrMalformed, len(w.secrets)))
		}
		w.secrets = append(w.secrets, e)
	}
	w.groupInfo = r.Opaque()
	return w
}

func (w *Welcome) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(w.suite))
	b = wire.AppendVector(b, func(b []byte) []byte {
		for _, e := range w.secrets {
			b = wire.AppendOpaque(b, e.ref)
			b = wire.AppendOpaque(b, e.kemOutput)
			b = wire.AppendOpaque(b, e.ciphertext)
		}
		return b
	})
	return wire.AppendOpaque(b, w.groupInfo)
}

// Suite returns the cipher suite.
func (w *Welcome) Suite() Suite { return w.suite }

// Refs returns copies of the KeyPackageRefs of those it is for.
func (w *Welcome) Refs() [][]byte {
	refs := make([][]byte, len(w.secrets))
	for i, e := range w.secrets {
		refs[i] = bytes.Clone(e.ref)
	}
	return refs
}

// groupSecrets is the content of a GroupSecrets.
type groupSecrets struct {
	redactedValue
	joiner     secret
	pathSecret secret // nil: none
	psks       []PSKID
}

func (s *groupSecrets) append(b []byte) []byte {
	b = wire.AppendOpaque(b, s.joiner)
	if s.pathSecret == nil {
		b = append(b, 0)
	} else {
		b = wire.AppendOpaque(append(b, 1), s.pathSecret)
	}
	return wire.AppendVector(b, func(b []byte) []byte {
		for _, id := range s.psks {
			b = id.append(b)
		}
		return b
	})
}

// decodeGroupSecrets reads a GroupSecrets that aliases b.
func decodeGroupSecrets(b []byte) (*groupSecrets, error) {
	r := wire.NewReader(b)
	s := &groupSecrets{joiner: r.Opaque()}
	if r.Optional() {
		s.pathSecret = r.Opaque()
		if s.pathSecret == nil {
			s.pathSecret = secret{}
		}
	}
	s.psks = decodePSKIDs(r)
	if err := r.Finish(); err != nil {
		// Positions in a decrypted object are nobody's business.
		return nil, fmt.Errorf("%w: group secrets", ErrMalformed)
	}
	return s, nil
}

// welcomeKey derives the key that the GroupInfo is encrypted with.
func (s *cipherSuite) welcomeKey(member secret) (k messageKey) {
	welcome := s.welcomeSecret(member)
	defer welcome.erase()
	s.expandInto(k.key[:s.nk], welcome, "key", nil)
	s.expandInto(k.nonce[:s.nn], welcome, "nonce", nil)
	return k
}

// welcome returns the MLSMessage for the members that a commit adds. g is the
// next epoch.
func (g *Group) welcome(signer crypto.Signer, plan *commitPlan, step *transition, e *started, path *pathResult, cfg CommitConfig) ([]byte, error) {
	info, err := g.info(signer, cfg.Info)
	if err != nil {
		return nil, err
	}
	key := g.suite.welcomeKey(e.member)
	defer clear(key.key[:])
	aead, err := g.suite.newAEAD(key.key[:g.suite.nk])
	if err != nil {
		return nil, err
	}
	w := &Welcome{suite: g.suite.id, secrets: make([]encryptedSecrets, len(step.added)),
		groupInfo: aead.Seal(nil, key.nonce[:g.suite.nn], info, nil)}
	errs := make([]error, len(step.added))
	cfg.Parallel.run(len(step.added), func(i int) {
		secrets := groupSecrets{joiner: e.joiner, psks: plan.psks}
		if path != nil {
			secrets.pathSecret = path.pathSecretFor(step.added[i])
		}
		w.secrets[i], errs[i] = g.suite.sealGroupSecrets(plan.keyPackages[i], &secrets, w.groupInfo)
	})
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return w.append(appendMessageHeader(make([]byte, 0, len(w.groupInfo)+256*len(w.secrets)+64), WireWelcome)), nil
}

func (s *cipherSuite) sealGroupSecrets(k *KeyPackage, secrets *groupSecrets, groupInfo []byte) (encryptedSecrets, error) {
	plaintext := secrets.append(make([]byte, 0, 512))
	defer clear(plaintext)
	kemOutput, ciphertext, err := s.encryptWithLabel(k.InitKey, "Welcome", groupInfo, plaintext)
	return encryptedSecrets{ref: k.refIn(s), kemOutput: kemOutput, ciphertext: ciphertext}, err
}
