package relayd

import (
	"context"
	"time"

	"github.com/coder/websocket"

	"github.com/marmotgo/marmot/nostr"
)

// write sends the queue until the connection ends, and does on the way what the
// faults say.
func (c *conn) write() {
	var buf []byte
	for c.waitMore() {
		faults := c.server.faults.get()
		if !c.sleep(c.server.faults.delay(&faults)) {
			return
		}
		m, ok := c.pop(faults.Reorder)
		if !ok {
			continue
		}
		for range c.server.faults.copies(&faults, &m) {
			buf = m.AppendJSON(buf[:0])
			if !c.writeFrame(buf) {
				return
			}
			if m.Type == "EVENT" {
				c.server.stats.delivered.Add(1)
			}
		}
	}
}

func (c *conn) writeFrame(b []byte) bool {
	ctx, cancel := context.WithTimeout(c.ctx, writeTimeout)
	defer cancel()
	return c.ws.Write(ctx, websocket.MessageText, b) == nil
}

// waitMore returns when the queue is not empty, false when the connection ended
// or is to end and all is sent.
func (c *conn) waitMore() bool {
	for {
		c.mu.Lock()
		n, finishing := len(c.queue), c.finishing
		c.mu.Unlock()
		if n > 0 || finishing {
			return n > 0 && c.ctx.Err() == nil
		}
		select {
		case <-c.more:
		case <-c.ctx.Done():
			return false
		}
	}
}

// pop takes the next message, or with reorder above 1 any of the events among
// the next reorder messages before one that is not an event.
func (c *conn) pop(reorder int) (nostr.RelayMessage, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) == 0 {
		return nostr.RelayMessage{}, false
	}
	events := 0
	for events < min(reorder, len(c.queue)) && c.queue[events].Type == "EVENT" {
		events++
	}
	i := 0
	if events > 1 {
		i = c.server.faults.pick(events)
	}
	m := c.queue[i]
	copy(c.queue[1:i+1], c.queue[:i])
	c.queue[0] = outgoing{} // so that the event can be freed
	c.queue = c.queue[1:]
	c.liveBytes -= m.size
	signal(c.room)
	return m.RelayMessage, true
}

func (c *conn) sleep(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.ctx.Done():
		return false
	}
}
