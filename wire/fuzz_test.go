package wire

import (
	"bytes"
	"testing"
	"time"

	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/nostr"
)

// roundTrip is for decoders whose every accepted input has one encoding.
func roundTrip[T interface{ Append([]byte) []byte }](f *testing.F, decode func([]byte) (T, error), seeds ...[]byte) {
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := decode(b)
		if err == nil && !bytes.Equal(v.Append(nil), b) {
			t.Errorf("%x re-encodes as %x", b, v.Append(nil))
		}
	})
}

func FuzzProfile(f *testing.F) {
	roundTrip(f, DecodeProfile, Profile{"name", "text"}.Append(nil))
}

func FuzzAdmins(f *testing.F) {
	roundTrip(f, DecodeAdmins, NewAdmins(account3(), nostr.PubKey{1}).Append(nil))
}

func FuzzRouting(f *testing.F) {
	roundTrip(f, DecodeRouting, NewRouting(counting(), []string{"wss://a.example", "ws://b.example:7"}).Append(nil))
}

func FuzzRetention(f *testing.F) { roundTrip(f, DecodeRetention, Retention(86400).Append(nil)) }

func FuzzLifecycle(f *testing.F) { roundTrip(f, DecodeLifecycle, Active.Append(nil)) }

func FuzzAgentStream(f *testing.F) {
	roundTrip(f, DecodeAgentStream, DefaultAgentStream.Append(nil))
}

func FuzzEncryptedMedia(f *testing.F) {
	roundTrip(f, DecodeEncryptedMedia, DefaultEncryptedMedia().Append(nil))
}

func FuzzComponents(f *testing.F) {
	f.Add(AppendComponents(nil, SupportedComponents()))
	f.Fuzz(func(t *testing.T, b []byte) {
		ids, err := DecodeComponents(b)
		if err == nil && !bytes.Equal(AppendComponents(nil, ids), b) {
			t.Errorf("%x re-encodes differently", b)
		}
		for _, id := range []mls.ComponentID{ComponentBlossomImage, ComponentAvatarURL} {
			_ = CheckComponent(id, b)
		}
	})
}

func FuzzSettings(f *testing.F) {
	ext, err := NewGroupExtensions(Profile{Name: "x"}, NewAdmins(account3()), NewRouting(counting(), []string{"wss://a.example"}), 5)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(ext[0].Data, ext[1].Data)
	f.Fuzz(func(t *testing.T, caps, dict []byte) {
		s, err := DecodeSettings(mls.Extensions{{Type: mls.ExtRequiredCapabilities, Data: caps}, {Type: mls.ExtAppDataDictionary, Data: dict}})
		if err == nil && !bytes.Equal(s.Dictionary.Append(nil), dict) {
			t.Error("the dictionary is not kept byte for byte")
		}
	})
}

func FuzzKeyPackageEvent(f *testing.F) {
	_, e := newKeyPackageEvent(f)
	f.Add(e.AppendJSON(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, err := nostr.ParseEvent(b); err == nil {
			_, _ = ParseKeyPackageEvent(e, time.Time{})
		}
	})
}

func FuzzGroupEvent(f *testing.F) {
	e, err := SealGroupEvent(EventKey{}, counting(), []byte("x"), 1, 2)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(e.AppendJSON(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := nostr.ParseEvent(b)
		if err != nil {
			return
		}
		if g, err := ParseGroupEvent(e); err == nil {
			_, _ = g.Open(EventKey{})
		}
	})
}

func FuzzWelcome(f *testing.F) {
	w := &Welcome{Author: account3(), Relays: []string{"wss://a.example"}, Message: []byte{0, 1, 0, 3, 0, 1, 0, 0}}
	rumor, err := w.Rumor()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(nostr.AppendRumorJSON(nil, rumor))
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, err := nostr.ParseRumor(b); err == nil {
			_, _ = ParseWelcome(e)
		}
	})
}

func FuzzPayload(f *testing.F) {
	f.Add(EncodePayload(NewPayload(account3(), KindChat, "hello", nostr.Tags{{"e", "x"}}, 1)))
	f.Fuzz(func(t *testing.T, b []byte) { _, _ = DecodePayload(b, account3()) })
}
