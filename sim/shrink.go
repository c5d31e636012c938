package sim

import (
	"regexp"
	"slices"
	"strings"
)

// Shrink returns a script that still fails, with as few steps and faults as
// can be found by leaving some out. It asks fails at most tries times.
func Shrink(s *Script, tries int, fails func(*Script) bool) *Script {
	k := &shrinker{best: s, tries: tries, fails: fails}
	for size := -1; size != k.size() && k.tries > 0; {
		size = k.size()
		k.list(func(s *Script) int { return len(s.Faults) }, func(s *Script, from, to int) {
			s.Faults = slices.Delete(slices.Clone(s.Faults), from, to)
		})
		k.list(func(s *Script) int { return len(s.Steps) }, func(s *Script, from, to int) {
			s.Steps = slices.Delete(slices.Clone(s.Steps), from, to)
		})
		k.try(func(s *Script) { s.Liars = false })
		k.try(func(s *Script) { s.SQLite = false })
		if k.best.Begin != nil { // the world's size is that of its beginning
			continue
		}
		k.try(func(s *Script) { s.Relays = max(1, s.Relays-1) })
		k.try(func(s *Script) { s.Clients = max(2, s.Clients-1) })
	}
	return k.best
}

type shrinker struct {
	best  *Script
	tries int
	fails func(*Script) bool
}

func (k *shrinker) size() int {
	return len(k.best.Steps) + len(k.best.Faults) + k.best.Relays + k.best.Clients
}

// try keeps a change if the script still fails.
func (k *shrinker) try(change func(*Script)) bool {
	next := *k.best
	change(&next)
	if k.tries <= 0 || next.String() == k.best.String() {
		return false
	}
	k.tries--
	if !k.fails(&next) {
		return false
	}
	k.best = &next
	return true
}

// list leaves out parts of a list, large ones first.
func (k *shrinker) list(length func(*Script) int, cut func(s *Script, from, to int)) {
	for part := length(k.best); part > 0; part /= 2 {
		for from := 0; from < length(k.best); {
			to := min(from+part, length(k.best))
			if !k.try(func(s *Script) { cut(s, from, to) }) {
				from = to
			}
		}
	}
}

var (
	particulars = regexp.MustCompile(`"[^"]*"|\([^)]*\)|[0-9a-f]{6,}|-?[0-9][0-9.hmsµn]*`)
	people      = regexp.MustCompile(`\b(` + strings.Join(names, "|") + `)\b`)
)

// Shape is what two failures of one kind have in common: the text without
// names and numbers.
func Shape(err error) string {
	if err == nil {
		return ""
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	return people.ReplaceAllString(particulars.ReplaceAllString(line, "N"), "WHO")
}
