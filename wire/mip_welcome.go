package wire

import (
	"encoding/base64"
	"fmt"

	"github.com/marmotgo/marmot/nostr"
)

// MIPRumor returns the unsigned kind 444 event of protocol v1, or
// [ErrWelcomeTooLarge].
func (w *Welcome) MIPRumor() (*nostr.Event, error) {
	return w.rumor(nostr.Tag{"encoding", "base64"})
}

func (w *Welcome) rumor(more ...nostr.Tag) (*nostr.Event, error) {
	e := &nostr.Event{
		PubKey:    w.Author,
		CreatedAt: w.CreatedAt,
		Kind:      KindWelcome,
		Tags:      append(nostr.Tags{{"e", w.KeyPackage.String()}, append(nostr.Tag{"relays"}, w.Relays...)}, more...),
		Content:   base64.StdEncoding.EncodeToString(w.Message),
	}
	e.ID = e.ComputeID()
	if size := len(nostr.AppendRumorJSON(nil, e)); size > maxWelcomeRumor {
		return nil, fmt.Errorf("%w: %d bytes of at most %d", ErrWelcomeTooLarge, size, maxWelcomeRumor)
	}
	return e, nil
}

// ParseAnyWelcome reads a kind 444 rumor of either protocol. Those of v1 are
// loose: the key package's event may not be named, since the Welcome says which
// one it was made for, and what is no relay's address is left out.
func ParseAnyWelcome(rumor *nostr.Event) (*Welcome, error) {
	w, strict := ParseWelcome(rumor)
	if strict == nil || rumor.Kind != KindWelcome {
		return w, strict
	}
	b, err := decodeMIPContent(rumor)
	if err != nil {
		return nil, err
	}
	if err := checkWelcome(b); err != nil {
		return nil, err
	}
	w = &Welcome{Author: rumor.PubKey, Message: b, CreatedAt: rumor.CreatedAt}
	if tag, ok := rumor.Tags.Find("e"); ok && len(tag) > 1 {
		w.KeyPackage, _ = nostr.ParseID(tag[1])
	}
	if tag, ok := rumor.Tags.Find("relays"); ok {
		w.Relays = usableRelays(append([]string(nil), tag[1:]...))
	}
	return w, nil
}
