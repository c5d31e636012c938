package marmot_test

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var updateAPI = flag.Bool("update-api", false, "write the exported surface into testdata/api")

// published are the packages whose exported surface others build on.
var published = []string{".", "timeline", "store", "store/keywrap", "group", "wire", "nostr", "nostr/relay", "nostr/relayd", "mls"}

// TestAPI compares what each package exports with what is written down in
// testdata/api: a change of it is a choice, and its diff is read like code.
// go test . -run TestAPI -update-api writes it down.
func TestAPI(t *testing.T) {
	for _, dir := range published {
		got := exported(t, dir)
		name := strings.ReplaceAll(dir, "/", "_")
		if dir == "." {
			name = "marmot"
		}
		golden := filepath.Join("testdata", "api", name+".txt")
		if *updateAPI {
			if err := os.MkdirAll(filepath.Dir(golden), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(golden, []byte(strings.Join(got, "")), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		b, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		want := string(b)
		for _, d := range got {
			if !strings.Contains(want, d) {
				t.Errorf("%s: new, or changed to:\n%s", dir, d)
			}
			want = strings.Replace(want, d, "", 1)
		}
		if want != "" {
			t.Errorf("%s: gone, or changed from (this breaks programs that use it):\n%s", dir, want)
		}
	}
}

// exported lists the exported declarations of a package, without bodies and
// comments, sorted.
func exported(t *testing.T, dir string) (out []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		if !ast.FileExports(f) {
			continue
		}
		for _, d := range f.Decls {
			out = append(out, declarations(t, set, d)...)
		}
	}
	if len(out) == 0 {
		t.Fatalf("%s exports nothing", dir)
	}
	slices.Sort(out)
	return out
}

func declarations(t *testing.T, set *token.FileSet, d ast.Decl) (out []string) {
	t.Helper()
	show := func(prefix string, node any) {
		var b bytes.Buffer
		if err := (&printer.Config{Mode: printer.TabIndent}).Fprint(&b, set, node); err != nil {
			t.Fatal(err)
		}
		var lines []string
		for line := range strings.Lines(b.String()) {
			if line = strings.Join(strings.Fields(line), " "); line != "" {
				lines = append(lines, line)
			}
		}
		out = append(out, prefix+strings.Join(lines, "\n\t")+"\n")
	}
	switch d := d.(type) {
	case *ast.FuncDecl:
		d.Body = nil
		show("", d)
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				show("type ", s)
			case *ast.ValueSpec: // its value is no promise, but for its type
				for _, n := range s.Names {
					kind := fmt.Sprintf("%s %s", d.Tok, n.Name)
					if s.Type != nil {
						show(kind+" ", s.Type)
					} else {
						out = append(out, kind+"\n")
					}
				}
			}
		}
	}
	return out
}
