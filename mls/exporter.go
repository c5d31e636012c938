package mls

import (
	"bytes"
	"fmt"
)

// Export returns length bytes bound to label and context in this epoch
// (MLS-Exporter, RFC 9420, Section 8.5). length is at most 255*Nh. The caller
// owns the result.
func (g *Group) Export(label string, context []byte, length int) ([]byte, error) {
	if g.secrets.get(epochExporter) == nil {
		return nil, ErrErased
	}
	if length < 0 || length > 255*g.suite.nh {
		return nil, fmt.Errorf("%w: export of %d bytes", ErrInvalidConfig, length)
	}
	return g.suite.export(g.secrets.get(epochExporter), label, context, length), nil
}

// ExportComponent returns the secret of a component in this epoch, Nh bytes
// (draft-ietf-mls-extensions, "Exported Secrets"). Each is given once; after
// that the result is [ErrConsumed]. Save the ratchets before using it.
func (g *Group) ExportComponent(id ComponentID) ([]byte, error) {
	step, err := g.components.derive(g.suite, uint32(id))
	if err != nil {
		return nil, err
	}
	g.components.take(step)
	return step.leaf, nil
}

// EpochAuthenticator returns the epoch authenticator (Section 8.7), Nh bytes
// that members can compare out of band. The caller owns the result.
func (g *Group) EpochAuthenticator() ([]byte, error) {
	if g.secrets.get(epochAuthenticator) == nil {
		return nil, ErrErased
	}
	return bytes.Clone(g.secrets.get(epochAuthenticator)), nil
}

// ResumptionPSK returns the id, without a nonce, and the value of this epoch's
// resumption PSK (Section 8.6).
func (g *Group) ResumptionPSK(usage ResumptionUsage) (PSKID, []byte, error) {
	if g.secrets.get(epochResumption) == nil {
		return PSKID{}, nil, ErrErased
	}
	id := PSKID{Type: PSKResumption, Usage: usage, GroupID: g.ID(), Epoch: g.context.Epoch}
	return id, bytes.Clone(g.secrets.get(epochResumption)), nil
}
