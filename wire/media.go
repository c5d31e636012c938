package wire

import (
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// mediaFormat is the only value of EncryptedMedia's first field.
const mediaFormat = "encrypted-media-v2"

// BlobEndpoint is one place where encrypted files can be stored.
type BlobEndpoint struct{ Kind, URL string }

// EncryptedMedia is component 0x800b (group-encrypted-media-v2.md). Both lists
// keep their order: it is part of the value.
type EncryptedMedia struct {
	Kinds     []string
	Endpoints []BlobEndpoint
}

// DefaultEncryptedMedia returns what clients of the network put into new groups.
func DefaultEncryptedMedia() EncryptedMedia {
	const kind = "blossom-v1"
	return EncryptedMedia{Kinds: []string{kind}, Endpoints: []BlobEndpoint{
		{kind, "https://blossom.divine.video/"}, {kind, "https://blossom.ditto.pub/"}, {kind, "https://cdn.hzrd149.com/"},
	}}
}

// Append appends the component's bytes.
func (m EncryptedMedia) Append(b []byte) []byte {
	var kinds, endpoints []byte
	for _, k := range m.Kinds {
		kinds = appendOpaque(kinds, k)
	}
	for _, e := range m.Endpoints {
		endpoints = appendOpaque(appendOpaque(endpoints, e.Kind), e.URL)
	}
	return appendOpaque(appendOpaque(appendOpaque(b, mediaFormat), kinds), endpoints)
}

// DecodeEncryptedMedia reads component 0x800b.
func DecodeEncryptedMedia(b []byte) (EncryptedMedia, error) {
	r := &reader{rest: b}
	var m EncryptedMedia
	if string(r.opaque(0, len(b))) != mediaFormat {
		r.fail("media format")
	}
	kinds := r.vector()
	for kinds.more() {
		k := string(kinds.opaque(1, maxLocatorKind))
		if kinds.err == nil && (!validLocatorKind(k) || slices.Contains(m.Kinds, k)) {
			kinds.fail("locator kind")
		}
		m.Kinds = append(m.Kinds, k)
	}
	r.join(kinds)
	endpoints := r.vector()
	for endpoints.more() {
		e := BlobEndpoint{Kind: string(endpoints.opaque(1, maxLocatorKind)), URL: string(endpoints.opaque(1, maxEndpointURL))}
		if endpoints.err == nil && (!slices.Contains(m.Kinds, e.Kind) || !validEndpoint(e.URL) || slices.Contains(m.Endpoints, e)) {
			endpoints.fail("blob endpoint")
		}
		m.Endpoints = append(m.Endpoints, e)
	}
	r.join(endpoints)
	if r.err == nil && (len(m.Kinds) < 1 || len(m.Kinds) > maxMediaLists || len(m.Endpoints) < 1 || len(m.Endpoints) > maxMediaLists) {
		r.fail("media lists hold 1 to %d entries", maxMediaLists)
	}
	return m, r.finish("encrypted media")
}

func validLocatorKind(s string) bool {
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// validEndpoint accepts URLs that net/url and a WHATWG parser both read the
// same way: lower-case host, no default port, a path.
func validEndpoint(s string) bool {
	u, err := url.Parse(s)
	if err != nil || !utf8.ValidString(s) || strings.ContainsAny(s, "#?\\ \t\r\n") {
		return false
	}
	defaultPort := map[string]string{"http": "80", "https": "443"}
	port, known := defaultPort[u.Scheme]
	return known && u.Hostname() != "" && u.User == nil && u.Path != "" && u.Port() != port &&
		u.Host == strings.ToLower(u.Host) && u.String() == s
}

// checkBlossomImage validates component 0x8002 (group-blossom-image-v1.md):
// five empty fields, or an image with lengths 32, 32, 12, 32 and a media type.
func checkBlossomImage(b []byte) error {
	r := &reader{rest: b}
	var lengths [4]int
	for i, high := range []int{32, 32, 12, 32} {
		lengths[i] = len(r.opaque(0, high))
	}
	media := string(r.opaque(0, 128))
	empty := lengths == [4]int{} && media == ""
	full := lengths == [4]int{32, 32, 12, 32} && canonicalMediaType(media)
	if r.err == nil && !empty && !full {
		r.fail("image is neither complete nor empty")
	}
	return r.finish("group image")
}

// canonicalMediaType reports whether s is its own canonical form
// (canonical-encoding.md, "Media type canonicalization").
func canonicalMediaType(s string) bool {
	major, minor, ok := strings.Cut(s, "/")
	const token = "abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~"
	return ok && major != "" && minor != "" && len(major) <= 64 && len(minor) <= 64 &&
		strings.Trim(major, token) == "" && strings.Trim(minor, token) == "" && s != "image/jpg"
}

// checkAvatarURL validates component 0x8007 (group-avatar-url-v1.md).
func checkAvatarURL(b []byte) error {
	r := &reader{rest: b}
	address, dim, hash := r.text(0, maxEndpointURL), r.opaque(0, 256), r.opaque(0, 256)
	switch {
	case r.err != nil:
	case address == "" && len(dim)+len(hash) > 0:
		r.fail("hints without a URL")
	case address != "":
		u, err := url.Parse(address)
		if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || strings.Contains(address, "#") {
			r.fail("avatar URL")
		}
	}
	return r.finish("avatar URL")
}
