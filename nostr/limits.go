package nostr

const (
	// MaxEventSize is the largest event, rumor or relay message in bytes that is
	// parsed: the largest frame exchanged with a relay.
	MaxEventSize = 1 << 20

	// MaxTimestamp is the largest created_at in seconds. Above it JavaScript
	// peers lose digits and compute another event id.
	MaxTimestamp = 1<<53 - 1

	// MaxKind is the largest event kind (NIP-01).
	MaxKind = 65535

	// MaxSubID is the longest subscription id in characters (NIP-01).
	MaxSubID = 64

	// MaxEntity is the longest NIP-19 string in characters.
	MaxEntity = 5000

	// MaxRelayURL is the longest relay URL in bytes (transports/nostr.md).
	MaxRelayURL = 512

	// maxDepth is how deep members that nobody knows may nest: deep enough for
	// what relays add, shallow enough for any stack.
	maxDepth = 8

	// maxUnknown is how many unknown members of an event are passed over.
	maxUnknown = 16
)
