// Package sim plays groups of many clients against relays that delay, lose,
// repeat and reorder, in virtual time and from one seed. It drives the real
// code of group, wire and mls; only the network, the disk and the clock are
// models. It is a test harness for this project and for those who build on it.
package sim
