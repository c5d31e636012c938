package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/marmotgo/marmot/store/keywrap"
	"golang.org/x/term"
)

// maxPassphrase bounds what is read as a passphrase, in bytes.
const maxPassphrase = 4096

// ask returns how to ask for the passphrase of the database: the file of
// --passphrase-file, or the person at the terminal; nil if there is neither.
func (a *app) ask() keywrap.Ask {
	if a.passphraseFile != "" {
		return func(bool) ([]byte, error) { return readPassphrase(a.passphraseFile) }
	}
	if !a.atTerminal() {
		return nil
	}
	return func(isNew bool) ([]byte, error) { return a.prompt("Passphrase of the database", isNew) }
}

// atTerminal reports whether a person can be asked.
func (a *app) atTerminal() bool {
	f, ok := a.in.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// prompt asks at the terminal, without showing what is typed; twice for a new
// passphrase.
func (a *app) prompt(what string, isNew bool) ([]byte, error) {
	f, ok := a.in.(*os.File)
	if !ok {
		return nil, keywrap.ErrNoAsk
	}
	first, err := a.typed(f, what)
	if err != nil || !isNew {
		return first, err
	}
	second, err := a.typed(f, "Once more")
	if err != nil {
		return nil, err
	}
	defer clear(second)
	if !bytes.Equal(first, second) {
		clear(first)
		return nil, usage(errors.New("the two passphrases differ"))
	}
	return first, nil
}

func (a *app) typed(f *os.File, what string) ([]byte, error) {
	fmt.Fprintf(a.err, "%s: ", what)
	b, err := term.ReadPassword(int(f.Fd()))
	fmt.Fprintln(a.err)
	return b, err
}

// readPassphrase reads a passphrase from a file, without the line's end.
func readPassphrase(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxPassphrase+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxPassphrase {
		return nil, usage(fmt.Errorf("%s is longer than %d bytes", path, maxPassphrase))
	}
	return bytes.TrimRight(b, "\r\n"), nil
}
