package nostr

import (
	"fmt"
	"strconv"
)

// Expiration returns the time of the event's first expiration tag (NIP-40);
// false when there is none or it is not a decimal number of seconds.
func Expiration(e *Event) (Timestamp, bool) {
	t, ok := e.Tags.Find("expiration")
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(t.Value(), 10, 63)
	return Timestamp(n), err == nil
}

// Protected reports whether only the author may publish the event (NIP-70).
func Protected(e *Event) bool {
	_, ok := e.Tags.Find("-")
	return ok
}

// AuthEvent returns the unsigned answer to a relay's challenge (NIP-42). The
// caller sets CreatedAt to about now and has the account sign it.
func AuthEvent(challenge, relayURL string) *Event {
	return &Event{
		Kind: KindAuth,
		Tags: Tags{{"relay", relayURL}, {"challenge", challenge}},
	}
}

// authTolerance is how far the time of an auth event may be from the relay's, in
// seconds (NIP-42: about ten minutes).
const authTolerance = 600

// CheckAuth is the relay's side of NIP-42: the event answers this challenge at
// this relay, is recent and is signed. URLs are compared in normal form.
func CheckAuth(e *Event, challenge, relayURL string, now Timestamp) error {
	c, _ := e.Tags.Find("challenge")
	r, _ := e.Tags.Find("relay")
	switch {
	case e.Kind != KindAuth:
		return fmt.Errorf("%w auth event: kind %d", ErrMalformed, e.Kind)
	case challenge == "" || c.Value() != challenge:
		return fmt.Errorf("%w auth event: challenge", ErrMalformed)
	case e.CreatedAt < now-authTolerance || e.CreatedAt > now+authTolerance:
		return fmt.Errorf("%w auth event: created_at", ErrMalformed)
	}
	got, err := NormalizeRelayURL(r.Value())
	if err != nil {
		return err
	}
	if want, err := NormalizeRelayURL(relayURL); err != nil || want != got {
		return fmt.Errorf("%w auth event: relay", ErrMalformed)
	}
	return e.Verify()
}
