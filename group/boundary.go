package group

import "slices"

// Boundary names what a Step made durable (durability.md). A Step is one
// transaction, so a crash falls before or after it, never between two
// boundaries of one Step. Tests stop the process at each of them, on both
// sides; a trace tells which were crossed.
type Boundary string

// The boundaries.
const (
	Prepared     Boundary = "prepared"     // an own commit or proposal is an obligation; nothing of it has left
	Sealed       Boundary = "sealed"       // an own message was encrypted and is an obligation
	Acknowledged Boundary = "acknowledged" // a relay has accepted an obligation
	GivenUp      Boundary = "given_up"     // an obligation ended without
	Retained     Boundary = "retained"     // an input from outside is kept
	Collecting   Boundary = "collecting"   // a pass was opened or prolonged
	Resolved     Boundary = "resolved"     // a pass was frozen and its branches were compared
	Applied      Boundary = "applied"      // another state is canonical, with all that follows from it
	Delivered    Boundary = "delivered"    // a message was told, or taken back
	Queued       Boundary = "queued"       // a local request waits
	Gated        Boundary = "gated"        // leaving or disbanding blocks other work
	Ended        Boundary = "ended"        // this copy takes no further part
	Stopped      Boundary = "stopped"      // the group needs help
)

// cross notes that this step crosses a boundary, once.
func (s *step) cross(b Boundary) {
	if !slices.Contains(s.out.Crossed, b) {
		s.out.Crossed = append(s.out.Crossed, b)
	}
}
