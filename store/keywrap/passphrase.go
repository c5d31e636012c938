package keywrap

import (
	"fmt"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"
)

// argonCost is what a guess costs.
type argonCost struct {
	Time    uint32 `json:"time"`
	Memory  uint32 `json:"memory_kib"`
	Threads uint8  `json:"threads"`
}

// defaultCost takes about a quarter of a second and 128 MiB (RFC 9106 asks for
// at least 64 MiB where memory is short).
var defaultCost = argonCost{Time: 3, Memory: 128 << 10, Threads: 2}

// maxCost bounds what a damaged file can make us spend.
var maxCost = argonCost{Time: 64, Memory: 4 << 20, Threads: 64}

func (w *wrapped) newPassphrase(ask Ask) ([]byte, error) {
	if ask == nil {
		return nil, fmt.Errorf("%w: a passphrase has to be asked for", ErrUnavailable)
	}
	cost := defaultCost
	w.Argon = &cost
	passphrase, err := ask(true)
	if err != nil {
		return nil, err
	}
	defer clear(passphrase)
	if len(passphrase) == 0 {
		return nil, fmt.Errorf("keywrap: an empty passphrase protects nothing")
	}
	return w.stretch(passphrase), nil
}

func (w *wrapped) askPassphrase(ask Ask) ([]byte, error) {
	c := w.Argon
	if c == nil || c.Time == 0 || c.Threads == 0 || c.Time > maxCost.Time || c.Memory > maxCost.Memory || c.Threads > maxCost.Threads {
		return nil, fmt.Errorf("%w: the cost of the passphrase", ErrDamaged)
	}
	if ask == nil {
		return nil, ErrNoAsk
	}
	passphrase, err := ask(false)
	if err != nil {
		return nil, err
	}
	defer clear(passphrase)
	return w.stretch(passphrase), nil
}

// stretch normalizes first: keyboards write the same letter in several ways.
func (w *wrapped) stretch(passphrase []byte) []byte {
	normal := norm.NFKC.Bytes(passphrase)
	defer clear(normal)
	return argon2.IDKey(normal, w.Salt, w.Argon.Time, w.Argon.Memory, w.Argon.Threads, secretSize)
}
