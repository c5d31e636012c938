package marmot

import (
	"iter"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/timeline"
)

// Store keeps what one account must not lose. Package store has one over
// encrypted SQLite. Its methods may be called from several goroutines. A store
// that keeps traces of deleted values for a while may have a method Tidy() error
// that removes them; the account calls it from time to time.
type Store interface {
	// Get returns a value, or nil without an error if there is none.
	Get(key string) ([]byte, error)
	// Range yields the records whose keys start with prefix, ascending.
	Range(prefix string) iter.Seq2[group.Record, error]
	// Write stores records and appends entries to the log, durably and all at
	// once, or not at all. A record without a value deletes its key. An entry
	// whose key is in the log already is left out.
	Write(records, entries []group.Record) error
	// Entries returns up to limit log entries after a cursor, in order.
	Entries(after uint64, limit int) (cursors []uint64, values [][]byte, err error)
	// Last returns the cursor of the newest log entry; 0 if there is none.
	Last() (cursor uint64, err error)
	TimelineStore
	Close() error
}

// TimelineStore is the part of a [Store] that keeps the timeline, a projection
// of the log. The rules of it are in package timeline.
type TimelineStore interface {
	// Project takes up to limit further log entries in, all at once, and reports
	// whether the whole log is in.
	Project(limit int) (done bool, err error)
	// Rebuild forgets the timeline, so that Project builds it again.
	Rebuild() error
	// Timeline returns rows of what was taken in.
	Timeline(q timeline.Query) ([]timeline.Message, error)
	// Message returns one message; false if there is none with that id.
	Message(group string, id nostr.ID) (timeline.Message, bool, error)
	// FindMessages returns up to limit ids of inner events of a group, which
	// begin with prefix, in hex.
	FindMessages(group, prefix string, limit int) ([]nostr.ID, error)
	// Forget deletes what the log and the timeline have of a group, and writes
	// records, in one transaction.
	Forget(group string, records []group.Record) error
}

// Keys of an account's records.
const (
	keyAccount    = "account"
	keyGroups     = "group/"      // + MLS group id in hex + "/" + the group's own key
	keyTaken      = "taken/"      // + MLS group id in hex, day and part: events that were dealt with
	keySince      = "since/"      // + MLS group id in hex: when the account came into the group
	keyPackages   = "keypackage/" // + reference in hex
	keyOwn        = "own/"        // + id of an event of the account that relays should have
	keyInvitation = "invitation/" // + MLS group id in hex
	keySeen       = "seen/"       // + id of a gift wrap that was dealt with
	keyRelays     = "relays"      // how they have done
	keyDeleted    = "deleted/"    // + id of a key package event that relays were asked to delete
	keyMigrated   = "migrated/"   // + MLS group id in hex: which group of v2 has replaced it
	keySummary    = "summary/"    // + MLS group id in hex: what is known of a group that is not loaded
	keyRoster     = "roster/"     // + MLS group id in hex: its members and admins
	keySync       = "sync/"       // + feed: up to when it is synchronized
	keyAck        = "ack/"        // + subscriber: cursor it acknowledged
)
