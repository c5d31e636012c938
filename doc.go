// Package marmot is end-to-end encrypted group messaging over Nostr relays:
// accounts, groups and messages, for bots, bridges and clients.
//
// An [Account] is a Nostr key with its groups. [Open] starts it: it connects
// to its relays, keeps a key package published so that it can be invited, and
// stores everything that must not be lost before it tells anyone. What
// happened comes as [Update] values in a log with a cursor; what was not
// acknowledged comes again after a restart.
package marmot
