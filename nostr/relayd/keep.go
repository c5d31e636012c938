package relayd

import (
	"slices"

	"github.com/marmotgo/marmot/nostr"
)

// dropAtOnce bounds how many events one new event makes room by.
const dropAtOnce = 10_000

// keep gives a verified event to the store. What it returns is the reason of
// the OK message; fresh tells whether subscribers are to hear of the event.
func (s *Server) keep(e *nostr.Event, now nostr.Timestamp) (fresh bool, reason string, err error) {
	if have, err := s.store.Event(e.ID); err != nil || have != nil {
		return false, "duplicate: already have this event", err
	}
	if gone, err := s.isDeleted(e); err != nil || gone {
		return false, "blocked: deleted by its author", err
	}
	if addr := Address(e); addr != "" {
		old, err := s.store.Current(addr)
		switch {
		case err != nil:
			return false, "", err
		case old != nil && NewestFirst(old, e) < 0:
			return false, "duplicate: have a newer event", nil
		case old != nil:
			if err := s.store.Remove(old.ID); err != nil {
				return false, "", err
			}
		}
	}
	if room, err := s.makeRoom(len(e.AppendJSON(nil)), now); err != nil || !room {
		return false, "error: relay is full", err
	}
	if err := s.store.Insert(e); err != nil {
		return false, "", err
	}
	if e.Kind == nostr.KindDeletion {
		err = s.applyDeletion(e)
	}
	return err == nil, "", err
}

func (s *Server) fits(size int) bool {
	events, bytes := s.store.Size()
	return events < s.cfg.MaxEvents && bytes+int64(size) <= s.cfg.MaxBytes
}

// makeRoom drops what has expired, and with DropOldest what is oldest, until
// size bytes more fit.
func (s *Server) makeRoom(size int, now nostr.Timestamp) (bool, error) {
	if s.fits(size) {
		return true, nil
	}
	if err := s.dropExpired(now); err != nil {
		return false, err
	}
	for dropped := 0; s.cfg.DropOldest && !s.fits(size) && dropped < dropAtOnce; dropped++ {
		e, err := s.store.Oldest()
		if err != nil || e == nil {
			return false, err
		}
		if err := s.store.Remove(e.ID); err != nil {
			return false, err
		}
		s.stats.dropped.Add(1)
	}
	return s.fits(size), nil
}

func (s *Server) dropExpired(now nostr.Timestamp) error {
	ids, err := s.store.Expired(now, dropAtOnce)
	for _, id := range ids {
		if err := s.store.Remove(id); err != nil {
			return err
		}
	}
	return err
}

// applyDeletion removes what a kind 5 event names and may delete: its author's
// own events, and gift wraps to its author (NIP-59). A deletion stays.
func (s *Server) applyDeletion(del *nostr.Event) error {
	for t := range del.Tags.All("e") {
		if id, err := nostr.ParseID(t.Value()); err == nil {
			if err := s.removeDeleted(s.store.Event(id)); err != nil {
				return err
			}
		}
	}
	for t := range del.Tags.All("a") {
		if err := s.removeDeleted(s.store.Current(t.Value())); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) removeDeleted(e *nostr.Event, err error) error {
	if err != nil || e == nil {
		return err
	}
	gone, err := s.isDeleted(e)
	if err == nil && gone {
		err = s.store.Remove(e.ID)
	}
	return err
}

// isDeleted reports whether a stored kind 5 event of somebody who may ask for it
// deletes e.
func (s *Server) isDeleted(e *nostr.Event) (bool, error) {
	if e.Kind == nostr.KindDeletion {
		return false, nil
	}
	by, err := s.store.Deleters(e.ID)
	if err != nil {
		return false, err
	}
	if slices.ContainsFunc(by, func(p nostr.PubKey) bool { return p == e.PubKey || IsWrap(e.Kind) && addressedTo(e, p) }) {
		return true, nil
	}
	addr := Address(e)
	if addr == "" {
		return false, nil
	}
	until, err := s.store.DeletedUntil(e.PubKey, addr)
	return until > 0 && e.CreatedAt <= until, err
}
