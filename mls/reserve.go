package mls

import (
	"bytes"
	"fmt"
	"math"
)

// Reserve counts the next n generations of this member's application messages
// as used in what [Group.AppendRatchets] saves. Save the ratchets once after
// it; then n messages may leave without a save of their own: a crash skips
// what was left of the block and never repeats a generation. Without it, as
// after the block, the ratchets must be saved before each message leaves.
// n counts from the next message, and 0 ends a block.
//
// Others see a skipped block as lost messages, so n is at most
// [Limits].Ahead; a larger one gives [ErrInvalidConfig], an erased epoch
// [ErrErased].
func (g *Group) Reserve(n uint32) error {
	if n > g.limits.Ahead {
		return fmt.Errorf("%w: block of %d generations", ErrInvalidConfig, n)
	}
	own, step, err := g.messages.sender(g.suite, g.self)
	if err != nil {
		return err
	}
	if n >= math.MaxUint32-own.application.next {
		g.messages.discard(own, step)
		return fmt.Errorf("%w: block of %d generations", ErrInvalidConfig, n)
	}
	g.messages.keep(g.self, own, step)
	own.reserved = own.application.next + n
	return nil
}

// Reserved returns how many application messages may still leave before the
// ratchets must be saved again.
func (g *Group) Reserved() uint32 {
	own := g.messages.ratchets[g.self]
	if own == nil || own.reserved < own.application.next {
		return 0
	}
	return own.reserved - own.application.next
}

// appendSaved appends the ratchet for application messages as it is saved:
// behind the reserved block.
func (l *leafRatchets) appendSaved(b []byte, s *cipherSuite) []byte {
	if l.reserved <= l.application.next {
		return l.application.append(b, s)
	}
	behind := ratchet{next: l.application.next, secret: bytes.Clone(l.application.secret)}
	defer behind.secret.erase()
	for ; behind.next < l.reserved; behind.next++ {
		s.stepSecret(behind.secret, behind.next)
	}
	return behind.append(b, s)
}
