package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/marmotgo/marmot"
	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
)

// minPrefix is the shortest beginning of an npub or group id that is taken
// as a name, in characters.
const minPrefix = 4

// pickPerson finds a person by npub, hex, or the beginning of the npub of one
// of the known ones.
func pickPerson(name string, known []nostr.PubKey) (nostr.PubKey, error) {
	if key, err := nostr.ParsePerson(name); err == nil {
		return key, nil
	}
	var found []nostr.PubKey
	for _, key := range known {
		if len(name) >= minPrefix && (strings.HasPrefix(key.Npub(), name) || strings.HasPrefix(key.String(), strings.ToLower(name)) ||
			strings.HasPrefix(key.Npub(), "npub1"+name)) {
			found = append(found, key)
		}
	}
	switch len(found) {
	case 0:
		return nostr.PubKey{}, fmt.Errorf("%w: nobody is called %q here: give an npub", errNotFound, oneLine(name))
	case 1:
		return found[0], nil
	}
	var list []string
	for _, key := range found {
		list = append(list, key.Npub())
	}
	return nostr.PubKey{}, fmt.Errorf("%w: %q may be %s", errUsage, oneLine(name), strings.Join(list, " or "))
}

// pickPeople finds several people among a group's members and by npub.
func pickPeople(names []string, known []nostr.PubKey) ([]nostr.PubKey, error) {
	var out []nostr.PubKey
	for _, name := range names {
		key, err := pickPerson(name, known)
		if err != nil {
			return nil, err
		}
		out = append(out, key)
	}
	return out, nil
}

// pickGroup finds a group by its name, its id or the beginning of its id.
func (s *session) pickGroup(ctx context.Context, name string) (*marmot.Group, group.Status, error) {
	groups, err := s.Groups(ctx)
	if err != nil {
		return nil, group.Status{}, err
	}
	var found []*marmot.Group
	var states []group.Status
	for _, g := range groups {
		st, err := g.Status(ctx)
		if err != nil {
			return nil, st, err
		}
		if g.ID() == name || strings.EqualFold(st.Name, name) || len(name) >= minPrefix && strings.HasPrefix(g.ID(), strings.ToLower(name)) {
			found, states = append(found, g), append(states, st)
		}
	}
	switch len(found) {
	case 0:
		return nil, group.Status{}, fmt.Errorf("%w: no group is called %q: see marmot groups list", errNotFound, oneLine(name))
	case 1:
		return found[0], states[0], nil
	}
	var list []string
	for i, g := range found {
		list = append(list, fmt.Sprintf("%.12s (%s, %d members)", g.ID(), oneLine(states[i].Name), len(states[i].Members)))
	}
	return nil, group.Status{}, fmt.Errorf("%w: %q may be %s", errUsage, oneLine(name), strings.Join(list, " or "))
}
