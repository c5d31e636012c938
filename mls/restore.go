package mls

import (
	"encoding/binary"
	"fmt"

	"github.com/marmotgo/marmot/mls/internal/wire"
)

// Verified returns the staged commit as [Group.Verify] gives it to the others.
// A private one cannot be had from its message: nobody opens their own. It is
// nil for a commit that nobody but its maker can verify ([JoinExternal],
// [Group.Branch], [Group.Reinitialize]).
func (s *Staged) Verified() (*VerifiedCommit, error) {
	if s.content == nil {
		return nil, nil
	}
	c, config := &authenticatedContent{}, s.Next.config
	r := wire.NewReader(s.content.raw)
	r.Uint16()
	r.Uint16()
	config.readContent(c, s.content.raw, r)
	if err := r.Finish(); err != nil {
		return nil, fmt.Errorf("staged commit: %w", err)
	}
	list, err := config.proposals(c.commit)
	if err != nil {
		return nil, fmt.Errorf("staged commit: %w", err)
	}
	return &VerifiedCommit{content: c, list: list, state: s.state}, nil
}

// Append appends the proposal's AuthenticatedContent (RFC 9420, Section 6) to
// b, from which [Group.RestoreProposal] makes it again. It is not encrypted.
func (p *VerifiedProposal) Append(b []byte) []byte { return append(b, p.content.raw[2:]...) }

// RestoreProposal reads what [VerifiedProposal.Append] wrote in the same epoch.
// It is for a private proposal of this member, which its message does not give
// back. The signature is verified again. Errors: [ErrMalformed];
// [ErrWrongGroup], [ErrWrongEpoch], [ErrSignature], [ErrAuthentication] for
// what was written elsewhere.
func (g *Group) RestoreProposal(b []byte) (*VerifiedProposal, error) {
	if len(b) > maxMessageBytes {
		return nil, fmt.Errorf("%w: proposal of %d bytes", ErrMalformed, len(b))
	}
	raw := append(binary.BigEndian.AppendUint16(nil, version10), b...)
	c, r := &authenticatedContent{}, wire.NewReader(raw)
	r.Uint16()
	format := WireFormat(r.Uint16())
	g.config.readContent(c, raw, r)
	if err := r.Finish(); err != nil {
		return nil, fmt.Errorf("stored proposal: %w", err)
	}
	if c.contentType != ContentProposal || (format != WirePublicMessage && format != WirePrivateMessage) {
		return nil, fmt.Errorf("%w: stored content is not a proposal", ErrMalformed)
	}
	if err := g.checkEpoch(c.groupID, c.epoch); err != nil {
		return nil, err
	}
	key, err := g.senderKey(c)
	if err != nil {
		return nil, err
	}
	if err := c.verifySignature(g.suite, key, g.contextBytes, nil); err != nil {
		return nil, err
	}
	if err := g.config.checkProposer(format, c); err != nil {
		return nil, err
	}
	return &VerifiedProposal{content: c, ref: c.proposalRef(g.suite), state: g.tag}, nil
}
