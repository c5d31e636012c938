package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/store"
	"github.com/marmotgo/marmot/store/keywrap"
	"github.com/spf13/cobra"
)

// keyRelays is where the relays given at creation wait for the first start.
const keyRelays = "cli/relays"

// defaultRelays are used when an account is made without --relay.
var defaultRelays = []string{"wss://relay.eu.whitenoise.chat", "wss://relay.us.whitenoise.chat"}

func (a *app) accountCommand() *cobra.Command {
	c := &cobra.Command{Use: "account", Short: "Make, import, show and choose accounts"}
	c.AddCommand(a.accountCreate(), a.accountImport(), a.accountExport(), a.accountList(), a.accountShow(), a.accountUse(), a.accountRemove())
	return c
}

// wrapFlags are the flags that say how a database key is wrapped.
type wrapFlags struct{ method, keyFile string }

func (w *wrapFlags) add(c *cobra.Command, flag string) {
	c.Flags().StringVar(&w.method, flag, "", "what the database key is kept under: keychain, passphrase, keyfile or systemd (default: systemd's credential if there is one, else the keychain if it works without asking, else a key file)")
	c.Flags().StringVar(&w.keyFile, "key-file", "", "path of the key file (default: beside the database)")
}

func (a *app) options(w wrapFlags) (keywrap.Options, error) {
	o := keywrap.Options{Method: keywrap.Method(w.method), KeyFile: w.keyFile, Ask: a.ask()}
	if w.keyFile != "" && w.method == "" {
		o.Method = keywrap.KeyFile
	}
	if o.Method != "" && !slices.Contains(keywrap.Methods(), o.Method) {
		return o, usage(fmt.Errorf("there is no %q: use one of %v", oneLine(w.method), keywrap.Methods()))
	}
	if o.KeyFile != "" && o.Method != keywrap.KeyFile {
		return o, usage(errors.New("--key-file goes with keyfile"))
	}
	return o, nil
}

func (a *app) accountCreate() *cobra.Command {
	var relays []string
	var wrap wrapFlags
	c := &cobra.Command{
		Use: "create", Short: "Make a new account: a Nostr key and an encrypted database", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return a.newAccount(nostr.GenerateSecretKey(), relays, wrap)
		},
	}
	c.Flags().StringSliceVar(&relays, "relay", defaultRelays, "relays of the account, ws:// or wss://")
	wrap.add(c, "key-store")
	return c
}

func (a *app) accountImport() *cobra.Command {
	var relays []string
	var wrap wrapFlags
	c := &cobra.Command{
		Use: "import", Short: "Use a Nostr key that exists: nsec, hex or ncryptsec, from standard input", Args: cobra.NoArgs,
		Long: "Use a Nostr key that exists. It is read from standard input: an nsec, 64 hex digits, or an ncryptsec (NIP-49) with its password on the next line.\nAt a terminal both are asked for and not shown.",
		RunE: func(*cobra.Command, []string) error {
			secret, err := a.readSecretKey()
			if err != nil {
				return err
			}
			return a.newAccount(secret, relays, wrap)
		},
	}
	c.Flags().StringSliceVar(&relays, "relay", defaultRelays, "relays of the account, ws:// or wss://")
	wrap.add(c, "key-store")
	return c
}

// readSecretKey reads a key, and its password if it is under one.
func (a *app) readSecretKey() (nostr.SecretKey, error) {
	read := lineReader(bufio.NewReader(io.LimitReader(a.in, maxText)))
	if a.atTerminal() {
		read = func(what string) (string, error) {
			b, err := a.prompt(what, false)
			defer clear(b)
			return string(b), err
		}
	}
	text, err := read("Key (nsec, hex or ncryptsec)")
	if err != nil {
		return nostr.SecretKey{}, err
	}
	if !strings.HasPrefix(strings.ToLower(text), "ncryptsec1") {
		secret, err := nostr.ParseSecretKey(text)
		if err != nil {
			return secret, usage(errors.New("that is no nsec, no ncryptsec and not 64 hex digits"))
		}
		return secret, nil
	}
	password, err := read("Password of the key")
	if err != nil {
		return nostr.SecretKey{}, err
	}
	secret, _, err := nostr.DecryptSecretKey(text, []byte(password))
	if errors.Is(err, nostr.ErrDecrypt) {
		return secret, errors.New("wrong password for this ncryptsec")
	}
	return secret, err
}

// lineReader reads a line for each call.
func lineReader(r *bufio.Reader) func(what string) (string, error) {
	return func(what string) (string, error) {
		line, err := r.ReadString('\n')
		if err != nil && line == "" {
			return "", usage(fmt.Errorf("%s: nothing came on standard input", strings.ToLower(what)))
		}
		return strings.TrimSpace(line), nil
	}
}

type accountLine struct {
	Type     string         `json:"type"` // account
	Npub     string         `json:"npub"`
	PubKey   string         `json:"pubkey"`
	Current  bool           `json:"current"`
	Folder   string         `json:"folder,omitempty"`
	KeyStore keywrap.Method `json:"key_store,omitempty"`
	Protects string         `json:"protects,omitempty"`
}

func (a *app) newAccount(secret nostr.SecretKey, relays []string, wrap wrapFlags) error {
	for _, url := range relays {
		if err := nostr.CheckRelayURL(url); err != nil {
			return usage(fmt.Errorf("%s: %w", oneLine(url), err))
		}
	}
	o, err := a.options(wrap)
	if err != nil {
		return err
	}
	method, err := a.addAccount(secret, o)
	if err != nil {
		return err
	}
	key := secret.PubKey()
	db, err := a.openStore(key)
	if err != nil {
		return err
	}
	err = db.Write([]group.Record{{Key: keyRelays, Value: []byte(strings.Join(relays, "\n"))}}, nil)
	if err = errors.Join(err, db.Close()); err != nil {
		return err
	}
	dir, err := a.accountDir(key)
	if err != nil {
		return err
	}
	a.print(accountLine{"account", key.Npub(), key.String(), false, dir, method, method.Protects()},
		"%s\nIts database is in %s, under a key that is kept by: %s. %s", key.Npub(), dir, method, method.Protects())
	return nil
}

// newRelays are the relays for an account that was never started.
func (a *app) newRelays(db *store.Store) ([]string, error) {
	b, err := db.Get(keyRelays)
	if err != nil || b == nil {
		return defaultRelays, err
	}
	return strings.Split(string(b), "\n"), nil
}

// accountExport prints the account's key, never in the clear.
func (a *app) accountExport() *cobra.Command {
	var passwordFile string
	c := &cobra.Command{
		Use: "export", Short: "Print the account's Nostr key under a password (ncryptsec, NIP-49)", Args: cobra.NoArgs,
		Long: "Print the account's Nostr key under a password (ncryptsec, NIP-49): a backup of who you are. It does not contain groups or messages.",
		RunE: func(*cobra.Command, []string) error {
			password, err := a.exportPassword(passwordFile)
			if err != nil {
				return err
			}
			defer clear(password)
			key, err := a.current()
			if err != nil {
				return err
			}
			db, err := a.openStore(key)
			if err != nil {
				return inUse(err)
			}
			secret, err := secretKey(db)
			if err = errors.Join(err, db.Close()); err != nil {
				return err
			}
			defer clear(secret[:])
			text, err := nostr.EncryptSecretKey(secret, password, nostr.KeyHandledSecurely, 0)
			if err != nil {
				return err
			}
			a.print(map[string]string{"type": "exported", "npub": key.Npub(), "ncryptsec": text}, "%s", text)
			return nil
		},
	}
	c.Flags().StringVar(&passwordFile, "password-file", "", "file with the password for the exported key (default: ask)")
	return c
}

func (a *app) exportPassword(file string) ([]byte, error) {
	var password []byte
	var err error
	switch {
	case file != "":
		password, err = readPassphrase(file)
	case a.atTerminal():
		password, err = a.prompt("Password for the exported key", true)
	default:
		return nil, usage(errors.New("nobody can be asked for a password: give --password-file"))
	}
	if err == nil && len(password) == 0 {
		return nil, usage(errors.New("an empty password protects nothing"))
	}
	return password, err
}

// inUse says what to do when another process has the account.
func inUse(err error) error {
	if errors.Is(err, store.ErrInUse) {
		return fmt.Errorf("another process has the account open (marmot watch?): end it first: %w", err)
	}
	return err
}

func (a *app) accountList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the accounts of this home", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			all, err := a.accounts()
			if err != nil {
				return err
			}
			current, err := a.current()
			if err != nil {
				return err
			}
			for _, key := range all {
				mark := " "
				if key == current {
					mark = "*"
				}
				a.print(accountLine{Type: "account", Npub: key.Npub(), PubKey: key.String(), Current: key == current}, "%s %s", mark, key.Npub())
			}
			return nil
		},
	}
}

func (a *app) accountShow() *cobra.Command {
	return &cobra.Command{
		Use: "show", Short: "Show the account in use: its names, its folder, what protects it", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			key, err := a.current()
			if err != nil {
				return err
			}
			dir, err := a.accountDir(key)
			if err != nil {
				return err
			}
			method, err := keywrap.MethodOf(dir)
			if err != nil {
				return err
			}
			a.print(accountLine{"account", key.Npub(), key.String(), true, dir, method, method.Protects()},
				"%s\n%s\n%s\nThe database key is kept by: %s. %s", key.Npub(), key, dir, method, method.Protects())
			return nil
		},
	}
}

func (a *app) accountUse() *cobra.Command {
	return &cobra.Command{
		Use: "use NPUB", Short: "Choose the account that the other verbs work on", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			key, err := a.ownAccount(args[0])
			if err != nil {
				return err
			}
			return a.use(key)
		},
	}
}

// ownAccount finds an account of this home.
func (a *app) ownAccount(name string) (nostr.PubKey, error) {
	all, err := a.accounts()
	if err != nil {
		return nostr.PubKey{}, err
	}
	key, err := pickPerson(name, all)
	if err != nil {
		return key, err
	}
	if !slices.Contains(all, key) {
		return key, fmt.Errorf("%w: %s is not an account of this home", errNotFound, key.Npub())
	}
	return key, nil
}

// accountRemove deletes an account from this home. It is looked up by name, so
// that nobody removes the default one by a slip.
func (a *app) accountRemove() *cobra.Command {
	var sure bool
	c := &cobra.Command{
		Use: "remove NPUB", Short: "Delete an account from this home: its key, groups and messages", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			key, err := a.ownAccount(args[0])
			if err != nil {
				return err
			}
			if !sure {
				return usage(fmt.Errorf("this deletes the key, the groups and the messages of %s from this home for good, and leaves no group; others see a member who never comes. Say --yes; marmot account export makes a backup of the key", key.Npub()))
			}
			if err := a.deleteAccount(key); err != nil {
				return err
			}
			a.print(map[string]string{"type": "removed", "npub": key.Npub()}, "%s is gone from this home.", key.Npub())
			return nil
		},
	}
	c.Flags().BoolVar(&sure, "yes", false, "yes, delete it")
	return c
}

func (a *app) deleteAccount(key nostr.PubKey) error {
	dir, err := a.accountDir(key)
	if err != nil {
		return err
	}
	if db, err := a.openStore(key); err == nil { // held, so that nobody works in it meanwhile
		defer db.Close()
	} else if errors.Is(err, store.ErrInUse) {
		return inUse(err)
	}
	if err := keywrap.Destroy(dir); err != nil { // without it the database opens no more
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	home, err := a.homeDir()
	if err != nil {
		return err
	}
	path := filepath.Join(home, fileCurrent)
	if b, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(b)) == key.Npub() {
		return os.Remove(path)
	}
	return nil
}
