package nostr

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
)

// signedEvents are events by as many authors.
func signedEvents(t testing.TB, n int) []*Event {
	t.Helper()
	out := make([]*Event, n)
	for i := range out {
		out[i] = &Event{Kind: 445, CreatedAt: Timestamp(i), Content: fmt.Sprint("event ", i)}
		if err := GenerateSecretKey().SignEvent(out[i]); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// sameAsAlone verifies events together and alone, and returns how many are bad.
func sameAsAlone(t testing.TB, events []*Event) (bad int) {
	t.Helper()
	errs := VerifyAll(events)
	if len(errs) != len(events) {
		t.Fatalf("%d answers for %d events", len(errs), len(events))
	}
	for i, e := range events {
		want := e.Verify()
		if !errors.Is(errs[i], want) || (errs[i] == nil) != (want == nil) {
			t.Fatalf("event %d of %d: %v together, %v alone", i, len(events), errs[i], want)
		}
		if want != nil {
			bad++
		}
	}
	return bad
}

// shift adds a number to the s of a signature.
func shift(e *Event, by uint32, negative bool) {
	var s, d secp256k1.ModNScalar
	s.SetByteSlice(e.Sig[32:])
	if d.SetInt(by); negative {
		d.Negate()
	}
	b := s.Add(&d).Bytes()
	copy(e.Sig[32:], b[:])
}

// spoilers make an event bad, each in its way.
var spoilers = map[string]func(e, other *Event){
	"id":               func(e, _ *Event) { e.ID[3] ^= 1 },
	"content":          func(e, _ *Event) { e.Content += "!" },
	"r":                func(e, _ *Event) { e.Sig[5] ^= 1 },
	"s":                func(e, _ *Event) { e.Sig[40] ^= 1 },
	"r too large":      func(e, _ *Event) { copy(e.Sig[:32], allOnes()) },
	"s too large":      func(e, _ *Event) { copy(e.Sig[32:], allOnes()) },
	"s is zero":        func(e, _ *Event) { clear(e.Sig[32:]) },
	"no signature":     func(e, _ *Event) { clear(e.Sig[:]) },
	"author too large": func(e, _ *Event) { e.PubKey = PubKey(allOnes()); e.ID = e.ComputeID() },
	"author off curve": func(e, _ *Event) { e.PubKey = PubKey{31: 5}; e.ID = e.ComputeID() },
	"another's":        func(e, other *Event) { e.Sig = other.Sig },
	"another's author": func(e, other *Event) { e.PubKey = other.PubKey; e.ID = e.ComputeID() },
}

func allOnes() []byte {
	b := make([]byte, 32)
	for i := range b {
		b[i] = 0xFF
	}
	return b
}

// TestVerifyAll spoils one event of a batch in every way, and some of them at random.
func TestVerifyAll(t *testing.T) {
	for name, spoil := range spoilers {
		for _, n := range []int{2, leastBatch, 20} {
			events := signedEvents(t, n)
			if spoil(events[n/2], events[0]); sameAsAlone(t, events) != 1 {
				t.Errorf("%s: not one of %d is bad", name, n)
			}
		}
	}
	for _, n := range []int{0, 1, leastBatch - 1, leastBatch, batchEvents - 1, batchEvents, batchEvents + 1} {
		events := signedEvents(t, n)
		if bad := sameAsAlone(t, events); bad != 0 {
			t.Errorf("%d of %d good ones are bad", bad, n)
		}
		if n == 0 {
			continue
		}
		for range 3 {
			events[rand.IntN(n)].Sig[63] ^= 1
		}
		sameAsAlone(t, events)
	}
}

// TestCancelling has two false signatures whose errors add up to nothing.
func TestCancelling(t *testing.T) {
	events := signedEvents(t, 10)
	shift(events[2], 7, false)
	shift(events[8], 7, true)
	if bad := sameAsAlone(t, events); bad != 2 {
		t.Errorf("%d are bad", bad)
	}
}

// TestAlike verifies the same event many times, and many of one author.
func TestAlike(t *testing.T) {
	e := signedEvents(t, 1)[0]
	var same, one []*Event
	k := GenerateSecretKey()
	for i := range 20 {
		same = append(same, e)
		mine := &Event{Kind: 1, Content: fmt.Sprint(i % 3)}
		if err := k.SignEvent(mine); err != nil {
			t.Fatal(err)
		}
		one = append(one, mine)
	}
	if sameAsAlone(t, same)+sameAsAlone(t, one) != 0 {
		t.Error("good ones are bad")
	}
	e.Sig[63] ^= 1
	if sameAsAlone(t, same) != 20 {
		t.Error("bad ones are good")
	}
}

// TestAddUp multiplies and adds as the library does, with scalars at the edges.
func TestAddUp(t *testing.T) {
	scalar := func(b ...byte) (k secp256k1.ModNScalar) {
		var all [32]byte
		copy(all[32-len(b):], b)
		k.SetBytes(&all)
		return k
	}
	var minusOne secp256k1.ModNScalar
	minusOne.SetInt(1).Negate()
	power := scalar(append([]byte{1}, make([]byte, 16)...)...)
	for _, scalars := range [][]secp256k1.ModNScalar{
		{}, {scalar()}, {scalar(1)}, {minusOne}, {scalar(1), minusOne}, {power, scalar(0x7F), scalar(0x40), scalar(0x41), scalar(allOnes()[:31]...)},
		{scalar(0x80), scalar(0x81, 0x02, 0x04), minusOne, minusOne, scalar(3)},
	} {
		var terms []term
		var want secp256k1.JacobianPoint
		for i, k := range scalars {
			one := scalar(byte(i/2 + 1)) // some points twice
			p := baseMult(&one)
			terms = append(terms, termOf(&p, &k))
			var product secp256k1.JacobianPoint
			secp256k1.ScalarMultNonConst(&k, &p, &product)
			add(&want, &product)
		}
		got := addUp(terms)
		if infinite(&want) != infinite(&got) {
			t.Errorf("%v: infinite %v, want %v", scalars, infinite(&got), infinite(&want))
			continue
		}
		want.ToAffine()
		got.ToAffine()
		if !infinite(&want) && !(got.X.Equals(&want.X) && got.Y.Equals(&want.Y)) {
			t.Errorf("%v: another point", scalars)
		}
	}
}

// FuzzVerifyAll changes bytes of a batch: together and alone always agree.
func FuzzVerifyAll(f *testing.F) {
	events := signedEvents(f, leastBatch+2)
	f.Add([]byte{0, 0, 0, 1})
	f.Add([]byte{1, 40, 0, 0x80, 2, 40, 0, 0x80})
	f.Fuzz(func(t *testing.T, edits []byte) {
		batch := make([]*Event, len(events))
		for i, e := range events {
			fresh := *e
			batch[i] = &fresh
		}
		for ; len(edits) >= 4; edits = edits[4:] {
			e := batch[int(edits[0])%len(batch)]
			switch at := int(binary.BigEndian.Uint16(edits[1:])) % 97; {
			case at < 64:
				e.Sig[at] ^= edits[3]
			case at < 96:
				e.PubKey[at-64] ^= edits[3]
				e.ID = e.ComputeID()
			default:
				e.Content += string(edits[3])
			}
		}
		sameAsAlone(t, batch)
	})
}

// BenchmarkVerifyAll verifies events together, beside one that is verified alone.
func BenchmarkVerifyAll(b *testing.B) {
	for _, n := range []int{8, 64, 256, 1024} {
		b.Run(fmt.Sprint("events=", n), func(b *testing.B) {
			events := signedEvents(b, n)
			alone := time.Duration(1 << 62)
			for range 50 {
				began := time.Now()
				if err := events[0].Verify(); err != nil {
					b.Fatal(err)
				}
				alone = min(alone, time.Since(began))
			}
			least := time.Duration(1 << 62)
			for b.Loop() {
				began := time.Now()
				for i, err := range VerifyAll(events) {
					if err != nil {
						b.Fatal(i, err)
					}
				}
				least = min(least, time.Since(began)/time.Duration(n))
			}
			b.ReportMetric(float64(least.Nanoseconds())/1e3, "µs/event")
			b.ReportMetric(float64(alone.Nanoseconds())/1e3, "µs-alone")
		})
	}
}
