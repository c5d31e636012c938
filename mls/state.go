package mls

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/marmotgo/marmot/mls/internal/wire"
)

// The saved form of a group is three records: the public part, whole or as a
// delta to the parent epoch; the secrets; and the ratchets. They are apart so
// that erasing secrets rewrites one small record while later deltas still
// build on the public part, and so that a message rewrites only the ratchets.
// Each starts with its kind and version, and names its epoch by the
// confirmation tag.
const (
	recordState    uint16 = 'S'<<8 | 1
	recordDelta    uint16 = 'D'<<8 | 1
	recordSecrets  uint16 = 'K'<<8 | 1
	recordRatchets uint16 = 'R'<<8 | 1
)

// recordEnded is added to the kind of a state or delta of a group that was
// reinitialized; such a record has the ReInit after the tag.
const recordEnded uint16 = 0x80

func (g *Group) appendPublic(b []byte, kind uint16) []byte {
	if g.reInit == nil {
		return appendRecord(b, kind, g.tag)
	}
	return g.reInit.appendBody(appendRecord(b, kind|recordEnded, g.tag))
}

// readPublic reads what appendPublic wrote.
func (g *Group) readPublic(r *wire.Reader, kind uint16) {
	k := r.Uint16()
	if r.Err() == nil && k&^recordEnded != kind {
		r.Fail(fmt.Errorf("%w: record of kind 0x%04x", ErrMalformed, k))
	}
	g.tag = bytes.Clone(r.Opaque())
	if k&recordEnded != 0 {
		g.reInit = readReInit(r).clone()
	}
}

func appendRecord(b []byte, kind uint16, tag []byte) []byte {
	return wire.AppendOpaque(binary.BigEndian.AppendUint16(b, kind), tag)
}

// readRecord checks the kind of a record and returns its confirmation tag.
func readRecord(r *wire.Reader, kind uint16) []byte {
	if k := r.Uint16(); r.Err() == nil && k != kind {
		r.Fail(fmt.Errorf("%w: record of kind 0x%04x", ErrMalformed, k))
	}
	return r.Opaque()
}

// AppendState appends the whole public part to b: tree, context, confirmation
// tag, own index.
func (g *Group) AppendState(b []byte) []byte {
	b = g.appendPublic(b, recordState)
	b = binary.BigEndian.AppendUint32(b, g.limits.TreeLeaves)
	b = binary.BigEndian.AppendUint32(b, g.limits.Ahead)
	b = binary.BigEndian.AppendUint32(b, g.limits.Skipped)
	b = binary.BigEndian.AppendUint32(b, uint32(g.self))
	b = append(b, g.contextBytes...)
	return g.tree.appendTree(b)
}

// AppendDelta appends the public part as a difference to the parent epoch,
// which may have been erased.
func (g *Group) AppendDelta(b []byte, parent *Group) ([]byte, error) {
	c, p := &g.context, &parent.context
	if c.Epoch != p.Epoch+1 || !bytes.Equal(c.GroupID, p.GroupID) || g.self != parent.self {
		return nil, fmt.Errorf("%w: not a parent of this epoch", ErrInvalidConfig)
	}
	b = g.appendPublic(b, recordDelta)
	b = wire.AppendOpaque(b, parent.tag)
	b = wire.AppendOpaque(b, c.TreeHash)
	b = wire.AppendOpaque(b, c.ConfirmedTranscriptHash)
	if c.Extensions.Equal(p.Extensions) {
		b = append(b, 0)
	} else {
		b = c.Extensions.append(append(b, 1))
	}
	return g.tree.appendDelta(b, parent.tree), nil
}

// AppendSecrets appends the secrets that are still held, but not those of
// [Group.AppendRatchets].
func (g *Group) AppendSecrets(b []byte) []byte {
	b = appendRecord(b, recordSecrets, g.tag)
	for i := range epochSecretCount {
		b = wire.AppendOpaque(b, g.secrets.get(i))
	}
	if g.keys == nil {
		return append(b, 0)
	}
	return g.keys.appendPathKeys(append(b, 1))
}

// DecodeState returns the group of a state record. secrets and ratchets may be
// nil; what needs them then gives [ErrErased]. The tree hash and, if the
// secrets have its key, the confirmation tag are recomputed; a state that does
// not agree with itself gives [ErrSavedState].
func DecodeState(state, secrets, ratchets []byte) (*Group, error) {
	return decodeState(state, secrets, ratchets, nil)
}

func decodeState(state, secrets, ratchets []byte, x *Config) (*Group, error) {
	r := wire.NewReader(bytes.Clone(state))
	g := &Group{config: x}
	g.readPublic(r, recordState)
	g.limits = Limits{TreeLeaves: r.Uint32(), Ahead: r.Uint32(), Skipped: r.Uint32()}
	if g.limits != g.limits.withDefaults() {
		r.Fail(fmt.Errorf("%w: limits", ErrMalformed))
	}
	g.self = LeafIndex(r.Uint32())
	g.context = decodeGroupContext(r)
	if r.Err() != nil {
		return nil, r.Err()
	}
	var err error
	if g.suite, err = x.suiteOf(g.context.Suite); err != nil {
		return nil, err
	}
	if g.tree, err = decodeTree(g.suite, r.Rest(), g.limits); err != nil {
		return nil, err
	}
	g.context = *g.context.clone() // the tree copied what it keeps; let the record go
	return g, g.restore(secrets, ratchets)
}

// DecodeDelta returns the group of a delta record; g is the parent, of which
// the public part suffices. See [DecodeState] for the rest.
func (g *Group) DecodeDelta(delta, secrets, ratchets []byte) (*Group, error) {
	r := wire.NewReader(bytes.Clone(delta))
	next := &Group{suite: g.suite, config: g.config, limits: g.limits, self: g.self}
	next.readPublic(r, recordDelta)
	parent := r.Opaque()
	next.context = g.context
	next.context.Epoch++
	next.context.TreeHash = r.Opaque()
	next.context.ConfirmedTranscriptHash = r.Opaque()
	if r.Optional() {
		next.context.Extensions = decodeExtensions(r)
	}
	if r.Err() != nil {
		return nil, r.Err()
	}
	if !bytes.Equal(parent, g.tag) {
		return nil, fmt.Errorf("%w: delta to another epoch", ErrSavedState)
	}
	var err error
	if next.tree, err = g.tree.applyDelta(g.suite, r, g.limits); err != nil {
		return nil, err
	}
	if err := r.Finish(); err != nil {
		return nil, err
	}
	next.context = *next.context.clone()
	return next, next.restore(secrets, ratchets)
}

// restore completes a group whose public part is decoded.
func (g *Group) restore(secrets, ratchets []byte) error {
	if !bytes.Equal(g.tree.treeHash(), g.context.TreeHash) {
		return fmt.Errorf("%w: tree hash", ErrSavedState)
	}
	if _, ok := g.tree.leaf(g.self); !ok || len(g.tag) != g.suite.nh {
		return fmt.Errorf("%w: own leaf or tag", ErrSavedState)
	}
	g.contextBytes = g.context.encode()
	if err := g.restoreSecrets(secrets); err != nil {
		return fmt.Errorf("secrets: %w", err)
	}
	if err := g.restoreRatchets(ratchets); err != nil {
		return fmt.Errorf("ratchets: %w", err)
	}
	return nil
}

func (g *Group) restoreSecrets(record []byte) error {
	g.secrets = newEpochSecrets(g.suite.nh)
	if len(record) == 0 {
		return nil
	}
	r := wire.NewReader(record)
	if tag := readRecord(r, recordSecrets); r.Err() == nil && !bytes.Equal(tag, g.tag) {
		return fmt.Errorf("%w: record of another epoch", ErrSavedState)
	}
	for i := range epochSecretCount {
		switch s := r.Opaque(); len(s) {
		case 0:
		case g.suite.nh:
			g.secrets.set(i, s)
		default:
			r.Fail(fmt.Errorf("%w: secret of %d bytes", ErrMalformed, len(s)))
		}
	}
	if r.Optional() {
		var err error
		if g.keys, err = decodePathKeys(r); err != nil {
			return err
		}
	}
	if err := r.Finish(); err != nil {
		return err
	}
	if key := g.secrets.get(epochConfirmation); key != nil &&
		!tagsEqual(g.suite.confirmationTag(key, g.context.ConfirmedTranscriptHash), g.tag) {
		return fmt.Errorf("%w: confirmation tag", ErrSavedState)
	}
	return nil
}
