package mls_test

import (
	"crypto/ed25519"
	"fmt"
	"log"

	"github.com/marmotgo/marmot/mls"
)

// Alice makes a group, adds Bob and sends him a message.
func Example() {
	capabilities := mls.Capabilities{Versions: []uint16{1}, Suites: []mls.Suite{suite},
		Credentials: []mls.CredentialType{mls.CredentialBasic}}
	always := mls.Lifetime{NotAfter: 1<<64 - 1}
	_, alice, err := ed25519.GenerateKey(nil)
	check(err)
	_, bob, err := ed25519.GenerateKey(nil)
	check(err)

	keyPackage, keys, err := mls.NewKeyPackage(bob, mls.KeyPackageConfig{Suite: suite,
		Credential: mls.BasicCredential([]byte("bob")), Capabilities: capabilities, Lifetime: always})
	check(err)
	group, err := mls.Create(alice, mls.GroupConfig{Suite: suite,
		Credential: mls.BasicCredential([]byte("alice")), Capabilities: capabilities, Lifetime: always})
	check(err)
	staged, err := group.Commit(alice, mls.CommitConfig{Proposals: []mls.Proposal{mls.Add{KeyPackage: keyPackage}}})
	check(err)
	group = staged.Next // once the commit is accepted
	sealed, err := group.Protect(alice, []byte("hello"), nil)
	check(err)

	m, err := mls.DecodeMessage(staged.Welcome)
	check(err)
	welcome, _ := m.Welcome()
	joined, err := mls.Join(welcome, keyPackage, keys, mls.JoinConfig{Signer: bob})
	check(err)
	m, err = mls.DecodeMessage(sealed.Message)
	check(err)
	received, err := joined.Group.Unprotect(m)
	check(err)
	fmt.Printf("%s: %s\n", received.Leaf.Credential.Identity, received.Plaintext)
	// Output: alice: hello
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
