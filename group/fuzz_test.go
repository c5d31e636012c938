package group

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/wire"
)

// FuzzLoad damages one stored record: the group loads and works on, or says
// that it is damaged.
func FuzzLoad(f *testing.F) {
	_, alice, bob, carol := rivals(f)
	carol.receive(append(alice.sent, bob.sent...)...)
	carol.mute = true
	carol.step(SelfUpdate{Ref: "waits"})
	records := carol.records()
	for i, r := range records {
		f.Add(uint16(i), 0, r.Value)
		f.Add(uint16(i), len(r.Value)/2, []byte("0"))
	}
	f.Add(uint16(0), 0, []byte("null"))
	f.Fuzz(func(t *testing.T, which uint16, at int, patch []byte) {
		damaged := append([]Record(nil), records...)
		r := &damaged[int(which)%len(damaged)]
		value := bytes.Clone(r.Value)
		if at <= 0 || at >= len(value) {
			value = patch
		} else {
			copy(value[at:], patch)
		}
		r.Value = value
		g, _, err := Load(carol.w.now, carol.cfg, damaged)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Errorf("%v is not an ErrCorrupt", err)
			}
			return
		}
		now := carol.w.now
		for range 3 {
			now = now.Add(quiescence)
			if _, err := g.Step(now, Tick{}); err != nil && !errors.Is(err, ErrCorrupt) {
				t.Error(err)
			}
			_ = g.Status()
		}
	})
}

// FuzzReceived puts arbitrary bytes into a correct envelope: never a panic,
// never another tip than by a commit that a member signed.
func FuzzReceived(f *testing.F) {
	_, alice, _, carol, dave := quartet(f)
	f.Add(alice.commit(renameConfig("x")))
	f.Add(dave.propose(mls.SelfRemove{}))
	signer, _ := dave.g.signer(dave.g.tip)
	sealed, err := dave.fork().g.tip.state.Protect(signer, wire.EncodePayload(wire.NewPayload(dave.pub(), wire.KindChat, "x", nil, 1)), nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed.Message)
	f.Add([]byte{})
	records := carol.records()
	n := dave.g.tip
	f.Fuzz(func(t *testing.T, message []byte) {
		if len(message) == 0 || len(message) > 1<<15 {
			return
		}
		g, _, err := Load(carol.w.now, carol.cfg, records)
		if err != nil {
			t.Fatal(err)
		}
		key, err := n.eventKey()
		if err != nil {
			t.Fatal(err)
		}
		e, err := wire.SealGroupEvent(key, n.settings.Routing.GroupID, message, 1, 0)
		if err != nil {
			return // larger than an envelope takes
		}
		tip := g.tip.id
		if _, err := g.Step(carol.w.now, Received{Event: e}); err != nil {
			t.Error(err)
		}
		if _, err := g.Step(carol.w.now.Add(quiescence), Tick{}); err != nil {
			t.Error(err)
		}
		if g.tip.id != tip && g.tip.id != stateID(wire.MessageIDOf(message)) {
			t.Error("another tip")
		}
	})
}

// benchGroup is a settled pair of clients in a group of n members.
func benchGroup(b *testing.B, n int) (alice, bob *client) {
	w := newWorld(b, "alice", "bob")
	alice, bob = w.client("alice"), w.client("bob")
	key, proof := alice.signatureKey()
	cfg := CreateConfig{Config: alice.cfg, Relays: []string{"wss://a.example"}, Signer: key, Proof: proof}
	mine := bob.keyPackage()
	cfg.Invitees = []Invitee{{KeyPackage: mine.event, Inbox: []string{"wss://i.example"}}}
	for i := range n - 2 {
		c := &client{w: w, name: fmt.Sprint(i)}
		c.secret[31], c.secret[30] = byte(i), 1
		c.cfg.Self = c.secret.PubKey()
		cfg.Invitees = append(cfg.Invitees, Invitee{KeyPackage: c.keyPackage().event, Inbox: []string{"wss://i.example"}})
	}
	g, out, err := Create(w.now, cfg)
	alice.g = g
	alice.apply(out, err)
	alice.mute = true
	bob.join(alice, mine)
	bob.mute = true
	bob.g.queue = nil // no update of its own
	return alice, bob
}

func BenchmarkStepMessage(b *testing.B) {
	for _, n := range []int{2, 50} {
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			alice, bob := benchGroup(b, n)
			for b.Loop() {
				b.StopTimer()
				alice.say("hello")
				e := alice.sent[len(alice.sent)-1]
				b.StartTimer()
				if _, err := bob.g.Step(bob.w.now, Received{Event: e}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkStepCommit(b *testing.B) {
	for _, n := range []int{2, 50} {
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			alice, bob := benchGroup(b, n)
			alice.mute = false
			for b.Loop() {
				b.StopTimer()
				alice.step(SetProfile{Profile: wire.Profile{Name: "n"}})
				e := alice.sent[len(alice.sent)-1]
				b.StartTimer()
				for _, in := range []Input{Received{Event: e}, Tick{}} {
					if _, err := bob.g.Step(bob.w.now, in); err != nil {
						b.Fatal(err)
					}
					bob.w.now = bob.w.now.Add(time.Second)
				}
			}
		})
	}
}
