package marmot_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/marmotgo/marmot"

// layers lists our packages from the top down (docs/architecture.md): a
// package may import only what stands below it.
var layers = []string{"cmd/marmot", "examples", "sim", "", "store", "timeline", "group", "wire", "nostr/relay", "nostr/relayd", "nostr", "mls"}

// pure packages do no I/O and read no clock.
var pure = []string{"mls", "nostr", "wire", "group", "timeline"}

var impure = []string{"net", "net/http", "os", "database/sql", "syscall", "io/ioutil", "log", "os/exec"}

func TestImports(t *testing.T) {
	seen := 0
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && file == "interop" { // a module of its own
			return filepath.SkipDir
		}
		if d.IsDir() && (d.Name() == "node_modules" || strings.HasPrefix(d.Name(), ".") && file != ".") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		seen++
		checkFile(t, filepath.ToSlash(file))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 50 {
		t.Errorf("only %d files were read", seen)
	}
}

func checkFile(t *testing.T, file string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Error(err)
		return
	}
	dir := strings.TrimPrefix(path.Dir(file), ".")
	for _, spec := range f.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Error(err)
		}
		checkImport(t, file, dir, name)
	}
	if slices.Contains(pure, dir) {
		checkNoClock(t, file)
	}
}

func checkImport(t *testing.T, file, dir, name string) {
	t.Helper()
	if slices.Contains(pure, dir) && slices.Contains(impure, name) {
		t.Errorf("%s imports %s: %s does no I/O", file, name, dir)
	}
	if strings.HasPrefix(name, "github.com/cloudflare/circl") && dir != "mls/internal/goldilocks" ||
		strings.HasSuffix(name, "/mls/internal/goldilocks") && dir != "mls/suite448" {
		t.Errorf("%s imports %s: suites 4 and 6 are for those who import mls/suite448", file, name)
	}
	if strings.HasPrefix(name, "github.com/prometheus/") && dir != "nostr/relayd/metrics" {
		t.Errorf("%s imports %s: metrics are for servers", file, name)
	}
	target, ours := strings.CutPrefix(name, module)
	if !ours {
		return
	}
	target = strings.TrimPrefix(target, "/")
	from, to := layer(dir), layer(target)
	switch {
	case layers[max(from, 0)] == "mls" && !strings.HasPrefix(target, "mls"):
		t.Errorf("%s imports %s: mls stands alone", file, name)
	case from >= 0 && to >= 0 && from > to:
		t.Errorf("%s imports %s, which stands above it", file, name)
	case dir == "" && strings.HasPrefix(target, "nostr/relayd"):
		t.Errorf("%s imports %s: the SDK runs no relay", file, name)
	case strings.HasPrefix(target, "nostr/relayd/") && !strings.HasPrefix(dir, "cmd/"):
		t.Errorf("%s imports %s: only a relay that is run needs it", file, name)
	case dir == "" && strings.HasPrefix(target, "store"):
		t.Errorf("%s imports %s: the SDK declares its store and does not import one", file, name)
	}
}

// layer finds the package's place by its longest prefix, so that internal
// packages stand with their parents. It is -1 for what stands outside.
func layer(dir string) int {
	best, at := -1, -1
	for i, l := range layers {
		if (dir == l || l != "" && strings.HasPrefix(dir, l+"/")) && len(l) > best {
			best, at = len(l), i
		}
	}
	return at
}

// checkNoClock looks for reads of the clock and for goroutines.
func checkNoClock(t *testing.T, file string) {
	t.Helper()
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Error(err)
		return
	}
	ast.Inspect(f, func(n ast.Node) bool {
		what := ""
		switch n := n.(type) {
		case *ast.GoStmt:
			what = "a goroutine"
		case *ast.SelectorExpr:
			x, ok := n.X.(*ast.Ident)
			if ok && x.Name == "time" && slices.Contains([]string{"Now", "Since", "Until", "After", "Sleep"}, n.Sel.Name) {
				what = "time." + n.Sel.Name
			}
		}
		if what != "" {
			t.Errorf("%s: %s in a package that is a function of its inputs", set.Position(n.Pos()), what)
		}
		return true
	})
}
