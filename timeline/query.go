package timeline

// Query chooses rows of the timeline. They come in order of their cursors, or
// the newest first; a page is followed by the one after its last cursor.
type Query struct {
	Group  string // the MLS group id in hex; empty for all groups
	After  uint64 // cursors above it; 0 is the beginning
	Before uint64 // cursors below it; 0 is no bound
	Newest bool   // the newest first
	Limit  int    // at most this many; 0 is DefaultLimit
	// Search keeps messages that contain all these words. Words in quotes stand
	// side by side; the last word may be the beginning of one. Case and accents
	// do not matter. Empty keeps everything.
	Search string
}

// DefaultLimit is the size of a page that asks for none.
const DefaultLimit = 100

// Follow makes a query go on behind the last row of a page.
func (q *Query) Follow(last Message) {
	if q.Newest {
		q.Before = last.Cursor
	} else {
		q.After = last.Cursor
	}
}
