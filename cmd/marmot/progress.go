package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// Work that takes longer than progressAfter shows on a terminal that it goes
// on, anew every progressEvery.
const (
	progressAfter = time.Second
	progressEvery = 200 * time.Millisecond
)

// progress is a line on the terminal that says what is being waited for, until
// it is stopped.
type progress struct {
	w       io.Writer
	started time.Time
	what    string
	mu      sync.Mutex
	shown   int // width of the line that stands there
	stopped chan struct{}
	ended   chan struct{}
}

// isTerminal reports whether a person reads what is written to w.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// startProgress begins to show what is waited for, if a person looks on.
func (a *app) startProgress(what string) {
	if a.busy && !a.quiet && !a.json && a.shared == nil && isTerminal(a.err) {
		a.progress = newProgress(a.err, what)
	}
}

func newProgress(w io.Writer, what string) *progress {
	p := &progress{w: w, started: time.Now(), what: what, stopped: make(chan struct{}), ended: make(chan struct{})}
	go p.run()
	return p
}

func (p *progress) run() {
	defer close(p.ended)
	wait := time.NewTimer(progressAfter)
	defer wait.Stop()
	for {
		select {
		case <-p.stopped:
			p.show("")
			return
		case <-wait.C:
			p.show(fmt.Sprintf("%s… %ds", p.what, int(time.Since(p.started).Seconds())))
			wait.Reset(progressEvery)
		}
	}
}

// show replaces the line.
func (p *progress) show(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if line == "" && p.shown == 0 {
		return
	}
	width := len([]rune(line))
	fmt.Fprintf(p.w, "\r%s\r%s", strings.Repeat(" ", p.shown), line)
	p.shown = width
}

// hide takes the line away for something else to be written; it comes back if
// the waiting goes on.
func (p *progress) hide() {
	if p != nil {
		p.show("")
	}
}

// stop takes the line away.
func (p *progress) stop() {
	if p == nil {
		return
	}
	select {
	case <-p.stopped:
		return
	default:
		close(p.stopped)
		<-p.ended
	}
}
