package sim

import (
	"bufio"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/marmotgo/marmot/group"
)

// Script is a history as a person can read it: who does what and when, and
// what goes wrong. The same script gives the same history, byte for byte.
type Script struct {
	Comment  []string
	Random   uint64         // seed of all keys
	Protocol group.Protocol // empty for v2
	Clients  int
	Relays   int
	Liars    bool
	SQLite   bool
	Join     time.Duration
	Begin    *Beginning // nil: the script founds its groups
	Steps    []Step
	Faults   []Fault
}

// Step is one thing that somebody does.
type Step struct {
	At   time.Duration
	Verb string
	Args []string
}

func (s Step) String() string {
	return strings.TrimSpace(fmt.Sprintf("at %v %s %s", s.At, s.Verb, strings.Join(s.Args, " ")))
}

// ErrScript reports a line that is not of the script language.
var ErrScript = errors.New("sim: not a script")

// String writes the script; ParseScript reads it.
func (s *Script) String() string {
	var b strings.Builder
	for _, line := range s.Comment {
		fmt.Fprintf(&b, "# %s\n", line)
	}
	fmt.Fprintf(&b, "random %d\nclients %d\nrelays %d\n", s.Random, s.Clients, s.Relays)
	if s.Protocol == group.V1 {
		fmt.Fprintf(&b, "protocol %s\n", s.Protocol)
	}
	if s.Liars {
		b.WriteString("liars\n")
	}
	if s.SQLite {
		b.WriteString("sqlite\n")
	}
	if s.Join > 0 {
		fmt.Fprintf(&b, "join %v\n", s.Join)
	}
	if s.Begin != nil {
		fmt.Fprintf(&b, "begin %v\n", s.Begin)
	}
	for _, step := range s.Steps {
		fmt.Fprintln(&b, step)
	}
	for _, f := range s.Faults {
		fmt.Fprintf(&b, "fault %s: %s\n", f.Key, f.Value)
	}
	return b.String()
}

// ParseScript reads a script.
func ParseScript(text string) (*Script, error) {
	s := &Script{}
	lines := bufio.NewScanner(strings.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		if err := s.line(strings.TrimSpace(lines.Text())); err != nil {
			return nil, fmt.Errorf("%w: line %d: %w", ErrScript, n, err)
		}
	}
	if s.Clients < 2 || s.Relays < 1 {
		return nil, fmt.Errorf("%w: it needs two clients and a relay", ErrScript)
	}
	return s, nil
}

func (s *Script) line(line string) error {
	if comment, ok := strings.CutPrefix(line, "#"); ok {
		s.Comment = append(s.Comment, strings.TrimSpace(comment))
		return nil
	}
	if fault, ok := strings.CutPrefix(line, "fault "); ok {
		key, value, ok := strings.Cut(fault, ": ")
		if !ok {
			return errors.New("a fault without a value")
		}
		s.Faults = append(s.Faults, Fault{key, value})
		return nil
	}
	words := strings.Fields(line)
	if len(words) == 0 {
		return nil
	}
	return s.setting(words)
}

func (s *Script) setting(words []string) (err error) {
	arg := ""
	if len(words) > 1 {
		arg = words[1]
	}
	switch words[0] {
	case "random":
		s.Random, err = strconv.ParseUint(arg, 10, 64)
	case "clients":
		s.Clients, err = strconv.Atoi(arg)
	case "relays":
		s.Relays, err = strconv.Atoi(arg)
	case "protocol":
		s.Protocol = group.Protocol(arg)
	case "liars":
		s.Liars = true
	case "sqlite":
		s.SQLite = true
	case "join":
		s.Join, err = time.ParseDuration(arg)
	case "begin":
		s.Begin = &Beginning{}
		_, err = fmt.Sscan(strings.Join(words[1:], " "), &s.Begin.Clients, &s.Begin.Relays, &s.Begin.Members, &s.Begin.Admins)
		s.Begin.V1 = s.Protocol == group.V1
	case "at":
		if len(words) < 3 {
			return errors.New("a step without a verb")
		}
		var at time.Duration
		at, err = time.ParseDuration(arg)
		s.Steps = append(s.Steps, Step{At: at, Verb: words[2], Args: words[3:]})
	default:
		err = fmt.Errorf("unknown word %q", words[0])
	}
	return err
}
