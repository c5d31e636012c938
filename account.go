package marmot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/marmotgo/marmot/group"
	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/nostr/relay"
)

// Errors a caller can act on.
var (
	ErrClosed       = errors.New("marmot: the account is closed")
	ErrOtherAccount = errors.New("marmot: the store belongs to another account")
	ErrNoRelays     = errors.New("marmot: the account has no relays: give it at least one")
	ErrNoGroup      = errors.New("marmot: no such group")
	ErrNoInvitation = errors.New("marmot: no such invitation")
	ErrNoAnswer     = errors.New("marmot: no relay answered")
	ErrNotInvitable = errors.New("marmot: the account cannot be invited")
	ErrQueued       = errors.New("marmot: stored, but not done yet; it goes on in the background")
	ErrFailed       = errors.New("marmot: not done")
	ErrSuspended    = errors.New("marmot: the group's state cannot be read or stored at the moment; it is tried again")
	ErrConfig       = errors.New("marmot: the configuration is not complete")
)

// Config says which account to open and how. Store and Signer are required.
type Config struct {
	Store  Store
	Signer Signer
	// Relays are used for the account's own lists when the store is new: where
	// it publishes, receives invitations and looks people up.
	Relays []string
	// Accept decides about an invitation as soon as it arrives: true joins.
	// Nil leaves invitations waiting; see [Account.Invitations].
	Accept func(group.Invitation) bool
	// JoinUpdateDelay is the earliest time after joining at which the member
	// renews its leaf; 0 means half a second.
	JoinUpdateDelay time.Duration
	// Trace gets a trace of every decision about branches, from which they can
	// be replayed (group.Replay): no keys, texts or identities. Nil means none.
	Trace io.Writer
	// Log gets kinds, counts and durations, never keys, texts or identities.
	// Nil means no log.
	Log *slog.Logger
	// Now is the clock; nil means time.Now.
	Now func() time.Time

	crash crashHook // nil outside of tests
}

// crashHook is called at the boundaries of durability (protocol-core.md,
// section 14), where a test stops the process.
type crashHook func(side string, b group.Boundary)

// The sides of a boundary: computed but not stored; stored, and nothing of it
// has left; handed to a relay, whose answer is not known yet.
const (
	sideComputed = "computed"
	sideStored   = "stored"
	sideLeft     = "left"
)

func (h crashHook) at(side string, crossed ...group.Boundary) {
	if h != nil {
		for _, b := range crossed {
			h(side, b)
		}
	}
}

// Account is an open account. Its methods may be called from any goroutine.
// One goroutine of its own has all the state; Close ends it.
type Account struct {
	cfg    Config
	signer Signer // the configured one, guarded
	self   nostr.PubKey
	pool   *relay.Pool
	ctx    context.Context
	cancel context.CancelFunc
	calls  chan func()
	wg     sync.WaitGroup

	remembered []relay.Health // as they were when the account was opened
	tracer     *group.Tracer  // nil unless a trace is wanted
	verified   verifiedIDs
	news       broadcast // told when the log grew
	refused    counter
	acking     sync.Mutex

	crowded sync.Map // keys of groups that have no room for what no key opens

	// Below here: only for the goroutine that runs loop.
	record      accountRecord
	groups      map[string]*live
	suspended   map[string]suspension
	invitations map[string]*invitation
	packages    map[string]*keyPackage
	own         map[nostr.ID]*ownEvent
	feeds       map[string]*feed
	routes      map[[32]byte][]string        // groups by the public ids that they are found under
	feedsOf     map[string][]*feed           // by group
	listeners   map[string][]*listener       // by relay
	marks       map[string][]byte            // how far feeds were synchronized, while they are being opened
	gathers     map[string]*gather           // by group
	gatherQueue []*gather                    // that have not started
	gathering   int                          // that have
	loose       int                          // that have, and wait for failing relays alone
	seen        map[nostr.ID]nostr.Timestamp // gift wraps that were dealt with, and their dates
	unsaved     []group.Record               // marks in seen that go with the next write
	opening     map[nostr.ID]chan struct{}   // gift wraps at the signer; closed afterwards
	asking      map[string]bool              // requests of groups at the signer
	waiters     map[string]waiter            // by the reference of what they wait for
	ticked      time.Time
	summarized  time.Time               // summaries of groups that came to rest were stored
	lookedAt    time.Time               // for what is due
	dueAt       time.Time               // as of then
	started     bool                    // relays are followed
	roused      bool                    // a group came into memory since others were let go
	announcing  bool                    // the relay lists are being signed
	announceAt  time.Time               // not before, after a refusal
	logins      int                     // connections to inboxes that were given up
	renewing    map[group.Protocol]bool // a key package is being made
	sweeping    bool                    // relays are asked for stray key packages
	sweepAt     time.Time               // not before
	attempts    map[nostr.ID]*attempt
}

// Format keeps the configuration, and with it the signer, out of every print.
func (*Account) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("marmot.Account")) }

// accountRecord is the small part of an account's state.
type accountRecord struct {
	Version     int           `json:"version"`
	PubKey      nostr.PubKey  `json:"pubkey"`
	packageSlot               // of the current protocol
	V1          packageSlot   `json:"v1,omitzero"`
	V1As        V1Packages    `json:"v1_as,omitempty"`    // empty is V1Legacy
	Relays      []string      `json:"relays"`             // where it publishes and looks people up (kind 10002)
	Inbox       []string      `json:"inbox,omitempty"`    // where it receives (kind 10050); nil for Relays
	Former      []formerInbox `json:"former,omitempty"`   // read for a while: invitations may still go there
	ListsAt     int64         `json:"lists_at,omitempty"` // created_at of the newest lists
	Listed      bool          `json:"listed,omitempty"`   // its relay lists are signed and stored
	// Packaged is true when the list of relays with its key packages (kind 10051,
	// for apps of v1) is signed and stored.
	Packaged   bool                   `json:"packaged,omitempty"`
	Swept      time.Time              `json:"swept,omitzero"`       // relays were asked for stray key packages
	Summarized bool                   `json:"summarized,omitempty"` // there is a summary of every group
	Retired    map[nostr.ID]time.Time `json:"retired,omitempty"`    // events of key packages to be deleted, and until when they are looked for
}

// live is a group and what the account keeps beside it.
type live struct {
	key   string       // MLS group id in hex
	state *group.Group // nil while it is not loaded
	wake  time.Time
	used  time.Time // last

	summary summary // as stored, which is all that is known while it is not loaded
	stored  []byte  // the summary's bytes; nil if there is none
	roster  roster
	stale   bool // the summary asks for more than there is to do

	addresses []group.Address // of state, as of its last change of epoch
	taken     taken           // nil until it is needed
	behind    time.Time       // until when messages wait for earlier ones at most; zero once a relay gave all it has

	since    nostr.Timestamp // when the account came into the group
	born     nostr.Timestamp // when this copy was loaded
	stalled  int             // events that found no state, since the last replay
	replayAt time.Time       // the whole history is not asked for before
	replays  int
}

// Counts tells how many inputs from outside were refused, by reason.
type Counts map[string]int

// Open starts an account. It returns when its stored state is loaded; relays
// are contacted in the background.
func Open(ctx context.Context, cfg Config) (*Account, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Store == nil || cfg.Signer == nil {
		return nil, fmt.Errorf("%w: a Store and a Signer are needed", ErrConfig)
	}
	a := &Account{
		cfg: cfg, self: cfg.Signer.PubKey(), calls: make(chan func()),
		groups: map[string]*live{}, suspended: map[string]suspension{},
		invitations: map[string]*invitation{}, packages: map[string]*keyPackage{},
		own: map[nostr.ID]*ownEvent{}, feeds: map[string]*feed{}, gathers: map[string]*gather{}, listeners: map[string][]*listener{}, seen: map[nostr.ID]nostr.Timestamp{},
		renewing: map[group.Protocol]bool{}, opening: map[nostr.ID]chan struct{}{}, asking: map[string]bool{}, waiters: map[string]waiter{},
		attempts: map[nostr.ID]*attempt{}, ticked: cfg.Now(), summarized: cfg.Now(),
	}
	if cfg.Trace != nil {
		a.tracer = group.NewTracer()
	}
	a.signer = guardedSigner{signer: cfg.Signer, self: a.self}
	a.news.init()
	a.ctx, a.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if err := a.load(); err != nil {
		a.cancel()
		return nil, err
	}
	a.pool = relay.NewPool(relay.Config{Auth: a.auth, Log: cfg.Log})
	a.rememberRelays()
	a.wg.Add(1)
	go a.loop()
	return a, nil
}

// auth answers NIP-42 challenges, only where the account shows itself anyway:
// at its inbox. Connections for groups never log in.
func (a *Account) auth(ctx context.Context, purpose relay.Purpose, e *nostr.Event) error {
	if !strings.HasPrefix(string(purpose), string(a.inboxPurpose())) {
		return errors.New("marmot: this connection stays anonymous")
	}
	signed, err := sign(ctx, a.signer, e)
	if err == nil {
		*e = *signed
	}
	return err
}

func (a *Account) inboxPurpose() relay.Purpose { return relay.Purpose("inbox:" + a.self.String()) }

// Close stops the account and waits for all it started. The store stays open:
// it belongs to the caller.
func (a *Account) Close() error {
	a.cancel()
	err := a.pool.Close()
	a.wg.Wait()
	return err
}

// PubKey returns the account's public key.
func (a *Account) PubKey() nostr.PubKey { return a.self }

// load reads the stored state.
func (a *Account) load() error {
	b, err := a.cfg.Store.Get(keyAccount)
	if err != nil {
		return err
	}
	if b == nil {
		return a.initialize()
	}
	if err := json.Unmarshal(b, &a.record); err != nil {
		return fmt.Errorf("marmot: account record: %w", err)
	}
	if a.record.PubKey != a.self {
		return ErrOtherAccount
	}
	for _, load := range []func() error{a.loadPackages, a.loadOwn, a.loadInvitations, a.loadSeen} {
		if err := load(); err != nil {
			return err
		}
	}
	return nil
}

func (a *Account) initialize() error {
	if len(a.cfg.Relays) == 0 {
		return ErrNoRelays
	}
	for _, u := range a.cfg.Relays {
		if err := nostr.CheckRelayURL(u); err != nil {
			return err
		}
	}
	a.record = accountRecord{Version: 1, PubKey: a.self, Relays: slices.Clone(a.cfg.Relays)}
	a.record.Slot, a.record.V1.Slot = newSlot(), newSlot()
	return a.write([]group.Record{a.accountRecord()}, nil)
}

func (a *Account) accountRecord() group.Record {
	return group.Record{Key: keyAccount, Value: encode(a.record)}
}

// encode writes a record of ours.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("marmot: own record does not encode: %v", err)) // our bug: the types are ours
	}
	return b
}

// each decodes the records under a prefix, keyed by what follows it.
func each[T any](s Store, prefix string, visit func(rest string, v *T)) error {
	for r, err := range s.Range(prefix) {
		if err != nil {
			return err
		}
		v := new(T)
		if err := json.Unmarshal(r.Value, v); err != nil {
			return fmt.Errorf("marmot: stored record under %s: %w", prefix, err)
		}
		visit(r.Key[len(prefix):], v)
	}
	return nil
}

func (a *Account) write(records, entries []group.Record) error {
	if err := a.cfg.Store.Write(records, entries); err != nil {
		return err
	}
	if len(entries) > 0 {
		a.news.tell()
	}
	return nil
}

// loop owns the account's state: everything that touches it runs here.
func (a *Account) loop() {
	defer a.wg.Done()
	a.start()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-a.ctx.Done():
			a.stop()
			return
		case call := <-a.calls:
			call()
		case <-timer.C:
		}
		if a.roused {
			a.roused = false
			a.letGo()
		}
		wait := a.untilWake() // absolute: a stream of calls does not put it off
		if wait <= 0 {
			a.tick()
			wait = a.untilWake()
		}
		timer.Reset(max(wait, 0))
	}
}

// start brings the loaded state to life: groups repeat what is outstanding,
// relays are subscribed to.
func (a *Account) start() {
	if err := a.loadGroups(); err != nil {
		a.cfg.Log.Error("the groups could not be loaded", "error", err)
	}
	a.work(func(context.Context) { a.post(a.begin) }) // who asks what there is goes first
}

// begin turns to the relays.
func (a *Account) begin() {
	a.started = true
	a.loadMarks()
	a.follow()
	a.marks = nil
	a.resumeOwn()
	a.announce()
	a.sweep()
}

// stop lets everyone who waits go.
func (a *Account) stop() {
	for _, f := range a.feeds {
		f.close()
	}
	for _, all := range a.listeners {
		for _, l := range all {
			l.sub.Close()
		}
	}
	for _, w := range a.waiters {
		w.done <- ErrClosed
	}
	a.keepRelays()
	a.noteRest(a.waitingMarks()...)
	if err := a.flush(); err != nil {
		a.cfg.Log.Warn("marks were not stored", "error", err)
	}
}

// do runs f where the state is, and waits for it: what was taken up is always
// finished, also while the account closes.
func (a *Account) do(ctx context.Context, f func() error) error {
	result := make(chan error, 1)
	select {
	case a.calls <- func() { result <- f() }:
	case <-ctx.Done():
		return ctx.Err()
	case <-a.ctx.Done():
		return ErrClosed
	}
	return <-result
}

// post hands f over without waiting for its result. It reports false when the
// account is closing.
func (a *Account) post(f func()) bool {
	select {
	case a.calls <- f:
		return true
	case <-a.ctx.Done():
		return false
	}
}

// work runs f beside the owner, for what may wait: relays and signers.
func (a *Account) work(f func(ctx context.Context)) {
	a.wg.Add(1)
	go func() {
		defer a.wg.Done()
		f(a.ctx)
	}()
}

// tick gives time to every group that asked for it.
func (a *Account) tick() {
	now := a.cfg.Now()
	a.ticked, a.lookedAt = now, time.Time{}
	for key, s := range a.suspended {
		if !now.Before(s.retryAt) {
			a.reload(key)
			a.askAgain(key, now)
		}
	}
	a.wakeGroups(now)
	if now.Sub(a.summarized).Abs() >= idleWake {
		a.summarized, a.roused = now, true // some may have come to rest
		a.noteRest()
	}
	a.retryOwn(now)
	a.refill(now)
	a.eraseOutlived(now)
	a.announce()
	a.sweep()
	if err := a.flush(); err != nil {
		a.cfg.Log.Warn("marks were not stored", "error", err)
	}
	if s, ok := a.cfg.Store.(interface{ Tidy() error }); ok {
		if err := s.Tidy(); err != nil {
			a.cfg.Log.Warn("deleted values were not overwritten yet", "error", err)
		}
	}
}

// wakeGroups gives time to the groups that asked for it.
func (a *Account) wakeGroups(now time.Time) {
	due := 0
	for _, l := range a.groups {
		if l.wake.IsZero() || now.Before(l.wake) {
			continue
		}
		if due++; due > maxDue {
			return // the next tick follows at once
		}
		if a.rouse(l) == nil {
			_, _ = a.step(l, group.Tick{}) // logged where it fails; the group was loaded again
		}
	}
}

const idleWake = time.Minute

// wakePrecision is how late something due may be done, by an account that has much
// to look after: it is not searched for after every call.
const wakePrecision = 5 * time.Millisecond

// untilWake is how long nothing is due.
func (a *Account) untilWake() time.Duration {
	now := a.cfg.Now()
	if len(a.groups) > maxLoaded && now.Sub(a.lookedAt).Abs() < wakePrecision {
		return max(min(a.dueAt.Sub(now), wakePrecision), 0)
	}
	a.lookedAt, a.dueAt = now, a.ticked.Add(idleWake)
	sooner := func(t time.Time) {
		if !t.IsZero() && t.Before(a.dueAt) {
			a.dueAt = t
		}
	}
	for _, l := range a.groups {
		sooner(l.wake)
	}
	for _, s := range a.suspended {
		sooner(s.retryAt)
	}
	for _, o := range a.own {
		sooner(o.retryAt)
	}
	for _, f := range a.feeds {
		sooner(f.fillAt)
	}
	return a.dueAt.Sub(now)
}

func (a *Account) groupConfig() group.Config {
	return group.Config{Self: a.self, JoinUpdateDelay: a.cfg.JoinUpdateDelay, Parallel: parallel, Trace: a.tracer != nil}
}

// parallel runs independent jobs of the engine on all cores.
func parallel(n int, job func(i int)) {
	var wg sync.WaitGroup
	workers := min(n, maxParallel())
	for w := range workers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := w; i < n; i += workers {
				job(i)
			}
		}()
	}
	wg.Wait()
}

var _ mls.Parallel = parallel

// Refused returns how many inputs from relays were refused since the account
// was opened, by reason.
func (a *Account) Refused() Counts { return a.refused.counts() }
