// Package mls implements Messaging Layer Security (RFC 9420) and the parts of
// draft-ietf-mls-extensions-10 that Marmot needs: component data in the group
// (AppDataUpdate), AppEphemeral, SelfRemove and the safe exporter.
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
// The package has no clock, storage, log or goroutine, and no policy: it
// returns what it verified, and the caller looks before it applies, or at the
// result before it keeps that.
package mls
