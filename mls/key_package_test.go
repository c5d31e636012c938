package mls

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/marmotgo/marmot/mls/internal/wire"
)

// forgeKeyPackage signs a KeyPackage anew after change.
func forgeKeyPackage(t *testing.T, c *tester, change func(k *KeyPackage, leaf *LeafNode)) *KeyPackage {
	t.Helper()
	s := must(testSuites.suiteOf(testSuite))(t)
	k, leaf := *c.kp, *c.kp.Leaf
	change(&k, &leaf)
	signed := must(newLeafNode(s, c.signer, leaf, nil, 0))(t)
	b := binary.BigEndian.AppendUint16(nil, k.Version)
	b = binary.BigEndian.AppendUint16(b, uint16(k.Suite))
	b = wire.AppendOpaque(b, k.InitKey)
	b = k.Extensions.append(append(b, signed.raw...))
	sig := must(s.signWithLabel(c.signer, "KeyPackageTBS", b))(t)
	return must(DecodeKeyPackage(wire.AppendOpaque(b, sig)))(t)
}

func TestKeyPackageRules(t *testing.T) {
	c := newTester(t, testSuite, "x")
	for name, row := range map[string]struct {
		change func(k *KeyPackage, leaf *LeafNode)
		want   error
	}{
		"unchanged":           {func(*KeyPackage, *LeafNode) {}, nil},
		"unknown extension":   {func(k *KeyPackage, _ *LeafNode) { k.Extensions = Extensions{{Type: 0x0a0a}} }, nil},
		"version":             {func(k *KeyPackage, _ *LeafNode) { k.Version = 2 }, ErrUnsupportedVersion},
		"suite":               {func(k *KeyPackage, _ *LeafNode) { k.Suite = 4 }, ErrUnsupportedSuite},
		"source update":       {func(_ *KeyPackage, l *LeafNode) { l.Source = LeafSourceUpdate }, ErrInvalidLeaf},
		"source commit":       {func(_ *KeyPackage, l *LeafNode) { l.Source = LeafSourceCommit }, ErrInvalidLeaf},
		"init key reused":     {func(k *KeyPackage, l *LeafNode) { k.InitKey = l.EncryptionKey }, ErrInvalidKeyPackage},
		"init key long":       {func(k *KeyPackage, _ *LeafNode) { k.InitKey = make([]byte, 33) }, ErrInvalidKeyPackage},
		"encryption key long": {func(_ *KeyPackage, l *LeafNode) { l.EncryptionKey = make([]byte, 33) }, ErrInvalidLeaf},
		"not valid yet":       {func(_ *KeyPackage, l *LeafNode) { l.Lifetime.NotBefore = uint64(testTime.Unix()) + 1 }, ErrInvalidLeaf},
		"first second":        {func(_ *KeyPackage, l *LeafNode) { l.Lifetime.NotBefore = uint64(testTime.Unix()) }, nil},
		"last second":         {func(_ *KeyPackage, l *LeafNode) { l.Lifetime.NotAfter = uint64(testTime.Unix()) }, nil},
		"no longer valid":     {func(_ *KeyPackage, l *LeafNode) { l.Lifetime.NotAfter = uint64(testTime.Unix()) - 1 }, ErrInvalidLeaf},
		"unlisted extension":  {func(_ *KeyPackage, l *LeafNode) { l.Extensions = Extensions{{Type: 0xf00d}} }, ErrInvalidLeaf},
		"unlisted credential": {func(_ *KeyPackage, l *LeafNode) { l.Capabilities.Credentials = nil }, ErrInvalidLeaf},
		"default extension":   {func(_ *KeyPackage, l *LeafNode) { l.Extensions = Extensions{{Type: ExtApplicationID, Data: []byte{0}}} }, nil},
		"default types listed": {func(_ *KeyPackage, l *LeafNode) {
			l.Capabilities.Extensions = append(l.Capabilities.Extensions, ExtRequiredCapabilities)
		}, nil},
	} {
		k := forgeKeyPackage(t, c, row.change)
		err := k.Validate(testTime)
		if !errors.Is(err, row.want) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && !errors.Is(err, ErrInvalidKeyPackage) && !errors.Is(err, ErrUnsupportedSuite) {
			t.Errorf("%s: untyped: %v", name, err)
		}
	}
	expired := forgeKeyPackage(t, c, func(_ *KeyPackage, l *LeafNode) { l.Lifetime = Lifetime{} })
	if err := expired.Validate(time.Time{}); err != nil {
		t.Errorf("lifetime was checked without a time: %v", err)
	}
	for i := range c.kp.raw {
		b := c.kp.Bytes()
		b[i] ^= 1
		if k, err := DecodeKeyPackage(b); err == nil && k.Validate(time.Time{}) == nil {
			t.Fatalf("byte %d can be changed", i)
		}
	}
}

func TestKeyPackageEncodings(t *testing.T) {
	c := newTester(t, testSuite, "x")
	if m := c.kp.Message(); !bytes.Equal(m[:4], []byte{0, 1, 0, 5}) || !bytes.Equal(m[4:], c.kp.Bytes()) {
		t.Fatal("message is not the header and the key package")
	}
	label := wire.AppendOpaque(nil, []byte("MLS 1.0 KeyPackage Reference"))
	s := must(testSuites.suiteOf(testSuite))(t)
	same(t, "reference", c.kp.Ref(), s.hash(wire.AppendOpaque(label, c.kp.Bytes())))
	c.kp.Bytes()[0] ^= 1
	if err := c.kp.Validate(testTime); err != nil {
		t.Fatal("Bytes gives away the key package's own memory")
	}
}

// TestWrongSigner: a signer whose key is of another kind, or none.
func TestWrongSigner(t *testing.T) {
	cfg := KeyPackageConfig{Suite: testSuite, Credential: BasicCredential(nil), Capabilities: testCapabilities(testSuite)}
	if _, _, err := NewKeyPackage(nil, cfg); !errors.Is(err, ErrInvalidConfig) {
		t.Fatalf("no signer: %v", err)
	}
	if _, _, err := NewKeyPackage(newSigner(t, P256_AES128GCM_SHA256_P256), cfg); !errors.Is(err, ErrInvalidConfig) {
		t.Fatalf("signer of another suite: %v", err)
	}
	cfg.Suite = 6
	if _, _, err := NewKeyPackage(newSigner(t, testSuite), cfg); !errors.Is(err, ErrUnsupportedSuite) {
		t.Fatalf("unknown suite: %v", err)
	}
}
