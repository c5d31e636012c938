package mls

// Bounds on what a decoder accepts, whatever the configuration. They stand
// well above what groups need and keep a peer from choosing our memory.
const (
	maxMessageBytes      = 4 << 20  // one MLSMessage
	maxLeafIndex         = 1 << 24  // exclusive, checked before any arithmetic on it
	maxProposals         = 1024     // in one commit
	maxExtensions        = 32       // in one list
	maxExtensionBytes    = 16 << 10 // one extension's data; ratchet_tree is exempt
	maxCapabilityEntries = 256      // in one list
	maxPSKIDBytes        = 256
	maxGroupIDBytes      = 256
	maxPSKs              = 64       // in one Welcome or commit
	maxKeyBytes          = 2048     // a public key; that of X-Wing has 1216, of the RFC's suites 133
	maxIdentityBytes     = 64 << 10 // a credential
	maxWelcomeSecrets    = 1 << 16  // recipients of one Welcome
	maxComponents        = 64       // in one dictionary
)

// The least that some things have in any cipher suite, in bytes. What is
// shorter is of no use, and many of them would cost us more memory than the
// sender bytes: decoding allocates at most eight times its input and 1 KiB.
const (
	minKeyBytes  = 32 // a public key of HPKE or of signatures; a KEM output
	minHashBytes = 32 // a reference; a PSK nonce
	minSealed    = 16 // a ciphertext, with its tag
	minSignature = 32 // of a leaf; shorter ones with ECDSA are never met
)

// Limits bounds a group. A zero field means the default.
type Limits struct {
	TreeLeaves uint32 // leaf slots of the ratchet tree; default 2^16
	Ahead      uint32 // generations a message may be ahead of its ratchet; default 1,000
	Skipped    uint32 // keys kept per ratchet for messages that come late; default 100
}

func (l Limits) withDefaults() Limits {
	if l.TreeLeaves == 0 {
		l.TreeLeaves = 1 << 16
	}
	l.TreeLeaves = min(l.TreeLeaves, maxLeafIndex)
	if l.Ahead == 0 {
		l.Ahead = 1000
	}
	if l.Skipped == 0 {
		l.Skipped = 100
	}
	return l
}
