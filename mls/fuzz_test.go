package mls

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"runtime"
	"slices"
	"testing"

	"github.com/marmotgo/marmot/internal/vectors"
	"github.com/marmotgo/marmot/mls/internal/wire"
)

// codec is one decoder with a writer that works from the decoded fields.
type codec struct {
	withBase bool // the state that it belongs to is decoded with it
	decode   func(b []byte) (encode func() []byte, err error)
	seeds    func(t testing.TB) []hexBytes
}

// reading makes a codec of a reader function.
func reading[T any](read func(r *wire.Reader) T, encode func(v T) []byte) func(b []byte) (func() []byte, error) {
	return func(b []byte) (func() []byte, error) {
		r := wire.NewReader(b)
		v := read(r)
		return func() []byte { return encode(v) }, r.Finish()
	}
}

// seedVectors returns the published messages, or none where they are not at
// hand.
func seedVectors(t testing.TB) []messagesVector {
	if _, err := os.Stat(vectorFile()); err != nil {
		return nil
	}
	return readVectors[messagesVector](t, "messages")[:20]
}

func vectorFile() string {
	dir := os.Getenv("MARMOT_VECTORS")
	if dir == "" {
		dir = "../../shared/vectors"
	}
	return dir + "/mls/messages.json"
}

var codecs = map[string]codec{
	"message": {
		decode: func(b []byte) (func() []byte, error) {
			m, err := testSuites.DecodeMessage(b)
			return func() []byte { return reencodeMessage(m) }, err
		},
		seeds: func(t testing.TB) (list []hexBytes) {
			for _, v := range seedVectors(t) {
				for _, m := range v.messages() {
					list = append(list, m...)
				}
			}
			return append(list, readGolden(t).messages()...)
		},
	},
	"welcome": {
		decode: func(b []byte) (func() []byte, error) {
			w, err := DecodeWelcome(b)
			return func() []byte { return w.append(nil) }, err
		},
		seeds: func(t testing.TB) (list []hexBytes) {
			for _, v := range seedVectors(t) {
				list = append(list, v.Welcome[4:])
			}
			return append(list, readGolden(t).Welcome[4:])
		},
	},
	"group info": {
		decode: reading(noConfig.readGroupInfo, reencodeGroupInfo),
		seeds: func(t testing.TB) (list []hexBytes) {
			for _, v := range seedVectors(t) {
				list = append(list, v.GroupInfo[4:])
			}
			c := newTester(t, testSuite, "x").create(testExtensions())
			return append(list, must(c.group.Info(c.signer, InfoConfig{ExternalPub: true}))(t).raw)
		},
	},
	"group secrets": {
		decode: func(b []byte) (func() []byte, error) {
			s, err := decodeGroupSecrets(b)
			return func() []byte { return s.append(nil) }, err
		},
		seeds: func(t testing.TB) (list []hexBytes) {
			for _, v := range seedVectors(t) {
				list = append(list, v.GroupSecrets)
			}
			nonce := make([]byte, 32)
			s := groupSecrets{joiner: make(secret, 32), pathSecret: make(secret, 32), psks: []PSKID{{Type: PSKExternal, Nonce: nonce},
				{Type: PSKResumption, Usage: ResumptionBranch, Nonce: nonce}, {Type: PSKApplication, Component: 7, ID: []byte("id"), Nonce: nonce}}}
			return append(list, s.append(nil))
		},
	},
	"key package": {
		decode: func(b []byte) (func() []byte, error) {
			k, err := DecodeKeyPackage(b)
			return func() []byte { return reencodeKeyPackage(k) }, err
		},
		seeds: func(t testing.TB) []hexBytes { return []hexBytes{readGolden(t).KeyPackage[4:]} },
	},
	"leaf node": {
		decode: reading(func(r *wire.Reader) *LeafNode { l, _ := decodeLeafNode(r); return l }, reencodeLeaf),
		seeds: func(t testing.TB) (list []hexBytes) {
			for _, l := range goldenGroup(t).Leaves() {
				list = append(list, l.raw)
			}
			return list
		},
	},
	"ratchet tree": {
		decode: func(b []byte) (func() []byte, error) {
			s, _ := testSuites.suiteOf(testSuite)
			tree, err := decodeTree(s, b, Limits{TreeLeaves: 1 << 12})
			return func() []byte { return tree.appendTree(nil) }, err
		},
		seeds: func(t testing.TB) (list []hexBytes) {
			for _, v := range seedVectors(t) {
				list = append(list, v.RatchetTree)
			}
			return append(list, goldenGroup(t).tree.appendTree(nil))
		},
	},
	"commit": {
		decode: reading(noConfig.decodeCommit, reencodeCommit),
		seeds: func(t testing.TB) (list []hexBytes) {
			for _, v := range seedVectors(t) {
				list = append(list, v.Commit)
			}
			for _, s := range readGolden(t).Steps[1:] {
				if m := decode(t, s.Commit); m.public != nil {
					list = append(list, m.public.content.raw[m.public.content.bodyStart:m.public.content.contentEnd])
				}
			}
			return list
		},
	},
	"proposal": {
		decode: reading(noConfig.decodeProposal, reencodeProposal),
		seeds: func(t testing.TB) (list []hexBytes) {
			for _, v := range seedVectors(t) {
				for typ, b := range v.proposals() {
					list = append(list, append([]byte{0, byte(typ)}, b...))
				}
			}
			for _, p := range []Proposal{SelfRemove{}, AppDataUpdate{Component: 1}, AppDataUpdate{Remove: true},
				AppEphemeral{Data: []byte{1}}, GroupContextExtensions{Extensions: testExtensions()}} {
				list = append(list, reencodeProposal(p))
			}
			return list
		},
	},
	"app data dictionary": {
		decode: func(b []byte) (func() []byte, error) {
			d, err := DecodeAppDataDictionary(b)
			return func() []byte { return d.Append(nil) }, err
		},
		seeds: func(testing.TB) []hexBytes {
			return []hexBytes{AppDataDictionary{{ID: 1, Data: []byte{2}}, {ID: 3}}.Append(nil), {0}}
		},
	},
	"external senders": {
		decode: func(b []byte) (func() []byte, error) {
			s, err := DecodeExternalSenders(b)
			return func() []byte { return AppendExternalSenders(nil, s) }, err
		},
		seeds: func(testing.TB) []hexBytes {
			return []hexBytes{AppendExternalSenders(nil, []ExternalSender{{SignatureKey: make([]byte, 32), Credential: BasicCredential([]byte("a"))},
				{SignatureKey: make([]byte, 65), Credential: Credential{Type: CredentialX509, Raw: []byte{1, 7}}}})}
		},
	},
	"required capabilities": {
		decode: func(b []byte) (func() []byte, error) {
			c, err := DecodeRequiredCapabilities(b)
			return func() []byte { return c.Append(nil) }, err
		},
		seeds: func(testing.TB) []hexBytes {
			return []hexBytes{RequiredCapabilities{Extensions: []ExtensionType{6}, Proposals: []ProposalType{8, 10}}.Append(nil)}
		},
	},
	"extensions": {
		decode: reading(decodeExtensions, func(e Extensions) []byte { return e.append(nil) }),
		seeds:  func(testing.TB) []hexBytes { return []hexBytes{testExtensions().append(nil)} },
	},
	"key package keys": {
		decode: func(b []byte) (func() []byte, error) {
			k, err := DecodeKeyPackageKeys(b)
			return func() []byte { return k.AppendSecret(nil) }, err
		},
		seeds: func(t testing.TB) []hexBytes { return []hexBytes{newTester(t, testSuite, "x").keys.AppendSecret(nil)} },
	},
	"leaf key": {
		decode: func(b []byte) (func() []byte, error) {
			k, err := DecodeLeafKey(b)
			return func() []byte { return k.AppendSecret(nil) }, err
		},
		seeds: func(testing.TB) []hexBytes {
			return []hexBytes{(&LeafKey{key: make([]byte, 32), public: make([]byte, 32)}).AppendSecret(nil)}
		},
	},
	"state": {
		decode: func(b []byte) (func() []byte, error) {
			g, err := DecodeState(b, nil, nil)
			return func() []byte { return g.AppendState(nil) }, err
		},
		seeds: func(t testing.TB) []hexBytes { return []hexBytes{readGolden(t).State} },
	},
	"secrets": {
		withBase: true,
		decode: func(b []byte) (func() []byte, error) {
			g, err := DecodeState(goldenBase.State, b, nil)
			if len(b) == 0 {
				return nil, ErrMalformed
			}
			return func() []byte { return g.AppendSecrets(nil) }, err
		},
		seeds: func(t testing.TB) []hexBytes { goldenBase = readGolden(t); return []hexBytes{goldenBase.Secrets} },
	},
	"ratchets": {
		withBase: true,
		decode: func(b []byte) (func() []byte, error) {
			g, err := DecodeState(goldenBase.State, nil, b)
			if len(b) == 0 {
				return nil, ErrMalformed
			}
			return func() []byte { return g.AppendRatchets(nil) }, err
		},
		seeds: func(t testing.TB) []hexBytes { goldenBase = readGolden(t); return []hexBytes{goldenBase.Ratchets} },
	},
	"delta": {
		decode: func(b []byte) (func() []byte, error) {
			g, err := goldenParent.DecodeDelta(b, nil, nil)
			// Several deltas can lead to one tree; what counts is that it agrees with itself.
			return func() []byte { g.AppendState(nil); return b }, err
		},
		seeds: func(t testing.TB) []hexBytes {
			goldenBase = readGolden(t)
			goldenParent, _ = goldenBase.replay(t, false)
			return []hexBytes{goldenBase.Delta}
		},
	},
}

// The records of a group only decode beside its other parts.
var (
	goldenBase   *golden
	goldenParent *Group
)

func goldenGroup(t testing.TB) *Group {
	t.Helper()
	v := readGolden(t)
	return must(testSuites.DecodeState(v.State, v.Secrets, v.Ratchets))(t)
}

// fuzzCodec: no panic, and what is accepted is written back byte for byte.
func fuzzCodec(f *testing.F, name string) {
	c := codecs[name]
	for _, s := range c.seeds(f) {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) { checkCodec(t, c, b) })
}

func checkCodec(t testing.TB, c codec, b []byte) bool {
	t.Helper()
	encode, err := c.decode(bytes.Clone(b))
	if err != nil {
		for _, want := range []error{ErrMalformed, ErrUnsupportedProposal, ErrUnsupportedSuite, ErrUnsupportedVersion,
			ErrInvalidTree, ErrInvalidLeaf, ErrSavedState} {
			if errors.Is(err, want) {
				return false
			}
		}
		t.Fatalf("untyped error: %v", err)
	}
	if got := encode(); !bytes.Equal(got, b) {
		t.Fatalf("read %x\nwrote %x", b, got)
	}
	return true
}

func FuzzMessage(f *testing.F)           { fuzzCodec(f, "message") }
func FuzzWelcome(f *testing.F)           { fuzzCodec(f, "welcome") }
func FuzzGroupInfo(f *testing.F)         { fuzzCodec(f, "group info") }
func FuzzGroupSecrets(f *testing.F)      { fuzzCodec(f, "group secrets") }
func FuzzKeyPackage(f *testing.F)        { fuzzCodec(f, "key package") }
func FuzzLeafNode(f *testing.F)          { fuzzCodec(f, "leaf node") }
func FuzzRatchetTree(f *testing.F)       { fuzzCodec(f, "ratchet tree") }
func FuzzCommit(f *testing.F)            { fuzzCodec(f, "commit") }
func FuzzProposal(f *testing.F)          { fuzzCodec(f, "proposal") }
func FuzzAppDataDictionary(f *testing.F) { fuzzCodec(f, "app data dictionary") }
func FuzzExternalSenders(f *testing.F)   { fuzzCodec(f, "external senders") }
func FuzzRequired(f *testing.F)          { fuzzCodec(f, "required capabilities") }
func FuzzExtensions(f *testing.F)        { fuzzCodec(f, "extensions") }
func FuzzKeyPackageKeys(f *testing.F)    { fuzzCodec(f, "key package keys") }
func FuzzLeafKey(f *testing.F)           { fuzzCodec(f, "leaf key") }
func FuzzState(f *testing.F)             { fuzzCodec(f, "state") }
func FuzzSecrets(f *testing.F)           { fuzzCodec(f, "secrets") }
func FuzzRatchets(f *testing.F)          { fuzzCodec(f, "ratchets") }
func FuzzDelta(f *testing.F)             { fuzzCodec(f, "delta") }

// TestCodecs runs every decoder over its seeds, cut, extended and with single
// bytes changed, and bounds what it allocates by its input.
func TestCodecs(t *testing.T) {
	for name, c := range codecs {
		t.Run(name, func(t *testing.T) {
			for _, seed := range c.seeds(t) {
				if len(seed) > 4<<10 {
					continue
				}
				if !checkCodec(t, c, seed) && name != "ratchet tree" { // some are of other suites
					_, err := c.decode(seed)
					t.Fatalf("seed refused: %v", err)
				}
				allocates(t, c, seed)
				if checkCodec(t, c, append(bytes.Clone(seed), 0)) {
					t.Fatal("a byte too many was accepted")
				}
				for i := 0; i < len(seed); i += 1 + len(seed)/100 {
					if checkCodec(t, c, seed[:i]) {
						t.Fatalf("accepted the first %d of %d bytes", i, len(seed))
					}
					for _, x := range []byte{1, 0x40, 0x80, 0xff} {
						b := bytes.Clone(seed)
						b[i] ^= x
						checkCodec(t, c, b)
						if x == 0x80 {
							allocates(t, c, b)
						}
					}
				}
			}
		})
	}
}

// allocates fails if decoding takes more memory than a small multiple of the
// input.
func allocates(t testing.TB, c codec, b []byte) {
	t.Helper()
	size := len(b)
	if c.withBase {
		size += len(goldenBase.State)
	}
	limit, least := uint64(8*size+1<<10), uint64(1<<62)
	for range 5 { // the runtime's own work is counted in now and then
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _ = c.decode(b)
		runtime.ReadMemStats(&after)
		if least = min(least, after.TotalAlloc-before.TotalAlloc); least <= limit {
			return
		}
	}
	t.Fatalf("decoding %d bytes allocated %d", len(b), least)
}

// FuzzUnprotect plays messages of one sender in any order, repeated and
// damaged: each opens once and only undamaged, and failures change nothing.
func FuzzUnprotect(f *testing.F) {
	f.Add([]byte{0, 0, 5, 0, 5, 0, 3, 1, 3, 0, 9, 0})
	f.Fuzz(func(t *testing.T, script []byte) {
		members := newTesters(t, testSuite, 2)
		a, b := members[0], members[1].group
		sent := make([][]byte, 12)
		for i := range sent {
			sent[i] = must(a.group.Protect(a.signer, []byte{byte(i)}, nil))(t).Message
		}
		opened := map[int]bool{}
		for len(script) >= 2 {
			i, damage := int(script[0])%len(sent), script[1]
			message := bytes.Clone(sent[i])
			message[int(script[0])*7%len(message)] ^= damage
			script = script[2:]
			m, err := testSuites.DecodeMessage(message)
			if err != nil {
				continue
			}
			before := save(b)
			r, err := b.Unprotect(m)
			if err == nil && (damage != 0 || opened[i] || r.Plaintext[0] != byte(i)) {
				t.Fatalf("message %d opened: damage %d, earlier %v", i, damage, opened[i])
			}
			if err == nil {
				opened[i] = true
			} else if !before.equal(save(b)) {
				t.Fatal("failure changed the group")
			} else if damage == 0 && !opened[i] {
				t.Fatalf("message %d does not open: %v", i, err)
			}
		}
	})
}

// FuzzApply puts any bytes as a commit into honest framing, as a malicious
// member can. Whatever they are, the group answers with an error, stays as it
// was and then follows the true commit.
func FuzzApply(f *testing.F) {
	members := newTesters(f, testSuite, 4)
	a, b := members[0], members[1]
	honest := a.commit(CommitConfig{Path: PathAlways, Proposals: []Proposal{Remove{Removed: 2},
		AppDataUpdate{Component: 0x8001, Data: []byte{1}}}})
	content := decode(f, honest.Message).public.content
	body := content.raw[content.bodyStart:content.contentEnd]
	f.Add([]byte(body), uint16(0), byte(0))
	f.Add([]byte{0, 0}, uint16(3), byte(7))
	f.Fuzz(func(t *testing.T, commit []byte, at uint16, change byte) {
		b.t = t
		for _, c := range [][]byte{commit, bytes.Clone(body)} {
			if len(c) > 0 {
				c = bytes.Clone(c)
				c[int(at)%len(c)] ^= change
			}
			content := must(a.group.newContent(a.signer, WirePublicMessage, ContentCommit, nil, c))(t)
			content.confirm(make([]byte, 32))
			m, err := testSuites.DecodeMessage(must(a.group.frame(content, false))(t))
			if err != nil {
				continue
			}
			before := save(b.group)
			v, err := b.group.Verify(m)
			if errors.Is(err, ErrAuthentication) {
				continue // the bytes end the commit early and go on as a signature of their own
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := b.group.Apply(v.(*VerifiedCommit), ApplyInput{Now: testTime}); err == nil {
				t.Fatal("a commit without its confirmation tag was applied")
			}
			if !before.equal(save(b.group)) {
				t.Fatal("failure changed the group")
			}
		}
		next := must(b.apply(honest.Message))(t)
		if !bytes.Equal(next.ConfirmationTag(), honest.Next.ConfirmationTag()) {
			t.Fatal("the true commit leads elsewhere")
		}
	})
}

// FuzzJoin puts any bytes as the ratchet tree into a Welcome that its maker
// signed, confirmed and encrypted. Whatever they are, joining gives an error,
// or a group that the tree hash and all checks agree with.
func FuzzJoin(f *testing.F) {
	members := newTesters(f, testSuite, 5)
	for i := range members {
		advance(f, members, i, CommitConfig{Path: PathAlways})
	}
	joiner := newTester(f, testSuite, "joiner")
	a := members[0]
	honest, _ := decode(f, a.commit(CommitConfig{Path: PathAlways, Proposals: []Proposal{Add{KeyPackage: joiner.kp}}}).Welcome).Welcome()
	j := openedWelcome(joiner)
	if err := j.openWelcome(honest); err != nil {
		f.Fatal(err)
	}
	at := slices.IndexFunc(j.info.Extensions, func(e Extension) bool { return e.Type == ExtRatchetTree })
	tree := bytes.Clone(j.info.Extensions[at].Data)
	f.Add([]byte(nil), uint16(0), byte(0))
	f.Add(tree, uint16(0), byte(0))
	f.Add([]byte(nil), uint16(300), byte(1))
	s := a.group.suite
	f.Fuzz(func(t *testing.T, data []byte, where uint16, change byte) {
		if len(data) == 0 {
			data = bytes.Clone(tree)
			data[int(where)%len(data)] ^= change
		}
		info := *j.info
		info.Extensions = info.Extensions.Clone()
		info.Extensions[at].Data = data
		decoded, err := decodeTree(s, data, Limits{})
		if err == nil {
			info.Context.TreeHash = decoded.treeHash()
		}
		e, _ := s.deriveEpoch(s.epochSecret(j.member, info.Context.encode()))
		info.ConfirmationTag = s.confirmationTag(e.get(epochConfirmation), info.Context.ConfirmedTranscriptHash)
		info.Signature = nil
		b := reencodeGroupInfo(&info)
		b = b[:len(b)-1]
		b = wire.AppendOpaque(b, must(s.signWithLabel(a.signer, "GroupInfoTBS", b))(t))
		key := s.welcomeKey(j.member)
		aead := must(s.newAEAD(key.key[:s.nk]))(t)
		x := &Welcome{suite: s.id, groupInfo: aead.Seal(nil, key.nonce[:s.nn], b, nil)}
		x.secrets = []encryptedSecrets{must(s.sealGroupSecrets(joiner.kp, j.secrets, x.groupInfo))(t)}
		joined, err := Join(x, joiner.kp, joiner.keys, JoinConfig{})
		if err == nil && !bytes.Equal(joined.Group.tree.appendTree(nil), tree) {
			if err := modelOf(joined.Group.tree).difference(joined.Group.tree); err != nil {
				t.Fatal(err)
			}
		}
		if err != nil && !typed(err) {
			t.Fatalf("untyped error: %v", err)
		}
	})
}

func openedWelcome(c *tester) *joiner { return &joiner{kp: c.kp, keys: c.keys} }

// typed reports whether an error is one that a caller can branch on.
func typed(err error) bool {
	for want := range errorNames {
		if errors.Is(err, want) {
			return true
		}
	}
	return false
}

func TestSeedsAreFound(t *testing.T) {
	vectors.Path(t, "mls/messages.json")
	if b, err := json.Marshal(seedVectors(t)); err != nil || len(b) < 1000 {
		t.Fatal("no seeds")
	}
}
