package keywrap

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/marmotgo/marmot/store"
	"github.com/zalando/go-keyring"
)

func saying(passphrase string) Ask {
	return func(bool) ([]byte, error) { return []byte(passphrase), nil }
}

// cheap makes passphrases cheap for a test.
func cheap(t *testing.T) {
	was := defaultCost
	defaultCost = argonCost{Time: 1, Memory: 64, Threads: 1}
	t.Cleanup(func() { defaultCost = was })
}

// credential gives this process a systemd credential.
func credential(t *testing.T, content string) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, credentialName), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
}

// TestEveryMethod wraps, opens again, and moves from every method to every other.
func TestEveryMethod(t *testing.T) {
	cheap(t)
	keyring.MockInit() // there is no desktop in a test; the real one speaks D-Bus, Keychain or Credential Manager
	credential(t, "thirty-two bytes that are random")
	for _, from := range Methods() {
		for _, to := range Methods() {
			t.Run(fmt.Sprintf("%s to %s", from, to), func(t *testing.T) {
				dir := filepath.Join(t.TempDir(), "account")
				key, method, err := Create(dir, "npub1x", Options{Method: from, Ask: saying("first")})
				if err != nil || method != from {
					t.Fatal(method, err)
				}
				if got, m, err := Open(dir, "npub1x", saying("first")); err != nil || got != key || m != from {
					t.Fatalf("%s, %v", m, err)
				}
				if m, err := Rewrap(dir, "npub1x", key, Options{Method: to, Ask: saying("second")}); err != nil || m != to {
					t.Fatalf("%s, %v", m, err)
				}
				if got, m, err := Open(dir, "npub1x", saying("second")); err != nil || got != key || m != to {
					t.Fatalf("after: %s, %v", m, err)
				}
				if to == Passphrase {
					if _, _, err := Open(dir, "npub1x", saying("first")); !errors.Is(err, ErrPassphrase) {
						t.Errorf("the old passphrase: %v", err)
					}
				}
				checkFiles(t, dir, key, to)
			})
		}
	}
}

// checkFiles demands modes, and that the key itself is in no file.
func checkFiles(t *testing.T, dir string, key store.Key, method Method) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), string(key[:])) {
			t.Errorf("%s holds the key", e.Name())
		}
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v", e.Name(), info.Mode(), err)
		}
		if strings.HasSuffix(e.Name(), ".key") && method != KeyFile {
			t.Errorf("the key file stays under %s", method)
		}
	}
}

// TestFromBefore opens a folder from before keys were wrapped, and wraps its key.
func TestFromBefore(t *testing.T) {
	cheap(t)
	dir := t.TempDir()
	key, err := store.KeyFile(filepath.Join(dir, legacyKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	got, method, err := Open(dir, "npub1x", nil)
	if err != nil || got != key || method != KeyFile {
		t.Fatal(method, err)
	}
	for _, to := range []Method{KeyFile, Passphrase} {
		if _, err := Rewrap(dir, "npub1x", key, Options{Method: to, Ask: saying("x")}); err != nil {
			t.Fatal(err)
		}
		if got, _, err := Open(dir, "npub1x", saying("x")); err != nil || got != key {
			t.Fatalf("under %s: %v", to, err)
		}
	}
	checkFiles(t, dir, key, Passphrase)
}

// TestKeyFileElsewhere keeps the key file on another disk.
func TestKeyFileElsewhere(t *testing.T) {
	dir, elsewhere := t.TempDir(), filepath.Join(t.TempDir(), "key")
	key, _, err := Create(dir, "npub1x", Options{Method: KeyFile, KeyFile: elsewhere})
	if err != nil {
		t.Fatal(err)
	}
	if got, _, err := Open(dir, "npub1x", nil); err != nil || got != key {
		t.Fatal(err)
	}
	if err := os.Remove(elsewhere); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Open(dir, "npub1x", nil); err == nil || !strings.Contains(err.Error(), elsewhere) {
		t.Errorf("without its key file: %v", err)
	}
}

// TestChoose finds what this machine has, without asking anybody.
func TestChoose(t *testing.T) {
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	keyring.MockInitWithError(errors.New("no desktop"))
	if m := Choose(); m != KeyFile {
		t.Errorf("without anything: %s", m)
	}
	keyring.MockInit()
	if m := Choose(); m != Keychain {
		t.Errorf("with a keychain: %s", m)
	}
	credential(t, "thirty-two bytes that are random")
	if m := Choose(); m != Systemd {
		t.Errorf("with a credential: %s", m)
	}
	for _, m := range Methods() {
		if m.Protects() == "" {
			t.Errorf("%s does not say what it protects against", m)
		}
	}
}

// TestBad opens what is wrong, missing or damaged.
func TestBad(t *testing.T) {
	cheap(t)
	keyring.MockInit()
	dir := t.TempDir()
	if _, _, err := Create(dir, "n", Options{Method: Passphrase}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("nobody to ask: %v", err)
	}
	if _, _, err := Create(dir, "n", Options{Method: "rot13"}); err == nil {
		t.Error("an unknown method")
	}
	if _, _, err := Create(dir, "n", Options{Method: Passphrase, Ask: saying("")}); err == nil {
		t.Error("an empty passphrase")
	}
	if _, _, err := Create(dir, "n", Options{Method: Passphrase, Ask: saying("x")}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Create(dir, "n", Options{Method: KeyFile}); err == nil {
		t.Error("an account's key was replaced")
	}
	if _, _, err := Open(dir, "n", nil); !errors.Is(err, ErrNoAsk) {
		t.Errorf("nobody to ask: %v", err)
	}
	if _, _, err := Open(filepath.Join(dir, "nowhere"), "n", nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no account: %v", err)
	}
	path := filepath.Join(dir, File)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{
		"empty": "", "not JSON": "x", "newer": strings.Replace(string(good), `"version": 1`, `"version": 2`, 1),
		"cut": string(good[:len(good)/2]), "too dear": strings.Replace(string(good), `"memory_kib": 64`, `"memory_kib": 4000000000`, 1),
		"another method": strings.Replace(string(good), `"passphrase"`, `"keyfile"`, 1),
		"other salt":     strings.Replace(string(good), `"salt": "`, `"salt": "AA`, 1),
	} {
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := Open(dir, "n", saying("x")); err == nil {
			t.Errorf("%s: it opens", name)
		}
	}
}

// TestCrashWhileStaged stops before the new wrapping is in force: the old one
// opens, and the staged key can be had.
func TestCrashWhileStaged(t *testing.T) {
	dir := t.TempDir()
	key, _, err := Create(dir, "n", Options{Method: KeyFile})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Staged(dir, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing is staged: %v", err)
	}
	next := store.NewKey()
	if _, err := Stage(dir, "n", next, Options{Method: KeyFile}); err != nil {
		t.Fatal(err)
	}
	if got, _, err := Open(dir, "n", nil); err != nil || got != key {
		t.Errorf("the old key: %v", err)
	}
	if got, err := Staged(dir, nil); err != nil || got != next {
		t.Errorf("the staged key: %v", err)
	}
	if err := Commit(dir); err != nil {
		t.Fatal(err)
	}
	if got, _, err := Open(dir, "n", nil); err != nil || got != next {
		t.Errorf("the new key: %v", err)
	}
}
