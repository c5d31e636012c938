package mls

import (
	"errors"
	"fmt"

	"github.com/marmotgo/marmot/mls/internal/wire"
)

// Errors that a caller can branch on. They arrive wrapped with what was wrong
// and never carry bytes of a message or secret.
//
// The ErrInvalid errors, ErrMalformed and ErrConfirmation are final for the
// message that caused them. ErrUnknownProposal and ErrMissingPSK may pass
// when the missing object arrives.
var (
	ErrMalformed           = wire.ErrMalformed
	ErrUnsupportedProposal = errors.New("mls: unsupported proposal type")
	ErrUnsupportedSuite    = errors.New("mls: unsupported cipher suite")
	ErrUnsupportedVersion  = errors.New("mls: unsupported protocol version")
	ErrWrongGroup          = errors.New("mls: message of another group")
	ErrWrongEpoch          = errors.New("mls: message of another epoch")
	ErrAuthentication      = errors.New("mls: authentication failed")
	ErrMembership          = fmt.Errorf("%w: membership tag", ErrAuthentication)
	ErrSignature           = fmt.Errorf("%w: signature", ErrAuthentication)
	ErrUnknownProposal     = errors.New("mls: commit refers to an unknown proposal")
	ErrInvalidProposals    = errors.New("mls: invalid proposal list")
	ErrInvalidLeaf         = errors.New("mls: invalid leaf node")
	ErrInvalidKeyPackage   = errors.New("mls: invalid key package")
	ErrInvalidTree         = errors.New("mls: invalid ratchet tree")
	ErrInvalidPath         = errors.New("mls: invalid update path")
	ErrInvalidGroupInfo    = errors.New("mls: invalid group info")
	ErrInvalidConfig       = errors.New("mls: invalid argument")
	ErrMissingPSK          = errors.New("mls: pre-shared key not known")
	ErrMissingTree         = errors.New("mls: no ratchet tree given")
	ErrInvalidContinuation = errors.New("mls: not a continuation of the old group")
	ErrConfirmation        = errors.New("mls: confirmation tag does not match")
	ErrReInitialized       = errors.New("mls: group was reinitialized")
	ErrRemoved             = errors.New("mls: this member was removed")
	ErrOwnMessage          = errors.New("mls: message of this member")
	ErrOwnCopy             = fmt.Errorf("%w that another copy of its state has sent", ErrOwnMessage)
	ErrConsumed            = errors.New("mls: secret was used already")
	ErrTooOld              = errors.New("mls: message key no longer kept")
	ErrTooFarAhead         = errors.New("mls: message too far ahead")
	ErrErased              = errors.New("mls: secret was erased")
	ErrNotForUs            = errors.New("mls: welcome does not name this key package")
	ErrSavedState          = errors.New("mls: saved state does not agree with itself")
)

// RemovedError reports a verified commit that removes this member. It wraps
// [ErrRemoved].
type RemovedError struct {
	Epoch     uint64    // the epoch that the commit starts
	Committer LeafIndex // who sent the commit
}

// Error says who removed this member, and when.
func (e *RemovedError) Error() string {
	return fmt.Sprintf("%v by leaf %d before epoch %d", ErrRemoved, e.Committer, e.Epoch)
}

// Unwrap returns [ErrRemoved].
func (e *RemovedError) Unwrap() error { return ErrRemoved }

// EpochError reports a message of another epoch. It wraps [ErrWrongEpoch].
type EpochError struct {
	Epoch uint64 // the message's
	Group uint64 // the group's
}

// Error gives both epochs.
func (e *EpochError) Error() string {
	return fmt.Sprintf("%v: message has %d, group has %d", ErrWrongEpoch, e.Epoch, e.Group)
}

// Unwrap returns [ErrWrongEpoch].
func (e *EpochError) Unwrap() error { return ErrWrongEpoch }
