package mls

import (
	"crypto/ed25519"
	"crypto/sha512"
	"math/bits"
	"sync"
	"testing"
	"time"

	"github.com/marmotgo/marmot/mls/internal/batch"
)

// primitives counts the cryptographic calls that an operation cannot do
// without. Hashing of trees and key schedules is left out; it is small.
type primitives struct {
	verify, sign     int // Ed25519
	derive, generate int // key pairs
	seal, open       int // HPKE
	aead             int // AES-GCM over 1 KiB
	batch            int // Ed25519 signatures verified together
	signed           int // bytes that SHA-512 takes for long signed objects
}

// levels is the number of parent nodes above a leaf.
func levels(n int) int { return bits.Len(uint(n - 1)) }

// priceList is what each primitive takes here and now, in nanoseconds.
type priceList struct{ verify, sign, derive, generate, seal, open, aead, batch, hashByte float64 }

var prices = sync.OnceValue(func() (p priceList) {
	s, _ := testSuites.suiteOf(testSuite)
	public, signer, _ := ed25519.GenerateKey(nil)
	message, kib := make([]byte, 400), make([]byte, 1024)
	signature := ed25519.Sign(signer, message)
	priv, pub, _ := s.generateKeyPair()
	ikm, tag := make([]byte, 32), make([]byte, 16)
	kem, ciphertext, _ := s.encryptWithLabel(pub, pathLabel, message, ikm)
	jobs := make([]batch.Job, 64)
	for i := range jobs {
		jobs[i] = batch.Job{Key: public, Message: message, Signature: signature}
	}
	long := make([]byte, 1<<16)
	p.verify = best(func() { ed25519.Verify(public, message, signature) })
	p.sign = best(func() { ed25519.Sign(signer, message) })
	p.derive = best(func() { _, _, _ = s.deriveKeyPair(ikm) })
	p.generate = best(func() { _, _, _ = s.generateKeyPair() })
	p.seal = best(func() { _, _, _ = s.encryptWithLabel(pub, pathLabel, message, ikm) })
	p.open = best(func() { _, _ = s.decryptWithLabel(priv, pathLabel, message, kem, ciphertext) })
	p.aead = best(func() {
		a, _ := s.newAEAD(tag)
		a.Seal(nil, message[:12], kib, nil)
	})
	p.batch = best(func() { batch.Verify(jobs, nil) }) / float64(len(jobs))
	p.hashByte = best(func() { sha512.Sum512(long) }) / float64(len(long))
	return p
})

// best returns the least time of a call over some rounds of 0.1 ms, which on a
// shared machine is the one that other work disturbed least.
func best(f func()) float64 {
	least := 0.0
	for range 500 {
		calls, start := 0, time.Now()
		for time.Since(start) < 100*time.Microsecond {
			f()
			calls++
		}
		if each := float64(time.Since(start).Nanoseconds()) / float64(calls); least == 0 || each < least {
			least = each
		}
	}
	return least
}

func (c primitives) nanoseconds() float64 {
	p := prices()
	sum := 0.0
	for _, part := range []struct {
		n     int
		price float64
	}{{c.verify, p.verify}, {c.sign, p.sign}, {c.derive, p.derive}, {c.generate, p.generate}, {c.seal, p.seal},
		{c.open, p.open}, {c.aead, p.aead}, {c.batch, p.batch}, {c.signed, p.hashByte}} {
		sum += float64(part.n) * part.price
	}
	return sum
}

// BenchmarkFloor reports what the primitives take, and how many times faster
// independent ones are with all processors than with one: on a busy machine
// that is less than their number.
func BenchmarkFloor(b *testing.B) {
	p := prices()
	for b.Loop() { // everything is measured already
	}
	derive := func(int) { _, _, _ = builtinSuites[0].deriveKeyPair(make([]byte, 32)) }
	one := best(func() { Parallel(nil).run(16, derive) })
	b.ReportMetric(one/best(func() { cores(16, derive) }), "x-cores")
	b.ReportMetric(0, "ns/op")
	for name, ns := range map[string]float64{"verify-ns": p.verify, "sign-ns": p.sign, "derive-ns": p.derive, "generate-ns": p.generate,
		"seal-ns": p.seal, "open-ns": p.open, "aead-ns": p.aead, "batched-ns": p.batch} {
		b.ReportMetric(ns, name)
	}
}

// Ceilings with room for other versions of Go. What they guard against is a
// walk or an encoding that allocates for each member.
func TestAllocations(t *testing.T) {
	for _, tt := range []struct{ n, process, decrypt int }{{16, 300, 14}, {300, 380, 14}} {
		c := newCrowd(t, tt.n).fill(t)
		message, g := c.commit(t, 0).Message, c.member(1)
		process := testing.AllocsPerRun(5, func() {
			v := must(g.Verify(must(DecodeMessage(message))(t)))(t)
			must(g.Apply(v.(*VerifiedCommit), ApplyInput{}))(t)
		})
		from := c.member(0)
		var sealed [][]byte
		for range 20 {
			sealed = append(sealed, must(from.Protect(c.signers[0], make([]byte, 1024), nil))(t).Message)
		}
		open := func() {
			must(g.Unprotect(must(DecodeMessage(sealed[0]))(t)))(t)
			sealed = sealed[1:]
		}
		open() // the first message of a sender derives its ratchets
		decrypt := testing.AllocsPerRun(15, open)
		t.Logf("n=%d: process %.0f, decrypt %.0f", tt.n, process, decrypt)
		if process > float64(tt.process) || decrypt > float64(tt.decrypt) {
			t.Errorf("n=%d: process %.0f and decrypt %.0f allocations, want at most %d and %d",
				tt.n, process, decrypt, tt.process, tt.decrypt)
		}
	}
}
