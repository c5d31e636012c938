package suite448_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"testing"

	"github.com/cloudflare/circl/sign/ed448"

	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/mls/suite448"
)

func Example() {
	config := &mls.Config{Suites: suite448.Suites()}
	_, signer, _ := ed448.GenerateKey(rand.Reader)
	group, err := mls.Create(signer, mls.GroupConfig{
		Suite:        mls.X448_AES256GCM_SHA512_Ed448,
		Credential:   mls.BasicCredential([]byte("alice")),
		Capabilities: mls.Capabilities{Credentials: []mls.CredentialType{mls.CredentialBasic}},
		Config:       config,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(group.Suite(), group.Size())
	// Output: 4 1
}

// TestOptIn: without the config the suites are unknown, with it a group works
// through its whole life, external join included.
func TestOptIn(t *testing.T) {
	config := &mls.Config{Suites: suite448.Suites()}
	for _, s := range config.Suites {
		capabilities := mls.Capabilities{Suites: []mls.Suite{s.ID()}, Credentials: []mls.CredentialType{mls.CredentialBasic}}
		signer := func() ed448.PrivateKey {
			_, k, err := ed448.GenerateKey(rand.Reader)
			check(t, err)
			return k
		}
		a, b, c := signer(), signer(), signer()
		create := mls.GroupConfig{Suite: s.ID(), Credential: mls.BasicCredential([]byte("a")), Capabilities: capabilities}
		if _, err := mls.Create(a, create); !errors.Is(err, mls.ErrUnsupportedSuite) {
			t.Errorf("without the config: %v", err)
		}
		create.Config = config
		alice, err := mls.Create(a, create)
		check(t, err)
		kp, keys, err := mls.NewKeyPackage(b, mls.KeyPackageConfig{Suite: s.ID(), Credential: mls.BasicCredential([]byte("b")),
			Capabilities: capabilities, Lifetime: mls.Lifetime{NotAfter: 1 << 40}, Config: config})
		check(t, err)
		if unknown, err := mls.DecodeKeyPackage(kp.Bytes()); err != nil || unknown.Ref() != nil {
			t.Errorf("key package without the config: %v", err)
		}
		staged, err := alice.Commit(a, mls.CommitConfig{Proposals: []mls.Proposal{mls.Add{KeyPackage: kp}}, Path: mls.PathAlways})
		check(t, err)
		m, err := config.DecodeMessage(staged.Welcome)
		check(t, err)
		welcome, _ := m.Welcome()
		joined, err := mls.Join(welcome, kp, keys, mls.JoinConfig{Config: config})
		check(t, err)
		bob := joined.Group

		info, err := bob.Info(b, mls.InfoConfig{ExternalPub: true})
		check(t, err)
		external, err := mls.JoinExternal(info, c, mls.ExternalConfig{Credential: mls.BasicCredential([]byte("c")),
			Capabilities: capabilities, Config: config})
		check(t, err)
		m, err = config.DecodeMessage(external.Message)
		check(t, err)
		v, err := bob.Verify(m)
		check(t, err)
		next, err := bob.Apply(v.(*mls.VerifiedCommit), mls.ApplyInput{})
		check(t, err)
		sealed, err := external.Next.Protect(c, []byte("hello"), nil)
		check(t, err)
		m, err = config.DecodeMessage(sealed.Message)
		check(t, err)
		again, err := config.DecodeState(next.AppendState(nil), next.AppendSecrets(nil), next.AppendRatchets(nil))
		check(t, err)
		r, err := again.Unprotect(m)
		check(t, err)
		if !bytes.Equal(r.Plaintext, []byte("hello")) || next.Size() != 3 {
			t.Errorf("read %q in a group of %d", r.Plaintext, next.Size())
		}
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
