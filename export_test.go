package marmot

import (
	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
)

// StopAt lets a test stop the process at a named boundary; see crashHook.
func (c *Config) StopAt(f func(side string, b group.Boundary)) { c.crash = f }

// TakeFrames takes in what a relay sent, as far as it is durable: frames with
// group events, up to a batch of them.
func (a *Account) TakeFrames(frames [][]byte) (settled int, err error) {
	events := make([]*nostr.Event, len(frames))
	for i, frame := range frames {
		m, err := nostr.ParseRelayMessage(frame)
		if err != nil {
			return 0, err
		}
		events[i] = m.Event
	}
	good := a.verifyAll(events)
	err = a.do(a.ctx, func() error {
		for _, ok := range a.receiveBatch(good) {
			if ok {
				settled++
			}
		}
		return nil
	})
	return settled, err
}

// MaxLoaded is how many groups are kept in memory.
const MaxLoaded = maxLoaded

// Loaded returns how many groups are in memory.
func (a *Account) Loaded() (n int) {
	_ = a.do(a.ctx, func() error {
		for _, l := range a.groups {
			if l.state != nil {
				n++
			}
		}
		return nil
	})
	return n
}

// Bounds of what is asked of relays.
const (
	MaxGathers   = maxGathers
	FilterGroups = filterGroups
)
