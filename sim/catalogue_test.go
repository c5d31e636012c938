package sim

import (
	"flag"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"testing"
	"testing/cryptotest"
	"time"
)

var (
	every = flag.Int("every", 2, "explore small worlds of up to so many inputs with every repetition and every crash; the others in every order")
	most  = flag.Int("most", 4, "explore only small worlds of up to so many inputs")
)

// TestCatalogue explores the small worlds: every order, every single input
// twice, every single crash point. All orders come to the same end, which is
// where the text of the specification leads.
func TestCatalogue(t *testing.T) {
	total, worlds := 0, 0
	for i := range Catalogue {
		s := &Catalogue[i]
		t.Run(strings.ReplaceAll(s.Name, " ", "_"), func(t *testing.T) {
			clients := max(s.Clients, 4)
			begin := template(t, &Beginning{Clients: clients, Relays: 1, Members: clients, Admins: s.Admins, V1: s.V1})
			h := fnv.New64()
			h.Write([]byte(s.Name))
			cryptotest.SetGlobalRandom(t, h.Sum64())
			at, err := s.prepare(begin)
			if err != nil {
				t.Fatal(err)
			}
			for _, who := range s.See {
				n := at.explore(t, who)
				total += n
			}
			worlds++
		})
	}
	fmt.Printf("%d runs of %d small worlds\n", total, worlds)
}

// TestCatalogueDeadline has a commit come in every second that would be quiet.
func TestCatalogueDeadline(t *testing.T) {
	s := SmallWorld{Name: "deadline", Make: many(8, "rename alice g0")}
	begin := template(t, &Beginning{Clients: 4, Relays: 1, Members: 4, Admins: 1})
	cryptotest.SetGlobalRandom(t, 1)
	at, err := s.prepare(begin)
	if err == nil {
		_, err = at.observe("carol", at.forObserver("carol"), 900*time.Millisecond, Fault{})
	}
	if err != nil {
		t.Error(err)
	}
}

func (at *scene) explore(t *testing.T, who string) (runs int) {
	t.Helper()
	inputs := at.forObserver(who)
	if len(inputs) == 0 {
		t.Fatalf("%s has no inputs", who)
	}
	if len(inputs) > *most {
		return 0
	}
	acts := at.Acts || len(inputs) < len(at.inputs)
	var first ending
	run := func(order []int, pause time.Duration, f Fault) (int, bool) {
		runs++
		packets := make([]*packet, len(order))
		for i, n := range order {
			packets[i] = inputs[n]
		}
		end, err := at.observe(who, packets, pause, f)
		if runs == 1 {
			first = end
			if !acts {
				at.checkWinner(t, who, end)
			}
		}
		same := end.tip == first.tip && end.shown == first.shown || acts || at.Final && pause > time.Second
		if err != nil || !same {
			t.Errorf("%s takes %v with pauses of %v, %s %s: %v\ncomes to %.8s %s, first it was %.8s %s", who, labelsOf(packets), pause, f.Key, f.Value, err, end.tip, end.shown, first.tip, first.shown)
		}
		return end.writes, err == nil && same
	}
	pauses := []time.Duration{time.Millisecond, 1100 * time.Millisecond}
	ok := orders(len(inputs), func(order []int) bool {
		for _, pause := range pauses {
			writes, ok := run(order, pause, Fault{})
			for n := 1; ok && len(inputs) <= *every && n <= writes; n++ {
				for _, when := range []string{"before", "after"} {
					_, good := run(order, pause, Fault{fmt.Sprintf("crash %s %d", who, n), when + " 0s"})
					ok = ok && good
				}
			}
			if !ok {
				return false
			}
		}
		return true
	})
	if !ok || len(inputs) > *every {
		return runs
	}
	repeated(len(inputs), func(order []int) bool {
		_, ok := run(order, pauses[runs%2], Fault{})
		return ok
	})
	return runs
}

// checkWinner holds the world to what its author meant.
func (at *scene) checkWinner(t *testing.T, who string, end ending) {
	t.Helper()
	if at.Wins == "" {
		return
	}
	maker, nth, _ := strings.Cut(at.Wins, " ")
	var mine []string
	for _, p := range at.world.relays[0].stored {
		if strings.HasPrefix(p.label, maker+"/") && at.world.ledger.commitOf(p) != nil {
			mine = append(mine, at.world.ledger.commitOf(p).name)
		} else if strings.HasPrefix(p.label, maker+"/") && at.world.ledger.stateOf(p.event.ID) != nil {
			mine = append(mine, "")
		}
	}
	mine = slices.DeleteFunc(mine, func(s string) bool { return false })
	var n int
	fmt.Sscan(nth, &n)
	if skip := at.madeBefore(maker); n+skip > len(mine) || mine[n+skip-1] != end.tip {
		t.Errorf("%s ends in %s, and %s was to win", who, at.world.describe(at.world.ledger.named(end.tip)), at.Wins)
	}
}

// madeBefore counts the group events that somebody made before the world's
// steps began.
func (at *scene) madeBefore(maker string) (n int) {
	for _, p := range at.world.cfg.Begin.world.relays[0].stored {
		if strings.HasPrefix(p.label, maker+"/") && at.world.ledger.stateOf(p.event.ID) != nil {
			n++
		}
	}
	return n
}

func (l *ledger) commitOf(p *packet) *state { return l.commits[l.messages[p.event.ID]] }

func labelsOf(packets []*packet) (out []string) {
	for _, p := range packets {
		out = append(out, p.label)
	}
	return out
}
