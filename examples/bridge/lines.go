package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"
	"unicode"
)

// maxLine bounds a line from the other side, in bytes.
const maxLine = 16 << 10

// sayTimeout is how long somebody may take to read a message.
const sayTimeout = 5 * time.Second

// lines is a Side: everybody who is connected to a port.
type lines struct {
	l     net.Listener
	mu    sync.Mutex
	conns map[net.Conn]bool
}

func newLines(l net.Listener) *lines { return &lines{l: l, conns: map[net.Conn]bool{}} }

// Say writes to everybody. Who does not take it is disconnected: that is no
// reason to say it to the others again.
func (s *lines) Say(_ context.Context, from, text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		err := c.SetWriteDeadline(time.Now().Add(sayTimeout))
		if err == nil {
			_, err = fmt.Fprintf(c, "%s: %s\n", from, plain(text))
		}
		if err != nil {
			_ = c.Close() // reported where it is read
			delete(s.conns, c)
		}
	}
	return nil
}

// plain keeps a text from others on one line and its control characters away
// from terminals.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return '·'
		}
		return r
	}, text)
}

// Listen reads from everybody until ctx ends.
func (s *lines) Listen(ctx context.Context, heard func(from, text string) error) error {
	stop := context.AfterFunc(ctx, func() { _ = s.l.Close(); s.closeAll() })
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		c, err := s.l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		s.mu.Lock()
		s.conns[c] = true
		s.mu.Unlock()
		if ctx.Err() != nil { // closed while this one came
			s.closeAll()
		}
		wg.Go(func() { s.read(c, heard) })
	}
}

func (s *lines) read(c net.Conn, heard func(from, text string) error) {
	defer func() {
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
		_ = c.Close() // it is read to its end
	}()
	in := bufio.NewScanner(c)
	in.Buffer(nil, maxLine)
	for in.Scan() {
		if text := plain(in.Text()); text != "" && heard("somebody", text) != nil {
			return
		}
	}
}

func (s *lines) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		_ = c.Close() // its reader ends by that
	}
}
