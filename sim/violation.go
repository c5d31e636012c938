package sim

import (
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

// violation makes the bytes of one message that the rules forbid. An error
// means that this member cannot even make it.
type violation func(k *kit) ([]byte, error)

// kit is what a rogue works with: its state and its key, and package mls.
type kit struct {
	m      *member
	state  *state
	group  *mls.Group
	signer ed25519.PrivateKey
}

func update(id mls.ComponentID, data []byte) mls.CommitConfig {
	return mls.CommitConfig{Proposals: []mls.Proposal{mls.AppDataUpdate{Component: id, Data: data}}}
}

func (k *kit) commit(cfg mls.CommitConfig) ([]byte, error) {
	staged, err := k.group.Commit(k.signer, cfg)
	if err != nil {
		return nil, err
	}
	return staged.Message, nil
}

func (k *kit) admin() bool { return k.state.settings.Admins.Contains(k.m.c.account.pub) }

// other returns a leaf of somebody else, an admin or not.
func (k *kit) other(admin bool) (mls.LeafIndex, bool) {
	for i, leaf := range k.group.Leaves() {
		a, err := wire.LeafAccount(leaf)
		if err == nil && a != k.m.c.account.pub && k.state.settings.Admins.Contains(a) == admin {
			return i, true
		}
	}
	return 0, false
}

var errCannot = fmt.Errorf("sim: this member cannot break this rule")

var violations = map[string]violation{
	// A member who is no admin changes the group.
	"rename-unauthorized": func(k *kit) ([]byte, error) {
		if k.admin() {
			return nil, errCannot
		}
		return k.commit(update(wire.ComponentProfile, (&wire.Profile{Name: "mine"}).Append(nil)))
	},
	"remove-unauthorized": func(k *kit) ([]byte, error) {
		leaf, ok := k.other(true)
		if !ok || k.admin() {
			return nil, errCannot
		}
		return k.commit(mls.CommitConfig{Proposals: []mls.Proposal{mls.Remove{Removed: leaf}}, Path: mls.PathAlways})
	},
	// An admin's leaf goes, and the admin list keeps it.
	"admin-without-leaf": func(k *kit) ([]byte, error) {
		leaf, ok := k.other(true)
		if !ok || !k.admin() {
			return nil, errCannot
		}
		return k.commit(mls.CommitConfig{Proposals: []mls.Proposal{mls.Remove{Removed: leaf}}, Path: mls.PathAlways})
	},
	"no-admins": func(k *kit) ([]byte, error) {
		return k.commit(update(wire.ComponentAdmins, wire.NewAdmins().Append(nil)))
	},
	"foreign-admin": func(k *kit) ([]byte, error) {
		return k.commit(update(wire.ComponentAdmins, wire.NewAdmins(k.m.c.account.pub, newAccount(1000).pub).Append(nil)))
	},
	"component-twice": func(k *kit) ([]byte, error) {
		cfg := update(wire.ComponentProfile, (&wire.Profile{Name: "a"}).Append(nil))
		cfg.Proposals = append(cfg.Proposals, cfg.Proposals...)
		return k.commit(cfg)
	},
	"broken-component": func(k *kit) ([]byte, error) { return k.commit(update(wire.ComponentRouting, []byte{1, 2, 3})) },
	"disband-alone": func(k *kit) ([]byte, error) {
		return k.commit(update(wire.ComponentLifecycle, wire.Disbanded.Append(nil)))
	},
	"foreign-proof": func(k *kit) ([]byte, error) {
		ext := wire.LeafExtensions(wire.IdentityProof{})
		return k.commit(mls.CommitConfig{Path: mls.PathAlways, Leaf: &mls.LeafChange{Extensions: &ext}})
	},
	"inline-departure": func(k *kit) ([]byte, error) {
		return k.commit(mls.CommitConfig{Proposals: []mls.Proposal{mls.SelfRemove{}}, Path: mls.PathAlways})
	},
	// Bytes that no state authenticates: they wait until they expire.
	"changed-commit": func(k *kit) ([]byte, error) {
		b, err := k.commit(mls.CommitConfig{Path: mls.PathAlways})
		if err == nil {
			b = slices.Clone(b)
			b[len(b)-1] ^= 1
		}
		return b, err
	},
	"cut-commit": func(k *kit) ([]byte, error) {
		b, err := k.commit(mls.CommitConfig{Path: mls.PathAlways})
		return b[:len(b)/2], err
	},
	"hidden-proposal": func(k *kit) ([]byte, error) {
		b, err := k.group.Propose(k.signer, mls.AppDataUpdate{Component: wire.ComponentProfile, Data: (&wire.Profile{Name: "hidden"}).Append(nil)}, mls.FrameConfig{})
		if err != nil {
			return nil, err
		}
		m, err := mls.DecodeMessage(b)
		if err != nil {
			return nil, err
		}
		v, err := k.group.Verify(m)
		if err != nil {
			return nil, err
		}
		return k.commit(mls.CommitConfig{References: []*mls.VerifiedProposal{v.(*mls.VerifiedProposal)}})
	},
	"admin-departure": func(k *kit) ([]byte, error) {
		if !k.admin() {
			return nil, errCannot
		}
		return k.group.Propose(k.signer, mls.SelfRemove{}, mls.FrameConfig{})
	},
	"proposal-unauthorized": func(k *kit) ([]byte, error) {
		if k.admin() {
			return nil, errCannot
		}
		return k.group.Propose(k.signer, mls.AppDataUpdate{Component: wire.ComponentProfile, Data: (&wire.Profile{Name: "x"}).Append(nil)}, mls.FrameConfig{})
	},
	// Not forbidden by itself; what a member makes of it who is no admin is.
	"proposal-of-an-admin": func(k *kit) ([]byte, error) {
		if !k.admin() {
			return nil, errCannot
		}
		return k.group.Propose(k.signer, mls.AppDataUpdate{Component: wire.ComponentProfile, Data: (&wire.Profile{Name: "proposed"}).Append(nil)}, mls.FrameConfig{})
	},
	"commit-unauthorized": func(k *kit) ([]byte, error) {
		cfg := mls.CommitConfig{Path: mls.PathAlways}
		for _, p := range k.m.c.w.ledger.props[k.state] {
			if _, ok := p.Proposal().(mls.AppDataUpdate); ok {
				cfg.References = append(cfg.References, p)
			}
		}
		if k.admin() || len(cfg.References) != 1 {
			return nil, errCannot
		}
		return k.commit(cfg)
	},
	"private-commit": func(k *kit) ([]byte, error) { return k.commit(mls.CommitConfig{Path: mls.PathAlways, Private: true}) },
	"impersonation": func(k *kit) ([]byte, error) {
		p := wire.NewPayload(newAccount(1000).pub, wire.KindChat, "I am somebody else", nil, nostr.Timestamp(0))
		sealed, err := k.group.Protect(k.signer, wire.EncodePayload(p), nil)
		return sealed.Message, err
	},
	"no-payload": func(k *kit) ([]byte, error) {
		sealed, err := k.group.Protect(k.signer, []byte("{}"), nil)
		return sealed.Message, err
	},
}

var violationNames = slices.Sorted(maps.Keys(violations))

// violate: client, group, which rule.
func (w *World) violate(args []string) error {
	f := violations[args[2]]
	if f == nil {
		return fmt.Errorf("%w: unknown violation %q", ErrScript, args[2])
	}
	m, records, err := w.betray(args)
	if m == nil || err != nil {
		return err
	}
	k, err := w.newKit(m, records)
	if err != nil || k == nil {
		return err
	}
	b, err := f(k)
	if err != nil {
		return nil // package mls refuses to make it
	}
	w.ledger.broken[wire.MessageIDOf(b)] = args[2]
	w.ledger.proposed(m, k.state, b)
	return w.sealAside(m, k.state, b)
}

// newKit reads a rogue's keys from its data. They are read once for a state,
// so that no generation of a ratchet is used twice: which of two such messages
// somebody opens would depend on their order.
func (w *World) newKit(m *member, records []group.Record) (*kit, error) {
	s := w.ledger.named(m.g.Tip())
	if k := m.kit; k != nil && k.state == s {
		return k, nil
	}
	at := map[string]group.Record{}
	for _, r := range records {
		at[r.Key] = r
	}
	id := ""
	mine := w.ledger.bySeat[m.seat]
	for key, r := range mine {
		if r.group != nil && nameOfState(r.group) == s.name {
			id = key
		}
	}
	node, err := parseNode(at["node/"+id].Value)
	if err != nil {
		return nil, err
	}
	k := &kit{m: m, state: s}
	if k.group, err = w.ledger.decode(mine, node, at["secrets/"+id].Value, at["ratchets/"+id].Value); err != nil {
		return nil, err
	}
	leaf, ok := k.group.Leaf(k.group.Self())
	if !ok {
		return nil, nil
	}
	want := hex.EncodeToString(leaf.SignatureKey)
	for key, r := range at {
		if strings.TrimPrefix(key, "key/") == want {
			k.signer = ed25519.NewKeyFromSeed(r.Value)
		}
	}
	m.kit = k
	return k, nil
}
