package group

import (
	"fmt"
	"slices"
	"testing"

	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/nostr"
)

// TestReader has a reader look at what comes, in any order and over several epochs:
// the group shows the same, and only once.
func TestReader(t *testing.T) {
	for name, make := range map[string]func(*testing.T) (*world, *client, *client){
		"v2": func(t *testing.T) (*world, *client, *client) {
			w, alice, bob, _, _ := quartet(t)
			return w, alice, bob
		},
		"v1": func(t *testing.T) (*world, *client, *client) {
			w, all := quartetV1(t)
			return w, all[0], all[1]
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, alice, bob := make(t)
			w.flood()
			bob.mute = true
			var reader *Reader
			var want []string
			for epoch := range readerStates + 2 {
				alice.sent = nil
				for i := range 20 {
					text := fmt.Sprintf("%d in %d", i, epoch)
					alice.say(text)
					want = append(want, text)
				}
				reader = bob.g.Reader(reader)
				jumbled := slices.Clone(alice.sent)
				slices.Reverse(jumbled)
				ahead := 0
				parallel := func(n int, job func(int)) {
					ahead += n
					for i := range n {
						job(i)
					}
				}
				reader.Check(w.now, append(jumbled, &nostr.Event{}), mls.Parallel(parallel))
				if ahead != 20 {
					t.Errorf("epoch %d: %d messages were read ahead", epoch, ahead)
				}
				if n := len(reader.states); n > readerStates {
					t.Errorf("%d states are kept", n)
				}
				bob.receive(alice.sent...)
				alice.sent = nil
				alice.step(SelfUpdate{Ref: fmt.Sprint(epoch)})
				bob.receive(alice.sent...)
				w.flood()
			}
			slices.Sort(want)
			if got := bob.shown(); !slices.Equal(got, want) {
				t.Errorf("shown: %q\nwanted: %q", got, want)
			}
			reader.Erase()
			reader.Check(w.now, alice.sent, nil)
			(*Reader)(nil).Erase()
		})
	}
}
