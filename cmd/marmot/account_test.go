package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/store"
	"github.com/marmotgo/marmot/store/keywrap"
)

func fileWith(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestAccountLife makes an account under a passphrase, exports its key, removes
// it, and brings it back from the export.
func TestAccountLife(t *testing.T) {
	s := shell{t, filepath.Join(t.TempDir(), "home")}
	passphrase, other, password := fileWith(t, "open sesame\n"), fileWith(t, "another\n"), fileWith(t, "backup")
	var made accountLine
	out := s.ok("account", "create", "--relay", "ws://127.0.0.1:1", "--key-store", "passphrase", "--passphrase-file", passphrase, "--json")
	if err := json.Unmarshal([]byte(out), &made); err != nil || made.KeyStore != keywrap.Passphrase || made.Protects == "" {
		t.Fatalf("%s, %v", out, err)
	}
	if out := s.ok("account", "show"); !strings.Contains(out, made.Npub) || !strings.Contains(out, "passphrase") {
		t.Errorf("show: %s", out)
	}
	s.fails(exitError, "account", "export", "--password-file", password)                             // nobody to ask
	s.fails(exitError, "account", "export", "--password-file", password, "--passphrase-file", other) // wrong
	s.fails(exitUsage, "account", "export", "--passphrase-file", passphrase)
	s.fails(exitUsage, "account", "create", "--key-store", "rot13")
	exported := strings.TrimSpace(s.ok("account", "export", "--password-file", password, "--passphrase-file", passphrase))
	if !strings.HasPrefix(exported, "ncryptsec1") {
		t.Fatalf("export: %q", exported)
	}

	// Another passphrase, then a key file and a new key.
	s.ok("store", "rekey", "--to", "passphrase", "--new-passphrase-file", other, "--passphrase-file", passphrase)
	s.fails(exitError, "account", "export", "--password-file", password, "--passphrase-file", passphrase)
	s.ok("store", "rekey", "--to", "keyfile", "--new-key", "--passphrase-file", other)
	s.ok("account", "export", "--password-file", password)
	s.ok("store", "rekey", "--to", "keyfile", "--new-key")

	s.fails(exitUsage, "account", "remove", made.Npub)
	s.ok("account", "remove", made.Npub[:12], "--yes")
	if entries, err := os.ReadDir(s.home); err != nil || len(entries) != 0 {
		t.Errorf("%d things are left, %v", len(entries), err)
	}
	if r := s.runWith(exported+"\nbackup\n", "account", "import", "--relay", "ws://127.0.0.1:1", "--key-store", "keyfile"); r.code != exitDone || !strings.Contains(r.out, made.Npub) {
		t.Errorf("import: exit %d: %s%s", r.code, r.out, r.err)
	}
	if r := s.runWith(exported+"\nwrong\n", "account", "import"); r.code == exitDone || strings.Contains(r.err, exported) {
		t.Errorf("a wrong password: exit %d: %s", r.code, r.err)
	}
}

// TestRekeyStopped stops a rekey at each step: the account opens again, with
// the old key or the new one.
func TestRekeyStopped(t *testing.T) {
	s := shell{t, filepath.Join(t.TempDir(), "home")}
	a := &app{home: s.home, in: strings.NewReader("")}
	secret := nostr.GenerateSecretKey()
	if _, err := a.addAccount(secret, keywrap.Options{Method: keywrap.KeyFile}); err != nil {
		t.Fatal(err)
	}
	dir, err := a.accountDir(secret.PubKey())
	if err != nil {
		t.Fatal(err)
	}
	opens := func(when string) store.Key {
		t.Helper()
		db, key, err := a.openWithKey(secret.PubKey())
		if err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		defer db.Close()
		if got, err := secretKey(db); err != nil || got != secret {
			t.Errorf("%s: another account, %v", when, err)
		}
		return key
	}
	old, path, next := opens("before"), filepath.Join(dir, fileDatabase), store.NewKey()
	if err := store.Rekey(path, old, next); err != nil {
		t.Fatal(err)
	}
	opens("with a copy beside it")
	if _, err := keywrap.Stage(dir, "n", next, keywrap.Options{Method: keywrap.KeyFile}); err != nil {
		t.Fatal(err)
	}
	opens("with a staged key")
	if err := os.Rename(store.RekeyFile(path), path); err != nil {
		t.Fatal(err)
	}
	if key := opens("before the new wrapping is in force"); key != next {
		t.Error("it opens with another key")
	}
	opens("afterwards")
	if entries, err := filepath.Glob(filepath.Join(dir, "*.key")); err != nil || len(entries) != 1 {
		t.Errorf("key files: %v, %v", entries, err)
	}
}
