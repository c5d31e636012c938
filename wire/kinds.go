package wire

import "github.com/marmotgo/marmot/nostr"

// Event kinds (registries.md).
const (
	KindWelcome       nostr.Kind = 444   // unsigned rumor inside a gift wrap
	KindGroupEvent    nostr.Kind = 445   // signed by a fresh key
	KindIdentityProof nostr.Kind = 450   // local template, never published
	KindKeyPackage    nostr.Kind = 30443 // addressable, signed by the account

	// Kinds of application payloads, inside the encryption.
	KindChat     nostr.Kind = 9
	KindDelete   nostr.Kind = 5
	KindReaction nostr.Kind = 7
	KindEdit     nostr.Kind = 1009
)

// Exporter labels (registries.md, "MLS exporters").
const (
	ExporterLabel      = "marmot"
	exporterGroupEvent = "group-event"
)

// singleton returns the value of a tag that must stand exactly once and hold
// exactly one value ("first match wins" is forbidden).
func singleton(tags nostr.Tags, name string) (string, error) {
	tag, err := only(tags, name)
	if err != nil {
		return "", err
	}
	if len(tag) != 2 {
		return "", malformed("tag %q has %d values, one is allowed", name, len(tag)-1)
	}
	return tag[1], nil
}

// only returns the one tag of that name.
func only(tags nostr.Tags, name string) (nostr.Tag, error) {
	var found nostr.Tag
	for _, tag := range tags {
		if len(tag) == 0 || tag[0] != name {
			continue
		}
		if found != nil {
			return nil, malformed("tag %q is repeated", name)
		}
		found = tag
	}
	if found == nil {
		return nil, malformed("tag %q is missing", name)
	}
	return found, nil
}
