package marmot

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr/relay"
)

// FeedHealth is how one relay does for one thing that the account listens to.
type FeedHealth struct {
	URL      string    `json:"url"`
	Group    string    `json:"group,omitempty"` // see [Group.ID]; empty for the account's inbox
	Synced   bool      `json:"synced"`          // all that was missed was fetched, since the last connect
	Until    time.Time `json:"until,omitzero"`  // fetched completely up to then
	Filling  bool      `json:"filling"`         // it is being asked right now
	Tried    bool      `json:"tried"`           // it was asked since the account was opened
	Failures int       `json:"failures"`        // in a row
	Ended    bool      `json:"ended"`           // the relay ended the subscription
	RetryAt  time.Time `json:"retry_at,omitzero"`
}

// Health is what can be said of the account beside its groups.
type Health struct {
	Feeds       []FeedHealth
	Relays      []relay.Health
	KeyPackage  bool      // a relay has a key package: the account can be invited
	NotAfter    time.Time // when the newest one ends
	Listed      bool      // the relay lists were signed
	Unpublished int       // public events that no relay has taken
	Suspended   []string  // groups whose state cannot be read or stored at the moment
	Invitations int       // that wait for a decision
	Refused     Counts    // inputs refused since the account was opened
}

// Health describes relays, key packages and what waits. It asks nobody.
func (a *Account) Health(ctx context.Context) (Health, error) {
	h := Health{Refused: a.Refused(), Relays: a.pool.Health()}
	err := a.do(ctx, func() error {
		for _, l := range a.groups {
			for _, address := range l.addresses {
				for _, url := range address.Relays {
					if f := a.feeds[groupFeed(address, url)]; f != nil {
						h.Feeds = append(h.Feeds, f.health(l.key))
					}
				}
			}
		}
		for _, f := range a.feeds {
			if f.purpose != purposeGroup {
				h.Feeds = append(h.Feeds, f.health(""))
			}
		}
		for _, k := range a.packages {
			if k.NotAfter.After(h.NotAfter) {
				h.NotAfter = k.NotAfter
			}
		}
		for _, o := range a.own {
			if !o.taken() {
				h.Unpublished++
			}
		}
		for key := range a.suspended {
			h.Suspended = append(h.Suspended, key)
		}
		h.KeyPackage, h.Listed, h.Invitations = a.invitable(), a.record.Listed, len(a.invitations)
		return nil
	})
	slices.Sort(h.Suspended)
	slices.SortFunc(h.Feeds, func(x, y FeedHealth) int {
		return cmp.Or(cmp.Compare(x.Group, y.Group), cmp.Compare(x.URL, y.URL))
	})
	return h, err
}

func (f *feed) health(group string) FeedHealth {
	h := FeedHealth{
		URL: f.url, Group: group, Synced: f.synced, Filling: f.filling, Tried: f.tried, Failures: f.failures, Ended: f.dead || f.listener != nil && f.listener.dead, RetryAt: f.fillAt,
	}
	if f.until > 0 {
		h.Until = time.Unix(int64(f.until), 0)
	}
	return h
}

// rememberRelays starts from what was known of the relays when the account was
// closed: a dead one is not waited for again.
func (a *Account) rememberRelays() {
	b, err := a.cfg.Store.Get(keyRelays)
	if err != nil || b == nil {
		return
	}
	var all []relay.Health
	if json.Unmarshal(b, &all) == nil { // else it is learned anew
		a.pool.Remember(all)
		a.remembered = all
	}
}

// keepRelays stores what is known of the relays, if that says something new: most
// short runs learn nothing and write nothing.
func (a *Account) keepRelays() {
	all := a.pool.Health()
	same := slices.EqualFunc(all, a.remembered, func(x, y relay.Health) bool {
		return x.URL == y.URL && x.Failing() == y.Failing() && x.LastAnswer.Sub(y.LastAnswer) < time.Hour
	})
	if same {
		return
	}
	if err := a.write([]group.Record{{Key: keyRelays, Value: encode(all)}}, nil); err != nil {
		a.cfg.Log.Warn("what is known of the relays was not stored", "error", err)
	}
}
