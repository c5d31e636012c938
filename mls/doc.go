// Package mls implements Messaging Layer Security (RFC 9420) and, of
// draft-ietf-mls-extensions-10, component data in the group (AppDataUpdate),
// AppEphemeral, SelfRemove, SafeAAD, key packages of last resort and the
// component exporter.
//
// A [Group] is one member's state in one epoch, and a value: processing a
// commit makes the next one and leaves the old as it was. Keeping a past epoch
// or following rival branches is keeping pointers; undoing is dropping one.
//
//	bytes → DecodeMessage → Message
//	Message → Group.Verify → VerifiedCommit or VerifiedProposal    (nothing changes)
//	VerifiedCommit → Group.Apply → the next *Group, or an error and nothing else
//	Group.Commit → Staged{Message, Welcome, Next}                  (several children of one parent are normal)
//	Message → Group.Unprotect → an application message
//
// The exception is what must be forgotten: [Group.Protect], [Group.Unprotect],
// [Group.ExportComponent] and private framing use up secrets of their epoch,
// and [Group.Erase] overwrites them. Save [Group.AppendRatchets] before a
// ciphertext leaves or a plaintext is shown.
//
// The package has no clock, storage, log, goroutine or changing global, and no
// policy: it returns what it verified, and the caller looks before it applies,
// or at the result before it keeps that. Credentials, X.509 chains among them,
// are opaque to it: who they name is for the caller to authenticate.
//
// Cipher suites 1, 2, 3, 5 and 7 are always there. A [Config] adds others
// (suites 4 and 6 by package suite448, a post-quantum hybrid by [XWing]) and
// further proposal types. Unknown extensions, proposals and credentials in
// capabilities are ignored, as the RFC asks.
//
// Whatever a peer sends gives a result or a typed error. Decoding allocates at
// most eight times its input and 1 KiB; a list has at most 32 extensions or
// 1,024 proposals, a dictionary 64 components, a message 4 MiB.
package mls
