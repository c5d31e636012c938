// Package group is the state machine of one Marmot group: its epochs and
// branches, what it still has to publish, and which branch is canonical.
//
// It does no I/O, reads no clock and starts no goroutine. [Group.Step] takes
// one input at a time and returns what must be stored, published, signed and
// told. The caller stores an Output in one transaction before anything of it
// leaves; if that fails, it drops the Group and loads it again from what is
// stored.
package group
