// Package vectors finds the published test data that the tests read. The
// files are not part of this repository; scripts/fetch-vectors brings them.
package vectors

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// Path returns the path of a vector file such as "mls/treekem.json". The
// folder is $MARMOT_VECTORS, or ../shared/vectors beside the checkout. The
// test is skipped when the file is not there, unless CI is set: then its
// absence is a failure.
func Path(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join(dir(), filepath.FromSlash(name))
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("vector file %s is missing: run scripts/fetch-vectors", name)
		}
		t.Skipf("vector file %s is not here: run scripts/fetch-vectors", name)
	}
	return path
}

// Read returns the bytes of a vector file; see [Path] for where it is looked for.
func Read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(Path(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func dir() string {
	if d := os.Getenv("MARMOT_VECTORS"); d != "" {
		return d
	}
	_, file, _, _ := runtime.Caller(0)
	root := filepath.Dir(filepath.Dir(filepath.Dir(file)))
	return filepath.Join(filepath.Dir(root), "shared", "vectors")
}
