package sim

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var mutantsFlag = flag.String("mutants", "", `break the rules of package group one by one and demand that it is noticed: "all", "K/N" for every Nth from the Kth, or part of a name`)

// mutant is one wrong rule: a text of a file of package group and what stands
// there instead.
type mutant struct{ name, file, old, new string }

// What can make no difference is not here: a prefix of a branch never beats
// the branch, and no eligible branch is longer than the window of witnesses and
// still in need of them. Marks that are kept twice are not either.
var mutants = []mutant{
	// Branch selection.
	{"the quorum adds no depth", "v2_choose.go", "depth += quorumBoost", "depth += 0 * quorumBoost"},
	{"no rule 1: depth", "v2_choose.go", "\t\tcmp.Compare(b.effective(), other.effective()),\n", ""},
	{"no rule 2: quorum", "v2_choose.go", "\t\tcompareBool(b.quorum, other.quorum),\n", ""},
	{"no rule 3: score", "v2_choose.go", "\t\tcmp.Compare(b.score, other.score),\n", ""},
	{"no rule 4: priority", "v2_choose.go", "\t\tcompareBool(p.Privileged, q.Privileged),\n", ""},
	{"no rule 5: committer", "v2_choose.go", "\t\tbytes.Compare(q.Committer[:], p.Committer[:]),\n", ""},
	{"no rule 6: digest", "v2_choose.go", "\t\tbytes.Compare(other.tip.id[:], b.tip.id[:]),\n", ""},
	{"the higher committer wins", "v2_choose.go", "bytes.Compare(q.Committer[:], p.Committer[:])", "bytes.Compare(p.Committer[:], q.Committer[:])"},
	{"the higher digest wins", "v2_choose.go", "bytes.Compare(other.tip.id[:], b.tip.id[:])", "bytes.Compare(b.tip.id[:], other.tip.id[:])"},
	{"ordinary beats privileged", "v2_choose.go", "compareBool(p.Privileged, q.Privileged)", "compareBool(q.Privileged, p.Privileged)"},
	{"priority before witnesses", "v2_choose.go", "\t\tcmp.Compare(b.score, other.score),\n\t\tcompareBool(p.Privileged, q.Privileged),\n", "\t\tcompareBool(p.Privileged, q.Privileged),\n\t\tcmp.Compare(b.score, other.score),\n"},
	{"committer before priority", "v2_choose.go", "\t\tcompareBool(p.Privileged, q.Privileged),\n\t\tbytes.Compare(q.Committer[:], p.Committer[:]),\n", "\t\tbytes.Compare(q.Committer[:], p.Committer[:]),\n\t\tcompareBool(p.Privileged, q.Privileged),\n"},
	{"raw depth decides first", "v2_choose.go", "\torder := cmp.Or(\n", "\torder := cmp.Or(\n\t\tcmp.Compare(b.tip.epoch, other.tip.epoch),\n"},
	{"the horizon moves and nothing is compared again", "advance.go", "if best := s.g.gen.choose(s.g, s.g.tip.epoch); best != nil && best != s.g.tip {", "if false {\n\t\tbest := s.g.tip\n\t\t_ = best"},
	{"the first found stays", "v2_choose.go", "if best == nil || b.beats(best) {", "if best == nil {"},
	// The common start and the horizon.
	{"wrong base: rivals below the tip are left out", "v2_choose.go", "if in.Epoch < start && in.Epoch+maxRewind >= base {", "if false {"},
	{"wrong base: as old as can be", "v2_choose.go", "if oldest := g.oldestCanonical(); start < oldest {", "if oldest := g.oldestCanonical(); start != oldest {"},
	{"the horizon is four epochs", "v2_choose.go", "in.Epoch+maxRewind >= base", "in.Epoch+maxRewind > base"},
	{"the horizon is six epochs", "group.go", "\treturn g.tip.epoch - maxRewind\n", "\treturn g.tip.epoch - maxRewind - 1\n"},
	{"commits without a place move the start", "v2_choose.go", "in.Disposition != deferred || n == nil || n.private()", "in.Disposition != deferred || n.private()"},
	{"a loser cannot win back", "advance.go", "\t\tin.Disposition = deferred\n\t\tin.Judged = true\n", "\t\tin.Disposition = rejected\n\t\tin.Judged = true\n"},
	// Witnesses.
	{"a witness counts for each message", "v2_choose.go", "accounts[n.epoch][in.Sender] = true", "accounts[n.epoch][nostr.PubKey(in.ID)] = true"},
	{"witnesses of an epoch count without bound", "v2_choose.go", "b.score += min(len(seen), quorumSize)", "b.score += len(seen)"},
	{"one account is a quorum", "v2_choose.go", "len(seen) >= quorumSize", "len(seen) >= quorumSize-1"},
	{"three accounts are a quorum", "v2_choose.go", "len(seen) >= quorumSize", "len(seen) > quorumSize"},
	{"witnesses at the fork count", "v2_choose.go", "n.epoch <= root.epoch", "n.epoch < root.epoch"},
	{"witnesses of other branches count", "v2_choose.go", " || !n.leadsTo(tip) {\n\t\t\tcontinue\n\t\t}\n\t\tif accounts", " {\n\t\t\tcontinue\n\t\t}\n\t\tif accounts"},
	{"own messages do not count", "v2_choose.go", "!in.opened() || in.Disposition == rejected", "!in.opened() || in.Own || in.Disposition == rejected"},
	{"delivered messages do not count", "v2_choose.go", "!in.opened() || in.Disposition == rejected", "!in.opened() || in.Disposition == accepted || in.Disposition == rejected"},
	{"invalidated messages do not count", "v2_choose.go", "!in.opened() || in.Disposition == rejected", "!in.opened() || in.Disposition == invalidated || in.Disposition == rejected"},
	{"a late witness opens no pass", "pass.go", "return seen && s.g.gen.witnessed()", "return false && seen && s.g.gen.witnessed()"},
	{"a second account counts as known", "pass.go", "other.State == n.id && other.Sender == in.Sender {", "other.State == n.id {"},
	// Passes.
	{"a pass closes at once", "pass.go", "return !now.Before(p.cutoff()) || now.Before(p.Opened)", "return true"},
	{"a pass is not prolonged", "pass.go", "\tdefault:\n\t\tg.meta.Pass.Quiesce = s.now.Add(quiet)\n", "\tdefault:\n"},
	{"a pass is prolonged without end", "pass.go", "\tif p.Quiesce.Before(p.Deadline) {\n\t\treturn p.Quiesce\n\t}\n\treturn p.Deadline\n", "\treturn p.Quiesce\n"},
	{"passes open while a commit is pending", "pass.go", "g.pending() != nil || s.holds()", "s.holds()"},
	// Who may commit.
	{"departures are privileged", "v2_authority.go", "(len(props) > 0 && selfRemoves == len(props))", "(len(props) > 0 && selfRemoves > len(props))"},
	{"everybody may commit", "v2_authority.go", "info.Privileged && !parent.isAdmin(committer)", "info.Privileged && false && !parent.isAdmin(committer)"},
	{"admins need no leaf", "v2_authority.go", "\treturn allMembers(n.settings.Admins, n.members())\n", "\treturn nil\n"},
	// Protocol v1.
	{"v1: the later commit wins", "v1_choose.go", "g.evidenceOf(c).before(g.evidenceOf(best))", "g.evidenceOf(best).before(g.evidenceOf(c))"},
	{"v1: the first found stays", "v1_choose.go", "(best == nil || g.evidenceOf(c).before(g.evidenceOf(best)))", "best == nil"},
	{"v1: equal times are not told apart", "generation.go", "bytes.Compare(e.Event[:], other.Event[:])) < 0", "0*bytes.Compare(e.Event[:], other.Event[:])) < 0"},
	{"v1: the higher id wins", "generation.go", "bytes.Compare(e.Event[:], other.Event[:])) < 0", "bytes.Compare(other.Event[:], e.Event[:])) < 0"},
	{"v1: the id decides, not the time", "generation.go", "cmp.Compare(e.At, other.At), bytes", "0*cmp.Compare(e.At, other.At), bytes"},
	{"v1: another event of a commit changes nothing", "generation.go", "\tin.Evidence = ev\n", ""},
	{"v1: another event of a commit opens no pass", "generation.go", "in.Judged, in.Offered, s.changed = false, false, true", "s.changed = true"},
	{"v1: nothing is gone back on", "v1_choose.go", "n := g.tip.ancestor(g.oldestCanonical())", "n := g.tip"},
	{"v1: a pass closes too early", "v1_choose.go", "v1Quiescence = 250 * time.Millisecond", "v1Quiescence = 100 * time.Millisecond"},
	// Messages and secrets.
	{"messages on other branches are shown", "advance.go", "return n != nil && n.leadsTo(g.tip)", "return n != nil"},
	{"copies of a payload are shown", "advance.go", "s.acceptMessage(in, !g.shown(in.Inner))", "s.acceptMessage(in, true)"},
	{"own messages are not sent again", "advance.go", "\ts.deliver()\n\ts.resend()\n", "\ts.deliver()\n"},
	{"secrets stay", "advance.go", "\ts.drop(keySecrets + n.id.String())\n\ts.drop(keyRatchets", "\ts.drop(keyRatchets"},
	{"signature keys stay", "advance.go", "\t\tif !used[pub] {\n", "\t\tif false {\n"},
	{"opened keys stay", "step.go", "if n.usable() && s.g.nodes[n.id] == n {", "if false && n.usable() && s.g.nodes[n.id] == n {"},
	{"what waits is forgotten", "receive.go", "waiting := sorted(s.g.index.open, func", "waiting := sorted(nil, func"},
}

func groupFile(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "group", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// mutate returns a file of package group with one rule wrong.
func (m *mutant) mutate(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(groupFile(t, m.file))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), m.old); n != 1 {
		t.Errorf("%s: its text is %d times in %s: adapt the mutant to the code", m.name, n, m.file)
	}
	return strings.Replace(string(text), m.old, m.new, 1)
}

// TestMutants demands that each wrong rule is noticed by the small worlds, the
// scripts or a few histories. The code itself stays as it is: the compiler is
// given another file in place of one of package group's.
func TestMutants(t *testing.T) {
	caught := 0
	for i := range mutants {
		m := &mutants[i]
		text := m.mutate(t)
		if !m.wanted(i) {
			continue
		}
		t.Run(strings.ReplaceAll(m.name, " ", "_"), func(t *testing.T) {
			how, noticed := m.run(t, text)
			if !noticed {
				t.Errorf("nobody notices that %s", m.name)
				return
			}
			caught++
			t.Log(how)
		})
	}
	if *mutantsFlag != "" {
		fmt.Printf("%d mutants caught\n", caught)
	}
}

// wanted reports whether a mutant is to be run.
func (m *mutant) wanted(i int) bool {
	k, n := 0, 0
	if _, err := fmt.Sscanf(*mutantsFlag, "%d/%d", &k, &n); err == nil && n > 0 {
		return i%n == k%n
	}
	return *mutantsFlag == "all" || *mutantsFlag != "" && strings.Contains(m.name, *mutantsFlag)
}

// run builds this package's tests over the mutant and runs them until the
// first failure.
func (m *mutant) run(t *testing.T, text string) (how string, noticed bool) {
	t.Helper()
	dir := t.TempDir()
	file, overlay, binary := filepath.Join(dir, m.file), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "sim.test")
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {groupFile(t, m.file): file}})
	err = errors.Join(err, os.WriteFile(file, []byte(text), 0o600), os.WriteFile(overlay, replace, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "test", "-c", "-vet=off", "-ldflags=-s -w", "-overlay", overlay, "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("the mutant does not build: %v\n%s", err, out)
	}
	for _, stage := range [][]string{
		{"-test.run", "Catalogue|Scripts", "-every", "2", "-most", "5"},
		{"-test.run", "Histories", "-seeds", "400"},
	} {
		out, err := exec.Command(binary, append(stage, "-test.failfast", "-test.timeout", "10m")...).CombinedOutput()
		if err != nil {
			return firstLines(string(out), 6), true
		}
	}
	return "", false
}

func firstLines(text string, n int) string {
	lines := strings.SplitN(text, "\n", n+1)
	return strings.Join(lines[:min(n, len(lines))], "\n")
}
