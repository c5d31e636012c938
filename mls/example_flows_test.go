package mls_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"

	"github.com/marmotgo/marmot/mls"
)

const suite = mls.X25519_AES128GCM_SHA256_Ed25519

// client is somebody with a signature key and a place in one group.
type client struct {
	name   string
	signer ed25519.PrivateKey
	group  *mls.Group
}

func newClient(name string) *client {
	_, signer, err := ed25519.GenerateKey(nil)
	check(err)
	return &client{name: name, signer: signer}
}

func capabilities() mls.Capabilities {
	return mls.Capabilities{Versions: []uint16{1}, Suites: []mls.Suite{suite}, Credentials: []mls.CredentialType{mls.CredentialBasic}}
}

// keyPackage is what others need to add the client.
func (c *client) keyPackage() (*mls.KeyPackage, *mls.KeyPackageKeys) {
	kp, keys, err := mls.NewKeyPackage(c.signer, mls.KeyPackageConfig{Suite: suite, Credential: mls.BasicCredential([]byte(c.name)),
		Capabilities: capabilities(), Lifetime: mls.Lifetime{NotAfter: 1<<64 - 1}})
	check(err)
	return kp, keys
}

// newGroup returns clients in one group.
func newGroup(names ...string) []*client {
	clients := []*client{newClient(names[0])}
	first := clients[0]
	var err error
	first.group, err = mls.Create(first.signer, mls.GroupConfig{Suite: suite, Credential: mls.BasicCredential([]byte(first.name)),
		Capabilities: capabilities(), Lifetime: mls.Lifetime{NotAfter: 1<<64 - 1}})
	check(err)
	var adds []mls.Proposal
	join := map[*client]func(welcome *mls.Welcome){}
	for _, name := range names[1:] {
		c := newClient(name)
		kp, keys := c.keyPackage()
		adds = append(adds, mls.Add{KeyPackage: kp})
		join[c] = func(welcome *mls.Welcome) {
			joined, err := mls.Join(welcome, kp, keys, mls.JoinConfig{Signer: c.signer})
			check(err)
			c.group = joined.Group
			keys.Erase() // unless it is a KeyPackage of last resort
		}
		clients = append(clients, c)
	}
	staged, err := first.group.Commit(first.signer, mls.CommitConfig{Proposals: adds})
	check(err)
	first.group = staged.Next
	m, err := mls.DecodeMessage(staged.Welcome)
	check(err)
	welcome, _ := m.Welcome()
	for _, c := range clients[1:] {
		join[c](welcome)
	}
	return clients
}

// follow applies a commit that came from somebody else.
func (c *client) follow(message []byte) error {
	m, err := mls.DecodeMessage(message)
	if err != nil {
		return err
	}
	v, err := c.group.Verify(m) // who sent it? nothing changes yet
	if err != nil {
		return err
	}
	commit, ok := v.(*mls.VerifiedCommit)
	if !ok {
		return errors.New("not a commit")
	}
	next, err := c.group.Apply(commit, mls.ApplyInput{})
	if err != nil {
		return err
	}
	c.group = next
	return nil
}

func (c *client) read(message []byte) string {
	m, err := mls.DecodeMessage(message)
	check(err)
	r, err := c.group.Unprotect(m)
	check(err)
	return fmt.Sprintf("%s reads from %s: %s", c.name, r.Leaf.Credential.Identity, r.Plaintext)
}

// Two members commit at once. Whatever decides between them (here: the
// delivery service took Alice's first), the loser drops its own and follows.
func ExampleGroup_Commit_race() {
	members := newGroup("alice", "bob", "carol")
	alice, bob, carol := members[0], members[1], members[2]
	hers, err := alice.group.Commit(alice.signer, mls.CommitConfig{Path: mls.PathAlways})
	check(err)
	his, err := bob.group.Commit(bob.signer, mls.CommitConfig{Path: mls.PathAlways})
	check(err)

	alice.group = hers.Next // hers was accepted
	his.Next.Erase(mls.UseAll)
	check(bob.follow(hers.Message)) // his is gone without a trace
	check(carol.follow(hers.Message))
	fmt.Println("one epoch:", bytes.Equal(alice.group.ConfirmationTag(), bob.group.ConfirmationTag()))
	fmt.Println("Bob's commit now:", carol.follow(his.Message))
	// Output:
	// one epoch: true
	// Bob's commit now: mls: message of another epoch: message has 1, group has 2
}

// Alice removes Bob, who learns who did it, and cannot read on.
func ExampleRemove() {
	members := newGroup("alice", "bob", "carol")
	alice, bob, carol := members[0], members[1], members[2]
	staged, err := alice.group.Commit(alice.signer, mls.CommitConfig{Proposals: []mls.Proposal{mls.Remove{Removed: bob.group.Self()}}})
	check(err)
	alice.group = staged.Next
	check(carol.follow(staged.Message))
	var removed *mls.RemovedError
	if errors.As(bob.follow(staged.Message), &removed) {
		fmt.Println("Bob was removed by leaf", removed.Committer)
	}
	sealed, err := alice.group.Protect(alice.signer, []byte("just us"), nil)
	check(err)
	fmt.Println(carol.read(sealed.Message))
	m, err := mls.DecodeMessage(sealed.Message)
	check(err)
	_, err = bob.group.Unprotect(m)
	fmt.Println("Bob:", errors.Is(err, mls.ErrWrongEpoch))
	// Output:
	// Bob was removed by leaf 0
	// carol reads from alice: just us
	// Bob: true
}

// Dave lets himself in with the help of a GroupInfo that a member published.
// Whether he may is for the members to say, before they apply his commit.
func ExampleJoinExternal() {
	members := newGroup("alice", "bob")
	alice, bob, dave := members[0], members[1], newClient("dave")
	info, err := alice.group.Info(alice.signer, mls.InfoConfig{ExternalPub: true})
	check(err)

	m, err := mls.DecodeMessage(info.Message())
	check(err)
	published, _ := m.GroupInfo()
	staged, err := mls.JoinExternal(published, dave.signer, mls.ExternalConfig{Credential: mls.BasicCredential([]byte(dave.name)), Capabilities: capabilities()})
	check(err)
	check(alice.follow(staged.Message))
	check(bob.follow(staged.Message))
	dave.group = staged.Next // once his commit is accepted

	sealed, err := dave.group.Protect(dave.signer, []byte("hello"), nil)
	check(err)
	fmt.Println(alice.read(sealed.Message))
	// Output: alice reads from dave: hello
}

// A group is saved as three records: the public part, the secrets, and the
// ratchets, which alone change with every message.
func ExampleDecodeState() {
	members := newGroup("alice", "bob")
	alice, bob := members[0], members[1]
	state, secrets := bob.group.AppendState(nil), bob.group.AppendSecrets(nil)
	sealed, err := alice.group.Protect(alice.signer, []byte("first"), nil)
	check(err)
	fmt.Println(bob.read(sealed.Message))
	ratchets := bob.group.AppendRatchets(nil) // saved before the text is shown

	bob.group, err = mls.DecodeState(state, secrets, ratchets) // a restart
	check(err)
	m, err := mls.DecodeMessage(sealed.Message)
	check(err)
	_, err = bob.group.Unprotect(m)
	fmt.Println("again:", errors.Is(err, mls.ErrConsumed))

	// The next epoch needs only the difference.
	staged, err := alice.group.Commit(alice.signer, mls.CommitConfig{Path: mls.PathAlways})
	check(err)
	parent := bob.group
	check(bob.follow(staged.Message))
	delta, err := bob.group.AppendDelta(nil, parent)
	check(err)
	again, err := parent.DecodeDelta(delta, bob.group.AppendSecrets(nil), bob.group.AppendRatchets(nil))
	check(err)
	fmt.Println("the same epoch:", bytes.Equal(again.ConfirmationTag(), staged.Next.ConfirmationTag()), len(delta) < len(state))
	// Output:
	// bob reads from alice: first
	// again: true
	// the same epoch: true true
}

// A client that sends many messages saves its ratchets once for each block. A
// crash skips what was left of a block.
func ExampleGroup_Reserve() {
	members := newGroup("alice", "bob")
	alice := members[0]
	check(alice.group.Reserve(100))
	state, secrets, ratchets := alice.group.AppendState(nil), alice.group.AppendSecrets(nil), alice.group.AppendRatchets(nil)
	sealed, err := alice.group.Protect(alice.signer, []byte("one"), nil)
	check(err)
	fmt.Println("generation", sealed.Generation, "and", alice.group.Reserved(), "left")

	alice.group, err = mls.DecodeState(state, secrets, ratchets) // a crash
	check(err)
	sealed, err = alice.group.Protect(alice.signer, []byte("two"), nil)
	check(err)
	fmt.Println("generation", sealed.Generation)
	// Output:
	// generation 0 and 99 left
	// generation 100
}
