package sim

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
)

// Client is one person's client with its disk.
type Client struct {
	w       *World
	name    string
	account account
	disk    disk
	offered *keyPackage
	members []*member // one for each time it came into a group
	seen    map[nostr.ID]bool
	skew    time.Duration // of its clock
	life    int           // counts restarts: what was under way is lost
	down    bool
	rogue   bool // it breaks the rules, so nothing is owed to it
	writes  int
	made    int // packets
}

func newClient(w *World, i int) (*Client, error) {
	c := &Client{w: w, name: nameOf(i), account: newAccount(i), seen: map[nostr.ID]bool{}, disk: newModelDisk()}
	if !w.cfg.SQLite {
		return c, nil
	}
	dir, err := mkdir(w.cfg.Dir, c.name)
	if err != nil {
		return nil, err
	}
	c.disk, err = newSQLiteDisk(dir)
	return c, err
}

var names = []string{"alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi"}

func nameOf(i int) string {
	if i < len(names) {
		return names[i]
	}
	return fmt.Sprintf("client%d", i)
}

// now is the time that the client believes it is.
func (c *Client) now() time.Time { return c.w.start.Add(c.w.now + c.skew) }

func (c *Client) timestamp() nostr.Timestamp { return nostr.Timestamp(c.now().Unix()) }

// member returns the client's place in a group, or nil.
func (c *Client) member(group string) *member {
	for _, m := range slices.Backward(c.members) {
		if m.group == group && !m.old {
			return m
		}
	}
	return nil
}

// memberAt finds the group that has an address.
func (c *Client) memberAt(h string) *member {
	for _, m := range slices.Backward(c.members) {
		if !m.old && slices.Contains(m.addresses, h) {
			return m
		}
	}
	return nil
}

// deliver hands a live event to the client. Again is a copy that it gets
// although it has dealt with it.
func (c *Client) deliver(p *packet, again bool) error {
	if c.down || c.seen[p.event.ID] && !again {
		return nil
	}
	return c.takeAll([]*packet{p})
}

// batchSize is how many events become one transaction.
const batchSize = 8

// takeAll takes events in, in batches of one group each.
func (c *Client) takeAll(packets []*packet) error {
	life := c.life
	for len(packets) > 0 && c.life == life {
		p := packets[0]
		if p.event.Kind == nostr.KindGiftWrap {
			packets = packets[1:]
			if err := c.welcome(p); err != nil {
				return err
			}
			continue
		}
		m := c.memberOf(p)
		n := 1
		for n < min(len(packets), batchSize) && packets[n].event.Kind != nostr.KindGiftWrap && c.memberOf(packets[n]) == m {
			n++
		}
		if m != nil {
			if err := m.receive(packets[:n]); err != nil {
				return err
			}
		}
		packets = packets[n:]
	}
	return nil
}

func (c *Client) memberOf(p *packet) *member {
	h, _ := p.event.Tags.Find("h")
	if len(h) < 2 {
		return nil
	}
	return c.memberAt(h[1])
}

// welcome takes an invitation. A client keeps the group it has.
func (c *Client) welcome(p *packet) error {
	if c.offered == nil || c.seen[p.event.ID] {
		return nil
	}
	c.seen[p.event.ID] = true
	invitation, err := c.account.welcome(p.event)
	if err != nil {
		if c.w.ledger.junk[p.event.ID] {
			return nil
		}
		return err
	}
	k := c.offered
	g, out, err := group.Join(c.now(), group.JoinConfig{
		Config: c.config(), Welcome: invitation, KeyPackage: k.event.KeyPackage, Keys: k.keys, Signer: k.key,
	})
	if errors.Is(err, group.ErrInvitation) {
		return nil // made for a key package that was replaced meanwhile
	}
	if err != nil {
		return err
	}
	id := fmt.Sprintf("%x", g.ID())
	if old := c.member(id); old != nil {
		if st := old.g.Status(); !st.Removed && st.Lifecycle != group.Disbanded {
			return nil
		}
		old.old = true
		if err := c.disk.drop(old.prefix()); err != nil {
			return err
		}
	}
	c.offered = nil
	m := newMember(c, id, g)
	c.members = append(c.members, m)
	if err := m.commit([]group.Output{out}, nil, false); err != nil {
		return err
	}
	return c.fetchSoon()
}

// fetchSoon asks all relays for what they have, and holds the groups' passes
// until they have answered.
func (c *Client) fetchSoon() error {
	life := c.life
	for _, r := range c.w.relays {
		c.w.after(20*time.Millisecond, func() error {
			if c.life != life {
				return nil
			}
			return c.w.fetch(c, r)
		})
	}
	c.w.after(20*time.Millisecond, func() error { return c.hold(life, time.Time{}) })
	return c.hold(life, c.now().Add(8*time.Second))
}

func (c *Client) hold(life int, until time.Time) error {
	for _, m := range slices.Clone(c.members) {
		if c.life != life || !m.active() {
			continue
		}
		if err := m.step(group.CatchUp{Until: until, Behind: until}, nil); err != nil {
			return err
		}
	}
	return nil
}

func (c *Client) config() group.Config {
	return group.Config{Self: c.account.pub, JoinUpdateDelay: c.w.cfg.JoinUpdate}
}

// crash stops the client. It comes back from its disk.
func (c *Client) crash(torn *transaction, down time.Duration) error {
	c.w.Stats.Crashes++
	if err := c.disk.crash(torn); err != nil {
		return err
	}
	c.life++
	if down == 0 {
		return c.restart()
	}
	c.down = true
	life := c.life
	c.w.after(down, func() error {
		if c.life != life {
			return nil
		}
		return c.restart()
	})
	return nil
}

func (c *Client) restart() error {
	c.down = false
	life := c.life
	for _, m := range slices.Clone(c.members) {
		if m.old {
			continue
		}
		if err := m.reload(); err != nil || c.life != life {
			return err
		}
	}
	return c.fetchSoon()
}
