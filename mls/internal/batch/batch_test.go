package batch

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"sync"
	"testing"
)

func makeJobs(t testing.TB, n int) []Job {
	t.Helper()
	jobs := make([]Job, n)
	for i := range jobs {
		pub, priv, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		message := fmt.Appendf(nil, "message %d", i)
		jobs[i] = Job{Key: pub, Message: message, Signature: ed25519.Sign(priv, message)}
	}
	return jobs
}

func concurrent(n int, job func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { job(i) })
	}
	wg.Wait()
}

func TestValid(t *testing.T) {
	jobs := makeJobs(t, 3*chunk+1)
	for _, n := range []int{0, 1, 2, chunk - 1, chunk, chunk + 1, len(jobs)} {
		if bad := Verify(jobs[:n], nil); bad != -1 {
			t.Errorf("%d jobs: %d is called bad", n, bad)
		}
		if bad := Verify(jobs[:n], concurrent); bad != -1 {
			t.Errorf("%d jobs in parallel: %d is called bad", n, bad)
		}
	}
}

func TestNamesFirstBadIndex(t *testing.T) {
	good := makeJobs(t, 2*chunk+5)
	damage := map[string]func(j *Job){
		"message":         func(j *Job) { j.Message = []byte("another") },
		"R":               func(j *Job) { j.Signature[0] ^= 1 },
		"S":               func(j *Job) { j.Signature[40] ^= 1 },
		"S not reduced":   func(j *Job) { j.Signature[63] |= 0xf0 },
		"key":             func(j *Job) { j.Key[3] ^= 1 },
		"short key":       func(j *Job) { j.Key = j.Key[:31] },
		"no key":          func(j *Job) { j.Key = nil },
		"short signature": func(j *Job) { j.Signature = j.Signature[:63] },
		"long signature":  func(j *Job) { j.Signature = append(j.Signature, 0) },
	}
	for name, breakIt := range damage {
		for _, at := range [][]int{{0}, {chunk - 1}, {chunk}, {2*chunk + 4}, {70, 130}, {5, 6, 100}} {
			jobs := append([]Job(nil), good...)
			for _, i := range at {
				jobs[i].Key = append([]byte(nil), jobs[i].Key...)
				jobs[i].Signature = append([]byte(nil), jobs[i].Signature...)
				breakIt(&jobs[i])
			}
			if bad := Verify(jobs, nil); bad != at[0] {
				t.Errorf("%s at %v: got %d", name, at, bad)
			}
			if bad := Verify(jobs, concurrent); bad != at[0] {
				t.Errorf("%s at %v in parallel: got %d", name, at, bad)
			}
		}
	}
}

// Two signatures whose S are shifted by opposite amounts cancel in a sum with
// equal coefficients. Random coefficients must tell them apart.
func TestErrorsDoNotCancel(t *testing.T) {
	jobs := makeJobs(t, 2)
	for i, delta := range []byte{1, 255} {
		// +1 and -1 in a byte of S that neither carries nor borrows.
		for jobs[i].Signature[40] == 0 || jobs[i].Signature[40] == 255 {
			jobs[i] = makeJobs(t, 1)[0]
		}
		jobs[i].Signature[40] += delta
	}
	if Verify(jobs, nil) != 0 {
		t.Fatal("two wrong signatures cancelled")
	}
}

func BenchmarkVerify64(b *testing.B) {
	jobs := makeJobs(b, chunk)
	b.ReportAllocs()
	for b.Loop() {
		if Verify(jobs, nil) != -1 {
			b.Fatal("bad")
		}
	}
}
