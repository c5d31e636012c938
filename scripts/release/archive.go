package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"maps"
	"path"
	"slices"
	"time"
)

// tarred packs a program and documents, in a fixed order and of a fixed date.
func tarred(folder, program string, binary []byte, documents map[string][]byte, at time.Time) ([]byte, error) {
	var out bytes.Buffer
	compressed, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	w := tar.NewWriter(compressed)
	add := func(name string, b []byte, mode int64) {
		h := &tar.Header{Name: path.Join(folder, name), Mode: mode, Size: int64(len(b)), ModTime: at.UTC(), Format: tar.FormatPAX}
		if err = errors.Join(err, w.WriteHeader(h)); err == nil {
			_, err = w.Write(b)
		}
	}
	add(program, binary, 0o755)
	for _, name := range slices.Sorted(maps.Keys(documents)) {
		add(name, documents[name], 0o644)
	}
	err = errors.Join(err, w.Close(), compressed.Close())
	return out.Bytes(), err
}

// zipped is tarred for Windows.
func zipped(folder, program string, binary []byte, documents map[string][]byte, at time.Time) ([]byte, error) {
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	add := func(name string, b []byte) error {
		f, err := w.CreateHeader(&zip.FileHeader{Name: path.Join(folder, name), Method: zip.Deflate, Modified: at.UTC()})
		if err != nil {
			return err
		}
		_, err = f.Write(b)
		return err
	}
	err := add(program, binary)
	for _, name := range slices.Sorted(maps.Keys(documents)) {
		err = errors.Join(err, add(name, documents[name]))
	}
	err = errors.Join(err, w.Close())
	return out.Bytes(), err
}
