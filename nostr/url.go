package nostr

import (
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"
)

// CheckRelayURL reports whether s may stand as a relay in an event: at most 512
// bytes of UTF-8, absolute, ws or wss, with a host, without user and fragment
// (transports/nostr.md). The string itself is what is compared and signed.
func CheckRelayURL(s string) error {
	_, err := parseRelayURL(s)
	return err
}

func parseRelayURL(s string) (*url.URL, error) {
	bad := func(why string) (*url.URL, error) { return nil, fmt.Errorf("%w relay URL: %s", ErrMalformed, why) }
	if len(s) > MaxRelayURL || !utf8.ValidString(s) {
		return bad("longer than 512 bytes or not UTF-8")
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return bad("not a URL") // err would repeat the address
	case u.Scheme != "ws" && u.Scheme != "wss":
		return bad("scheme")
	case u.Hostname() == "" || u.Host[0] != '[' && strings.Contains(u.Hostname(), ":"):
		return bad("no host")
	case u.User != nil:
		return bad("has a user")
	case strings.ContainsRune(s, '#'):
		return bad("has a fragment")
	}
	return u, nil
}

// NormalizeRelayURL returns the form under which connections are shared: scheme
// and host in lowercase, no default port, no slash alone as path. It must not
// be used to rewrite or compare relays of signed group state.
func NormalizeRelayURL(s string) (string, error) {
	u, err := parseRelayURL(strings.TrimSpace(s))
	if err != nil {
		return "", err
	}
	u.Host = strings.ToLower(u.Host)
	if port := u.Port(); port == "80" && u.Scheme == "ws" || port == "443" && u.Scheme == "wss" || port == "" {
		u.Host = strings.TrimSuffix(u.Host, ":"+port)
	}
	if u.Path == "/" {
		u.Path, u.RawPath = "", ""
	}
	u.ForceQuery = false
	return u.String(), nil
}
