package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/marmotgo/marmot"
	"github.com/marmotgo/marmot/group"
)

// Exit codes.
const (
	exitDone     = 0
	exitError    = 1
	exitUsage    = 2
	exitQueued   = 3 // stored; goes on when a relay answers
	exitRefused  = 4 // the group or the person does not allow it
	exitNotFound = 5
	exitNetwork  = 6
)

var (
	errUsage    = errors.New("wrong usage")
	errNotFound = errors.New("not found")
	errNetwork  = errors.New("no relay answered")
)

// exitCode is an outcome that was reported already, by the process that owns
// the account.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

func usage(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", errUsage, err)
}

func codeOf(err error) int {
	var code exitCode
	is := func(targets ...error) bool {
		for _, t := range targets {
			if errors.Is(err, t) {
				return true
			}
		}
		return false
	}
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &code):
		return int(code)
	case is(errUsage, marmot.ErrRelays, marmot.ErrProfile):
		return exitUsage
	case is(marmot.ErrQueued):
		return exitQueued
	case is(marmot.ErrFailed, marmot.ErrStillMember, marmot.ErrNotInvitable, group.ErrNotAdmin, group.ErrLastAdmin, group.ErrAdminLeave, group.ErrAlreadyMember,
		group.ErrLeaving, group.ErrRemoved, group.ErrEnded, group.ErrDisbanding, group.ErrUnchanged,
		group.ErrNoDisband, group.ErrNewerData, marmot.ErrMigrated):
		return exitRefused
	case is(errNotFound, marmot.ErrNoGroup, marmot.ErrNoInvitation, marmot.ErrNoMessage, group.ErrNotMember):
		return exitNotFound
	case is(errNetwork, marmot.ErrNoAnswer, context.DeadlineExceeded):
		return exitNetwork
	}
	return exitError
}
