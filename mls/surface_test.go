package mls

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// sources parses the files of this package that are not tests.
func sources(t *testing.T) map[string]*ast.File {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	parsed := map[string]*ast.File{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		parsed[name] = f
	}
	return parsed
}

// TestExportedNamesAreDocumented: a stranger has nothing but the package's
// documentation.
func TestExportedNamesAreDocumented(t *testing.T) {
	count := 0
	need := func(file, name string, docs ...*ast.CommentGroup) {
		count++
		for _, d := range docs {
			if d != nil {
				return
			}
		}
		t.Errorf("%s: %s has no documentation", file, name)
	}
	for file, f := range sources(t) {
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && (d.Recv == nil || exportedReceiver(d.Recv)) {
					need(file, d.Name.Name, d.Doc)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch s := spec.(type) {
					case *ast.TypeSpec:
						if s.Name.IsExported() {
							need(file, s.Name.Name, s.Doc, d.Doc)
						}
					case *ast.ValueSpec:
						for _, n := range s.Names {
							if n.IsExported() {
								need(file, n.Name, s.Doc, s.Comment, d.Doc)
							}
						}
					}
				}
			}
		}
	}
	if count < 150 {
		t.Errorf("only %d names were looked at", count)
	}
}

func exportedReceiver(r *ast.FieldList) bool {
	typ := r.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	name, ok := typ.(*ast.Ident)
	return ok && name.IsExported()
}

// TestNoMutableGlobals: no function assigns to a variable of the package.
func TestNoMutableGlobals(t *testing.T) {
	files := sources(t)
	globals := map[string]bool{}
	for _, f := range files {
		for _, d := range f.Decls {
			if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.VAR {
				for _, spec := range g.Specs {
					for _, n := range spec.(*ast.ValueSpec).Names {
						globals[n.Name] = true
					}
				}
			}
		}
	}
	if !globals["builtinSuites"] || !globals["ErrMalformed"] {
		t.Fatal("the globals are not found")
	}
	for name, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			var changed []ast.Expr
			switch n := n.(type) {
			case *ast.AssignStmt:
				if n.Tok != token.DEFINE {
					changed = n.Lhs
				}
			case *ast.IncDecStmt:
				changed = []ast.Expr{n.X}
			}
			for _, e := range changed {
				if id := root(e); id != nil && globals[id.Name] && id.Obj == nil {
					t.Errorf("%s assigns to %s", name, id.Name)
				}
			}
			return true
		})
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Name.Name == "init" {
				t.Errorf("%s has an init function", name)
			}
		}
	}
}

// root returns the variable that an expression is part of.
func root(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.SelectorExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		default:
			return nil
		}
	}
}

// TestSuitesAreOptIn: without a Config the further suites do not exist, and
// nothing that this package makes names them.
func TestSuitesAreOptIn(t *testing.T) {
	for _, c := range testSuites.Suites {
		_, err := Create(newSigner(t, c.ID()), GroupConfig{Suite: c.ID(), Credential: BasicCredential([]byte("x")), Capabilities: testCapabilities(c.ID())})
		if !errors.Is(err, ErrUnsupportedSuite) {
			t.Errorf("suite 0x%04x: %v", c.ID(), err)
		}
		k := newTester(t, c.ID(), "x").kp
		plain := must(DecodeKeyPackage(k.Bytes()))(t)
		if err := plain.Validate(testTime); !errors.Is(err, ErrUnsupportedSuite) || plain.Ref() != nil {
			t.Errorf("key package of suite 0x%04x: %v", c.ID(), err)
		}
		members := newTesters(t, c.ID(), 2)
		if _, err := DecodeState(members[0].group.AppendState(nil), nil, nil); !errors.Is(err, ErrUnsupportedSuite) {
			t.Errorf("state of suite 0x%04x: %v", c.ID(), err)
		}
	}
	k := newTester(t, testXWing, "x").kp
	if len(k.InitKey) != 1216 {
		t.Errorf("X-Wing key of %d bytes", len(k.InitKey))
	}
	// A suite of ours cannot be replaced.
	config := &Config{Suites: []CipherSuite{XWing(testSuite), {}}}
	if s := must(config.suiteOf(testSuite))(t); s != builtinSuites[0] {
		t.Error("a suite of this package was replaced")
	}
}
