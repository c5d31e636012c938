package mls

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// requirement is one MUST of RFC 9420 or of draft-ietf-mls-extensions-10. It has one
// of three answers: it is violated by somebody who can sign and authenticate
// what is wrong, and refused; another test shows that we keep it; or it is not
// this package's to keep.
type requirement struct {
	section string
	rule    string

	broken  string // how it is violated; names the subtest
	want    error
	violate func(w *world) error // the answer to the violation

	tests string // names of tests
	duty  string // whose it is, and why
}

func requirements() []requirement {
	var all []requirement
	for _, part := range [][]requirement{framingRows, leafRows, treeRows, keyRows, groupRows, listRows, commitRows, joinRows, draftRows} {
		all = append(all, part...)
	}
	return all
}

// TestConformance violates one rule after the other. Each violation must be
// refused for that reason, change nothing, and leave everybody able to process
// what was not broken.
func TestConformance(t *testing.T) {
	w := newWorld(t)
	w.originals()
	for _, r := range requirements() {
		if r.violate == nil {
			continue
		}
		t.Run(r.section+"/"+r.broken, func(t *testing.T) {
			w.use(t)
			before := w.saved()
			err := r.violate(w)
			if !errors.Is(err, r.want) {
				t.Errorf("answer %v, want %v", err, r.want)
			}
			t.Log(err)
			w.tellsNothing(err)
			if !bytes.Equal(before, w.saved()) {
				t.Error("somebody's group changed")
			}
			w.originals()
		})
	}
}

// errorNames names the errors in the document.
var errorNames = map[error]string{
	ErrMalformed: "ErrMalformed", ErrUnsupportedProposal: "ErrUnsupportedProposal", ErrUnsupportedVersion: "ErrUnsupportedVersion",
	ErrWrongGroup: "ErrWrongGroup", ErrWrongEpoch: "ErrWrongEpoch", ErrAuthentication: "ErrAuthentication", ErrMembership: "ErrMembership",
	ErrSignature: "ErrSignature", ErrUnknownProposal: "ErrUnknownProposal", ErrInvalidProposals: "ErrInvalidProposals",
	ErrInvalidLeaf: "ErrInvalidLeaf", ErrInvalidKeyPackage: "ErrInvalidKeyPackage", ErrInvalidTree: "ErrInvalidTree",
	ErrInvalidPath: "ErrInvalidPath", ErrInvalidGroupInfo: "ErrInvalidGroupInfo", ErrInvalidConfig: "ErrInvalidConfig",
	ErrMissingPSK: "ErrMissingPSK", ErrConfirmation: "ErrConfirmation", ErrConsumed: "ErrConsumed", ErrNotForUs: "ErrNotForUs",
	ErrInvalidContinuation: "ErrInvalidContinuation",
}

const conformanceHead = `# What MLS demands, and where it is shown

Generated from the table in ` + "`mls/conformance_*_test.go`" + `; do not edit. ` + "`go test ./mls -run Conformance -update`" + ` writes
it, and the test fails if it is not what the table says.

Each row is one MUST of RFC 9420 or of draft-ietf-mls-extensions-10, in our own words. Where the answer is an error, ` + "`TestConformance`" + `
violates the rule as a member with good keys could: it breaks one thing, signs and authenticates the result anew, expects that error, finds
every group unchanged, and then has the unbroken original processed. A test's name stands where the rule is one that we keep rather than check.
"Caller" says that the rule is about what this package does not know: policy, identity, storage, transport.

`

// TestConformanceDocument keeps docs/mls-conformance.md equal to the table.
func TestConformanceDocument(t *testing.T) {
	var b strings.Builder
	b.WriteString(conformanceHead)
	section, counts := "", map[string]int{}
	known := testNames(t)
	seen := map[string]bool{}
	for _, r := range requirements() {
		if r.section != section {
			section = r.section
			fmt.Fprintf(&b, "\n## %s\n\n| Rule | Violated by | Answer |\n| --- | --- | --- |\n", sectionTitle(section))
		}
		answer, how := "", r.broken
		switch {
		case r.violate != nil && r.tests == "" && r.duty == "":
			answer = "`" + errorNames[r.want] + "`"
			if errorNames[r.want] == "" {
				t.Errorf("%s, %s: the error has no name", r.section, r.broken)
			}
			if key := r.section + "/" + r.broken; seen[key] || r.broken == "" {
				t.Errorf("%s occurs twice or has no name", key)
			} else {
				seen[key] = true
			}
			counts["violated"]++
		case r.tests != "":
			how = "–"
			var names []string
			for _, name := range strings.Fields(r.tests) {
				if !known[name] {
					t.Errorf("%s: there is no test %s", r.section, name)
				}
				names = append(names, "`"+name+"`")
			}
			answer = strings.Join(names, ", ")
			counts["shown"]++
		case r.duty != "":
			how, answer = "–", r.duty
			counts["left"]++
		default:
			t.Errorf("%s, %s: no answer", r.section, r.rule)
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", r.rule, how, answer)
	}
	fmt.Fprintf(&b, "\n%d rows are violated and refused, %d are shown by tests of their own, %d are the caller's.\n",
		counts["violated"], counts["shown"], counts["left"])
	file := filepath.Join("..", "docs", "mls-conformance.md")
	if *updateGolden {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(file)
	if err != nil || string(have) != b.String() {
		t.Errorf("%s is not what the table says: run with -update (%v)", file, err)
	}
}

func sectionTitle(section string) string {
	if strings.HasPrefix(section, "draft") {
		return "draft-ietf-mls-extensions-10, " + strings.TrimPrefix(section, "draft ")
	}
	return "RFC 9420, Section " + section
}

// testNames lists the tests of this package and of those below it.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, pattern := range []string{"*_test.go", "*/*_test.go", "internal/*/*_test.go"} {
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range parsed.Decls {
				if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil {
					names[f.Name.Name] = true
				}
			}
		}
	}
	return names
}
