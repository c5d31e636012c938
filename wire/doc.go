// Package wire holds Marmot's bytes on Nostr, protocol v2: key package events
// (kind 30443), welcomes (kind 444 in a gift wrap), group events (kind 445),
// application payloads and the app components of a group.
//
// Everything here is a value. Nothing does I/O, reads a clock or holds state;
// what needs the account's key is returned as an unsigned event.
package wire
