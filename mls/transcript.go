package mls

import (
	"crypto/hmac"

	"github.com/marmotgo/marmot/mls/internal/wire"
)

// confirmedHash extends the transcript by a commit (RFC 9420, Section 8.2).
func (s *cipherSuite) confirmedHash(interim []byte, commit *authenticatedContent) []byte {
	return s.hash(interim, commit.transcriptInput())
}

// interimHash extends it by the commit's confirmation tag.
func (s *cipherSuite) interimHash(confirmed, tag []byte) []byte {
	return s.hash(confirmed, wire.AppendOpaque(nil, tag))
}

func (s *cipherSuite) confirmationTag(key, confirmed []byte) []byte { return s.mac(key, confirmed) }

// tagsEqual compares MACs in constant time; tags of unequal length differ.
func tagsEqual(a, b []byte) bool { return hmac.Equal(a, b) }

// interimHash returns the interim transcript hash of the group's epoch.
func (g *Group) interimHash() []byte {
	return g.suite.interimHash(g.context.ConfirmedTranscriptHash, g.tag)
}
