package main

import (
	"strings"
	"testing"
	"time"
)

// TestProgress shows, hides and takes away the line; hiding leaves nothing on
// the screen that something else is written over.
func TestProgress(t *testing.T) {
	var screen syncBuffer
	p := newProgress(&screen, "waiting")
	p.show("waiting… 1s")
	if got := screen.String(); !strings.HasSuffix(got, "\rwaiting… 1s") {
		t.Errorf("shown: %q", got)
	}
	p.hide()
	if got := screen.String(); !strings.HasSuffix(got, "\r"+strings.Repeat(" ", len([]rune("waiting… 1s")))+"\r") {
		t.Errorf("hidden: %q", got)
	}
	before := len(screen.String())
	p.hide()
	p.stop()
	p.stop()
	if got := screen.String(); len(got) != before {
		t.Errorf("hidden twice and stopped: %q", got[before:])
	}
	var none *progress
	none.hide()
	none.stop()
}

// TestProgressComes waits for the line to come by itself.
func TestProgressComes(t *testing.T) {
	var screen syncBuffer
	p := newProgress(&screen, "waiting")
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(screen.String(), "waiting… "); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the line never came")
		}
	}
	p.stop()
	if got := screen.String(); !strings.HasSuffix(got, " \r") {
		t.Errorf("stopped: %q", got)
	}
}
