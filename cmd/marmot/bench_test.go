package main

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/marmotgo/marmot"
	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/nostr/relayd"
	"github.com/marmotgo/marmot/store/keywrap"
	"github.com/marmotgo/marmot/wire"
)

// The size of the home of BenchmarkVerbs: 1000 and 100 are the figures that
// docs/performance.md speaks of; they take some minutes to make.
var (
	homeGroups   = flag.Int("home-groups", 20, "groups of BenchmarkVerbs")
	homeMessages = flag.Int("home-messages", 10, "messages in each group of BenchmarkVerbs")
)

// stranger is somebody to invite who never comes.
func stranger(b *testing.B, inbox string) marmot.Contact {
	b.Helper()
	account := nostr.GenerateSecretKey()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	at := nostr.Timestamp(time.Now().Unix())
	wanted := wire.ProofEvent(account.PubKey(), mls.X25519_AES128GCM_SHA256_Ed25519, key.Public().(ed25519.PublicKey), at)
	signed := *wanted
	if err := account.SignEvent(&signed); err != nil {
		b.Fatal(err)
	}
	proof, err := wire.NewIdentityProof(wanted, &signed)
	if err != nil {
		b.Fatal(err)
	}
	kp, _, err := mls.NewKeyPackage(key, wire.KeyPackageConfig(account.PubKey(), proof, time.Now()))
	if err != nil {
		b.Fatal(err)
	}
	e, err := wire.NewKeyPackageEvent(account.PubKey(), strings.Repeat("00", 32), kp, at)
	if err == nil {
		err = account.SignEvent(e)
	}
	if err != nil {
		b.Fatal(err)
	}
	parsed, err := wire.ParseKeyPackageEvent(e, time.Now())
	if err != nil {
		b.Fatal(err)
	}
	return marmot.Contact{PubKey: account.PubKey(), KeyPackages: map[group.Protocol]*wire.KeyPackageEvent{group.V2: parsed}, Inbox: []string{inbox}}
}

// makeHome makes a home with groups of ten and messages in them.
func makeHome(b *testing.B, dir, relay string) {
	b.Helper()
	ctx := b.Context()
	home, key := &app{home: dir}, nostr.GenerateSecretKey()
	if _, err := home.addAccount(key, keywrap.Options{Method: keywrap.KeyFile}); err != nil {
		b.Fatal(err)
	}
	db, err := home.openStore(key.PubKey())
	if err != nil {
		b.Fatal(err)
	}
	a, err := marmot.Open(ctx, marmot.Config{Store: db, Signer: marmot.LocalSigner(key), Relays: []string{relay}})
	if err != nil {
		b.Fatal(err)
	}
	var nine []marmot.Contact
	for range 9 {
		nine = append(nine, stranger(b, relay))
	}
	for i := range *homeGroups {
		g, err := a.CreateGroup(ctx, marmot.NewGroup{Name: fmt.Sprint("group ", i), Invite: nine})
		if err != nil {
			b.Fatal(err)
		}
		for n := range *homeMessages {
			if _, err := g.Send(ctx, fmt.Sprint("message ", n)); err != nil {
				b.Fatal(err)
			}
		}
		if err := a.Flush(ctx); err != nil {
			b.Fatal(err)
		}
	}
	if err := a.Close(); err != nil {
		b.Fatal(err)
	}
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
}

// memoryOf returns what a process has in memory, and had at most, in MB.
func memoryOf(b *testing.B, pid int) (now, most float64) {
	b.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Skip("only Linux tells: ", err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 {
			continue
		}
		kB, _ := strconv.ParseFloat(fields[1], 64)
		switch fields[0] {
		case "VmRSS:":
			now = kB / 1000
		case "VmHWM:":
			most = kB / 1000
		}
	}
	return now, most
}

// BenchmarkVerbs runs the real binary on a home with many groups: how long a list, a
// send and a search take, process and all, and what a watch that caught up has in
// memory.
func BenchmarkVerbs(b *testing.B) {
	r, err := relayd.Start("127.0.0.1:0", relayd.Config{MaxEvents: 1 << 20})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	dir := b.TempDir()
	binary, home := filepath.Join(dir, "marmot"), filepath.Join(dir, "home")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	makeHome(b, home, r.URL())
	verb := func(args ...string) time.Duration {
		began := time.Now()
		if out, err := exec.Command(binary, append([]string{"--home", home}, args...)...).CombinedOutput(); err != nil {
			b.Fatalf("%q: %v\n%s", args, err, out)
		}
		return time.Since(began)
	}
	least := map[string]time.Duration{}
	verb("search", "message") // builds the index
	for b.Loop() {
		for name, args := range map[string][]string{
			"list": {"groups", "list"}, "send": {"send", "group 7", "hello"}, "search": {"search", "message", "--limit", "10"}, "version": {"--version"},
		} {
			took := verb(args...)
			if least[name] == 0 || took < least[name] {
				least[name] = took
			}
		}
	}
	for name, took := range least {
		b.ReportMetric(float64(took.Microseconds())/1e3, "ms-"+name)
	}
	ctx, cancel := context.WithCancel(b.Context())
	watch := exec.CommandContext(ctx, binary, "--home", home, "watch")
	if err := watch.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() { _ = watch.Wait() }()
	defer cancel()
	time.Sleep(time.Second + time.Duration(*homeGroups)*10*time.Millisecond) // it asks for every group
	now, most := memoryOf(b, watch.Process.Pid)
	b.ReportMetric(now, "MB-watch")
	b.ReportMetric(most, "MB-watch-most")
}
