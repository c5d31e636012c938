package mls

import (
	"bytes"
	"crypto"
	"fmt"

	"github.com/marmotgo/marmot/mls/internal/wire"
)

// FrameConfig says how a proposal is framed.
type FrameConfig struct {
	Private bool // as a PrivateMessage
	AAD     []byte
	Padding int // zeros that hide the length of a private one
}

// newContent returns the signed content of a message of this member.
func (g *Group) newContent(signer crypto.Signer, f WireFormat, t ContentType, aad, body []byte) (*authenticatedContent, error) {
	return g.newContentFrom(Sender{Type: SenderMember, Leaf: g.self}, signer, f, t, aad, body)
}

func (g *Group) newContentFrom(sender Sender, signer crypto.Signer, f WireFormat, t ContentType, aad, body []byte) (*authenticatedContent, error) {
	aad, err := g.context.ownAAD(aad)
	if err != nil {
		return nil, err
	}
	c := &authenticatedContent{groupID: g.context.GroupID, epoch: g.context.Epoch, aad: aad, contentType: t, sender: sender}
	b := make([]byte, 0, len(c.groupID)+len(aad)+len(body)+128+2*maxNh)
	b = appendMessageHeader(b, f)
	b = appendContentHeader(b, c.groupID, c.epoch, c.sender, aad, t)
	c.bodyStart = len(b)
	b = append(b, body...)
	c.contentEnd = len(b)
	context := g.contextBytes
	if !sender.signsContext() {
		context = nil
	}
	if c.signature, err = g.suite.signParts(signer, "FramedContentTBS", b, context); err != nil {
		return nil, err
	}
	c.raw = wire.AppendOpaque(b, c.signature)
	c.signatureEnd = len(c.raw)
	return c, nil
}

// confirm appends the confirmation tag of a commit.
func (c *authenticatedContent) confirm(tag []byte) {
	c.confirmationTag = tag
	c.raw = wire.AppendOpaque(c.raw, tag)
}

// frame returns a handshake message as an MLSMessage. A private one uses up a
// generation of this member's handshake ratchet.
func (g *Group) frame(c *authenticatedContent, private bool) ([]byte, error) {
	if err := c.fits(); err != nil {
		return nil, err
	}
	if private {
		sealed, err := g.seal(c)
		return sealed.Message, err
	}
	if g.secrets.get(epochMembership) == nil {
		return nil, ErrErased
	}
	tag := c.membershipTag(g.suite, g.secrets.get(epochMembership), g.contextBytes)
	return wire.AppendOpaque(c.raw[:len(c.raw):len(c.raw)], tag), nil
}

func wireFormat(private bool) WireFormat {
	if private {
		return WirePrivateMessage
	}
	return WirePublicMessage
}

// Propose returns an MLSMessage with a proposal of this member. To use it,
// also the proposer passes it through [Group.Verify]; a private one, which
// cannot be read back, comes with [Group.ProposeVerified].
func (g *Group) Propose(signer crypto.Signer, p Proposal, cfg FrameConfig) ([]byte, error) {
	message, _, err := g.ProposeVerified(signer, p, cfg)
	return message, err
}

// ProposeVerified is [Group.Propose] with the proposal as [Group.Verify] gives
// it to the others, which a private one cannot be had from later.
func (g *Group) ProposeVerified(signer crypto.Signer, p Proposal, cfg FrameConfig) ([]byte, *VerifiedProposal, error) {
	if err := g.checkSigner(signer); err != nil {
		return nil, nil, err
	}
	c, err := g.proposalContent(Sender{Type: SenderMember, Leaf: g.self}, signer, p, cfg)
	if err != nil {
		return nil, nil, err
	}
	message, err := g.frame(c, cfg.Private)
	if err != nil {
		return nil, nil, err
	}
	return message, &VerifiedProposal{content: c, ref: c.proposalRef(g.suite), state: g.tag}, nil
}

// proposalContent returns the signed content of a proposal that sender may
// send.
func (g *Group) proposalContent(sender Sender, signer crypto.Signer, p Proposal, cfg FrameConfig) (*authenticatedContent, error) {
	p = g.suite.completed(p)
	if err := g.config.encodable(p); err != nil {
		return nil, err
	}
	c, err := g.newContentFrom(sender, signer, wireFormat(cfg.Private), ContentProposal, bytes.Clone(cfg.AAD), appendProposal(nil, p))
	if err != nil {
		return nil, err
	}
	// Read back, it shares no memory with the caller's.
	c.proposal = g.config.decodeProposal(wire.NewReader(c.raw[c.bodyStart:c.contentEnd]))
	c.padding = cfg.Padding
	return c, g.config.checkProposer(wireFormat(cfg.Private), c)
}

// Sealed is an encrypted message.
type Sealed struct {
	Message    []byte // MLSMessage
	Generation uint32 // of the sender's ratchet
}

// Protect encrypts an application message. Save the ratchets before the
// message leaves, else a crash would use its key again; see [Group.Reserve].
// aad is sent in the clear. Errors: [ErrErased]; [ErrInvalidConfig] for a
// message above 4 MiB, another member's signer or aad that the group frames
// differently. plaintext and aad are not kept.
func (g *Group) Protect(signer crypto.Signer, plaintext, aad []byte) (Sealed, error) {
	return g.ProtectPadded(signer, plaintext, aad, 0)
}

// ProtectPadded is [Group.Protect] with padding zero bytes behind the
// plaintext, which hide its length and which the receiver drops (Section
// 6.3.1).
func (g *Group) ProtectPadded(signer crypto.Signer, plaintext, aad []byte, padding int) (Sealed, error) {
	if err := g.checkSigner(signer); err != nil {
		return Sealed{}, err
	}
	body := wire.AppendOpaque(make([]byte, 0, len(plaintext)+4), plaintext)
	c, err := g.newContent(signer, WirePrivateMessage, ContentApplication, aad, body)
	if err != nil {
		return Sealed{}, err
	}
	c.padding = padding
	if err := c.fits(); err != nil {
		return Sealed{}, err
	}
	return g.seal(c)
}

// maxFraming bounds what framing adds to the content: tags, sender data.
const maxFraming = 512

// fits refuses what no receiver would decode, before a key is used for it.
func (c *authenticatedContent) fits() error {
	if c.padding < 0 || c.padding > maxMessageBytes || len(c.raw)+c.padding+maxFraming > maxMessageBytes {
		return fmt.Errorf("%w: message larger than %d bytes", ErrInvalidConfig, maxMessageBytes)
	}
	return nil
}

// seal encrypts c with the next key of this member, which is then gone.
func (g *Group) seal(c *authenticatedContent) (Sealed, error) {
	if g.secrets.get(epochSenderData) == nil {
		return Sealed{}, ErrErased
	}
	own, step, err := g.messages.sender(g.suite, g.self)
	if err != nil {
		return Sealed{}, err
	}
	ratchet := own.of(c.contentType)
	generation := ratchet.next
	key, err := ratchet.key(g.suite, generation, g.limits)
	if err != nil {
		g.messages.discard(own, step)
		return Sealed{}, err
	}
	defer clear(key.key[:])
	b, err := g.suite.sealContent(key, generation, g.secrets.get(epochSenderData), c)
	if err != nil {
		g.messages.discard(own, step)
		return Sealed{}, err
	}
	g.messages.keep(g.self, own, step)
	ratchet.consume(g.suite, generation, g.limits)
	return Sealed{Message: b, Generation: generation}, nil
}

// Received is a decrypted application message.
type Received struct {
	Sender     LeafIndex
	Generation uint32
	AAD        []byte
	Plaintext  []byte
	Leaf       *LeafNode // the sender's leaf in the message's epoch
	Lost       uint32    // earlier messages of the sender that can no longer be opened since this one was
}

// opened is a message of which it is known whose it is, and then a decrypted one whose
// key is still there.
type opened struct {
	redactedValue
	content  *authenticatedContent
	sender   senderData
	leaf     *LeafNode
	ratchets *leafRatchets
	step     *frontierStep
	work     *opening
}

// Unprotect decrypts an application message of this epoch and uses up its
// key. A message that fails in any way changes nothing. Errors: [ErrConsumed],
// [ErrTooOld], [ErrTooFarAhead], [ErrAuthentication], [ErrOwnMessage], [ErrOwnCopy],
// [ErrWrongGroup], [ErrWrongEpoch], [ErrErased]; [ErrMalformed] for any other
// kind of message.
func (g *Group) Unprotect(m *Message) (Received, error) {
	if m.private == nil || m.private.contentType != ContentApplication {
		return Received{}, fmt.Errorf("%w: not an encrypted application message", ErrMalformed)
	}
	o, err := g.open(m.private)
	if err != nil {
		return Received{}, err
	}
	lost := g.useUp(o)
	return Received{Sender: o.sender.leaf, Generation: o.sender.generation, AAD: o.content.aad, Plaintext: o.content.application,
		Leaf: o.leaf, Lost: lost}, nil
}

// useUp forgets the key of an application message that was opened.
func (g *Group) useUp(o opened) (lost uint32) {
	g.messages.keep(o.sender.leaf, o.ratchets, o.step)
	return o.ratchets.application.consume(g.suite, o.sender.generation, g.limits)
}

// Peek returns whose application message of this epoch m says it is, and its
// generation in that member's ratchet. Nothing is verified but that a member
// wrote it, and nothing changes. Errors are those of [Group.Unprotect]. See
// [Group.Oldest].
func (g *Group) Peek(m *Message) (LeafIndex, uint32, error) {
	if m.private == nil || m.private.contentType != ContentApplication {
		return 0, 0, fmt.Errorf("%w: not an encrypted application message", ErrMalformed)
	}
	p := m.private
	if err := g.checkEpoch(p.groupID, p.epoch); err != nil {
		return 0, 0, err
	}
	if g.secrets.get(epochSenderData) == nil {
		return 0, 0, ErrErased
	}
	sender, err := g.suite.openSenderData(&opening{}, g.secrets.get(epochSenderData), p)
	return sender.leaf, sender.generation, err
}

// Oldest returns the lowest generation of a member's application messages that
// can still be opened. Opening a message whose generation is
// [Limits.Skipped] or more above it erases its key: a caller that still waits
// for earlier messages holds such a one back, and opens messages that it has at
// hand by ascending generation.
func (g *Group) Oldest(leaf LeafIndex) uint32 { return g.messages.oldest(leaf) }

// open decrypts p and checks its signature, without using up the key.
func (g *Group) open(p *privateMessage) (opened, error) {
	o, err := g.whose(p)
	if err != nil {
		return opened{}, err
	}
	if o.sender.leaf == g.self {
		err = g.ownMessage(&o, p)
	} else {
		err = g.openWith(&o, p)
	}
	if err != nil {
		g.messages.discard(o.ratchets, o.step)
		return opened{}, err
	}
	return o, nil
}

// whose finds the sender of p and its ratchets, and verifies nothing.
func (g *Group) whose(p *privateMessage) (o opened, err error) {
	if err := g.checkEpoch(p.groupID, p.epoch); err != nil {
		return o, err
	}
	if err := g.context.checkAAD(p.aad); err != nil {
		return o, err
	}
	if g.secrets.get(epochSenderData) == nil {
		return o, ErrErased
	}
	o.work = &opening{}
	if o.sender, err = g.suite.openSenderData(o.work, g.secrets.get(epochSenderData), p); err != nil {
		return o, err
	}
	var ok bool
	if o.leaf, ok = g.tree.leaf(o.sender.leaf); !ok {
		return o, fmt.Errorf("%w: no member at leaf %d", ErrAuthentication, o.sender.leaf)
	}
	o.ratchets, o.step, err = g.messages.sender(g.suite, o.sender.leaf)
	return o, err
}

// ownMessage tells an echo of this member's from a message that only another
// copy of its state can have made: one under a key this copy has not used.
func (g *Group) ownMessage(o *opened, p *privateMessage) error {
	if o.sender.generation < o.ratchets.of(p.contentType).next {
		return ErrOwnMessage
	}
	if err := g.openWith(o, p); err != nil {
		return ErrOwnMessage // any member can write our leaf into a message
	}
	return ErrOwnCopy
}

func (g *Group) openWith(o *opened, p *privateMessage) error {
	if err := g.decrypt(o, p); err != nil {
		return err
	}
	return o.content.verifySignature(g.suite, o.leaf.SignatureKey, g.contextBytes, g.verified)
}

// decrypt sets the content, whose signature is not verified.
func (g *Group) decrypt(o *opened, p *privateMessage) (err error) {
	if o.work.key, err = o.ratchets.of(p.contentType).key(g.suite, o.sender.generation, g.limits); err != nil {
		return err
	}
	o.content, err = g.config.openContent(g.suite, o.work, o.sender, p)
	return err
}
