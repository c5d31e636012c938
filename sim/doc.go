// Package sim plays groups of many clients against relays that delay, lose,
// repeat, withhold, forge and forget, in virtual time and from one seed. It
// drives the real code of group, wire, mls and store; only the network, the
// clock and, for most histories, the disk are models. It is a test harness for
// this project and for those who build on it; docs/simulator.md tells how to
// use it.
//
// What a history comes to is judged by an oracle (ledger.go, model.go,
// check.go) that shares no code with package group: it reads the commits
// themselves with package mls and chooses by the text of the specification.
package sim
