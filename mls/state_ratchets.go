package mls

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/marmotgo/marmot/mls/internal/wire"
)

// AppendRatchets appends what Protect, Unprotect and ExportComponent have not
// consumed: the frontiers of both trees and the ratchets of the senders seen,
// about 80 bytes each.
func (g *Group) AppendRatchets(b []byte) []byte {
	b = appendRecord(b, recordRatchets, g.tag)
	b = g.messages.frontier.append(b)
	senders := slices.Sorted(maps.Keys(g.messages.ratchets))
	b = binary.BigEndian.AppendUint32(b, uint32(len(senders)))
	for _, i := range senders {
		l := g.messages.ratchets[i]
		b = binary.BigEndian.AppendUint32(b, uint32(i))
		b = l.handshake.append(b, g.suite)
		b = l.appendSaved(b, g.suite)
	}
	return g.components.append(b)
}

func (g *Group) restoreRatchets(record []byte) error {
	g.messages, g.components = erasedTrees()
	if len(record) == 0 {
		return nil
	}
	r := wire.NewReader(record)
	if tag := readRecord(r, recordRatchets); r.Err() == nil && !bytes.Equal(tag, g.tag) {
		return fmt.Errorf("%w: record of another epoch", ErrSavedState)
	}
	g.messages.ratchets = map[LeafIndex]*leafRatchets{}
	g.messages.frontier = decodeFrontier(r, g.suite, g.tree.leafWidth())
	last := int64(-1)
	for n := r.Uint32(); n > 0 && r.Err() == nil; n-- {
		i := LeafIndex(r.Uint32())
		if int64(i) <= last || uint32(i) >= g.tree.leafWidth() {
			r.Fail(fmt.Errorf("%w: ratchets not ascending", ErrMalformed))
			break
		}
		last = int64(i)
		g.messages.ratchets[i] = &leafRatchets{handshake: decodeRatchet(r, g.suite), application: decodeRatchet(r, g.suite)}
	}
	g.components = decodeFrontier(r, g.suite, exporterTreeWidth)
	return r.Finish()
}

func (f *frontier) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, f.width)
	b = binary.BigEndian.AppendUint32(b, uint32(len(f.nodes)))
	for _, n := range f.nodes {
		b = binary.BigEndian.AppendUint32(b, n.index)
		b = append(b, n.value...)
	}
	return b
}

// decodeFrontier reads a frontier, which must have the given width or be
// erased.
func decodeFrontier(r *wire.Reader, s *cipherSuite, width uint32) *frontier {
	f := &frontier{width: r.Uint32()}
	last := uint32(0)
	for n := r.Uint32(); n > 0 && r.Err() == nil; n-- {
		i := r.Uint32()
		if i <= last {
			r.Fail(fmt.Errorf("%w: frontier not ascending", ErrMalformed))
		}
		last = i
		f.nodes = append(f.nodes, frontierNode{index: i, value: bytes.Clone(r.Bytes(s.nh))})
	}
	if r.Err() == nil && (!f.valid() || f.width != 0 && f.width != width) {
		r.Fail(fmt.Errorf("%w: frontier", ErrMalformed))
	}
	return f
}

func (t *ratchet) append(b []byte, s *cipherSuite) []byte {
	b = binary.BigEndian.AppendUint32(b, t.next)
	b = wire.AppendOpaque(b, t.secret)
	b = binary.BigEndian.AppendUint32(b, uint32(len(t.skipped)))
	for i := range t.skipped {
		k := &t.skipped[i]
		b = binary.BigEndian.AppendUint32(b, k.generation)
		b = append(b, k.key.key[:s.nk]...)
		b = append(b, k.key.nonce[:s.nn]...)
	}
	return b
}

func decodeRatchet(r *wire.Reader, s *cipherSuite) ratchet {
	t := ratchet{next: r.Uint32(), secret: bytes.Clone(r.Opaque())}
	if len(t.secret) != s.nh {
		r.Fail(fmt.Errorf("%w: ratchet secret of %d bytes", ErrMalformed, len(t.secret)))
	}
	last := int64(-1)
	for n := r.Uint32(); n > 0 && r.Err() == nil; n-- {
		k := skippedKey{generation: r.Uint32()}
		copy(k.key.key[:], r.Bytes(s.nk))
		copy(k.key.nonce[:], r.Bytes(s.nn))
		if int64(k.generation) <= last || k.generation >= t.next {
			r.Fail(fmt.Errorf("%w: skipped keys not ascending", ErrMalformed))
		}
		last = int64(k.generation)
		t.skipped = append(t.skipped, k)
	}
	return t
}
