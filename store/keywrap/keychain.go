package keywrap

import (
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/zalando/go-keyring"
)

// service names this program in the system's keychain.
const service = "marmot"

// keychainWorks tries the keychain with a value of no worth, so that a server
// without a desktop finds out without a prompt.
func keychainWorks() bool {
	const probe = "probe"
	if keyring.Set(service, probe, "x") != nil {
		return false
	}
	v, err := keyring.Get(service, probe)
	return errors.Join(err, keyring.Delete(service, probe)) == nil && v == "x"
}

// newInKeychain stores a fresh secret. Its name has the salt in it, so the
// secret of the wrapping before stays until that is replaced.
func (w *wrapped) newInKeychain(name string) ([]byte, error) {
	w.Name = name + " " + base64.RawURLEncoding.EncodeToString(w.Salt[:6])
	secret := newSecret()
	if err := keyring.Set(service, w.Name, base64.StdEncoding.EncodeToString(secret)); err != nil {
		return nil, fmt.Errorf("%w: the system's keychain: %w", ErrUnavailable, err)
	}
	return secret, nil
}

func (w *wrapped) fromKeychain() ([]byte, error) {
	v, err := keyring.Get(service, w.Name)
	if errors.Is(err, keyring.ErrNotFound) {
		return nil, fmt.Errorf("%w: the keychain of this user has no key for this account: was the folder copied from another machine?", ErrUnavailable)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: the system's keychain: %w", ErrUnavailable, err)
	}
	b, err := base64.StdEncoding.DecodeString(v)
	if err != nil || len(b) != secretSize {
		return nil, fmt.Errorf("%w: the key in the keychain", ErrDamaged)
	}
	return b, nil
}

func (w *wrapped) dropFromKeychain() error {
	if err := keyring.Delete(service, w.Name); err != nil && !errors.Is(err, keyring.ErrNotFound) {
		return fmt.Errorf("keywrap: the old key stays in the keychain: %w", err)
	}
	return nil
}
