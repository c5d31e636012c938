package sim

import (
	"math/rand/v2"
	"time"

	"github.com/marmotgo/marmot/group"
)

// Draw makes the world of a seed. Most are small, because a small world is
// played often; every kind of trouble is in about a third of them, so that
// each also meets worlds without it.
func Draw(seed uint64) Config {
	rng := rand.New(rand.NewPCG(seed, 0))
	some := func(p, of float64) float64 {
		if rng.Float64() < p {
			return of * (0.3 + rng.Float64())
		}
		return 0
	}
	cfg := Config{
		Seed: seed, Clients: []int{2, 3, 3, 3, 3, 3, 4, 4}[rng.IntN(8)], Groups: 1, Relays: 1 + rng.IntN(2), Actions: 3 + rng.IntN(6),
		Pace:  []time.Duration{150, 500, 900, 2500}[rng.IntN(4)] * time.Millisecond,
		Delay: []time.Duration{40, 300, 900, 1600, 4000}[rng.IntN(5)] * time.Millisecond,
		Loss:  some(0.5, 0.2), Repeat: some(0.4, 0.15), Silent: some(0.4, 0.15), Unreachable: some(0.3, 0.1),
		Refuse: some(0.2, 0.1), Crash: some(0.4, 0.05), Cut: some(0.3, 0.2), Malice: some(0.3, 0.3),
		Burst: some(0.6, 0.5), Admins: some(0.8, 1), JoinUpdate: 24 * time.Hour,
	}
	switch rng.IntN(32) {
	case 0:
		cfg.Clients, cfg.Actions = 5+rng.IntN(4), 15+rng.IntN(20)
	case 1:
		cfg.Groups, cfg.Actions = 2, 16
	case 2:
		cfg.JoinUpdate = 0
	case 3, 4, 5, 6, 7, 8:
		cfg.Actions += 2 + rng.IntN(8)
	}
	if rng.IntN(5) == 0 {
		cfg.Liars, cfg.Relays = true, 2+rng.IntN(2)
	}
	if cfg.Groups == 1 && cfg.Clients < 5 && cfg.JoinUpdate > 0 && rng.IntN(30) > 0 {
		cfg.Beginning = Beginning{Clients: cfg.Clients, Relays: cfg.Relays, Members: cfg.Clients - cfg.Clients/4}
		cfg.Beginning.Admins = 1 + rng.IntN(cfg.Beginning.Members)
	}
	if rng.IntN(10000) == 0 {
		cfg.crowd(12 + rng.IntN(189))
	}
	cfg.SQLite = cfg.Clients < 9 && rng.IntN(40) == 0
	cfg.Busy = rng.IntN(4) == 0
	if cfg.Relays > 1 && !cfg.Liars && rng.IntN(4) == 0 {
		cfg.Split, cfg.Cut, cfg.Unreachable, cfg.Actions = true, 0, 0, 8+rng.IntN(18)
		cfg.Busy = cfg.Busy || rng.IntN(2) == 0
	}
	if rng.IntN(4) == 0 {
		cfg.Skew, cfg.Jump = []time.Duration{2 * time.Second, time.Hour, 72 * time.Hour}[rng.IntN(3)], some(0.5, 0.1)
	}
	if rng.IntN(8) == 0 {
		cfg.older()
	}
	return cfg
}

// older makes it a world of protocol v1. There what is dated more than five minutes
// ahead is not taken, so that clocks must agree better; and messages are encrypted,
// so that a member who makes two commits with one key parts those who can read the
// one from those who can read the other, for good: see drawMalice.
func (cfg *Config) older() {
	cfg.Protocol, cfg.Beginning.V1 = group.V1, cfg.Beginning != Beginning{}
	cfg.Skew, cfg.Jump = min(cfg.Skew, 2*time.Second), 0
}

// crowd makes it a world of many clients, with little trouble: it is played
// for what many do to a group, and each of its steps costs as many.
func (cfg *Config) crowd(n int) {
	cfg.Clients, cfg.Groups, cfg.Actions, cfg.Beginning, cfg.Liars = n, 1, 12, Beginning{}, false
	cfg.Relays, cfg.Admins, cfg.JoinUpdate = 1, 0.02, 24*time.Hour
	cfg.Crash, cfg.Loss = cfg.Crash/10, cfg.Loss/4
}
