package group

import (
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"testing"
	"time"

	"github.com/marmotgo/marmot/internal/vectors"
	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/nostr"
	"github.com/marmotgo/marmot/wire"
)

type recordedSession struct {
	Pubkeys     map[string]nostr.PubKey `json:"nostr_pubkeys"`
	KeyPackages map[string]struct {
		Event   json.RawMessage `json:"event"`
		Package string          `json:"key_package"`
		Init    string          `json:"init_private_key"`
		Leaf    string          `json:"encryption_private_key"`
		Seed    string          `json:"signature_private_seed"`
	} `json:"key_packages"`
	Welcomes map[string]json.RawMessage `json:"welcome_rumors"`
	Epochs   map[string]struct {
		Authenticator string `json:"epoch_authenticator"`
		Name          string `json:"name"`
	} `json:"epochs"`
	Events []struct {
		Author string          `json:"author"`
		Epoch  uint64          `json:"epoch"`
		Type   string          `json:"content_type"`
		Event  json.RawMessage `json:"event"`
	} `json:"group_events"`
}

func bytesOf(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// recordedJoin joins as one of the recorded session.
func recordedJoin(t *testing.T, s *recordedSession, who string, now time.Time) *Group {
	t.Helper()
	rumor, err := nostr.ParseRumor(s.Welcomes[who])
	if err != nil {
		t.Fatal(err)
	}
	w, err := wire.ParseAnyWelcome(rumor)
	if err != nil {
		t.Fatal(err)
	}
	k := s.KeyPackages[who]
	event, err := nostr.ParseEvent(k.Event)
	if err != nil {
		t.Fatal(err)
	}
	kp, err := wire.ParseMIPKeyPackageEvent(event, time.Unix(int64(event.CreatedAt), 0))
	if err != nil {
		t.Fatal(err)
	}
	stored := append([]byte{1, 32}, bytesOf(t, k.Init)...)
	stored = append(append(stored, 32), bytesOf(t, k.Leaf)...)
	keys, err := mls.DecodeKeyPackageKeys(stored)
	if err != nil {
		t.Fatal(err)
	}
	g, _, err := Join(now, JoinConfig{
		Config: Config{Self: s.Pubkeys[who], JoinUpdateDelay: 24 * time.Hour}, Welcome: w, KeyPackage: kp.KeyPackage, Keys: keys,
		Signer: ed25519.NewKeyFromSeed(bytesOf(t, k.Seed)),
	})
	if err != nil {
		t.Fatal(err)
	}
	if g.Status().Protocol != V1 {
		t.Errorf("the group is of protocol %s", g.Status().Protocol)
	}
	return g
}

// TestRecordedV1Session follows a session of three marmot-ts clients as bob saw
// it, through the state machine: every epoch is the recorded one.
func TestRecordedV1Session(t *testing.T) {
	var s recordedSession
	if err := json.Unmarshal(vectors.Read(t, "mip/session-marmot-ts-0.5.1.json"), &s); err != nil {
		t.Fatal(err)
	}
	first, err := nostr.ParseEvent(s.Events[0].Event)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(int64(first.CreatedAt), 0)
	g := recordedJoin(t, &s, "bob", now)
	texts := 0
	for _, e := range s.Events {
		if e.Epoch == 0 || e.Author == "bob" {
			continue // bob has no state of the first, and made his own with other keys than ours
		}
		event, err := nostr.ParseEvent(e.Event)
		if err != nil {
			t.Fatal(err)
		}
		now = now.Add(3 * time.Second)
		var effects []Effect
		for _, in := range []Input{Received{Event: event}, Tick{}} {
			out, err := g.Step(now, in)
			if err != nil {
				t.Fatal(err)
			}
			if out.Outcome.Category != Accepted {
				t.Errorf("a %s of %s in epoch %d: %s, %v", e.Type, e.Author, e.Epoch, out.Outcome.Category, out.Outcome.Err)
			}
			effects = append(effects, out.Effects...)
			now = now.Add(2 * time.Second)
		}
		for _, f := range effects {
			if f.Kind == EffectMessage {
				texts++
			}
		}
		want := s.Epochs[fmtEpoch(g.Epoch())]
		got, err := g.tip.state.EpochAuthenticator()
		if err != nil || hex.EncodeToString(got) != want.Authenticator || g.Settings().Profile.Name != want.Name {
			t.Errorf("epoch %d is another: %x, %q, %v", g.Epoch(), got, g.Settings().Profile.Name, err)
		}
	}
	if g.Epoch() != 5 || texts != 4 {
		t.Errorf("epoch %d with %d messages", g.Epoch(), texts)
	}
	if members := g.Status().Members; len(members) != 2 {
		t.Errorf("%d members", len(members))
	}
	checkRecordedSelfRemove(t, g)
	recordedJoin(t, &s, "carol", now)
}

// checkRecordedSelfRemove makes bob's SelfRemove of the last epoch, byte for byte,
// and the Remove that was computed beside it, and opens their event.
func checkRecordedSelfRemove(t *testing.T, g *Group) {
	t.Helper()
	type proposal struct {
		Message string `json:"mls_message"`
		Ref     string `json:"proposal_ref"`
	}
	var v struct {
		Seed       string                        `json:"signature_private_seed"`
		SelfRemove proposal                      `json:"self_remove"`
		Remove     proposal                      `json:"control_remove"`
		Content    struct{ Key, Content string } `json:"kind_445_content"`
	}
	if err := json.Unmarshal(vectors.Read(t, "mip/self-remove.json"), &v); err != nil {
		t.Fatal(err)
	}
	state := g.tip.state
	signer := ed25519.NewKeyFromSeed(bytesOf(t, v.Seed))
	for p, want := range map[mls.Proposal]proposal{mls.SelfRemove{}: v.SelfRemove, mls.Remove{Removed: state.Self()}: v.Remove} {
		message, verified, err := state.ProposeVerified(signer, p, mls.FrameConfig{})
		if err != nil {
			t.Fatal(err)
		}
		if ref := verified.Ref(); hex.EncodeToString(message) != want.Message || hex.EncodeToString([]byte(ref)) != want.Ref {
			t.Errorf("%T: %x with reference %x", p, message, ref)
		}
	}
	key, err := wire.EventKeyOf(state)
	if err != nil {
		t.Fatal(err)
	}
	e := &nostr.Event{Kind: wire.KindGroupEvent, Content: v.Content.Content, Tags: nostr.Tags{{"h", hex.EncodeToString(g.Settings().Routing.GroupID[:])}}}
	parsed, err := wire.ParseMIPGroupEvent(e)
	if err != nil {
		t.Fatal(err)
	}
	if b, ok := parsed.Open(key); !ok || hex.EncodeToString(b) != v.SelfRemove.Message {
		t.Errorf("opened as %x, %v", b, ok)
	}
}

func fmtEpoch(n uint64) string { return string(rune('0' + n)) }
