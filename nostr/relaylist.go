package nostr

import (
	"fmt"
	"strings"
)

// RelayList is where a person writes and reads (NIP-65).
type RelayList []RelayEntry

// RelayEntry is one relay of a [RelayList].
type RelayEntry struct {
	URL         string
	Read, Write bool
}

// ParseRelayList reads a kind 10002 event that has been verified. Entries with
// an unknown marker or a URL that fails [CheckRelayURL] are left out; several
// of one URL become one, at the place of the first.
func ParseRelayList(e *Event) (RelayList, error) {
	if e.Kind != KindRelayList {
		return nil, fmt.Errorf("%w relay list: kind %d", ErrMalformed, e.Kind)
	}
	var list RelayList
	place := make(map[string]int)
	for t := range e.Tags.All("r") {
		marker := strings.ToLower(t.at(2))
		entry := RelayEntry{URL: strings.TrimSpace(t.Value()), Read: marker != "write", Write: marker != "read"}
		if len(t) > 2 && entry.Read && entry.Write || CheckRelayURL(entry.URL) != nil {
			continue
		}
		if i, ok := place[entry.URL]; ok {
			list[i].Read = list[i].Read || entry.Read
			list[i].Write = list[i].Write || entry.Write
			continue
		}
		place[entry.URL] = len(list)
		list = append(list, entry)
	}
	return list, nil
}

// Writes returns the relays the person writes to: where KeyPackages are.
func (l RelayList) Writes() []string {
	return l.urls(func(e RelayEntry) bool { return e.Write })
}

// Reads returns the relays the person reads.
func (l RelayList) Reads() []string {
	return l.urls(func(e RelayEntry) bool { return e.Read })
}

func (l RelayList) urls(keep func(RelayEntry) bool) []string {
	var out []string
	for _, e := range l {
		if keep(e) {
			out = append(out, e.URL)
		}
	}
	return out
}

// RelayListEvent returns the unsigned kind 10002 event of list. An entry that
// is neither read nor written is left out.
func RelayListEvent(list RelayList, createdAt Timestamp) *Event {
	e := &Event{CreatedAt: createdAt, Kind: KindRelayList, Tags: Tags{}}
	for _, r := range list {
		switch {
		case r.Read && r.Write:
			e.Tags = append(e.Tags, Tag{"r", r.URL})
		case r.Read:
			e.Tags = append(e.Tags, Tag{"r", r.URL, "read"})
		case r.Write:
			e.Tags = append(e.Tags, Tag{"r", r.URL, "write"})
		}
	}
	return e
}

// InboxRelays reads a kind 10050 event that has been verified: where its author
// receives gift wraps (NIP-17). Bad and repeated URLs are left out.
func InboxRelays(e *Event) ([]string, error) {
	return relayTags(e, KindInboxRelays)
}

// PackageRelays reads a kind 10051 event that has been verified: where its
// author publishes key packages. Bad and repeated URLs are left out.
func PackageRelays(e *Event) ([]string, error) {
	return relayTags(e, KindPackageRelays)
}

func relayTags(e *Event, kind Kind) ([]string, error) {
	if e.Kind != kind {
		return nil, fmt.Errorf("%w list of relays: kind %d", ErrMalformed, e.Kind)
	}
	var list []string
	seen := make(map[string]bool)
	for t := range e.Tags.All("relay") {
		url := strings.TrimSpace(t.Value())
		if CheckRelayURL(url) == nil && !seen[url] {
			seen[url] = true
			list = append(list, url)
		}
	}
	return list, nil
}

// InboxRelaysEvent returns the unsigned kind 10050 event of the relays.
func InboxRelaysEvent(urls []string, createdAt Timestamp) *Event {
	return relayTagsEvent(KindInboxRelays, urls, createdAt)
}

// PackageRelaysEvent returns the unsigned kind 10051 event of the relays.
func PackageRelaysEvent(urls []string, createdAt Timestamp) *Event {
	return relayTagsEvent(KindPackageRelays, urls, createdAt)
}

func relayTagsEvent(kind Kind, urls []string, createdAt Timestamp) *Event {
	e := &Event{CreatedAt: createdAt, Kind: kind, Tags: Tags{}}
	for _, url := range urls {
		e.Tags = append(e.Tags, Tag{"relay", url})
	}
	return e
}
