package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"slices"
	"testing"
	"time"
)

// TestArchives packs twice: the same bytes, the program first and executable.
func TestArchives(t *testing.T) {
	documents := map[string][]byte{"man/b.1": []byte("b"), "LICENSE": []byte("l"), "README.md": []byte("r")}
	want := []string{"folder/marmot", "folder/LICENSE", "folder/README.md", "folder/man/b.1"}
	at := time.Unix(1_700_000_000, 0)
	for name, pack := range map[string]func(string, string, []byte, map[string][]byte, time.Time) ([]byte, error){"tar": tarred, "zip": zipped} {
		first, err := pack("folder", "marmot", []byte("program"), documents, at)
		if err != nil {
			t.Fatal(err)
		}
		second, err := pack("folder", "marmot", []byte("program"), documents, at)
		if err != nil || !bytes.Equal(first, second) {
			t.Errorf("%s: packed twice it differs (%v)", name, err)
		}
		if got := names(t, name, first); !slices.Equal(got, want) {
			t.Errorf("%s has %q", name, got)
		}
	}
}

func names(t *testing.T, kind string, b []byte) (out []string) {
	t.Helper()
	if kind == "zip" {
		r, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range r.File {
			out = append(out, f.Name)
		}
		return out
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(out) == 0 && h.Mode != 0o755 {
			t.Errorf("the program has mode %o", h.Mode)
		}
		out = append(out, h.Name)
	}
}
